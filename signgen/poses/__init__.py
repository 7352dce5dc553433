"""Keypoints: every format in (`read_poses`), one representation inside (`PoseSequence`), drawn with `draw_pose`."""

from signgen.poses.readers import (
    PoseFile,
    Wanted,
    identify,
    open_poses,
    read_beside,
    read_file,
    read_people,
    read_poses,
)
from signgen.poses.sequence import PoseSequence

__all__ = [
    "PoseFile",
    "PoseSequence",
    "Wanted",
    "identify",
    "open_poses",
    "read_beside",
    "read_file",
    "read_people",
    "read_poses",
]
