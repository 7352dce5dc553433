"""AlphaPose JSON in (one list, people interleaved: image_id, keypoints, score, idx), PoseSequence out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import BY_COUNT, Mapping
from signgen.poses.readers.base import (
    PoseFile,
    Reader,
    check_frame_numbers,
    follow,
    load_json,
    mark_missing,
    need_size,
    notes_of,
    points_array,
)
from signgen.poses.sequence import PoseSequence

_POINTS = (133, 136, 26, 17)


def _records(path: Path) -> list[dict[str, Any]] | None:
    """The flat list, or None when the JSON is something else."""
    data = load_json(path)
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        return None
    return data if {"image_id", "keypoints"} <= data[0].keys() else None


def _by_frame(path: Path, records: list[Any]) -> list[list[int]]:
    """Record numbers per frame. Images are numbered by the last number in their names, else in order of appearance."""
    names: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get("image_id"), (str, int)):
            raise PoseError(f"{path}: record {number} has no image_id", expected="{image_id, keypoints, score, idx}")
        names.setdefault(str(record["image_id"]), []).append(number)
    digits = {name: re.findall(r"\d{1,9}", name.rpartition(".")[0] or name) for name in names}
    if not all(digits.values()):
        return list(names.values())
    numbered: dict[int, list[int]] = {}
    for name, indices in names.items():
        numbered.setdefault(int(digits[name][-1]), []).extend(indices)
    return [numbered.get(number, []) for number in check_frame_numbers(path, list(numbered))]


def _track(record: dict[str, Any]) -> float | None:
    """The tracker's number of a person, written as a number or as a list of one."""
    idx = record.get("idx")
    while isinstance(idx, list) and len(idx) == 1:
        idx = idx[0]
    return float(idx) if isinstance(idx, (int, float)) and abs(idx) < 1e9 else None


def _longest_track(records: list[Any], frames: list[list[int]]) -> float | None:
    """The person that is in most frames; None where numbers are missing or occur twice in a frame."""
    counts: dict[float, int] = {}
    for frame in frames:
        tracks = [_track(records[number]) for number in frame]
        if None in tracks or len(set(tracks)) < len(tracks):
            return None
        for track in tracks:
            if track is not None:
                counts[track] = counts.get(track, 0) + 1
    return max(counts, key=lambda track: counts[track]) if len(counts) > 1 else None


def _mapping(path: Path, number: int, record: dict[str, Any]) -> Mapping:
    keypoints = record.get("keypoints")
    count = len(keypoints) // 3 if isinstance(keypoints, list) and len(keypoints) % 3 == 0 else 0
    if count not in _POINTS:
        found = f"{len(keypoints)} numbers" if isinstance(keypoints, list) else type(keypoints).__name__
        raise PoseError(f"{path}: record {number}: keypoints are {found}", expected=f"3 x one of {_POINTS}")
    return BY_COUNT[count]


def _person(path: Path, number: int, record: dict[str, Any]) -> np.ndarray:
    """One record as (133, 3)."""
    mapping = _mapping(path, number, record)
    points = points_array(record["keypoints"], f"{path}: record {number}", 3, mapping.points)
    return mark_missing(mapping.apply(points))


def identify(path: Path) -> PoseFile | None:
    """Looks at the first record and counts the frames."""
    records = _records(path)
    if records is None:
        return None
    mapping = _mapping(path, 0, records[0])
    return PoseFile(path, "alphapose", len(mapping.carried), {"": len(_by_frame(path, records))})


def read(path: Path, clip: str | None, size: tuple[int, int] | None, fps: float | None) -> PoseSequence:
    """Pixels as they are. Of several people the one whose `idx` is in most frames, else the one that overlaps."""
    width, height = need_size(path, size)
    records = _records(path) or []
    frames = _by_frame(path, records)
    track = _longest_track(records, frames)
    if track is not None:
        kept = [[number for number in frame if _track(records[number]) == track] for frame in frames]
        seen = sum(map(bool, kept))
        chosen = f"several people: followed idx {track:g}, which is in {seen} of {len(frames)} frames"
    else:
        kept, chosen = frames, ""
    people = ([_person(path, number, records[number]) for number in frame] for frame in kept)
    keypoints, notes = follow(people)
    missing = _mapping(path, 0, records[0]).note
    return PoseSequence(keypoints, width, height, fps, notes=notes_of(chosen, *notes, missing))


READER = Reader(identify, read)
