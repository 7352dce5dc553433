"""A pair set and a canvas in, frames and keypoints of the canvas size out.

Videos are decoded in runs of consecutive frames, all that training uses of a run at once; images are read one by one.
"""

from __future__ import annotations

import numpy as np

from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.training.data.caches import array_cache
from signgen.video.reader import FrameSource

FRAME_BYTES, POSE_BYTES = 3 << 30, 256 << 20
_NONE = np.empty(0, int)
RUN = 128  # frames of a video that are decoded in one go; a single one from a long GOP costs about as much


class CanvasFrames:
    """Frames and keypoints of a pair set on the canvas; those used last are kept in memory."""

    def __init__(self, pairs: PairSet, canvas: Canvas) -> None:
        self.pairs, self.canvas = pairs, canvas
        self._runs, self._keypoints = array_cache(FRAME_BYTES), array_cache(POSE_BYTES)
        self._used = pairs.used_frames()
        self._images: dict[str, FrameSource] = {}  # opening one lists its folder; a video's reader is not kept open

    def __call__(self, clip: str, frame: int) -> np.ndarray:
        """A frame, uint8 (H, W, 3) RGB on the canvas."""
        wanted = self._read_with(clip, frame)
        images = self._runs.get((clip, wanted[0]), lambda: self._read(clip, wanted))
        image = images[np.searchsorted(wanted, frame)]
        return image if self._fits_early(clip) else self.canvas.fit_frame(image)

    def keypoints(self, clip: str) -> np.ndarray:
        """float32 (T, K, 3) in canvas pixels."""
        return self._keypoints.get(clip, lambda: self._fit_keypoints(clip))

    def _read_with(self, clip: str, frame: int) -> np.ndarray:
        """Numbers of the frames to read together with this one, ascending: those of its run that training uses."""
        used = self._used.get(clip, _NONE) if clip in self.pairs.decoded_in_runs else _NONE
        start = frame // RUN * RUN
        run = used[np.searchsorted(used, start) : np.searchsorted(used, start + RUN)]
        return run if frame in run else np.array([frame])

    def _read(self, clip: str, frames: np.ndarray) -> np.ndarray:
        images = self._opened(clip).pick(frames)
        return np.stack([self.canvas.fit_frame(image) for image in images]) if self._fits_early(clip) else images

    def _fits_early(self, clip: str) -> bool:
        """Whether frames are resized before they are kept: only if the canvas is smaller than the video's frames."""
        record = self.pairs.clip(clip)
        return self.canvas.width * self.canvas.height < record.width * record.height

    def _opened(self, clip: str) -> FrameSource:
        if clip in self.pairs.decoded_in_runs:
            return self.pairs.training_frames(clip)
        if clip not in self._images:
            self._images[clip] = self.pairs.training_frames(clip)
        return self._images[clip]

    def _fit_keypoints(self, clip: str) -> np.ndarray:
        poses = self.pairs.poses(clip)
        return self.canvas.fit_keypoints(poses.keypoints, poses.width, poses.height)
