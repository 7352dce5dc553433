"""PoseSequence in; a file in the format its name ends with out: signgen's own, MMPose JSON or `.pose`."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.files import atomic_path, write_text
from signgen.poses.mappings import BODY_NAMES
from signgen.poses.sequence import FILE_SUFFIX, PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

Writer = Callable[[PoseSequence, Path], None]


def write_own(poses: PoseSequence, path: Path) -> None:
    """Everything but the notes."""
    poses.save(path)


def write_mmpose(poses: PoseSequence, path: Path) -> None:
    """MMPose 1.x: {meta_info, instance_info}, frames from 1; one without a person has no instance.

    A missing point is 0, 0 with score 0. The format holds neither frame size nor fps.
    """
    _whole_body(poses)
    there = poses.present
    values = np.where(there[..., None], poses.keypoints, 0)
    records: list[dict[str, Any]] = []
    for number, (frame, points) in enumerate(zip(values, there, strict=True), start=1):
        person = {"keypoints": frame[:, :2].tolist(), "keypoint_scores": frame[:, 2].tolist()}
        records.append({"frame_id": number, "instances": [person] if points.any() else []})
    about = {"dataset_name": "coco_wholebody", "num_keypoints": LAYOUT.points}
    write_text(path, json.dumps({"meta_info": about, "instance_info": records}, allow_nan=False))


def write_pose(poses: PoseSequence, path: Path) -> None:
    """pose-format 0.2 with components BODY, FACE, LEFT_HAND and RIGHT_HAND; a missing point has confidence 0.

    No fps is written as 0.
    """
    _whole_body(poses)
    try:
        from pose_format import Pose
        from pose_format.numpy import NumPyPoseBody
        from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
    except ImportError as error:
        raise PoseError(f"{path}: pose-format cannot be imported ({error})", fix="pip install pose-format") from error
    header = PoseHeader(0.2, PoseHeaderDimensions(poses.width, poses.height, 0), _components())
    there = poses.present
    places = np.where(there[..., None], poses.keypoints[..., :2], 0)[:, None]
    scores = np.where(there, poses.keypoints[..., 2], 0)[:, None]
    body = NumPyPoseBody(poses.fps or 0.0, places.astype(np.float32), scores.astype(np.float32))
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        Pose(header, body).write(handle)


WRITERS: dict[str, Writer] = {FILE_SUFFIX: write_own, ".json": write_mmpose, ".pose": write_pose}


def writer_for(path: Path) -> Writer:
    """The writer of the format that the name ends with. Raises PoseError for another name."""
    for suffix, writer in WRITERS.items():
        if path.name.endswith(suffix) and path.name != suffix:
            return writer
    raise PoseError(
        f"{path}: no format of this name",
        expected=f"a file name that ends in {FILE_SUFFIX} (signgen's own), .json (MMPose) or .pose (pose-format)",
    )


def write_poses(poses: PoseSequence, path: Path) -> None:
    """Write atomically in the format that the name ends with. Raises PoseError for another name or skeleton."""
    writer_for(path)(poses, path)


def _whole_body(poses: PoseSequence) -> None:
    if poses.skeleton != LAYOUT.name:
        raise PoseError(f"poses of skeleton {poses.skeleton}", expected=f"{LAYOUT.name}, or a {FILE_SUFFIX} to write")


def _components() -> list[Any]:
    """The 133 points in their order, with the lines that viewers draw."""
    from pose_format.pose_header import PoseHeaderComponent

    body = [(5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)]
    fingers = [[0, *range(first, first + 4)] for first in range(1, 21, 4)]
    hand = [bone for finger in fingers for bone in pairwise(finger)]
    numbered = [f"{number}" for number in range(len(LAYOUT.face))]
    parts: tuple[tuple[str, list[str], list[tuple[int, int]], tuple[int, int, int]], ...] = (
        ("BODY", list(BODY_NAMES), body, (0, 255, 0)),
        ("FACE", [f"face-{number}" for number in numbered], [], (255, 255, 255)),
        ("LEFT_HAND", [f"left_hand_{number}" for number in numbered[:21]], hand, (255, 0, 0)),
        ("RIGHT_HAND", [f"right_hand_{number}" for number in numbered[:21]], hand, (0, 0, 255)),
    )
    return [PoseHeaderComponent(name, names, limbs, [colour], "XYC") for name, names, limbs, colour in parts]
