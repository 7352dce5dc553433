"""An annotation file in (ELAN's .eaf, or a CSV); the segments of each video out, in seconds or frames."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np

from signgen.errors import OptionError, PairSetError
from signgen.files import stays_inside

_CSV = "a CSV with the columns start,end (seconds or h:mm:ss) or start_frame,end_frame, and, if wanted, name and video"
_BEYOND = 1.0  # seconds: an annotation that ends later after the video's end was made for another video


@dataclass(frozen=True)
class Segment:
    """A run of a video. start, stop: seconds, or frames (0-based, stop exclusive) where `frames` is True.

    where: file and line or annotation, for messages. name: of its clip; "" for VIDEO_0001 and so on.
    """

    start: float
    stop: float
    where: str
    name: str = ""
    frames: bool = False

    def within(self, num_frames: int, fps: float | None, times: Sequence[float] | np.ndarray | None) -> range:
        """Its frames: those whose times lie in [start, stop). A stop just after the video's end is the end.

        times: seconds of every frame, where they are uneven. Raises PairSetError for a segment outside of the video, or
        in seconds where no frame rate is known.
        """
        if self.frames:
            first, last, length = int(self.start), int(self.stop), f"{num_frames} frames"
            outside = last > num_frames
        else:
            if fps is None and times is None:
                found = f"{self.where}: seconds, but the frames have no rate"
                raise PairSetError(found, fix="give start_frame,end_frame in a CSV")
            at = np.asarray(times) if times is not None else np.arange(num_frames) / (fps or 1)
            first, last = (int(v) for v in np.searchsorted(at, np.array([self.start, self.stop]) - 1e-6))
            end = float(at[-1] + (1 / fps if fps else 0))
            length, outside = f"{end:.2f} s", self.stop > end + _BEYOND
        if outside or first >= num_frames:
            raise PairSetError(f"{self.where}: ends after the video, which has {length}", expected="its own video")
        if first >= last:
            raise PairSetError(f"{self.where}: no frame lies in it")
        return range(first, min(last, num_frames))


def read_segments(path: Path, tier: str | None, videos: Iterable[str]) -> dict[str, list[Segment]]:
    """The segments of each video in `videos` (clip names) that `path` has any for, in order of time.

    path: an .eaf, a CSV, or a folder of either, X.eaf for video X. tier: ELAN's tier whose annotations are the
    segments. A file alone says which video it is for: an .eaf by its media or its own name, a CSV by its column video
    or its name. Raises PairSetError or OptionError.
    """
    names = list(videos)
    if path.is_dir():
        files = {name: _beside(path, name) for name in names}
        found = {name: _read(file, tier)[1].get("", []) for name, file in files.items() if file is not None}
        if not found:
            raise PairSetError(f"--segments {path}: no .eaf or .csv is named like a video", expected="X.eaf for X.mp4")
    else:
        media, by_video = _read(path, tier)
        found = {}
        for of, segments in by_video.items():
            for name in _videos_of(path, [of] if of else media, names):
                found.setdefault(name, []).extend(segments)
    return {name: _in_order(segments) for name, segments in found.items()}


def _beside(folder: Path, name: str) -> Path | None:
    return next((p for suffix in (".eaf", ".csv") if (p := folder / f"{name}{suffix}").is_file()), None)


def _videos_of(path: Path, media: list[str], names: list[str]) -> list[str]:
    """The videos that a file's media name, else the one that the file is named like, else the only one there is."""
    stems = [PureWindowsPath(m).stem for m in media]
    found = [name for name in names if name in media or name in stems] or [n for n in names if n == path.stem]
    if not found and not media and len(names) == 1:
        found = names
    if not found:
        what = f"is for {', '.join(media)}" if media else "does not say for which video it is"
        near = ", ".join(names[:5]) + (" ..." if names[5:] else "")
        fix = "name it like its video" + ("" if path.suffix.lower() == ".eaf" else ", or fill the column video")
        raise PairSetError(f"--segments {path}: {what}; the videos are {near}", fix=fix)
    return found


def _read(path: Path, tier: str | None) -> tuple[list[str], dict[str, list[Segment]]]:
    """The media that a file names, and its segments by the video that each names ("": none is named)."""
    if path.suffix.lower() == ".eaf":
        return _read_elan(path, tier)
    if tier is not None:
        raise OptionError(f"--tier {tier}: {path} is no .eaf", fix="leave --tier out")
    return [], _read_csv(path)


def _in_order(segments: list[Segment]) -> list[Segment]:
    """By time. Raises PairSetError where two share frames: what one trains on the other would hold out."""
    ordered = sorted(segments, key=lambda s: (s.start, s.stop))
    for before, after in pairwise(ordered):
        if after.frames != before.frames:
            raise PairSetError(f"{after.where}: frames, others in seconds", expected="one of them for a video")
        if after.start < before.stop - 1e-6:
            raise PairSetError(f"{after.where}: begins before {before.where} ends", expected="no overlap")
    return ordered


# ELAN: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf


def _read_elan(path: Path, tier: str | None) -> tuple[list[str], dict[str, list[Segment]]]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise PairSetError(f"{path}: cannot be read ({error})", expected="an .eaf of ELAN") from error
    tiers = {str(t.get("TIER_ID")): t for t in root.iter("TIER")}
    if root.tag != "ANNOTATION_DOCUMENT" or not tiers:
        raise PairSetError(f"{path}: no ELAN document with tiers", expected="an .eaf of ELAN")
    if tier is None or tier not in tiers:
        each = ", ".join(f"{name} ({len(list(t.iter('ANNOTATION')))})" for name, t in list(tiers.items())[:20])
        found = "no --tier" if tier is None else f"--tier {tier}: not in {path}"
        raise OptionError(f"{found}; its tiers, and how many annotations each has: {each}")
    times = _slots(root, path)
    spans = {i: span for t in tiers.values() for i, span in _aligned(t, times)}
    media = [m for m in root.iter("MEDIA_DESCRIPTOR") if m.get("MEDIA_URL") or m.get("RELATIVE_MEDIA_URL")]
    names = [unquote(str(m.get("MEDIA_URL") or m.get("RELATIVE_MEDIA_URL"))) for m in media]
    offset = _offset(media, path)
    segments = [
        Segment((start + offset) / 1000, (stop + offset) / 1000, f"{path}: {tier}, annotation {i}")
        for i, (start, stop) in _annotations(tiers, tier, spans, path)
    ]
    if not segments:
        raise PairSetError(f"{path}: tier {tier} has no annotation")
    return names, {"": segments}


def _offset(media: list[Any], path: Path) -> float:
    """Milliseconds of the video at time 0 of the annotations; ELAN has one a medium."""
    try:
        origins = {float(m.get("TIME_ORIGIN") or 0) for m in media} or {0.0}
    except ValueError as error:
        raise PairSetError(f"{path}: TIME_ORIGIN is no number ({error})", expected="an .eaf of ELAN") from error
    if len(origins) > 1 or not math.isfinite(sum(origins)):
        raise PairSetError(f"{path}: its media begin at different times", expected="media that begin together")
    return origins.pop()


def _slots(root: Any, path: Path) -> dict[str, float]:
    """Milliseconds of each time slot. Slots without a time lie evenly between those before and after that have one."""
    order = [(str(slot.get("TIME_SLOT_ID")), slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    try:
        known = [(place, float(value)) for place, (_, value) in enumerate(order) if value is not None]
    except ValueError as error:
        raise PairSetError(f"{path}: a time is no number ({error})", expected="an .eaf of ELAN") from error
    if not known:
        raise PairSetError(f"{path}: no annotation has a time", expected="annotations aligned to the video")
    values = np.interp(np.arange(len(order)), *np.array(known).T)
    return {slot: float(value) for (slot, _), value in zip(order, values, strict=True)}


def _aligned(tier: Any, times: dict[str, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
        ends = [times.get(str(annotation.get(f"TIME_SLOT_REF{n}"))) for n in (1, 2)]
        if ends[0] is not None and ends[1] is not None:
            yield str(annotation.get("ANNOTATION_ID")), (ends[0], ends[1])


def _annotations(
    tiers: dict[str, Any], tier: str, spans: dict[str, tuple[float, float]], path: Path
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each annotation of the tier with its span; one that refers to another has that one's. Several that refer to the
    same are one segment."""
    parents = {
        str(a.get("ANNOTATION_ID")): str(a.get("ANNOTATION_REF"))
        for t in tiers.values()
        for a in t.iter("REF_ANNOTATION")
    }
    given: set[str] = set()
    for annotation in (child for a in tiers[tier].iter("ANNOTATION") for child in a):
        name = at = str(annotation.get("ANNOTATION_ID"))
        passed = {at}
        while at not in spans and at in parents and parents[at] not in passed:
            at = parents[at]
            passed.add(at)
        if at not in spans:
            raise PairSetError(f"{path}: {tier}, annotation {name} has no time", expected="annotations with times")
        if at not in given:
            given.add(at)
            yield name, spans[at]


# CSV


def _read_csv(path: Path) -> dict[str, list[Segment]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PairSetError(f"--segments {path}: cannot be read ({error})", expected=_CSV) from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.DictReader(text.splitlines(), delimiter=separator)
    columns = {str(c).strip().lower(): c for c in rows.fieldnames or []}
    in_frames = {"start_frame", "end_frame"} <= columns.keys()
    if not in_frames and not {"start", "end"} <= columns.keys():
        raise PairSetError(f"--segments {path}: the columns are {head.strip()[:80]!r}", expected=_CSV)
    keys = ("start_frame", "end_frame") if in_frames else ("start", "end")
    found: dict[str, list[Segment]] = {}
    names: set[tuple[str, str]] = set()
    try:
        for line, row in enumerate(rows, start=2):
            cells = {name: str(row.get(column) or "").strip() for name, column in columns.items()}
            if not any(cells.values()):
                continue
            where = f"{path}: line {line}"
            start, stop = (_number(cells[key], in_frames, where) for key in keys)
            video, name = cells.get("video", ""), cells.get("name", "")
            if name and (not stays_inside(name) or (video, name) in names):
                raise PairSetError(f"{where}: name {name!r}", expected="one that occurs once, without .. or a first /")
            names.add((video, name))
            found.setdefault(video, []).append(Segment(start, stop, where, name, in_frames))
    except csv.Error as error:
        raise PairSetError(f"--segments {path}: cannot be read ({error})", expected=_CSV) from error
    if not found:
        raise PairSetError(f"--segments {path}: no line", expected=_CSV)
    return found


def _number(text: str, in_frames: bool, where: str) -> float:
    """A frame number, or seconds, also as mm:ss and h:mm:ss."""
    try:
        value = float(int(text)) if in_frames else sum(float(p) * 60**n for n, p in enumerate(text.split(":")[::-1]))
    except (ValueError, OverflowError):
        value = math.nan
    if not 0 <= value < 1e9:
        raise PairSetError(f"{where}: {text!r}", expected="a frame number" if in_frames else "seconds, or h:mm:ss")
    return value
