"""MMPose 1.x JSON in (a list of frames, {meta_info, instance_info}, or one image's instances), PoseSequence out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_17
from signgen.poses.readers.base import (
    BODY,
    POINTS,
    PoseFile,
    Reader,
    check_frame_numbers,
    empty_person,
    follow,
    load_json,
    mark_missing,
    need_size,
    notes_of,
    points_array,
)
from signgen.poses.sequence import PoseSequence

_LAYOUTS = {133: slice(0, POINTS), 17: BODY}


def _frames(path: Path) -> list[dict[str, Any]] | None:
    """The list of {frame_id, instances}, or None when the JSON is something else."""
    data = load_json(path)
    if isinstance(data, dict):
        data = data.get("instance_info")
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        return None
    if {"keypoints", "keypoint_scores"} <= data[0].keys():
        return [{"frame_id": 0, "instances": data}]
    return data if "instances" in data[0] else None


def _by_frame(path: Path, frames: list[dict[str, Any]]) -> list[list[Any]]:
    """Instances per frame; ids count from 0 or 1, and frames that are not listed have no person."""
    numbered: dict[int, list[Any]] = {}
    for record, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("instances"), list):
            raise PoseError(f"{path}: record {record} has no list of instances", expected="{frame_id, instances}")
        number = frame.get("frame_id", record)
        if not isinstance(number, int) or number < 0:
            raise PoseError(f"{path}: record {record}: frame_id {number!r}", expected="a whole number from 0 or 1")
        if number in numbered:
            raise PoseError(f"{path}: record {record}: frame_id {number} occurs twice", expected="each frame once")
        numbered[number] = frame["instances"]
    return [numbered.get(number, []) for number in check_frame_numbers(path, list(numbered))]


def _person(instance: Any, where: str) -> np.ndarray:
    """One instance as (133, 3)."""
    if not isinstance(instance, dict) or "keypoints" not in instance:
        raise PoseError(f"{where}: no keypoints", expected="{keypoints, keypoint_scores}")
    xy = points_array(instance["keypoints"], where, 2)
    if len(xy) not in _LAYOUTS:
        raise PoseError(f"{where}: {len(xy)} keypoints", expected="133 (COCO-WholeBody) or 17 (COCO)")
    scores = points_array(instance.get("keypoint_scores", np.ones(len(xy))), where, 1, len(xy))
    person = empty_person()
    person[_LAYOUTS[len(xy)]] = np.hstack([xy, scores])
    return mark_missing(person)


def identify(path: Path) -> PoseFile | None:
    """Looks at the list of frames and the first instance."""
    frames = _frames(path)
    if frames is None:
        return None
    by_frame = _by_frame(path, frames)
    first: Any = next((person for people in by_frame for person in people), {"keypoints": []})
    keypoints = first.get("keypoints") if isinstance(first, dict) else None
    points = len(keypoints) if isinstance(keypoints, list) else 0
    return PoseFile(path, "mmpose", points, {"": len(by_frame)})


def read(path: Path, clip: str | None, size: tuple[int, int] | None, fps: float | None) -> PoseSequence:
    """Pixels as they are; the format does not carry the frame size."""
    width, height = need_size(path, size)
    by_frame = _by_frame(path, _frames(path) or [])
    people = ([_person(p, f"{path}: frame {i}") for p in frame] for i, frame in enumerate(by_frame))
    keypoints, notes = follow(people)
    return PoseSequence(keypoints, width, height, fps, notes=notes_of(*notes, _missing(by_frame)))


def _missing(by_frame: list[list[Any]]) -> str:
    """What no instance has: all but the body where each has COCO's 17 points."""
    counts = {len(person["keypoints"]) for people in by_frame for person in people}
    return COCO_17.note if counts == {17} else ""


READER = Reader(identify, read)
