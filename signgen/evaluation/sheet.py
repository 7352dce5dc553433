"""Generated images of several methods, their truth, sources and keypoints in; the rows of a sheet to look at out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import DEEPFASHION, MARKET, image_key
from signgen.corpora.person.keypoints import find_poses, pose_files
from signgen.errors import OptionError, PairSetError, PoseError, VideoError
from signgen.evaluation.images import Picture
from signgen.evaluation.match_images import images_below, match_images, source_images
from signgen.poses import read_beside
from signgen.poses.draw import draw_pose
from signgen.poses.palettes import PALETTES, Palette
from signgen.progress import SILENT, Progress
from signgen.requests import Request
from signgen.seeds import keyed_rng
from signgen.video.reader import IMAGE_SUFFIXES, open_frames

SOURCE, POSE, TRUTH, OWN = "source", "pose", "truth", "generated"
COLUMNS = (SOURCE, POSE, TRUTH, OWN)  # names that no other method may have

Read = Callable[[], np.ndarray]  # a cell: uint8 (H, W, 3) RGB
_Key = tuple[str | None, Picture]  # key of the source, where a name says it, and the truth


@dataclass(frozen=True)
class SheetRequest(Request):
    """generated, truth, pair_list, sources: as of an ImagesRequest. count: rows, drawn at random with the seed.

    others: name -> folder or clip of another method's images of the same pairs. poses: of folders, keypoints of the
    targets (texts or CSV) or pictures of them with the targets' names; of clips, keypoints of the truth.
    """

    generated: Path
    truth: Path
    count: int
    others: Mapping[str, Path]
    poses: Path | None = None
    pair_list: Path | None = None
    sources: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class SheetRow:
    """name: of the pair. cells: column -> how its picture is read."""

    name: str
    cells: Mapping[str, Read]


def plan_sheet(request: SheetRequest, progress: Progress = SILENT) -> list[SheetRow]:
    """Choose pairs that every method has; nothing is read yet but the names.

    Raises OptionError for a name of a column, PairSetError, PoseError or VideoError for a picture without partner.
    """
    if taken := [name for name in request.others if name in COLUMNS]:
        raise OptionError(f"{taken[0]}: the name of a column", expected="another name for the method")
    # what every method made of every pair
    first = _generated(request.generated, request)
    others = {name: _generated(path, request) for name, path in request.others.items()}
    of_source, of_pose = _sources(request, progress), _poses(request)
    # rows
    drawn = keyed_rng(request.seed, "sheet").permutation(len(first))[: request.count]
    rows = []
    for key in [list(first)[index] for index in sorted(drawn)]:
        source, truth = key
        cells: dict[str, Read] = {} if of_source is None else {SOURCE: of_source(source)}
        if of_pose is not None:
            cells[POSE] = of_pose(truth)
        cells |= {TRUTH: truth.read, OWN: first[key].read}
        cells |= {name: _partner(name, request.others[name], found, key).read for name, found in others.items()}
        rows.append(SheetRow(str(first[key]), cells))
    return rows


def _generated(path: Path, request: SheetRequest) -> dict[_Key, Picture]:
    """Every pair of a method; frames of two clips by their numbers."""
    if not request.truth.is_file() and not path.is_file():
        matched = match_images(path, request.truth, request.pair_list)
        return {(pair.source, Picture(pair.truth)): Picture(pair.generated) for pair in matched.pairs}
    clip, truth = open_frames(path), open_frames(request.truth)
    if clip.num_frames != truth.num_frames:
        raise VideoError(
            f"{path} has {clip.num_frames} frames, {request.truth} has {truth.num_frames}", expected="equal counts"
        )
    return {(None, Picture(request.truth, n)): Picture(path, n) for n in range(clip.num_frames)}


def _partner(name: str, path: Path, found: Mapping[_Key, Picture], key: _Key) -> Picture:
    """A method whose names do not tell the source is matched by the target alone."""
    partner = found.get(key) or found.get((None, key[1]))
    if partner is None:
        of_target = [picture for (_, truth), picture in found.items() if truth == key[1]]
        partner = of_target[0] if key[0] is None and len(of_target) == 1 else None
    if partner is None:
        raise PairSetError(f"{path}: no image of {name} is of {key[1]} from that source", expected="the same pairs")
    return partner


def _sources(request: SheetRequest, progress: Progress) -> Callable[[str | None], Read] | None:
    """How the source of a key is read; None, with a note, where sources are not known."""
    if request.truth.is_file() or request.generated.is_file():
        return lambda _: Picture(request.sources or request.truth, 0).read
    matched = match_images(request.generated, request.truth, request.pair_list)
    found, unknown = source_images(matched, request.truth, request.sources)
    if unknown:
        progress.note(f"the sheet has no column of sources: {unknown}")
        return None
    return lambda key: Picture(found[str(key)]).read


def _poses(request: SheetRequest) -> Callable[[Picture], Read] | None:
    """How a target's pose is drawn; None where no keypoints were named."""
    if request.poses is None:
        return None
    if request.truth.is_file() or request.generated.is_file():
        return _poses_of_clip(request.poses, request.truth)
    if request.poses.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in request.poses.rglob("*")):
        return _pose_pictures(request.poses)
    return _keypoints_of_images(request.poses)


def _poses_of_clip(path: Path, truth: Path) -> Callable[[Picture], Read]:
    video = open_frames(truth)
    poses = read_beside(path, video)
    if len(poses) < video.num_frames:
        raise PoseError(f"{path}: keypoints for {len(poses)} frames", expected=f"one for each of {video.num_frames}")
    palette = _palette(poses.skeleton, path)
    return lambda target: (
        lambda: draw_pose(poses.keypoints[target.number or 0], video.width, video.height, palette=palette)
    )


def _pose_pictures(folder: Path) -> Callable[[Picture], Read]:
    """Pictures that somebody drew, with the targets' names."""
    found = {image_key(name): path for name, path in images_below(folder).items()}

    def read(target: Picture) -> Read:
        name = next((n for n in _names_of(target.path) if n in found), None)
        if name is None:
            raise PairSetError(f"{folder}: no picture of the pose of {target}", expected="one with the target's name")
        return Picture(found[name]).read

    return read


def _keypoints_of_images(path: Path) -> Callable[[Picture], Read]:
    """18 keypoints of images of DeepFashion or Market-1501, by their names."""
    files = pose_files(path)
    found = [find_poses(dataset, files) for dataset in (DEEPFASHION, MARKET)]

    def read(target: Picture) -> Read:
        poses = next((p for p in found if _key(p.dataset.key, target.path) in p.sources), None)
        if poses is None:
            raise PoseError(f"{path}: no keypoints of {target}", expected="those of every target, or pictures of them")
        annotation = poses.read(str(_key(poses.dataset.key, target.path)))

        def drawn() -> np.ndarray:
            height, width = target.read().shape[:2]
            points = annotation.on_image((width, height))
            return draw_pose(points, width, height, palette=PALETTES["fpdm-deepfashion"])

        return drawn

    return read


def _key(key: Callable[[str], str | None], path: Path) -> str | None:
    return key(path.name) or key(path.as_posix())


def _names_of(path: Path) -> list[str]:
    """Keys by which a picture may be called: of a data set, or its name below any of its folders."""
    parts = path.parts
    return [image_key("/".join(parts[start:])) for start in range(len(parts))]


def _palette(skeleton: str, path: Path) -> Palette:
    """The first that draws the skeleton."""
    found = next((palette for palette in PALETTES.values() if palette.skeleton == skeleton), None)
    if found is None:
        raise PoseError(f"{path}: keypoints of {skeleton}", expected=" or ".join(sorted({*_SKELETONS})))
    return found


_SKELETONS = [palette.skeleton for palette in PALETTES.values()]
