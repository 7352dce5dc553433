"""AlphaPose JSON in (one list, people interleaved: image_id, keypoints, score, idx), everybody per picture out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import BY_COUNT, Mapping, missing_note
from signgen.poses.readers.base import (
    PoseFile,
    RawFrames,
    Reader,
    Wanted,
    load_json,
    notes_of,
    own_number,
    points_array,
    size_of,
    unread_keys,
    unread_note,
)
from signgen.poses.readers.image_lists import by_picture, order_note
from signgen.poses.scores import ALPHAPOSE

_POINTS = (133, 136, 26, 17)
_KNOWN = frozenset(("image_id", "category_id", "keypoints", "score", "idx", "box", "bbox"))


def _records(path: Path) -> tuple[list[Any], dict[str, Any]] | None:
    """The flat list and what is said of the film; None when the JSON is something else."""
    data: Any = load_json(path)
    about: Any = {}
    if isinstance(data, dict) and isinstance(data.get("frames"), list):  # with its film's size and rate
        data, about = data["frames"], data.get("metadata") or {}
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        return None
    return (data, about if isinstance(about, dict) else {}) if {"image_id", "keypoints"} <= data[0].keys() else None


def _person(path: Path, number: int, record: dict[str, Any]) -> tuple[Mapping, np.ndarray]:
    """One record's skeleton, and its points as (133, 3)."""
    where, keypoints = f"{path}: record {number}", record.get("keypoints")
    if not isinstance(keypoints, list) or not keypoints:
        raise PoseError(f"{where}: keypoints are {type(keypoints).__name__}", expected=f"3 x one of {_POINTS}")
    if not isinstance(keypoints[0], list) and len(keypoints) not in {3 * count for count in _POINTS}:
        raise PoseError(f"{where}: keypoints are {len(keypoints)} numbers", expected=f"3 x one of {_POINTS}")
    points = points_array(keypoints, where, 3)
    if len(points) not in _POINTS:
        raise PoseError(f"{where}: keypoints are {3 * len(points)} numbers", expected=f"3 x one of {_POINTS}")
    return BY_COUNT[len(points)], BY_COUNT[len(points)].apply(points)


def identify(path: Path) -> PoseFile | None:
    """Looks at the first record and counts the frames."""
    found = _records(path)
    if found is None:
        return None
    mapping, _ = _person(path, 0, found[0][0])
    listing, _ = by_picture(path, found[0], 0)
    return PoseFile.of_frames(path, "alphapose", len(mapping.carried), listing)


def read(path: Path, wanted: Wanted) -> RawFrames:
    """Pixels as they are. `idx` tells people apart, where each has one of its own."""
    records, about = _records(path) or ([], {})
    listing, pictures = by_picture(path, records, 0)
    found = [_person(path, number, record) for number, record in enumerate(records)]
    carried = {point for mapping, _ in found for point in mapping.carried}
    unread = {key for record in records for key in unread_keys(record, _KNOWN)}
    return RawFrames(
        path,
        listing,
        [[found[number][1] for number in picture] for picture in pictures],
        [[own_number(records[number].get("idx")) for number in picture] for picture in pictures],
        size=size_of(path, about.get("width"), about.get("height")),
        fps=about["fps"] if isinstance(about.get("fps"), (int, float)) and 0 < about["fps"] < 10_000 else None,
        thresholds=ALPHAPOSE,
        notes=notes_of(order_note(listing), missing_note(carried), unread_note(unread)),
    )


READER = Reader(identify, read)
