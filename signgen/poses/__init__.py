"""Keypoints: every format in (`read_poses`), one representation inside (`PoseSequence`), drawn with `draw_pose`."""

from signgen.poses.readers import PoseFile, identify, read_file, read_poses
from signgen.poses.sequence import PoseSequence

__all__ = ["PoseFile", "PoseSequence", "identify", "read_file", "read_poses"]
