"""GFLA/CFLD CSV in (`name:keypoints_y:keypoints_x`, many images, -1 missing), PoseSequence of one image out."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import OPENPOSE_18
from signgen.poses.readers.base import PoseFile, Reader, find_clip, notes_of, starts_with
from signgen.poses.readers.fpdm import pixels
from signgen.poses.sequence import PoseSequence

_HEADER = "name:keypoints_y:keypoints_x"
_BOM = b"\xef\xbb\xbf"
_EXPECTED = "name: [18 y]: [18 x]"
DEEPFASHION, MARKET = (176, 256), (64, 128)  # width and height of the annotated frames


def _is_csv(path: Path) -> bool:
    return starts_with(path).removeprefix(_BOM).startswith(_HEADER.encode())


def _images(path: Path) -> dict[str, np.ndarray]:
    """Image name -> (18, 2) x, y as written; kept for the next call, since pairing asks image by image."""
    stat = path.stat()
    return _parsed(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _parsed(path: str, mtime_ns: int, size: int) -> dict[str, np.ndarray]:
    try:
        text = Path(path).read_bytes().removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PoseError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})", expected="a CSV") from error
    images: dict[str, np.ndarray] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if number == 1 or not line.strip():
            continue
        name, xy = _line(f"{path}: line {number}", line)
        if name in images and not np.array_equal(images[name], xy):
            raise PoseError(f"{path}: line {number}: {name} occurs twice", expected="each image once")
        images[name] = xy
    if not images:
        raise PoseError(f"{path}: no images in it", expected=_EXPECTED)
    return images


def _line(where: str, line: str) -> tuple[str, np.ndarray]:
    """A name may itself hold colons: the two lists are the last two fields."""
    fields = line.rsplit(":", 2)
    if len(fields) != 3 or not fields[0].strip():
        raise PoseError(f"{where}: {len(fields)} fields", expected=_EXPECTED)
    try:
        y, x = (np.asarray(json.loads(field), np.float64) for field in fields[1:])
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PoseError(f"{where}: not lists of numbers ({error})"[:300], expected=_EXPECTED) from error
    if x.shape != (18,) or y.shape != (18,):
        raise PoseError(f"{where}: lists of shape {y.shape} and {x.shape}", expected=_EXPECTED)
    return fields[0].strip(), np.stack([x, y], 1)


def _frame(images: dict[str, np.ndarray]) -> tuple[int, int]:
    """Market-1501's frame when every point of the file lies in it, else DeepFashion's."""
    points = np.stack(list(images.values()))
    return MARKET if bool((points < MARKET).all()) else DEEPFASHION


def identify(path: Path) -> PoseFile | None:
    """By the header; every line is checked."""
    if not _is_csv(path):
        return None
    return PoseFile(path, "gfla", len(OPENPOSE_18.carried), dict.fromkeys(_images(path), 1))


def read(path: Path, clip: str | None, size: tuple[int, int] | None, fps: float | None) -> PoseSequence:
    """x' = x W/176, y' = y H/256 (Market: 64 and 128) on the image's own size; without one, on the annotated frame."""
    images = _images(path)
    frame = _frame(images)
    width, height = size or frame
    name = find_clip(path, list(images), clip)
    note = f"annotated on {frame[0]}x{frame[1]}"
    keypoints = pixels(images[name][None], frame, (width, height))
    return PoseSequence(keypoints, width, height, fps, notes=notes_of(note, OPENPOSE_18.note))


READER = Reader(identify, read)
