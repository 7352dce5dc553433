"""signgen's own `.poses.npz` in, PoseSequence out."""

from __future__ import annotations

import zipfile
from pathlib import Path

from signgen.poses.readers.arrays import array_headers, is_sound_npz
from signgen.poses.readers.base import PoseFile, Reader, Wanted
from signgen.poses.sequence import EXTRA, PoseSequence

_MEMBERS = {"keypoints.npy", "size.npy", "fps.npy", "skeleton.npy"}


def identify(path: Path) -> PoseFile | None:
    """A zip of exactly the arrays that `PoseSequence.save` writes, with optional points or without."""
    if not is_sound_npz(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        if not names >= _MEMBERS or not all(name.startswith(EXTRA) for name in names - _MEMBERS):
            return None
    array_headers(path)
    poses = PoseSequence.load(path)
    return PoseFile(path, "signgen", poses.layout.points, {"": len(poses)})


def read(path: Path, wanted: Wanted) -> PoseSequence:
    """The file as it was saved; it carries its own size and fps."""
    return PoseSequence.load(path)


READER = Reader(identify, read)
