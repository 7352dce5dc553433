"""What all readers share: PoseFile, checked arrays from JSON, missing points, and which person to follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError, nearest
from signgen.poses.sequence import PoseSequence

POINTS = 133
BODY = slice(0, 17)
FEET = slice(17, 23)
FACE = slice(23, 91)
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)
SPLITS = ("train/", "dev/", "test/")


@dataclass(frozen=True)
class PoseFile:
    """What `identify` finds: enough to pair keypoints with a video.

    points: how many points of the skeleton the format carries. frames: per clip name; it is "" in a file of one clip.
    half: stored as float16 (1/8 px near 200 px). non_finite: per clip that has any, how many values are not finite;
    such points are missing once they are read. Counted in packs of many clips.
    """

    path: Path
    format: str
    points: int
    frames: dict[str, int] = field(default_factory=dict)
    half: bool = False
    non_finite: dict[str, int] = field(default_factory=dict)

    @property
    def clips(self) -> list[str]:
        """Clip names of a file of many clips; empty for a file of one."""
        return [name for name in self.frames if name]


@dataclass(frozen=True)
class Reader:
    """One format. `identify` returns None when the content is something else and raises PoseError when it is damaged.

    `read` gets a path that `identify` accepted; its other arguments are those of `read_poses`.
    """

    identify: Callable[[Path], PoseFile | None]
    read: Callable[[Path, str | None, tuple[int, int] | None, float | None], PoseSequence]


def need_size(path: Path, size: tuple[int, int] | None) -> tuple[int, int]:
    """`size`, or an error: the format does not carry the size of the frame."""
    if size is None:
        raise PoseError(
            f"{path}: this format does not hold the frame size",
            expected="the size of the video the keypoints were estimated on",
            fix="give the video beside the keypoints",
        )
    return size


def points_array(value: Any, where: str, columns: int, count: int | None = None) -> np.ndarray:
    """A JSON list (nested, or flat) as float64 (count, columns). Raises PoseError naming `where`."""
    try:
        array = np.asarray(value, np.float64)
        array = array.reshape(-1, columns) if array.ndim == 1 else array
    except (TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{where}: not numbers ({error})", expected=f"a list of {columns}-tuples") from error
    if array.ndim != 2 or array.shape[1] != columns or (count is not None and len(array) != count):
        raise PoseError(f"{where}: shape {array.shape}", expected=f"({count or 'K'}, {columns})")
    return array


def mark_missing(keypoints: np.ndarray) -> np.ndarray:
    """float32 copy of (..., K, 3); points with score <= 0 or non-finite values become (NaN, NaN, 0)."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.array(keypoints, np.float32)
    x, y, score = (np.isfinite(out[..., column]) for column in range(3))  # faster than all(-1) over three numbers
    missing = ~(x & y & score & (out[..., 2] > 0))
    out[missing] = (np.nan, np.nan, 0)
    return out


def empty_person() -> np.ndarray:
    """float32 (133, 3), every point missing."""
    person = np.zeros((POINTS, 3), np.float32)
    person[:, :2] = np.nan
    return person


def follow(frames: Iterable[list[np.ndarray]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Choose one person per frame: the best overlap with the last one seen, else the highest mean score.

    frames: per frame a list of (133, 3) people. Returns float32 (T, 133, 3) and a note if there was a choice.
    """
    chosen, crowded = [], 0
    last: np.ndarray | None = None
    for people in frames:
        crowded += len(people) > 1
        person = _choose(people, last) if people else empty_person()
        if np.isfinite(person[:, 0]).any():
            last = person
        chosen.append(person)
    if not chosen:
        raise PoseError("keypoints without any frame", expected="at least one frame")
    note = f"several people in {crowded} of {len(chosen)} frames: followed the one that overlaps the frame before"
    return np.stack(chosen).astype(np.float32), (note,) if crowded else ()


def _choose(people: list[np.ndarray], last: np.ndarray | None) -> np.ndarray:
    best = max(people, key=lambda person: float(person[:, 2].mean()))
    if len(people) == 1 or last is None:
        return best
    overlaps = [_overlap(person, last) for person in people]
    index = int(np.argmax(overlaps))
    return people[index] if overlaps[index] > 0.1 else best


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the two people's boxes; 0 where one has no point."""
    boxes = []
    for person in (a, b):
        points = person[np.isfinite(person[:, 0]), :2]
        if not len(points):
            return 0.0
        boxes.append(np.concatenate([points.min(0), points.max(0)]))
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes
    inner = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - inner
    return float(inner / union) if union > 0 else 0.0


def check_frame_numbers(path: Path, numbers: list[int]) -> range:
    """All frames from 0 (where one has it) or 1 to the last of `numbers`. Raises PoseError for far too large ones."""
    first, last = 0 if 0 in numbers else 1, max(numbers)
    if last - first + 1 > 10 * len(numbers) + 1000:
        raise PoseError(f"{path}: frame {last} in a list of {len(numbers)} frames", expected="consecutive numbers")
    return range(first, last + 1)


def notes_of(*notes: str) -> tuple[str, ...]:
    """Those that say something."""
    return tuple(note for note in notes if note)


def find_clip(path: Path, names: Collection[str], clip: str | None) -> str:
    """The name in the file for `clip`: itself, or with one split prefix. Raises PoseError naming the nearest."""
    first = list(islice(names, 3))
    if clip is None or first == [""]:
        if len(names) == 1:
            return first[0]
        raise PoseError(f"{path}: holds {len(names)} clips ({', '.join(first)}, ...)", fix="choose one with --clip")
    if clip in names:
        return clip
    matches = [prefix + clip for prefix in SPLITS if prefix + clip in names]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise PoseError(f"{path}: clip {clip} occurs as {', '.join(matches)}", fix="name the split as well")
    bare = {name.removeprefix(prefix): name for name in names for prefix in SPLITS if name.startswith(prefix)}
    close = nearest(clip, [*names, *bare])
    hint = f"did you mean {close}?" if close else f"it begins with {', '.join(first)}"
    raise PoseError(f"{path}: no clip {clip} among {len(names)}", fix=hint)


def starts_with(path: Path, count: int = 64) -> bytes:
    """The first bytes of a file; empty for a folder. Raises PoseError when it cannot be opened."""
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as handle:
            return handle.read(count)
    except OSError as error:
        raise PoseError(f"{path}: cannot be read ({error.strerror})", expected="a keypoint file or folder") from error


def load_json(path: Path) -> Any:
    """The parsed JSON of a file, or None when it does not look like JSON. Raises PoseError when it is damaged."""
    if not starts_with(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return None
    stat = path.stat()
    return _parse_json(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _parse_json(path: str, mtime_ns: int, size: int) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise PoseError(f"{path}: damaged JSON ({error})", expected="a whole file", fix="extract it again") from error


def frame_files(path: Path) -> list[Path]:
    """The per-frame JSON files of a folder, sorted by name; a single file is one frame."""
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix.lower() == ".json" and not p.name.startswith("."))
