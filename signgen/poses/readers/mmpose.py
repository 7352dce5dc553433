"""MMPose 1.x JSON in (a list of frames, {meta_info, instance_info}, one image's instances), everybody per frame out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_17
from signgen.poses.numbering import Listing
from signgen.poses.readers.base import (
    BODY,
    POINTS,
    PoseFile,
    RawFrames,
    Reader,
    Wanted,
    empty_person,
    load_json,
    notes_of,
    own_number,
    points_array,
    unread_keys,
    unread_note,
)

_LAYOUTS = {133: slice(0, POINTS), 17: BODY}
_KNOWN = frozenset(("keypoints", "keypoint_scores", "bbox", "keypoints_visible"))


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


def _by_frame(path: Path, frames: list[dict[str, Any]]) -> tuple[Listing, list[list[Any]]]:
    """Instances per listed frame, in the order of their numbers, which some tools count from 0, some from 1."""
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
    numbers = sorted(numbered)
    return Listing(len(numbers), tuple(numbers)), [numbered[number] for number in numbers]


def _person(instance: Any, where: str) -> tuple[np.ndarray, int]:
    """One instance as (133, 3), and how many points it has."""
    if not isinstance(instance, dict) or "keypoints" not in instance:
        raise PoseError(f"{where}: no keypoints", expected="{keypoints, keypoint_scores}")
    xy = points_array(instance["keypoints"], where, 2)
    if len(xy) not in _LAYOUTS:
        raise PoseError(f"{where}: {len(xy)} keypoints", expected="133 (COCO-WholeBody) or 17 (COCO)")
    scores = points_array(instance.get("keypoint_scores", np.ones(len(xy))), where, 1, len(xy))
    person = empty_person()
    person[_LAYOUTS[len(xy)]] = np.hstack([xy, scores])
    return person, len(xy)


def identify(path: Path) -> PoseFile | None:
    """Looks at the list of frames and the first instance."""
    frames = _frames(path)
    if frames is None:
        return None
    listing, by_frame = _by_frame(path, frames)
    first = next((person for people in by_frame for person in people), None)
    points = 0 if first is None else _person(first, f"{path}: the first instance")[1]
    return PoseFile.of_frames(path, "mmpose", points, listing)


def read(path: Path, wanted: Wanted) -> RawFrames:
    """Pixels as they are; the format does not carry the frame size."""
    listing, by_frame = _by_frame(path, _frames(path) or [])
    numbers = listing.numbers or ()
    people = [
        [_person(person, f"{path}: frame {number}") for person in frame]
        for number, frame in zip(numbers, by_frame, strict=True)
    ]
    counts = {count for frame in people for _, count in frame}
    unread = {key for frame in by_frame for person in frame for key in unread_keys(person, _KNOWN)}
    return RawFrames(
        path,
        listing,
        [[person for person, _ in frame] for frame in people],
        [[own_number(person.get("track_id")) for person in frame] for frame in by_frame],
        notes=notes_of(COCO_17.note if counts == {17} else "", unread_note(unread)),
    )


READER = Reader(identify, read)
