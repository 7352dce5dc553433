"""PCDMs/FPDM DeepFashion text in (18 rows `x y` on padded 256x256, -1 missing), one frame's PoseSequence out.

The skeleton is openpose-18, whose neck is annotated: `to_skeleton` makes others of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from signgen.poses.readers.base import PoseFile, Reader, Wanted, mark_missing, starts_with
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import OPENPOSE_18

FRAME = (176, 256)  # the image as it was annotated, before 40 columns were added on either side
PADDING = 40
_LONGEST = 4096  # bytes; 18 rows of numpy's longest notation are 900


def rows_of(path: Path) -> np.ndarray | None:
    """(18, 2) as written, or None when the file is something else."""
    data = starts_with(path, _LONGEST + 1)
    if not data or len(data) > _LONGEST:
        return None
    lines = [line.split() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    if len(lines) != OPENPOSE_18.points or any(len(line) != 2 for line in lines):
        return None
    try:
        return np.array([[float(value) for value in line] for line in lines])
    except ValueError:
        return None


def pixels(xy: np.ndarray, frame: tuple[int, int], size: tuple[int, int], padding: float = 0) -> np.ndarray:
    """(..., 18, 2) on an annotated frame to float32 (..., 18, 3) on an image of `size`; a -1 is missing."""
    scale = np.array(size, np.float64) / frame
    there = (xy != -1).all(-1)[..., None]
    with np.errstate(over="ignore", invalid="ignore"):
        points = np.concatenate([(xy - (padding, 0)) * scale, there.astype(np.float64)], -1)
    return mark_missing(points)


def identify(path: Path) -> PoseFile | None:
    """A short text of 18 pairs of numbers."""
    return PoseFile(path, "fpdm", OPENPOSE_18.points, {"": 1}) if rows_of(path) is not None else None


def read(path: Path, wanted: Wanted) -> PoseSequence:
    """x' = (x - 40) W/176, y' = y H/256 on the image's own size; without one, on the 176x256 that was annotated."""
    rows = rows_of(path)
    assert rows is not None  # identify accepted it
    width, height = wanted.size or FRAME
    keypoints = pixels(rows[None], FRAME, (width, height), PADDING)
    return PoseSequence(keypoints, width, height, wanted.fps, OPENPOSE_18.name)


READER = Reader(identify, read)
