"""RWTH-PHOENIX-Weather-2014T and its keypoints in, Report out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signgen.data.frame_folder import image_size, look_into
from signgen.data.phoenix import FRAMES, SPLITS, Listed, corpus_csv, find_root, listed_clips, place_of, split_of_file
from signgen.data.verify.decoding import decode_all
from signgen.data.verify.report import Report, Watch, unwatched
from signgen.data.video import is_video, open_frames
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.poses import PoseFile, identify

FRAME_SIZE = (210, 260)


@dataclass(frozen=True)
class _OnDisk:
    """A listed clip that is there: a frame folder or a video, with its number of frames."""

    clip: Listed
    place: Path
    frames: int

    @property
    def where(self) -> str:
        return f"{self.clip.split}/{self.clip.name}"


def verify_phoenix(
    root: Path, keypoints: Path | None = None, full: bool = False, processes: int = 1, watch: Watch = unwatched
) -> Report:
    """Look at every listed clip: names, counts and the first frame's header; full: decode every frame too.

    keypoints: a folder of keypoint files, or one. Raises PairSetError where there is no corpus, or no keypoints.
    """
    folder = find_root(root)
    if folder is None:
        raise PairSetError(f"{root}: no corpus CSVs", expected="annotations/manual/PHOENIX-2014-T.*.corpus.csv")
    report = Report("phoenix-2014t", root, full)
    for split in SPLITS:
        report.count(split)
        if not corpus_csv(folder, split).is_file():
            report.find("annotations", split, f"{corpus_csv(folder, split).name} is not there")
    listed = listed_clips(folder)
    looked = (_look_at(clip, folder, report) for clip in watch(listed, "looking at clips", len(listed)))
    there = [clip for clip in looked if clip is not None]
    _unlisted(folder, listed, report)
    _twice(there, report)
    if keypoints is not None:
        _check_keypoints(keypoints, listed, there, report)
    if full:
        decoded = decode_all([(clip.where, clip.place) for clip in there], processes)
        for result in watch(decoded, "decoding clips", len(there)):
            for error in result.errors:
                report.find("unreadable", result.where, error)
    return report


def _look_at(clip: Listed, folder: Path, report: Report) -> _OnDisk | None:
    """What can be said without decoding; None for a clip that is not there or has no frame."""
    where = f"{clip.split}/{clip.name}"
    report.count(clip.split, listed=1)
    place = place_of(clip, folder)
    if place is None:
        report.find("absent", where, f"listed in the {clip.split} corpus, not on disk")
        return None
    frames = _frames(where, place, report) if place.is_dir() else _video_frames(where, place, report)
    if not frames:
        return None
    report.count(clip.split, clips=1, frames=frames)
    return _OnDisk(clip, place, frames)


def _frames(where: str, place: Path, report: Report) -> int:
    """The number of frames in a folder; findings on names and on the first header."""
    looked = look_into(place)
    for name in looked.stray:
        report.find("stray", where, name)
    if not looked.names:
        report.find("empty", where, "no frame")
        return 0
    if looked.missing:
        report.find("gap", where, f"{looked.gap}; {len(looked.names)} are there")
    try:
        width, height = image_size(place / looked.names[0])
    except VideoError as error:
        report.find("unreadable", where, str(error))
    else:
        if (width, height) != FRAME_SIZE:
            report.find("size", where, f"{width}x{height}, the corpus has {FRAME_SIZE[0]}x{FRAME_SIZE[1]}")
    return len(looked.names)


def _video_frames(where: str, place: Path, report: Report) -> int:
    try:
        return open_frames(place).num_frames
    except VideoError as error:
        report.find("unreadable", where, str(error))
        return 0


def _unlisted(folder: Path, listed: list[Listed], report: Report) -> None:
    """Clips that no list names, and files that are no clips."""
    names = {(clip.split, clip.name) for clip in listed}
    for split in SPLITS:
        place = folder / FRAMES / split
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_dir() or is_video(path):
                name = path.name if path.is_dir() else path.stem
                if (split, name) not in names:
                    report.find("unlisted", f"{split}/{name}", "in no corpus CSV")
            else:
                report.find("stray", split, path.name)


def _twice(there: list[_OnDisk], report: Report) -> None:
    splits: dict[str, list[str]] = {}
    for found in there:
        splits.setdefault(found.clip.name, []).append(found.clip.split)
    for name, places in splits.items():
        if len(places) > 1:
            report.find("twice", name, f"on disk in {' and '.join(places)}")


def _check_keypoints(keypoints: Path, listed: list[Listed], there: list[_OnDisk], report: Report) -> None:
    """Every clip that is on disk has keypoints for each of its frames, in a file of its own split."""
    if not keypoints.exists():
        raise PairSetError(f"{keypoints}: no such file or folder", expected="keypoints")
    paths = sorted(keypoints.iterdir()) if keypoints.is_dir() else [keypoints]
    files = [file for path in paths if (file := _identified(path, report)) is not None]
    split_of: dict[str, set[str]] = {}
    for clip in listed:
        split_of.setdefault(clip.name, set()).add(clip.split)
    for file in files:
        _wrong_split(file, split_of, report)
        for name, number in file.non_finite.items():
            report.find("non-finite", f"{file.path.name}: {name}", f"{number} coordinates are not finite")
    for found in there:
        _keypoints_of(found, files, report)


def _identified(path: Path, report: Report) -> PoseFile | None:
    try:
        return identify(path)
    except PoseError as error:
        report.find("damaged-keypoints", path.name, str(error))
        return None


def _wrong_split(file: PoseFile, split_of: dict[str, set[str]], report: Report) -> None:
    """A clip of another split, by the file's name or by the clip's prefix."""
    for name in file.clips:
        prefix, _, bare = name.rpartition("/")
        said = prefix if prefix in SPLITS else split_of_file(file.path)
        if said is not None and bare in split_of and said not in split_of[bare]:
            report.find("wrong-split", f"{file.path.name}: {name}", f"listed in {', '.join(sorted(split_of[bare]))}")


def _keypoints_of(clip: _OnDisk, files: list[PoseFile], report: Report) -> None:
    held = [(file, count) for file in files for count in [_count(file, clip.clip)] if count is not None]
    if not held:
        report.find("no-keypoints", clip.where, "in none of the keypoint files")
        return
    report.count(clip.clip.split, keypoints=1)
    for file, count in held:
        if count != clip.frames:
            report.find("keypoint-frames", clip.where, f"{file.path.name} has {count}, {clip.frames} are on disk")


def _count(file: PoseFile, clip: Listed) -> int | None:
    """Frames that a file holds of a clip; None where it does not hold it, or is another split's."""
    if f"{clip.split}/{clip.name}" in file.frames:
        return file.frames[f"{clip.split}/{clip.name}"]
    if clip.name in file.frames and split_of_file(file.path) in (None, clip.split):
        return file.frames[clip.name]
    own = not file.clips and file.path.name.startswith((f"{clip.name}.", f"{clip.name}_"))
    return file.frames.get("") if own else None
