"""What an estimator is, and how the frames of a clip become a PoseSequence: enlarged, estimated, brought back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import cv2
import numpy as np

from signgen.errors import PoseError
from signgen.poses.readers.base import mark_missing, notes_of
from signgen.poses.sequence import PoseSequence

_MOST = 8  # times; what is smaller still holds no face


class Estimator(Protocol):
    """Opened for one clip and given its frames in order, so that it may follow the person from one to the next.

    short_side: px that it wants a frame's shorter side to have; 0: any size will do. note: what its points lack.
    """

    short_side: int
    note: str

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to (133, 3): x px, y px, score; a point it does not see has score 0."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def enlargement(width: int, height: int, short_side: int) -> int:
    """The whole factor, 1 to 8, that brings the shorter side nearest to `short_side`.

    >>> enlargement(210, 260, 600), enlargement(640, 360, 600), enlargement(480, 480, 600), enlargement(210, 260, 0)
    (3, 2, 1, 1)
    """
    return min(max(round(short_side / min(width, height)), 1), _MOST)


def extract(
    frames: Iterable[np.ndarray], estimator: Estimator, fps: float | None = None, short_side: int | None = None
) -> PoseSequence:
    """The person in the frames of one clip, in pixels of the frames as they are.

    frames: uint8 (H, W, 3) RGB, all of one size. short_side: instead of the one the estimator wants. Points that the
    estimator does not see are missing; nothing is filled in. Raises PoseError without frames.
    """
    wanted = estimator.short_side if short_side is None else short_side
    width = height = factor = 1
    people = []
    for frame in frames:
        height, width = frame.shape[:2]
        factor = enlargement(width, height, wanted)
        people.append(estimator.estimate(_enlarged(frame, factor)))
    if not people:
        raise PoseError("no frames to look for a person in", expected="at least one")
    keypoints = mark_missing(np.stack(people))
    found = PoseSequence(keypoints, width * factor, height * factor, fps, notes=notes_of(estimator.note))
    return found.resized(width, height)


def _enlarged(frame: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return np.ascontiguousarray(frame)
    size = (frame.shape[1] * factor, frame.shape[0] * factor)
    return cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
