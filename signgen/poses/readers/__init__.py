"""Keypoints of any known format in, PoseSequence out. Formats are recognised by content, not by file name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from signgen.errors import PoseError
from signgen.poses.readers import (
    alphapose,
    arrays,
    dwpose,
    fpdm,
    gfla,
    mmpose,
    openpose,
    own,
    pickled,
    poseformat,
    skels,
)
from signgen.poses.readers.base import PoseFile
from signgen.poses.sequence import PoseSequence

READERS = {
    "signgen": own.READER,
    "mmpose": mmpose.READER,
    "dwpose": dwpose.READER,
    "openpose": openpose.READER,
    "mska": pickled.MSKA,
    "slrt": pickled.SLRT,
    "alphapose": alphapose.READER,
    "pose-format": poseformat.READER,
    "array": arrays.READER,
    "skels": skels.READER,
    "fpdm": fpdm.READER,
    "gfla": gfla.READER,
}
KNOWN = (
    "a .poses.npz, a .pose, MMPose, DWPose, OpenPose or AlphaPose JSON, an MSKA or SLRT pickle, "
    "arrays of shape (T, K, 3), .skels, or DeepFashion's 18-point text or CSV"
)

__all__ = ["READERS", "PoseFile", "identify", "read_file", "read_poses"]


def identify(path: Path) -> PoseFile | None:
    """What keypoints a file or folder holds; None when none. Raises PoseError for damaged or unsafe files."""
    path = Path(path)
    with _quiet():
        for reader in READERS.values():
            file = reader.identify(path)
            if file is not None:
                return file
    return None


def read_poses(
    path: Path, *, clip: str | None = None, size: tuple[int, int] | None = None, fps: float | None = None
) -> PoseSequence:
    """Read one clip's keypoints.

    clip: its name in a file of many clips; a split prefix such as train/ may be left out.
    size: (width, height) of the video, for formats that do not carry it; own size wins. fps: likewise.
    Raises PoseError when the file is missing, unknown, damaged or unsafe, the clip is not in it, or size is needed.
    """
    path = Path(path)
    if not path.exists():
        raise PoseError(f"{path}: no such file or folder", expected="keypoints")
    found = identify(path)
    if found is None:
        raise PoseError(f"{path}: not keypoints of a known format", expected=KNOWN)
    return read_file(found, clip=clip, size=size, fps=fps)


def read_file(
    file: PoseFile, *, clip: str | None = None, size: tuple[int, int] | None = None, fps: float | None = None
) -> PoseSequence:
    """`read_poses` of a file that `identify` found: the format is not identified again."""
    with _quiet():
        return READERS[file.format].read(file.path, clip, size, fps)


def _quiet() -> np.errstate:
    """Numbers beyond float32 become missing points; NumPy's warnings about them would say nothing more."""
    return np.errstate(over="ignore", invalid="ignore", under="ignore")
