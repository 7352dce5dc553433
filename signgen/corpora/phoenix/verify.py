"""RWTH-PHOENIX-Weather-2014T and its keypoints in, Report out. build-pairs begins with the same quick look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.corpora.decoding import decode_all
from signgen.corpora.findings import Report
from signgen.corpora.phoenix.layout import (
    FPS,
    FRAMES,
    PUBLISHED,
    SPLITS,
    KeypointIndex,
    Listed,
    corpus_csv,
    corpus_folder,
    listed_clips,
    place_of,
    split_of_file,
)
from signgen.corpora.survey import LeftOut, identify_all
from signgen.errors import PairSetError, VideoError
from signgen.poses import PoseFile
from signgen.progress import SILENT, Progress
from signgen.video.background import RGB
from signgen.video.damage import Damage
from signgen.video.frame_folder import look_into
from signgen.video.headers import image_size
from signgen.video.reader import is_video, open_frames

FRAME_SIZE = (210, 260)


@dataclass(frozen=True)
class OnDisk:
    """A listed clip that is there: a frame folder or a video. Its size is 0x0 where the first header is damaged."""

    clip: Listed
    path: Path
    num_frames: int
    width: int = 0
    height: int = 0
    first_image: Path | None = None  # of a folder
    fps: float = FPS
    sample_aspect: Fraction | None = None
    times: Sequence[float] | np.ndarray | None = None
    damaged: tuple[Damage, ...] = ()
    background: RGB | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuickLook:
    """What can be said without decoding. listed: the clips looked at; there: those on disk, by split/name."""

    report: Report
    listed: list[Listed]
    there: dict[str, OnDisk]
    keypoints: KeypointIndex


def verify_phoenix(
    root: Path, keypoints: Path | None = None, full: bool = False, processes: int = 1, progress: Progress = SILENT
) -> Report:
    """Look at every listed clip: names, counts and the first frame's header; full: decode every frame too.

    keypoints: a folder of keypoint files, or one. Raises PairSetError where there is no corpus, or no keypoints.
    """
    look = quick_look(root, keypoints, progress=progress)
    report = look.report
    if full:
        report.full = True
        decoded = decode_all([(where, clip.path) for where, clip in look.there.items()], processes)
        for result in progress.track(decoded, "decoding clips", len(look.there)):
            for error in result.errors:
                report.find("unreadable", result.where, error)
    return report


def quick_look(
    root: Path, keypoints: Path | None = None, wanted: Iterable[str] = (), progress: Progress = SILENT
) -> QuickLook:
    """Names, counts and the first frame's header of every clip, each looked at once.

    wanted: names of clips to restrict it to; what the corpus holds as a whole is then not said. Raises PairSetError
    where there is no corpus, or no keypoints.
    """
    folder = corpus_folder(root)
    report = Report("phoenix-2014t", root, full=False)
    names = frozenset(wanted)
    if not names:
        report.published = {split: {"clips": clips, "frames": frames} for split, (clips, frames) in PUBLISHED.items()}
    for split in SPLITS:
        report.count(split)
        if not corpus_csv(folder, split).is_file():
            report.find("annotations", split, f"{corpus_csv(folder, split).name} is not there")
    everything = listed_clips(folder)
    listed = [clip for clip in everything if not names or clip.name in names]
    looked = (_look_at(clip, folder, report) for clip in progress.track(listed, "looking at clips", len(listed)))
    there = {clip.clip.where: clip for clip in looked if clip is not None}
    if not names:
        _unlisted(folder, listed, report)
        _other_counts(report)
    _twice(there.values(), report)
    files = [] if keypoints is None else _keypoint_files(keypoints, everything, report)
    index = KeypointIndex(files)
    if keypoints is not None:
        for clip in there.values():
            _keypoints_of(clip, index, report)
    return QuickLook(report, listed, there, index)


def _look_at(clip: Listed, folder: Path, report: Report) -> OnDisk | None:
    """None for a clip that is not there or has no frame."""
    report.count(clip.split, listed=1)
    place = place_of(clip, folder)
    if place is None:
        report.find("absent", clip.where, f"listed in the {clip.split} corpus, not on disk")
        return None
    found = _frames(clip, place, report) if place.is_dir() else _video_frames(clip, place, report)
    if found is not None:
        report.count(clip.split, clips=1, frames=found.num_frames)
    return found


def _frames(clip: Listed, place: Path, report: Report) -> OnDisk | None:
    """A folder; findings on names and on the first header."""
    looked = look_into(place)
    for name in looked.stray:
        report.find("stray", clip.where, name)
    if not looked.names:
        report.find("empty", clip.where, "no frame")
        return None
    if looked.missing:
        report.find("gap", clip.where, f"{looked.gap}; {len(looked.names)} are there")
        report.count(clip.split, missing=len(looked.missing))
    first = place / looked.names[0]
    try:
        width, height = image_size(first)
    except VideoError as error:
        report.find("unreadable", clip.where, str(error))
        width = height = 0
    else:
        if (width, height) != FRAME_SIZE:
            report.find("size", clip.where, f"{width}x{height}, the corpus has {FRAME_SIZE[0]}x{FRAME_SIZE[1]}")
    return OnDisk(clip, place, len(looked.names), width, height, first)


def _video_frames(clip: Listed, place: Path, report: Report) -> OnDisk | None:
    try:
        video = open_frames(place)
    except VideoError as error:
        report.find("unreadable", clip.where, str(error))
        return None
    return OnDisk(
        clip,
        place,
        video.num_frames,
        video.width,
        video.height,
        sample_aspect=video.sample_aspect,
        times=video.times,
        damaged=video.damaged,
        background=video.background,
        notes=video.notes,
    )


def _other_counts(report: Report) -> None:
    """Splits that have every clip, and no gap to explain it, but another number of frames than was published."""
    for split, (clips, frames) in PUBLISHED.items():
        counts = report.counts[split]
        whole = counts["frames"] + counts["missing"]
        if counts["listed"] == counts["clips"] == clips and whole != frames:
            what = f"all {clips:,} clips, but {whole:,} frames; the corpus has {frames:,}"
            report.find("counts", split, what)


def _unlisted(folder: Path, listed: list[Listed], report: Report) -> None:
    """Clips that no list names, and files that are no clips."""
    names = {clip.where for clip in listed}
    for split in SPLITS:
        place = folder / FRAMES / split
        if not place.is_dir():
            continue
        with os.scandir(place) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
        for name, is_folder in found:
            if not is_folder and not is_video(place / name):
                report.find("stray", split, name)
            elif (where := f"{split}/{name if is_folder else Path(name).stem}") not in names:
                report.find("unlisted", where, "in no corpus CSV")


def _twice(there: Iterable[OnDisk], report: Report) -> None:
    splits: dict[str, list[str]] = {}
    for found in there:
        splits.setdefault(found.clip.name, []).append(found.clip.split)
    for name, places in splits.items():
        if len(places) > 1:
            report.find("twice", name, f"on disk in {' and '.join(places)}")


def _keypoint_files(keypoints: Path, listed: list[Listed], report: Report) -> list[PoseFile]:
    """The files that can be read; findings on the others, and on what these hold of clips."""
    if not keypoints.exists():
        raise PairSetError(f"{keypoints}: no such file or folder", expected="keypoints")
    damaged: list[LeftOut] = []
    files = identify_all(sorted(keypoints.iterdir()) if keypoints.is_dir() else [keypoints], damaged)
    for left in damaged:
        report.find("damaged-keypoints", left.name, left.reason)
    split_of: dict[str, set[str]] = {}
    for clip in listed:
        split_of.setdefault(clip.name, set()).add(clip.split)
    for file in files:
        _wrong_split(file, split_of, report)
        for name, number in file.non_finite.items():
            report.find("non-finite", f"{file.path.name}: {name}", f"{number} coordinates are not finite")
    return files


def _wrong_split(file: PoseFile, split_of: dict[str, set[str]], report: Report) -> None:
    """A clip of another split, by the file's name or by the clip's prefix."""
    for name in file.clips:
        prefix, _, bare = name.rpartition("/")
        split = prefix if prefix in SPLITS else split_of_file(file.path)
        if split is not None and bare in split_of and split not in split_of[bare]:
            report.find("wrong-split", f"{file.path.name}: {name}", f"listed in {', '.join(sorted(split_of[bare]))}")


def _keypoints_of(clip: OnDisk, index: KeypointIndex, report: Report) -> None:
    """A clip that is on disk has keypoints for each of its frames, in a file of its own split."""
    held = index.candidates(clip.clip)
    if not held:
        report.find("no-keypoints", clip.clip.where, "in none of the keypoint files")
        return
    report.count(clip.clip.split, keypoints=1)
    for found in held:
        if found.frames != clip.num_frames:
            what = f"{found.label} has {found.frames}, {clip.num_frames} are on disk"
            report.find("keypoint-frames", clip.clip.where, what)
