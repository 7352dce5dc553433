"""Formats that are recognised, and named, but not read yet: pose-format `.pose` and AlphaPose JSON."""

from __future__ import annotations

import struct
from pathlib import Path

from signgen.errors import PoseError
from signgen.poses.readers.base import PoseFile, Reader, load_json, starts_with
from signgen.poses.sequence import PoseSequence

# float32 version, uint16 width, height, depth, number of components, then the first name's length.
_POSE_HEADER = struct.Struct("<f5H")


def identify(path: Path) -> PoseFile | None:
    """By the first bytes of a `.pose` file, or the records of an AlphaPose list."""
    start = starts_with(path)
    if _is_pose_format(start):
        return PoseFile(path, "pose-format .pose", 0, readable=False)
    data = load_json(path) if start else None
    if isinstance(data, list) and data and isinstance(data[0], dict) and {"image_id", "keypoints"} <= data[0].keys():
        return PoseFile(path, "AlphaPose JSON", len(data[0]["keypoints"]) // 3, readable=False)
    return None


def _is_pose_format(start: bytes) -> bool:
    """A known version, a few components, and the first one's name (ended by 0 in version 0.0)."""
    if len(start) < _POSE_HEADER.size:
        return False
    version, _, _, _, components, length = _POSE_HEADER.unpack_from(start)
    if version == 0:
        name = start[_POSE_HEADER.size - 2 :].split(b"\0")[0]
    else:
        name = start[_POSE_HEADER.size : _POSE_HEADER.size + length]
    known = any(abs(version - v) < 1e-6 for v in (0.0, 0.1, 0.2))
    return known and 0 < components < 64 and name.decode("latin1").isidentifier()


def read(path: Path, clip: str | None, size: tuple[int, int] | None, fps: float | None) -> PoseSequence:
    """Always raises PoseError."""
    raise PoseError(f"{path}: recognised but not read yet", fix="convert it to MMPose JSON or OpenPose JSON")


READER = Reader(identify, read)
