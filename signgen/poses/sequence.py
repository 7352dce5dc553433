"""PoseSequence: the one representation of keypoints inside signgen; every format converts to it at the edge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from signgen.errors import PoseError
from signgen.files import atomic_path
from signgen.poses.skeletons import SKELETONS, Skeleton

FILE_SUFFIX = ".poses.npz"


def usable_fps(fps: float) -> float | None:
    """`fps`, or None where a file holds no rate that a video can have."""
    return float(fps) if 0 < fps < 10_000 else None


def window_frames(frame: int, frames: int, window: int) -> list[int]:
    """The frame, then its neighbours up to `window` frames away, nearest first, the earlier one before the later.

    At the ends of a clip of `frames` the end frame is repeated.

    >>> window_frames(0, 10, 2)
    [0, 0, 1, 0, 2]
    """
    away = [0, *(sign * distance for distance in range(1, window + 1) for sign in (-1, 1))]
    return [min(max(frame + step, 0), frames - 1) for step in away]


@dataclass(frozen=True)
class PoseSequence:
    """Keypoints of one person over time.

    keypoints: float32 (T, K, 3) = x px, y px, score; origin top-left of a `width` x `height` frame.
        A missing point has x = y = NaN and score 0. Scores are HRNet's (0.006 to 1.85), or were
        brought to their scale by the reader (scores.py).
    fps: frames per second, or None where the format does not say.
    notes: what a reader had to decide, e.g. which of several people it followed; not saved.
    """

    keypoints: np.ndarray
    width: int
    height: int
    fps: float | None = None
    skeleton: str = "coco-wholebody-133"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.keypoints.shape
        points = self.layout.points
        if len(shape) != 3 or shape[1:] != (points, 3) or self.keypoints.dtype != np.float32:
            raise PoseError(f"keypoints of shape {shape}, {self.keypoints.dtype}", expected=f"float32 (T, {points}, 3)")

    @property
    def layout(self) -> Skeleton:
        """The skeleton's index ranges."""
        try:
            return SKELETONS[self.skeleton]
        except KeyError:
            raise PoseError(f"unknown skeleton {self.skeleton!r}", expected=f"one of {sorted(SKELETONS)}") from None

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, frames: slice) -> PoseSequence:
        return replace(self, keypoints=self.keypoints[frames])

    @property
    def present(self) -> np.ndarray:
        """bool (T, K): the point is there."""
        return np.isfinite(self.keypoints[..., 0]) & np.isfinite(self.keypoints[..., 1])

    @property
    def has_person(self) -> np.ndarray:
        """bool (T,): at least one point of the frame is there."""
        return np.asarray(self.present.any(-1))

    @property
    def is_clean(self) -> bool:
        """Every coordinate is finite or NaN, and every score finite."""
        return not bool(np.isinf(self.keypoints).any() or np.isnan(self.keypoints[..., 2]).any())

    def resized(self, width: int, height: int) -> PoseSequence:
        """The same poses on a `width` x `height` frame, x and y scaled independently; pixel centres stay centres."""
        scaled = self.keypoints.copy()
        for axis, ratio in enumerate((width / self.width, height / self.height)):
            scaled[..., axis] = (scaled[..., axis] + 0.5) * ratio - 0.5
        return replace(self, keypoints=scaled, width=width, height=height)

    def noted(self, *notes: str) -> PoseSequence:
        """The same poses with further notes; empty ones are left out."""
        return replace(self, notes=(*self.notes, *filter(None, notes)))

    def save(self, path: Path) -> None:
        """Write signgen's own file, atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            self.write(handle)

    def write(self, handle: BinaryIO) -> None:
        """signgen's own file: an uncompressed .npz without pickles, the same bytes for the same poses."""
        np.savez(
            handle,
            keypoints=self.keypoints,
            size=np.array([self.width, self.height], np.int32),
            fps=np.array(np.nan if self.fps is None else self.fps, np.float64),
            skeleton=np.array(self.skeleton),
        )

    @classmethod
    def load(cls, path: Path) -> PoseSequence:
        """Read a file written by `save`. Raises PoseError when it is something else."""
        try:
            with np.load(path, allow_pickle=False) as data:
                fps = float(data["fps"])
                width, height = (int(v) for v in data["size"])
                poses = cls(data["keypoints"], width, height, usable_fps(fps), str(data["skeleton"]))
        except PoseError as error:
            raise PoseError(f"{path}: {error}") from error
        except Exception as error:  # a damaged zip, header or compressed stream raises anything
            reason = f"{type(error).__name__}: {error}"[:200]
            raise PoseError(
                f"{path}: not a signgen pose file ({reason})", expected="a .poses.npz written by signgen"
            ) from error
        if not 0 < width < 2**16 or not 0 < height < 2**16 or not len(poses) or not poses.is_clean:
            raise PoseError(f"{path}: damaged: {len(poses)} frames of {width}x{height}", expected="finite numbers")
        return poses
