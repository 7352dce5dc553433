"""Baselines a model must beat: each maps (frame index, target keypoints) to a uint8 RGB frame, or to None."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from signgen.data.video import FrameSource
from signgen.errors import PairSetError
from signgen.poses.parts import pose_distance

CACHED_FRAMES = 64


class CopySource:
    """The source frame, uint8 (H, W, 3), whatever the pose."""

    def __init__(self, frame: np.ndarray) -> None:
        self._frame = frame

    def __call__(self, frame_index: int, keypoints: np.ndarray | None) -> np.ndarray:
        return self._frame


class NearestPose:
    """The frame with the closest pose among known frames; frames are read when they are first needed.

    keypoints: float32 (N, K, 3) in px of the target's frame size, one row per known frame.
    places: the N pairs (clip name, frame number in that clip).
    open_clip: clip name -> its frames.
    """

    def __init__(
        self, keypoints: np.ndarray, places: list[tuple[str, int]], open_clip: Callable[[str], FrameSource]
    ) -> None:
        if len(keypoints) != len(places) or not places:
            raise PairSetError(
                f"{len(keypoints)} poses for {len(places)} frames", expected="one for each, at least one"
            )
        self._keypoints, self._places, self._open_clip = keypoints, places, open_clip
        self._sources: dict[str, FrameSource] = {}
        self._frames: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __call__(self, frame_index: int, keypoints: np.ndarray | None) -> np.ndarray | None:
        """The nearest frame, or None where the target has no pose that could be compared."""
        if keypoints is None:
            return None
        distances = pose_distance(keypoints, self._keypoints)
        best = int(np.argmin(np.where(np.isnan(distances), np.inf, distances)))
        return self._read(best) if np.isfinite(distances[best]) else None

    def _read(self, index: int) -> np.ndarray:
        if index not in self._frames:
            clip, number = self._places[index]
            if clip not in self._sources:
                self._sources[clip] = self._open_clip(clip)
            self._frames[index] = self._sources[clip].read(number, number + 1)[0]
        self._frames.move_to_end(index)
        if len(self._frames) > CACHED_FRAMES:
            self._frames.popitem(last=False)
        return self._frames[index]
