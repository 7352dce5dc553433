"""Pickles of many clips, clip name -> {key: array (T, 133, 3)}, in; PoseSequence of one clip out.

MSKA: {keypoint: torch tensor}, plain or gzip. SLRT / TwoStream: {keypoints: float16 array}.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.pickles.stored import StoredArray
from signgen.poses.pickles.unpickler import is_pickle, load_pickle
from signgen.poses.readers.base import POINTS, PoseFile, Reader, Wanted, find_clip, mark_missing, need_size
from signgen.poses.sequence import PoseSequence


def _clips(path: Path, key: str) -> dict[str, StoredArray] | None:
    """clip name -> array, or None for other files; kept for the next call, since pairing asks clip by clip."""
    if path.is_dir() or not is_pickle(path):
        return None
    stat = path.stat()
    return _checked(str(path), stat.st_mtime_ns, stat.st_size, key)


@lru_cache(maxsize=4)
def _unpickled(path: str, mtime_ns: int, size: int) -> Any:
    return load_pickle(Path(path))


@lru_cache(maxsize=8)
def _checked(path: str, mtime_ns: int, size: int, key: str) -> dict[str, StoredArray] | None:
    """The clips of a pickle that has `key`. Raises PoseError for a clip of another shape."""
    data = _unpickled(path, mtime_ns, size)
    if not isinstance(data, dict) or not data:
        return None
    clips = {}
    for name, record in data.items():
        if not isinstance(name, str) or not isinstance(record, dict) or key not in record:
            return None
        array = record[key]
        if (
            not isinstance(array, StoredArray)
            or len(array.shape) != 3
            or array.shape[1:] != (POINTS, 3)
            or not len(array)
        ):
            found = getattr(array, "shape", type(array).__name__)
            raise PoseError(f"{path}: clip {name}: {key} is {found}", expected=f"numbers of shape (T, {POINTS}, 3)")
        if array.dtype.kind not in "fiu":
            raise PoseError(f"{path}: clip {name}: {key} holds {array.dtype}", expected="numbers")
        clips[name] = array
    return clips


def identify_key(path: Path, format_name: str, key: str) -> PoseFile | None:
    """A PoseFile with every clip's length; PoseError for a pickle that is unsafe."""
    clips = _clips(path, key)
    if clips is None:
        return None
    half = all(array.dtype == np.float16 for array in clips.values())
    frames = {name: len(array) for name, array in clips.items()}
    broken = {name: _non_finite(array.read()) for name, array in clips.items()}
    bad = {name: count for name, count in broken.items() if count}
    return PoseFile(path, format_name, POINTS, frames, half=half, non_finite=bad)


def _non_finite(array: np.ndarray) -> int:
    return int(array.size - np.isfinite(array).sum())


def read_key(path: Path, wanted: Wanted, *, key: str) -> PoseSequence:
    """Pixels of the frame the keypoints were estimated on; the format does not carry its size."""
    width, height = need_size(path, wanted.size)
    clips = _clips(path, key) or {}
    name = wanted.clip if wanted.clip in clips else find_clip(path, list(clips), wanted.clip)
    return PoseSequence(mark_missing(clips[name].read()), width, height, wanted.fps)


MSKA = Reader(partial(identify_key, format_name="mska", key="keypoint"), partial(read_key, key="keypoint"))
SLRT = Reader(partial(identify_key, format_name="slrt", key="keypoints"), partial(read_key, key="keypoints"))
