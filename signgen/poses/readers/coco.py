"""COCO-WholeBody JSON in (results: a list; annotations: {images, annotations}), everybody per picture out.

A person's 133 points are five lists: keypoints (17), foot_kpts, face_kpts, lefthand_kpts and righthand_kpts
(jin-s13/COCO-WholeBody, data_format.md and evaluation).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import missing_note
from signgen.poses.readers.base import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    RIGHT_HAND,
    PoseFile,
    RawFrames,
    Reader,
    Wanted,
    empty_person,
    load_json,
    notes_of,
    own_number,
    points_array,
    size_of,
    unread_keys,
    unread_note,
)
from signgen.poses.readers.image_lists import by_picture, order_note

_PARTS = {
    "keypoints": BODY,
    "foot_kpts": FEET,
    "face_kpts": FACE,
    "lefthand_kpts": LEFT_HAND,
    "righthand_kpts": RIGHT_HAND,
}
_FURTHER = frozenset(_PARTS) - {"keypoints"}
_KNOWN = frozenset((*_PARTS, "bbox", "box", "segmentation", "face_box", "lefthand_box", "righthand_box"))


def _content(path: Path) -> tuple[list[Any], list[Any]] | None:
    """The list of people and that of pictures (empty in results); None when the JSON is something else."""
    data, pictures = load_json(path), []
    if isinstance(data, dict) and isinstance(data.get("annotations"), list) and isinstance(data.get("images"), list):
        data, pictures = data["annotations"], data["images"]
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        return None
    has_keys = {"image_id", "keypoints"} <= data[0].keys()
    further = any(isinstance(record, dict) and _FURTHER & record.keys() for record in data[:100])
    return (data, pictures) if has_keys and (further or pictures) else None


def _named(path: Path, records: list[Any], pictures: list[Any]) -> list[Any]:
    """The records with their pictures' file names, where they are listed."""
    names = {each.get("id"): each.get("file_name") for each in pictures if isinstance(each, dict)}
    named = []
    for number, record in enumerate(records):
        if not isinstance(record, dict) or isinstance(record.get("image_id"), (dict, list)):
            raise PoseError(f"{path}: record {number} has no image_id", expected="{image_id, keypoints, ...}")
        name = names.get(record.get("image_id"))
        named.append({**record, "image_id": name} if isinstance(name, str) else record)
    return named


def _person(path: Path, number: int, record: dict[str, Any], annotated: bool) -> tuple[np.ndarray, set[int]]:
    """(133, 3), and which points its lists fill. In annotations the third number is a flag: 0, 1 (hidden) or 2."""
    person, carried = empty_person(), set[int]()
    for key, part in _PARTS.items():
        values = record.get(key)
        if values:
            where = f"{path}: record {number}: {key}"
            person[part] = points_array(values, where, 3, part.stop - part.start)
            carried |= set(range(part.start, part.stop))
    if annotated:
        person[:, 2] = np.minimum(person[:, 2], 1)
    return person, carried


def identify(path: Path) -> PoseFile | None:
    """Looks at the first record and counts the pictures."""
    content = _content(path)
    if content is None:
        return None
    listing, _ = by_picture(path, _named(path, *content), None)
    _, carried = _person(path, 0, content[0][0], bool(content[1]))
    return PoseFile.of_frames(path, "coco-wholebody", len(carried), listing)


def read(path: Path, wanted: Wanted) -> RawFrames:
    """Pixels as they are; the size where every picture that is listed has the same."""
    records, pictures = _content(path) or ([], [])
    records = _named(path, records, pictures)
    listing, by_frame = by_picture(path, records, None)
    found = [_person(path, number, record, bool(pictures)) for number, record in enumerate(records)]
    carried = set[int]().union(*(points for _, points in found))
    sizes = {(each.get("width"), each.get("height")) for each in pictures if isinstance(each, dict)}
    unread = {key for record in records for key in unread_keys(record, _KNOWN)}
    return RawFrames(
        path,
        listing,
        [[found[number][0] for number in frame] for frame in by_frame],
        [[own_number(records[number].get("track_id")) for number in frame] for frame in by_frame],
        size=size_of(path, *next(iter(sizes))) if len(sizes) == 1 else None,
        notes=notes_of(order_note(listing), missing_note(carried), unread_note(unread)),
    )


READER = Reader(identify, read)
