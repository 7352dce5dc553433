"""The canvas: native frames and keypoints in, the model's size out, and rendered images back to native size."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np

_INTERPOLATED = 1.25  # the most that an axis is shrunk by without a low-pass filter before it


@dataclass(frozen=True)
class Canvas:
    """A `width` x `height` working size. squash: both axes scaled to fit exactly; pad: aspect kept, edges repeated.

    resample: see `resized`.
    """

    width: int
    height: int
    fit: Literal["squash", "pad"] = "squash"
    resample: Literal["area", "lanczos"] = "area"

    def fit_frame(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (h, w, 3) -> uint8 (height, width, 3)."""
        import cv2

        height, width = frame.shape[:2]
        x, y, inner_width, inner_height = self._inner(width, height)
        inner = resized(frame, inner_width, inner_height, self.resample)
        right, bottom = self.width - inner_width - x, self.height - inner_height - y
        return cv2.copyMakeBorder(inner, y, bottom, x, right, cv2.BORDER_REPLICATE)

    def restore_frame(self, image: np.ndarray, width: int, height: int) -> np.ndarray:
        """uint8 (self.height, self.width, 3) -> uint8 (height, width, 3): the inverse of `fit_frame`."""
        x, y, inner_width, inner_height = self._inner(width, height)
        return resized(image[y : y + inner_height, x : x + inner_width], width, height, self.resample)

    def fit_keypoints(self, keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
        """(..., 3) pixels of a `width` x `height` frame -> pixels of the canvas; scores and NaN are kept."""
        x, y, inner_width, inner_height = self._inner(width, height)
        scale = np.array([inner_width / width, inner_height / height, 1], np.float32)
        half = np.array([0.5, 0.5, 0], np.float32)  # pixel centres move as in cv2.resize
        return (keypoints + half) * scale - half + np.array([x, y, 0], np.float32)

    def restore_keypoints(self, keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
        """(..., 3) pixels of the canvas -> pixels of a `width` x `height` frame: the inverse of `fit_keypoints`."""
        x, y, inner_width, inner_height = self._inner(width, height)
        scale = np.array([width / inner_width, height / inner_height, 1], np.float32)
        half = np.array([0.5, 0.5, 0], np.float32)
        return (keypoints - np.array([x, y, 0], np.float32) + half) * scale - half

    def _inner(self, width: int, height: int) -> tuple[int, int, int, int]:
        """x, y, width, height of the frame's place on the canvas."""
        if self.fit == "squash":
            return 0, 0, self.width, self.height
        scale = min(self.width / width, self.height / height)
        inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
        return (self.width - inner_width) // 2, (self.height - inner_height) // 2, inner_width, inner_height


def shaped_like(width: int, height: int, pixels: int, step: int) -> tuple[int, int]:
    """Width and height, multiples of `step`, nearest to the shape of `width` x `height` and to so many pixels.

    >>> shaped_like(210, 260, 128 * 128, 16)
    (112, 144)
    """
    most = max(1, 2 * round(pixels**0.5 / step))
    sides = [step * count for count in range(1, 2 * most + 1)]

    def far(size: tuple[int, int]) -> float:
        shape, count = size[0] / size[1] / (width / height), size[0] * size[1] / pixels
        return abs(log(shape)) + abs(log(count))

    return min(((across, down) for across in sides for down in sides), key=far)


def resized(image: np.ndarray, width: int, height: int, resample: str) -> np.ndarray:
    """uint8 (h, w, 3) -> uint8 (height, width, 3), pixel centres as in cv2.resize.

    area, of models before 0.3: area averages where any axis shrinks, else cubic. Where one axis grows and the other
    shrinks, area averages repeat pixels on the growing one: 210x260 through 256x256 keeps .76 of the gradient energy.
    lanczos: each axis by itself. One that shrinks by more than a quarter goes through Pillow's Lanczos filter, which is
    widened by the factor and so a low-pass filter; one that grows, or shrinks less, is interpolated (OpenCV's Lanczos,
    8 points), which loses next to nothing.
    """
    import cv2

    old_height, old_width = image.shape[:2]
    if resample == "area":
        shrinks = width < old_width or height < old_height
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    across = width if old_width > width * _INTERPOLATED else old_width
    down = height if old_height > height * _INTERPOLATED else old_height
    if (across, down) != (old_width, old_height):
        from PIL import Image

        image = np.asarray(Image.fromarray(image).resize((across, down), Image.Resampling.LANCZOS))
    if (across, down) != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return image
