"""The canvas: native frames and keypoints in, the model's size out, and rendered images back to native size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Canvas:
    """A `width` x `height` working size. squash: both axes scaled to fit exactly; pad: aspect kept, edges repeated."""

    width: int
    height: int
    fit: Literal["squash", "pad"] = "squash"

    def fit_frame(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (h, w, 3) -> uint8 (height, width, 3)."""
        import cv2

        height, width = frame.shape[:2]
        x, y, inner_width, inner_height = self._inner(width, height)
        shrinks = inner_width < width or inner_height < height
        resized = cv2.resize(
            frame, (inner_width, inner_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        right, bottom = self.width - inner_width - x, self.height - inner_height - y
        return cv2.copyMakeBorder(resized, y, bottom, x, right, cv2.BORDER_REPLICATE)

    def restore_frame(self, image: np.ndarray, width: int, height: int) -> np.ndarray:
        """uint8 (self.height, self.width, 3) -> uint8 (height, width, 3): the inverse of `fit_frame`."""
        import cv2

        x, y, inner_width, inner_height = self._inner(width, height)
        inner = image[y : y + inner_height, x : x + inner_width]
        shrinks = inner_width > width or inner_height > height
        return cv2.resize(inner, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)

    def fit_keypoints(self, keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
        """(..., 3) pixels of a `width` x `height` frame -> pixels of the canvas; scores and NaN are kept."""
        x, y, inner_width, inner_height = self._inner(width, height)
        scale = np.array([inner_width / width, inner_height / height, 1], np.float32)
        half = np.array([0.5, 0.5, 0], np.float32)  # pixel centres move as in cv2.resize
        return (keypoints + half) * scale - half + np.array([x, y, 0], np.float32)

    def _inner(self, width: int, height: int) -> tuple[int, int, int, int]:
        """x, y, width, height of the frame's place on the canvas."""
        if self.fit == "squash":
            return 0, 0, self.width, self.height
        scale = min(self.width / width, self.height / height)
        inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
        return (self.width - inner_width) // 2, (self.height - inner_height) // 2, inner_width, inner_height
