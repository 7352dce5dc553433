"""OpenPose JSON in (a folder with one file per frame, or one file), PoseSequence out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_FROM_BODY_25, COCO_FROM_OPENPOSE_18, FEET_FROM_BODY_25, missing_note
from signgen.poses.readers.base import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    RIGHT_HAND,
    PoseFile,
    Reader,
    empty_person,
    follow,
    frame_files,
    load_json,
    mark_missing,
    need_size,
    notes_of,
    points_array,
)
from signgen.poses.sequence import PoseSequence

# Of the 70 face points the last two are pupils, which COCO-WholeBody does not have.
_PARTS = (("face", FACE, 70), ("hand_left", LEFT_HAND, 21), ("hand_right", RIGHT_HAND, 21))


def _is_frame(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("people"), list)


def _person(person: Any, where: str) -> np.ndarray:
    """(133, 3) in pixels; 0,0,0 marks a missing point, an empty list a part that was not estimated."""
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise PoseError(f"{where}: a person without pose_keypoints_2d", expected="OpenPose 1.x output")
    out = empty_person()
    body = points_array(person["pose_keypoints_2d"], f"{where}: pose", 3)
    if len(body) == 25:
        out[BODY], out[FEET] = body[list(COCO_FROM_BODY_25)], body[list(FEET_FROM_BODY_25)]
    elif len(body) == 18:
        out[BODY] = body[list(COCO_FROM_OPENPOSE_18)]
    else:
        raise PoseError(f"{where}: {len(body)} body points", expected="25 (BODY_25) or 18 (COCO)")
    for name, part, count in _PARTS:
        values = person.get(f"{name}_keypoints_2d")
        if values:
            out[part] = points_array(values, f"{where}: {name}", 3, count)[: part.stop - part.start]
    return mark_missing(out)


def _carried(person: Any) -> list[int]:
    """Which of the 133 points the lists of one person fill."""
    if not isinstance(person, dict):
        return []
    body = person.get("pose_keypoints_2d")
    count = len(body) // 3 if isinstance(body, list) else 0
    points = [*range(17)] if count in (18, 25) else []
    points += [*range(FEET.start, FEET.stop)] if count == 25 else []
    for name, part, _ in _PARTS:
        points += [*range(part.start, part.stop)] if person.get(f"{name}_keypoints_2d") else []
    return points


def identify(path: Path) -> PoseFile | None:
    """Looks at the first frame that has a person and counts the files."""
    files = frame_files(path)
    if not files or not _is_frame(load_json(files[0])):
        return None
    frames = (load_json(file) for file in files)
    person: Any = next((data["people"][0] for data in frames if _is_frame(data) and data["people"]), {})
    return PoseFile(path, "openpose", len(_carried(person)), {"": len(files)})


def read(path: Path, clip: str | None, size: tuple[int, int] | None, fps: float | None) -> PoseSequence:
    """Pixels as they are; one file is one frame, in the order of their names."""
    width, height = need_size(path, size)
    carried: set[int] = set()
    keypoints, notes = follow(_people(file, carried) for file in frame_files(path))
    missing = missing_note(carried) if carried else ""
    return PoseSequence(keypoints, width, height, fps, notes=notes_of(*notes, missing))


def _people(file: Path, carried: set[int]) -> list[np.ndarray]:
    """(133, 3) each; the points that their lists fill are added to `carried`."""
    data = load_json(file)
    if not _is_frame(data):
        raise PoseError(f"{file}: not an OpenPose frame", expected="{people: [...]} like the first file")
    people = [_person(person, str(file)) for person in data["people"]]
    carried.update(point for person in data["people"] for point in _carried(person))
    return people


READER = Reader(identify, read)
