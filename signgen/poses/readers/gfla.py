"""GFLA/CFLD CSV in (`name:keypoints_y:keypoints_x`, many images, -1 missing), PoseSequence of one image out.

The skeleton is openpose-18, whose neck is annotated: `to_skeleton` makes others of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from signgen.errors import PoseError
from signgen.poses.readers.base import PoseFile, Reader, Wanted, find_clip, starts_with
from signgen.poses.readers.fpdm import FRAME, PADDING, pixels
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import OPENPOSE_18

_HEADER = "name:keypoints_y:keypoints_x"
_BOM = b"\xef\xbb\xbf"
_EXPECTED = "name: [18 y]: [18 x]"


@dataclass(frozen=True)
class Annotated:
    """The frame that points lie on: `width` x `height`, of which `padding` columns on either side are not the image."""

    width: int
    height: int
    padding: int = 0

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the image on it."""
        return self.width - 2 * self.padding, self.height


DEEPFASHION, MARKET = Annotated(*FRAME), Annotated(64, 128)
SQUARE = Annotated(FRAME[0] + 2 * PADDING, FRAME[1], PADDING)
_STRAY = 0.01  # of all points: so many may lie off the frame without making it another one


def _is_csv(path: Path) -> bool:
    return starts_with(path).removeprefix(_BOM).startswith(_HEADER.encode())


def images_of(path: Path) -> tuple[dict[str, np.ndarray], Annotated]:
    """Image name -> (18, 2) x, y as written, and the frame they lie on; kept for the next call, since pairing asks
    image by image. Raises PoseError for a damaged line, naming it.
    """
    stat = path.stat()
    return _parsed(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _parsed(path: str, mtime_ns: int, size: int) -> tuple[dict[str, np.ndarray], Annotated]:
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
    return images, _frame(images)


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


def _frame(images: dict[str, np.ndarray]) -> Annotated:
    """Market-1501's frame when every point lies in it; else DeepFashion's, 176 wide in the lists called
    `fasion-resize-*`, and the padded square where a share of the points lies to the right of that.
    """
    points = np.stack(list(images.values()))
    if bool((points < MARKET.inner).all()):
        return MARKET
    there = points[(points != -1).all(-1)]
    return SQUARE if float((there[:, 0] >= DEEPFASHION.width).mean()) > _STRAY else DEEPFASHION


def identify(path: Path) -> PoseFile | None:
    """By the header; every line is checked."""
    if not _is_csv(path):
        return None
    return PoseFile(path, "gfla", OPENPOSE_18.points, dict.fromkeys(images_of(path)[0], 1))


def read(path: Path, wanted: Wanted) -> PoseSequence:
    """x' = x W/176, y' = y H/256 (Market: 64 and 128; square: x - 40 for x) on the image's own size.

    Without one, on the annotated frame.
    """
    images, frame = images_of(path)
    name = find_clip(path, images, wanted.clip)
    note = f"annotated on {frame.width}x{frame.height}"
    if wanted.size is None:
        keypoints = pixels(images[name][None], (frame.width, frame.height), (frame.width, frame.height))
        return PoseSequence(keypoints, frame.width, frame.height, wanted.fps, OPENPOSE_18.name, (note,))
    keypoints = pixels(images[name][None], frame.inner, wanted.size, frame.padding)
    return PoseSequence(keypoints, *wanted.size, wanted.fps, OPENPOSE_18.name, (note,))


READER = Reader(identify, read)
