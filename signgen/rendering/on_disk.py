"""Arrays of a long clip in; the same arrays in a file without a name out, of which memory holds only what is read."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from signgen.poses.sequence import PoseSequence

SMALL = 1 << 22  # bytes: what may as well stay in memory


class DiskArrays:
    """The arrays of one rendering. `release` gives back the memory of what was looked at; it is read again if needed.

    folder: on whose disk they lie; None, or one that is not there: the system's place for such files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None and folder.is_dir() else None
        self._maps: list[mmap.mmap] = []

    def keep(self, array: np.ndarray) -> np.ndarray:
        """The same numbers, not to be written to."""
        if array.nbytes <= SMALL:
            return array
        with tempfile.TemporaryFile(dir=self._folder) as file:
            np.ascontiguousarray(array).tofile(file)
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.append(mapped)
        return np.frombuffer(mapped, array.dtype).reshape(array.shape)

    def keep_poses(self, poses: PoseSequence) -> PoseSequence:
        """The keypoints; optional points, which nothing draws or scores, are left out."""
        return replace(poses, keypoints=self.keep(poses.keypoints), extra={})

    def release(self) -> None:
        """Of a short clip, none of whose arrays lie on the disk, nothing is given back."""
        if self._maps:
            _trim()
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


def _trim() -> None:
    """Give freed memory back to the system: glibc keeps what arrays of up to 32 MB leave."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
