"""A model, a pair set and real training images in; images of the same people in random poses, in files, out.

`SOURCE_to_TARGET.png`: the person of SOURCE in the pose of TARGET, both names of Market-1501.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.corpora.person.reid import ReidImage
from signgen.errors import PairSetError
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet, frame_name
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import on_frame
from signgen.progress import Progress
from signgen.rendering.pairs import check_pairs
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.video.reader import read_opaque, write_png


@dataclass(frozen=True)
class GeneratedRequest:
    """folder: where the images go. ratio: images for each source."""

    folder: Path
    model: Path
    pairs: Path
    ratio: float
    seed: int
    device: str
    threads: int | None


@dataclass(frozen=True)
class Posed:
    """An image of the pair set with a pose: where it is."""

    clip: str
    frame: int


def render_generated(request: GeneratedRequest, sources: Sequence[ReidImage], progress: Progress) -> None:
    """Write the images that are not there yet. Of the first k sources there are at least floor(k * ratio) images.

    Raises PairSetError where the pair set has no poses of the sources or is of another data set.
    """
    pair_set = PairSet.load(request.pairs)
    pipeline, card = load_model(request.model)
    check_pairs(pair_set, card, "train")
    posed = _posed(pair_set)
    missing = [image.key for image in sources if image.key not in posed]
    if len(missing) == len(sources):
        raise PairSetError(f"{request.pairs}: no keypoints of {missing[0]}", expected="a pair set of that very set")
    known = [image for image in sources if image.key in posed]
    if missing:
        progress.note(f"{len(missing)} of {len(sources)} sources have no keypoints; others stand in for them")
    plan = planned(known, sorted(posed), int(len(sources) * request.ratio), request.seed)
    folder = request.folder
    left = [(image, target) for image, target in plan if not (folder / _name(image, target)).exists()]
    seed, device = request.seed, prepare_device(request.device, request.threads)
    renderer = Renderer(pipeline, card, card.sampling({"micro_batch": 1}), seed, device)
    with progress.bar("rendering", len(plan)) as bar:
        bar.advance(len(plan) - len(left))
        for image, target in left:
            frame = _render(renderer, pair_set, image, posed[image.key], posed[target])
            write_png(folder / _name(image, target), frame)
            bar.advance()


def planned(sources: Sequence[ReidImage], targets: Sequence[str], count: int, seed: int) -> list[tuple[ReidImage, str]]:
    """`count` pairs of a source and the key of a target pose: sources one after the other, in turn; poses at random,
    none twice for a source before all were."""
    rng = np.random.default_rng([seed, 0x7E])
    pairs = []
    for place, image in enumerate(sources):
        begin, end = (-(-n * count // len(sources)) for n in (place, place + 1))
        order = rng.permutation(len(targets))
        pairs += [(image, targets[int(order[n % len(order)])]) for n in range(end - begin)]
    return pairs


def _name(image: ReidImage, target: str) -> str:
    return f"{image.key}_to_{target}.png"


def _posed(pair_set: PairSet) -> dict[str, Posed]:
    """Every training image with a person in its keypoints, by its name."""
    found: dict[str, Posed] = {}
    for clip in pair_set.clips:
        if clip.split != "train":
            continue
        there = pair_set.poses(clip.name).has_person
        found |= {frame_name(clip, n): Posed(clip.name, n) for n in range(len(clip.images)) if there[n]}
    return found


def _render(renderer: Renderer, pair_set: PairSet, image: ReidImage, source: Posed, target: Posed) -> np.ndarray:
    """uint8 (H, W, 3) of the source's size."""
    frame = read_opaque(image.path)
    size = (frame.shape[1], frame.shape[0])
    own, other = (_pose(pair_set, posed, size) for posed in (source, target))
    return next(iter(renderer.frames(Source(frame, own, image.key), other)))


def _pose(pair_set: PairSet, posed: Posed, size: tuple[int, int]) -> PoseSequence:
    """One pose, in pixels of an image of that size."""
    poses = pair_set.poses(posed.clip)[posed.frame : posed.frame + 1]
    return on_frame(poses, size, pair_set.pose_path(posed.clip), "the images of one set have one size")
