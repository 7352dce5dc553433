"""What all readers share: PoseFile, what is asked of them, checked arrays from JSON, and missing points."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError, nearest
from signgen.files import in_natural_order
from signgen.poses.numbering import Listing, check_numbers, numbers_in
from signgen.poses.scores import PLAIN, Thresholds
from signgen.poses.sequence import PoseSequence

POINTS = 133
BODY = slice(0, 17)
FEET = slice(17, 23)
FACE = slice(23, 91)
LEFT_HAND = slice(91, 112)
RIGHT_HAND = slice(112, 133)
SPLITS = ("train/", "dev/", "test/")
# Commands read keypoints by several options, of which not all have one for the clip.
ONE_CLIP = "choose one with --clip, or write it alone: signgen poses convert POSES X.poses.npz --clip NAME"


@dataclass(frozen=True)
class PoseFile:
    """What `identify` finds: enough to pair keypoints with a video.

    points: how many points of the skeleton the format carries. frames: per clip name; it is "" in a file of one clip.
    half: stored as float16 (1/8 px near 200 px). non_finite: per clip that has any, how many values are not finite;
    such points are missing once they are read. Counted in packs of many clips. listings: per clip of a format that
    numbers or names its frames, which ones it holds; `frames` is then from the first number to the last.
    """

    path: Path
    format: str
    points: int
    frames: dict[str, int] = field(default_factory=dict)
    half: bool = False
    non_finite: dict[str, int] = field(default_factory=dict)
    listings: Mapping[str, Listing] = field(default_factory=dict)

    @classmethod
    def of_frames(cls, path: Path, format_name: str, points: int, listing: Listing) -> PoseFile:
        """A file of one clip whose frames are numbered or named. Raises PoseError for numbers far apart."""
        check_numbers(path, listing)
        return cls(path, format_name, points, {"": listing.length}, listings={"": listing})

    @property
    def clips(self) -> list[str]:
        """Clip names of a file of many clips; empty for a file of one."""
        return [name for name in self.frames if name]


@dataclass(frozen=True)
class Wanted:
    """What is asked of a reader, and what is known of the video. The fields are the arguments of `read_poses`."""

    clip: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    frames: int | None = None
    images: tuple[str, ...] | None = None
    person: str | None = None
    seen_from: float | None = None


@dataclass(frozen=True)
class RawFrames:
    """Everybody in every record of a file, as the file says it.

    listing: which frames the records are. people: per record a list of float (133, 3), x, y, score; a point is missing
    where its score is 0 or less or something is not finite. ids: per record the estimator's number of each of them,
    None where it gives none. size: of the frame, where the file says it. notes: what the reader decided.
    in_fractions: the format's coordinates are fractions of the frame, which is then no news. extra: name -> how many
    optional points of the face (`PoseSequence.extra`) follow the 133 of every person, in this order.
    """

    path: Path
    listing: Listing
    people: Sequence[Sequence[np.ndarray]]
    ids: Sequence[Sequence[float | None]] | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    thresholds: Thresholds = PLAIN
    notes: tuple[str, ...] = ()
    in_fractions: bool = False
    extra: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """One format. `identify` returns None when the content is something else and raises PoseError when it is damaged.

    `read` gets a path that `identify` accepted. It returns the poses of a format that holds one person, and RawFrames
    of one that may hold several, or that numbers its frames.
    """

    identify: Callable[[Path], PoseFile | None]
    read: Callable[[Path, Wanted], PoseSequence | RawFrames]


def need_size(path: Path, size: tuple[int, int] | None) -> tuple[int, int]:
    """`size`, or an error: the format does not carry the size of the frame."""
    if size is None:
        raise PoseError(
            f"{path}: this format does not hold the frame size",
            expected="the size of the video the keypoints were estimated on",
            fix="give --size WxH, in Python size=(width, height)",
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


def mark_missing(keypoints: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """A copy of (..., K, 3), float32; points with score <= 0 or non-finite values become (NaN, NaN, 0)."""
    with np.errstate(over="ignore", invalid="ignore"):
        out: np.ndarray = np.array(keypoints, dtype)
    x, y, score = (np.isfinite(out[..., column]) for column in range(3))  # faster than all(-1) over three numbers
    missing = ~(x & y & score & (out[..., 2] > 0))
    out[missing] = (np.nan, np.nan, 0)
    return out


def empty_person(extra: int = 0) -> np.ndarray:
    """float64 (133 + extra, 3), every point missing."""
    person = np.zeros((POINTS + extra, 3))
    person[:, :2] = np.nan
    return person


def notes_of(*notes: str) -> tuple[str, ...]:
    """Those that say something."""
    return tuple(note for note in notes if note)


def find_clip(path: Path, names: Collection[str], clip: str | None) -> str:
    """The name in the file for `clip`: itself, or with one split prefix. Raises PoseError naming the nearest."""
    first = list(islice(names, 3))
    if clip is None or first == [""]:
        if len(names) == 1:
            return first[0]
        raise PoseError(f"{path}: holds {len(names)} clips ({', '.join(first)}, ...)", fix=ONE_CLIP)
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
    """The per-frame JSON files of a folder in natural order; a single file is one frame."""
    if not path.is_dir():
        return [path]
    names = [p.name for p in path.iterdir() if p.suffix.lower() == ".json" and not p.name.startswith(".")]
    return [path / name for name in in_natural_order(names)]


def file_listing(path: Path, files: Sequence[Path], first: int | None) -> Listing:
    """Which frames the files of a folder are, by their names. A single file is one frame, whatever its number."""
    if not path.is_dir():
        return Listing(1)
    names = tuple(file.name for file in files)
    return Listing(len(names), numbers_in(names), names, first)


def own_number(value: Any) -> float | None:
    """An estimator's number of a person, written as a number or as a list of one; None where it gives none (-1)."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else None


def size_of(path: Path, width: Any, height: Any) -> tuple[int, int] | None:
    """A frame size that a file says; None where it says none. Raises PoseError for one that no frame has."""
    if width is None and height is None:
        return None
    if not all(isinstance(side, (int, float)) and 0 < side < 2**16 for side in (width, height)):
        raise PoseError(f"{path}: frame size {width}x{height}", expected="width and height in pixels")
    return int(width), int(height)


def unread_keys(record: Any, known: Collection[str]) -> set[str]:
    """Keys of a record that hold a list of numbers as long as a few points, and that no reader looks at."""
    if not isinstance(record, dict):
        return set()
    return {key for key, value in record.items() if key not in known and _is_points(value)}


def _is_points(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < 5:
        return False
    first = value[0]
    flat = isinstance(first, (int, float)) and len(value) % 3 == 0 and len(value) >= 15
    return flat or (isinstance(first, list) and len(first) in (2, 3) and isinstance(first[0], (int, float)))


def unread_note(keys: Collection[str]) -> str:
    """A note that names keys whose points are not read; empty for none."""
    return f"points that are not read: {', '.join(sorted(keys))}" if keys else ""
