"""PoseSequence: the one representation of keypoints inside signgen; every format converts to it at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from signgen.errors import PoseError
from signgen.files import atomic_path
from signgen.poses.skeletons import SKELETONS, Skeleton

FILE_SUFFIX = ".poses.npz"
EXTRA = "extra_"  # before the name of optional points in a file


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
    extra: optional points that the skeleton lacks, by name ("pupils", the right and the left one): float32 (T, N, 3)
        like keypoints. They are saved and moved along with the others; no palette, model or metric sees them.
    """

    keypoints: np.ndarray
    width: int
    height: int
    fps: float | None = None
    skeleton: str = "coco-wholebody-133"
    notes: tuple[str, ...] = ()
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.keypoints.shape
        points = self.layout.points
        if len(shape) != 3 or shape[1:] != (points, 3) or self.keypoints.dtype != np.float32:
            raise PoseError(f"keypoints of shape {shape}, {self.keypoints.dtype}", expected=f"float32 (T, {points}, 3)")
        for name, more in self.extra.items():
            if more.ndim != 3 or more.shape[::2] != (shape[0], 3) or more.dtype != np.float32:
                expected = f"float32 ({shape[0]}, N, 3)"
                raise PoseError(f"optional points {name} of shape {more.shape}, {more.dtype}", expected=expected)

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
        return self.with_points(self.all_points[frames])

    @property
    def all_points(self) -> np.ndarray:
        """float32 (T, K + N, 3): the keypoints, then the optional points, in the order of `extra`."""
        return np.concatenate([self.keypoints, *self.extra.values()], 1) if self.extra else self.keypoints

    def with_points(self, points: np.ndarray, **changes: Any) -> PoseSequence:
        """The same poses with what has become of `all_points`, float32 (T', K + N, 3), and other fields changed."""
        ends = accumulate([self.layout.points, *(more.shape[1] for more in self.extra.values())])
        parts = (points[:, start:stop] for start, stop in pairwise(ends))
        keypoints = points[:, : self.layout.points] if self.extra else points
        return replace(self, keypoints=keypoints, extra=dict(zip(self.extra, parts, strict=True)), **changes)

    def places(self, name: str) -> range:
        """Where in `all_points` the optional points of this name are; empty where there are none."""
        start = self.layout.points
        for other, more in self.extra.items():
            if other == name:
                return range(start, start + more.shape[1])
            start += more.shape[1]
        return range(0)

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
        points = self.all_points
        return not bool(np.isinf(points).any() or np.isnan(points[..., 2]).any())

    def resized(self, width: int, height: int) -> PoseSequence:
        """The same poses on a `width` x `height` frame, x and y scaled independently; pixel centres stay centres. These
        poses themselves, where they are on such a frame already."""
        if (width, height) == (self.width, self.height):
            return self
        scaled = self.all_points.copy()
        for axis, ratio in enumerate((width / self.width, height / self.height)):
            scaled[..., axis] = (scaled[..., axis] + 0.5) * ratio - 0.5
        return self.with_points(scaled, width=width, height=height)

    def cropped(self, start: np.ndarray | tuple[int, int], width: int, height: int) -> PoseSequence:
        """The same poses on the part of the frame that begins at `start`: x, y, or (T, 2) of every frame. Points
        outside of it stay outside."""
        moved = self.all_points.copy()
        moved[..., :2] -= np.asarray(start, np.float32).reshape(-1, 1, 2)
        return self.with_points(moved, width=width, height=height)

    def noted(self, *notes: str) -> PoseSequence:
        """The same poses with further notes; empty ones are left out."""
        return replace(self, notes=(*self.notes, *filter(None, notes)))

    def save(self, path: Path) -> None:
        """Write signgen's own file, atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            self.write(handle)

    def write(self, handle: BinaryIO) -> None:
        """signgen's own file: an uncompressed .npz without pickles, the same bytes for the same poses."""
        arrays: dict[str, Any] = {
            "keypoints": self.keypoints,
            "size": np.array([self.width, self.height], np.int32),
            "fps": np.array(np.nan if self.fps is None else self.fps, np.float64),
            "skeleton": np.array(self.skeleton),
        }
        arrays |= {EXTRA + name: points for name, points in self.extra.items()}
        np.savez(handle, **arrays)

    @classmethod
    def load(cls, path: Path) -> PoseSequence:
        """Read a file written by `save`. Raises PoseError when it is something else."""
        try:
            with np.load(path, allow_pickle=False) as data:
                fps = float(data["fps"])
                width, height = (int(v) for v in data["size"])
                extra = {name.removeprefix(EXTRA): data[name] for name in data.files if name.startswith(EXTRA)}
                poses = cls(data["keypoints"], width, height, usable_fps(fps), str(data["skeleton"]), extra=extra)
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
