"""DWPose JSON in (a folder with one file per frame, or one file; coordinates 0..1), everybody per frame out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_FROM_OPENPOSE_18, missing_note
from signgen.poses.readers.base import (
    BODY,
    FACE,
    LEFT_HAND,
    RIGHT_HAND,
    PoseFile,
    RawFrames,
    Reader,
    Wanted,
    empty_person,
    file_listing,
    frame_files,
    load_json,
    mark_missing,
    notes_of,
    points_array,
)

_PARTS = (("face", FACE, 68), ("left_hand", LEFT_HAND, 21), ("right_hand", RIGHT_HAND, 21))
_CARRIED = [*range(17), *range(23, 133)]


def _is_frame(data: Any) -> bool:
    return isinstance(data, dict) and "num_persons" in data


def _part(person: dict[str, Any], name: str, count: int, where: str) -> np.ndarray:
    """(count, 3) normalised; -1 marks a missing point."""
    xy = points_array(person.get(f"{name}_keypoints"), f"{where}: {name}", 2, count)
    scores = points_array(person.get(f"{name}_scores"), f"{where}: {name}", 1, count)
    part = np.hstack([xy, scores])
    part[(xy == -1).all(1), 2] = 0
    return part


def _body(person: dict[str, Any], where: str) -> np.ndarray:
    """(18, 3). Where the "scores" are indices into a list of candidates, being there is all they say."""
    body = _part(person, "body", 18, where)
    scores = body[:, 2]
    listed = (scores == -1) | (scores == 0) | (np.mod(scores, 18) == np.arange(18))
    if listed.all():
        missing = (scores == -1) | (body[:, :2] == -1).all(1)
        body[:, 2] = np.where(missing, 0, 1)
    return body


def _person(data: Any, index: int, where: str) -> np.ndarray:
    """(133, 3) in fractions. Without any body point there is no person: face and hands are then only noise."""
    person = data.get(f"person_{index}")
    if not isinstance(person, dict):
        raise PoseError(f"{where}: no person_{index}", expected=f"{data['num_persons']} people")
    out = empty_person()
    body = mark_missing(_body(person, where)[list(COCO_FROM_OPENPOSE_18)], np.float64)
    if np.isnan(body[:, 0]).all():
        return out
    out[BODY] = body
    for name, part, count in _PARTS:
        out[part] = _part(person, name, count, where)
    return out


def identify(path: Path) -> PoseFile | None:
    """Looks at the first frame and counts the files."""
    files = frame_files(path)
    if not files or not _is_frame(load_json(files[0])):
        return None
    return PoseFile.of_frames(path, "dwpose", len(_CARRIED), file_listing(path, files, None))


def read(path: Path, wanted: Wanted) -> RawFrames:
    """One file is one frame, numbered by its name."""
    files = frame_files(path)
    return RawFrames(
        path,
        file_listing(path, files, None),
        [_people(file) for file in files],
        notes=notes_of(missing_note(_CARRIED)),
        in_fractions=True,
    )


def _people(file: Path) -> list[np.ndarray]:
    data = load_json(file)
    if not _is_frame(data) or not isinstance(data["num_persons"], int):
        raise PoseError(f"{file}: not a DWPose frame", expected="{num_persons, person_0, ...} like the first file")
    return [_person(data, index, str(file)) for index in range(data["num_persons"])]


READER = Reader(identify, read)
