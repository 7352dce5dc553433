"""Runs, truth and sources as the user names them in; targets with a picture or clip of each out, matched by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import image_key
from signgen.errors import StudyError
from signgen.evaluation.match_images import images_below, match_images
from signgen.study.design import TRUTH
from signgen.video.reader import IMAGE_SUFFIXES, VIDEO_SUFFIXES, in_natural_order, open_frames, read_opaque

_CLIPS = VIDEO_SUFFIXES - {".gif"}  # a GIF has other colours than what stands beside it
_LOSSY = frozenset([".jpg", ".jpeg", ".webp"])
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Shown:
    """frames: uint8 (T, H, W, 3) RGB, T = 1 but for clips. fps; sample_aspect, times: as of a FrameSource."""

    frames: np.ndarray
    fps: float
    sample_aspect: Fraction | None = None
    times: np.ndarray | None = None


@dataclass(frozen=True)
class Material:
    """An image, a clip, or frame `frame` of a clip."""

    path: Path
    is_clip: bool = False
    frame: int | None = None

    def read(self) -> Shown:
        """The frame or all frames. Raises VideoError, for damaged ones, too."""
        if not self.is_clip and self.frame is None:
            return Shown(read_opaque(self.path)[None], DEFAULT_FPS)
        clip = open_frames(self.path)
        start, stop = (0, clip.num_frames) if self.frame is None else (self.frame, self.frame + 1)
        clip.check(start, stop)
        times = clip.times if self.frame is None else None
        return Shown(clip.read(start, stop), clip.fps or DEFAULT_FPS, clip.sample_aspect, times)


@dataclass(frozen=True)
class Target:
    """What was to be generated. shown: TRUTH and every run -> its picture. source: what all runs were given."""

    name: str
    shown: Mapping[str, Material]
    source: Material | None = None


@dataclass(frozen=True)
class Targets:
    """rule: how names were matched, for the reader."""

    rule: str
    clips: bool
    targets: tuple[Target, ...]


Key = tuple[str | None, str]  # source, where a run's names say it, and truth


def match_targets(
    runs: Mapping[str, Path], truth: Path, source: Path | None = None, pair_list: Path | None = None
) -> Targets:
    """The targets that all runs and the truth have: two videos are matched by frame number, clips by their name, images
    as `signgen evaluate-images` matches them. Raises StudyError or PairSetError for what has no partner.
    """
    if truth.is_file():
        clips, found = False, {name: _frames(path, truth) for name, path in runs.items()}
        rule = "frames, matched by their number"
    elif clips := _holds_clips(truth):
        found = {name: _clips(path, truth) for name, path in runs.items()}
        rule = "clips of the same name"
    else:
        matched = {name: match_images(path, truth, pair_list) for name, path in runs.items()}
        rule = "; ".join(dict.fromkeys(f"{m.rule.name}: {m.rule.text}" for m in matched.values()))
        found = {
            name: {(pair.source, str(pair.truth)): (Material(pair.generated), Material(pair.truth)) for pair in m.pairs}
            for name, m in matched.items()
        }
    if pair_list is not None and (clips or truth.is_file()):
        raise StudyError(f"--pair-list with {truth}", expected="folders of images")
    first, keys = _common(found)
    sources = None if source is None else _Sources(source)
    targets = []
    for key in keys:
        shown = {TRUTH: found[first][key][1], **{name: pairs[key][0] for name, pairs in found.items()}}
        targets.append(Target(_name(key, shown[TRUTH]), shown, sources.of(key) if sources else None))
    return Targets(rule, clips, tuple(targets))


def telling_files(targets: Targets) -> str | None:
    """A warning where some of what is shown was stored lossily and the rest was not: its traces tell which is which."""
    stored: dict[str, set[bool]] = {}
    for target in targets.targets:
        for name, material in target.shown.items():
            stored.setdefault(name, set()).add(material.path.suffix.lower() in _LOSSY)
    if targets.clips or len({frozenset(kinds) for kinds in stored.values()}) == 1:
        return None
    lossy = ", ".join(name for name, kinds in stored.items() if True in kinds)
    return f"{lossy}: stored as JPEG or WebP, the others not; traces of it tell them apart (see docs/study.md)"


def _name(key: Key, truth: Material) -> str:
    name = truth.path.name if truth.frame is None else f"{truth.path.name}#{truth.frame}"
    return name if key[0] is None else f"{key[0]} to {name}"


def _common(found: Mapping[str, Mapping[Key, object]]) -> tuple[str, list[Key]]:
    """The first run and its keys, each truth once. Raises StudyError unless all runs have the same."""
    first, *others = found
    for other in others:
        if differing := found[first].keys() ^ found[other].keys():
            (source, truth), has = min(differing, key=str), first if min(differing, key=str) in found[first] else other
            lacks = other if has == first else first
            pair = truth if source is None else f"{source} to {truth}"
            raise StudyError(f"{pair}: run {has} has it, run {lacks} has not", expected="runs of the same targets")
    keys: dict[str, Key] = {}
    for key in found[first]:
        keys.setdefault(key[1], key)  # nobody is to see one truth twice
    return first, list(keys.values())


def _frames(run: Path, truth: Path) -> dict[Key, tuple[Material, Material]]:
    ours, theirs = open_frames(run), open_frames(truth)
    if ours.num_frames != theirs.num_frames:
        raise StudyError(
            f"{run} has {ours.num_frames} frames, {truth} has {theirs.num_frames}",
            expected="equal counts, since frames are matched by their number",
        )
    return {(None, str(n)): (Material(run, frame=n), Material(truth, frame=n)) for n in range(ours.num_frames)}


def _holds_clips(folder: Path) -> bool:
    """Raises StudyError for a folder with neither or both, in which nobody could say what is meant."""
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such file or folder", expected="images, clips or a video")
    clips, images = (bool(_below(folder, suffixes)) for suffixes in (_CLIPS, IMAGE_SUFFIXES))
    if clips == images:
        raise StudyError(
            f"{folder}: {'images and clips' if clips else 'neither images nor clips'}", expected="one kind of them"
        )
    return clips


def _below(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Files below with these suffixes, by their names in the folder without suffix. Raises StudyError for two of one
    name."""
    names = [
        (Path(place) / file).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder)
        for file in files
        if Path(file).suffix.lower() in suffixes and not file.startswith(".")
    ]
    found: dict[str, Path] = {}
    for name in in_natural_order(names):
        stem = str(Path(name).with_suffix(""))
        if stem in found and suffixes == _CLIPS:
            raise StudyError(f"{found[stem]} and {folder / name}: two clips of one name", fix="give one of them")
        found[stem] = folder / name
    return found


def _clips(run: Path, truth: Path) -> dict[Key, tuple[Material, Material]]:
    ours, theirs = _below(run, _CLIPS), _below(truth, _CLIPS)
    if single := sorted(ours.keys() ^ theirs.keys()):
        path, place = (ours[single[0]], truth) if single[0] in ours else (theirs[single[0]], run)
        raise StudyError(f"{path}: no clip of that name in {place}", expected="for every clip one of the same name")
    return {(None, name): (Material(ours[name], True), Material(theirs[name], True)) for name in theirs}


class _Sources:
    """One image or video for all, of which the first frame counts; or a folder with an image or clip for each."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._one = place if place.is_file() else None
        self._clips: dict[str, Path] = {}
        self._images: dict[str, Path] = {}
        if self._one is None:
            clips = _holds_clips(place)
            self._clips = _below(place, _CLIPS) if clips else {}
            self._images = {} if clips else {image_key(name): path for name, path in images_below(place).items()}

    def of(self, key: Key) -> Material:
        """Raises StudyError where there is none."""
        if self._one:
            return _first_frame(self._one)
        source, truth = key
        name = Path(truth).stem if source is None else source
        found = self._clips.get(truth) or self._images.get(image_key(name))
        if found is None:
            raise StudyError(f"{self.place}: no source named {name}", expected="one for every target, named as it is")
        return _first_frame(found)


def _first_frame(path: Path) -> Material:
    return Material(path) if path.suffix.lower() in IMAGE_SUFFIXES else Material(path, frame=0)
