"""A pair set and a canvas in, frames and keypoints of the canvas size out: videos in runs, images one by one."""

from __future__ import annotations

import numpy as np

from signgen.data.array_cache import ArrayCache
from signgen.data.canvas import Canvas
from signgen.data.pairset import PairSet
from signgen.data.video import FrameSource

FRAME_BYTES, POSE_BYTES = 2 << 30, 256 << 20
RUN = 128  # frames of a video that are decoded together; a single one from a long GOP costs about as much


class CanvasFrames:
    """Frames and keypoints of a pair set on the canvas, the latest of them kept in memory."""

    def __init__(self, pairs: PairSet, canvas: Canvas) -> None:
        self.pairs, self.canvas = pairs, canvas
        self._runs, self._keypoints = ArrayCache(FRAME_BYTES), ArrayCache(POSE_BYTES)
        self._images: dict[str, FrameSource] = {}  # opening one lists its folder; a video's reader is not kept open

    def __call__(self, clip: str, frame: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        run = RUN if clip in self.pairs.decoded_in_runs else 1
        start = frame // run * run
        image = self._runs.get((clip, start), lambda: self._read(clip, start, run))[frame - start]
        return image if self._fits_early(clip) else self.canvas.fit_frame(image)

    def keypoints(self, clip: str) -> np.ndarray:
        """float32 (T, K, 3) in canvas pixels."""
        return self._keypoints.get(clip, lambda: self._fit_keypoints(clip))

    def _read(self, clip: str, start: int, run: int) -> np.ndarray:
        source = self.pairs.training_frames(clip) if run > 1 else self._opened(clip)
        frames = source.read(start, min(start + run, source.num_frames))
        return np.stack([self.canvas.fit_frame(frame) for frame in frames]) if self._fits_early(clip) else frames

    def _fits_early(self, clip: str) -> bool:
        """Whether frames are kept at the canvas size: where it is the smaller; else most would be fitted in vain."""
        record = self.pairs.clip(clip)
        return self.canvas.width * self.canvas.height < record.width * record.height

    def _opened(self, clip: str) -> FrameSource:
        if clip not in self._images:
            self._images[clip] = self.pairs.training_frames(clip)
        return self._images[clip]

    def _fit_keypoints(self, clip: str) -> np.ndarray:
        poses = self.pairs.poses(clip)
        return self.canvas.fit_keypoints(poses.keypoints, poses.width, poses.height)
