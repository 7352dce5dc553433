"""`.npy` and `.npz` in (arrays (T, K, 2 or 3), K = 133, 136, 26, 25, 18, 17 or 50 points), PoseSequence out."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import BY_COUNT, SKELS_50, Mapping
from signgen.poses.pickles.unpickler import MAX_BYTES, MAX_RATIO, RATIO_MATTERS_FROM
from signgen.poses.readers.base import (
    PoseFile,
    Reader,
    Wanted,
    find_clip,
    mark_missing,
    need_size,
    notes_of,
    starts_with,
)
from signgen.poses.readers.skels import placed
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import PIXELS, to_pixels, unit_of

_NPY = b"\x93NUMPY"
_SCORES = ("scores", "keypoint_scores", "confidence")
_LAYOUTS = {**BY_COUNT, SKELS_50.points: SKELS_50}


def _shape(handle: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Of one array, from its header; the shape is not trusted further than this."""
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the header is Python source; a damaged one is refused as such
        shape, _, dtype = read(handle)
    return shape, dtype


def _members(path: Path) -> Iterator[tuple[str, int]]:
    """Array name -> bytes of it as they will be in memory, header included."""
    if starts_with(path, 6) == _NPY:
        yield "", path.stat().st_size
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            yield member.filename, member.file_size


def is_sound_npz(path: Path) -> bool:
    """A zip of nothing but arrays. Raises PoseError when it would unpack to more than keypoints can be."""
    if not starts_with(path).startswith(b"PK") or not zipfile.is_zipfile(path):
        return False
    try:
        members = list(_members(path))
    except Exception as error:  # zipfile raises several kinds for a damaged directory
        raise _damaged(path, error) from error
    if not members or not all(name.endswith(".npy") for name, _ in members):
        return False
    total, size = sum(count for _, count in members), path.stat().st_size
    if total > min(MAX_BYTES, max(RATIO_MATTERS_FROM, MAX_RATIO * size)):
        expected = f"at most {MAX_RATIO} times its {size} bytes, and {MAX_BYTES // 2**30} GiB"
        raise PoseError(f"{path}: refused: a zip bomb, it unpacks to {total} bytes", expected=expected)
    return True


def array_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Array name -> (shape, dtype), without reading the arrays. Raises PoseError for a damaged file."""
    try:
        if starts_with(path, 6) == _NPY:
            with path.open("rb") as handle:
                return {"": _whole(_shape(handle), path.stat().st_size - handle.tell())}
        found = {}
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    found[member.filename.removesuffix(".npy")] = _whole(_shape(stream), member.file_size)
        return found
    except Exception as error:  # numpy parses the header as Python source, and a zip can be damaged anywhere
        raise _damaged(path, error) from error


def _whole(header: tuple[tuple[int, ...], np.dtype], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """`header`, if that many numbers fit into `size` bytes."""
    shape, dtype = header
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > size and not dtype.hasobject:  # those are refused for what they are
        raise ValueError(f"shape {shape} of {dtype} takes {wanted} bytes, there are {size}")
    return header


def _damaged(path: Path, error: Exception) -> PoseError:
    reason = f"{type(error).__name__}: {error}"[:200]
    return PoseError(f"{path}: damaged NumPy file ({reason})", expected="a whole file of numbers")


def _is_keypoints(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return len(shape) == 3 and shape[0] > 0 and shape[1] in _LAYOUTS and shape[2] in (2, 3) and dtype.kind in "fiu"


def _clips(path: Path) -> dict[str, str]:
    """Clip name -> array name. One array is a clip without a name, whatever it is called."""
    if starts_with(path, 6) != _NPY and not is_sound_npz(path):
        return {}
    names = [name for name, header in array_headers(path).items() if _is_keypoints(*header)]
    return {"" if len(names) == 1 else name: name for name in names}


def _load(path: Path, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The array, and the scores (T, K) that an .npz keeps beside it, or None."""
    try:
        with path.open("rb") as handle:
            if name == "" and starts_with(path, 6) == _NPY:
                return np.lib.format.read_array(handle, allow_pickle=False), None
            with np.load(handle, allow_pickle=False) as archive:
                array = archive[name]
                beside = [archive[key] for key in _SCORES if key in archive.files and key != name]
    except Exception as error:  # a damaged zip or header raises anything
        raise _damaged(path, error) from error
    fitting = [scores for scores in beside if scores.shape == array.shape[:2] and scores.dtype.kind in "fiu"]
    return array, fitting[0] if fitting else None


def _with_scores(array: np.ndarray, scores: np.ndarray | None) -> tuple[np.ndarray, str]:
    """(T, K, 3) x, y, score, and a note on the third column. Without scores, 0, 0 and -1, -1 mark missing points."""
    xy = array[..., :2].astype(np.float64)
    note = "the third column was taken as the score" if array.shape[2] == 3 else ""
    if scores is not None:
        return np.concatenate([xy, scores[..., None].astype(np.float64)], -1), "scores from the array beside it"
    if array.shape[2] == 3:
        return array.astype(np.float64), note
    there = ~((xy == 0).all(-1) | (xy == -1).all(-1))
    return np.concatenate([xy, there[..., None].astype(np.float64)], -1), note


def identify(path: Path) -> PoseFile | None:
    """By the arrays' shapes; an array of another shape, or of objects, is not keypoints."""
    clips = _clips(path)
    if not clips:
        return None
    headers = {clip: array_headers(path)[name] for clip, name in clips.items()}
    points = max(len(_LAYOUTS[shape[1]].carried) for shape, _ in headers.values())
    half = all(dtype == np.float16 for _, dtype in headers.values())
    return PoseFile(path, "array", points, {clip: shape[0] for clip, (shape, _) in headers.items()}, half=half)


def read(path: Path, wanted: Wanted) -> PoseSequence:
    """Pixels, or fractions where next to no coordinate exceeds 1.5; 50 joints are placed as those of `.skels`."""
    clips = _clips(path)
    array, scores = _load(path, clips[find_clip(path, list(clips), wanted.clip)])
    mapping: Mapping = _LAYOUTS[array.shape[1]]
    width, height = need_size(path, wanted.size)
    if mapping is SKELS_50:
        points, note = placed(array.astype(np.float64), width, height), "normalised joints: retarget them"
    else:
        points, note = _with_scores(array, scores)
        if (unit := unit_of(points)) != PIXELS:
            points, note = to_pixels(points, unit, (width, height)), "; ".join(filter(None, [unit, note]))
    keypoints = mark_missing(mapping.apply(points))
    return PoseSequence(keypoints, width, height, wanted.fps, notes=notes_of(note, mapping.note))


READER = Reader(identify, read)
