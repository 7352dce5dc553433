"""Progressive-Transformers `.skels` in (a line a clip: T x (50 joints and a counter)), PoseSequence out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import SKELS_50
from signgen.poses.readers.base import PoseFile, Reader, Wanted, find_clip, mark_missing, notes_of, starts_with
from signgen.poses.sequence import PoseSequence

NUMBERS = 151
# plot_videos.py of the authors: 720 px per unit (x 3 x 240) on a 650x650 canvas, the neck 250 px from the top.
CANVAS = 650
PIXELS_PER_UNIT = 720
NECK_FROM_TOP = 250


def _looks_right(path: Path) -> bool:
    """The first line: numbers in multiples of 151 whose counters run from about 0 to about 1."""
    start = starts_with(path)
    if not start or start.strip(b"0123456789+-.eEnaN \t\r\n"):
        return False
    with path.open("rb") as handle:
        values = _numbers(handle.readline())
    if values is None or not len(values) or len(values) % NUMBERS:
        return False
    counters = values[NUMBERS - 1 :: NUMBERS]
    return bool(((counters > -0.5) & (counters < 1.5)).all())


def _numbers(line: bytes) -> np.ndarray | None:
    try:
        return np.array(line.split(), np.float64)
    except ValueError:
        return None


@lru_cache(maxsize=4)
def _clips(path: str, mtime_ns: int, size: int) -> dict[str, tuple[int, int]]:
    """Clip -> where its line begins and its number of frames. Raises PoseError for a line of another length."""
    lines, offset = [], 0
    with Path(path).open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            count = len(line.split())
            if count % NUMBERS:
                raise PoseError(f"{path}: line {number}: {count} numbers", expected=f"a multiple of {NUMBERS}")
            if count:
                lines.append((offset, count // NUMBERS))
            offset += len(line)
    return dict(zip(_names(Path(path), len(lines)), lines, strict=True))


def _names(path: Path, count: int) -> list[str]:
    """From the `.files` beside it, a name per line; else the number of the line."""
    listed = path.with_suffix(".files")
    if listed != path and listed.is_file():
        names = listed.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        names = [name.strip() for name in names if name.strip()]
        if len(names) == count and len(set(names)) == count:
            return names
    return [""] if count == 1 else [str(number) for number in range(1, count + 1)]


def _found(path: Path) -> dict[str, tuple[int, int]]:
    stat = path.stat()
    return _clips(str(path), stat.st_mtime_ns, stat.st_size)


def identify(path: Path) -> PoseFile | None:
    """By the numbers of the first line; the other lines are counted."""
    if not _looks_right(path):
        return None
    return PoseFile(path, "skels", len(SKELS_50.carried), {name: frames for name, (_, frames) in _found(path).items()})


def read(path: Path, wanted: Wanted) -> PoseSequence:
    """Placed as the authors draw it, scaled to the frame's shorter side; scores are 1, joints at 0, 0 missing."""
    clips = _found(path)
    offset, frames = clips[find_clip(path, list(clips), wanted.clip)]
    with path.open("rb") as handle:
        handle.seek(offset)
        values = _numbers(handle.readline())
    if values is None or len(values) != frames * NUMBERS:
        raise PoseError(f"{path}: the line at byte {offset} is not all numbers", expected=f"{NUMBERS} a frame")
    width, height = wanted.size or (CANVAS, CANVAS)
    joints = values.reshape(frames, NUMBERS)[:, :-1].reshape(frames, SKELS_50.points, 3)
    keypoints = mark_missing(SKELS_50.apply(placed(joints, width, height)))
    note = (
        f"normalised joints placed with the neck at {width / 2:g}, {NECK_FROM_TOP * height / CANVAS:g}: retarget them"
    )
    return PoseSequence(keypoints, width, height, wanted.fps, notes=notes_of(note, SKELS_50.note))


def placed(joints: np.ndarray, width: int, height: int) -> np.ndarray:
    """(T, 50, 3) normalised x, y, z to x px, y px, score 1 or 0; depth is dropped."""
    there = (joints[..., :2] != 0).any(-1)
    scale = PIXELS_PER_UNIT * min(width, height) / CANVAS
    with np.errstate(over="ignore", invalid="ignore"):
        x = joints[..., 0] * scale + width / 2
        y = joints[..., 1] * scale + NECK_FROM_TOP * height / CANVAS
    return np.stack([x, y, there.astype(np.float64)], -1)


READER = Reader(identify, read)
