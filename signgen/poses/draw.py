"""Keypoints in, a pose picture out: uint8 RGB on black, drawn the way a palette says."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from signgen.poses.palettes import PALETTES, SIGNGEN_133, Colour, Dots, Limb, Palette, Stroke

__all__ = ["PALETTES", "SIGNGEN_133", "Palette", "Stroke", "draw_pose"]

_SHIFT = 4  # OpenCV takes coordinates in 1/16 px
_CHANNELS = np.arange(3)
_LONGEST_KEPT = 40  # px; half the length of ellipses whose pixels are kept for the next of that shape
_LIMIT = 1 << 14  # points far outside are cut, so that 16ths of a pixel stay within OpenCV's integers


def draw_pose(
    keypoints: np.ndarray,
    width: int,
    height: int,
    *,
    source_size: tuple[int, int] | None = None,
    palette: Palette = SIGNGEN_133,
) -> np.ndarray:
    """Draw one person.

    keypoints: (K, 3) x px, y px, score on a frame of `source_size` (width, height), by default the picture's own.
    Returns uint8 (height, width, 3) RGB. Points that are missing (NaN) or score less than the palette's threshold are
    not drawn, nor are the lines to them.
    """
    source_width, source_height = source_size or (width, height)
    scale = np.array([width / source_width, height / source_height])
    visible = np.isfinite(keypoints[:, :2]).all(1) & (keypoints[:, 2] >= palette.score_threshold)
    points = np.where(visible[:, None], keypoints[:, :2], 0) * scale
    if palette.middles:
        first, second = np.transpose(palette.middles)
        points = np.concatenate([points, (points[first] + points[second]) / 2])
        visible = np.concatenate([visible, visible[first] & visible[second]])
    picture = _Picture(width, height, np.clip(points, -_LIMIT, _LIMIT), visible, palette)
    for mark in palette.strokes:
        if isinstance(mark, Stroke):
            picture.stroke(mark)
        elif isinstance(mark, Limb):
            picture.limb(mark)
        else:
            picture.dots(mark)
    return picture.image


class _Picture:
    """A black image, and where the points lie on it."""

    def __init__(self, width: int, height: int, points: np.ndarray, visible: np.ndarray, palette: Palette) -> None:
        self.image = np.zeros((height, width, 3), np.uint8)
        self._unit = (width * height) ** 0.5
        self._points: list[list[float]] = points.tolist()
        self._visible: list[bool] = visible.tolist()
        self._opacity = palette.opacity
        self._line, self._shift = (cv2.LINE_AA, _SHIFT) if palette.antialias else (cv2.LINE_8, 0)
        scaled = np.rint(points * (1 << _SHIFT)) if palette.antialias else np.trunc(points)
        self._fixed = scaled.astype(np.int32)
        self._places: list[list[int]] = self._fixed.tolist()

    def _pixels(self, fraction: float) -> int:
        return max(1, round(fraction * self._unit))

    def stroke(self, stroke: Stroke) -> None:
        if any(self._visible[point] for point in stroke.unless):
            return
        thickness = self._pixels(stroke.width)
        for run in _runs(stroke.points, self._visible):
            cv2.polylines(self.image, [self._fixed[run]], False, stroke.colour, thickness, self._line, self._shift)

    def dots(self, dots: Dots) -> None:
        radius = self._pixels(dots.radius) << self._shift
        for point in dots.points:
            if self._visible[point]:
                cv2.circle(self.image, self._places[point], radius, dots.colour, cv2.FILLED, self._line, self._shift)

    def limb(self, limb: Limb) -> None:
        """As OpenPose's users draw it: centre, half length and angle are cut to whole pixels and degrees."""
        if not all(self._visible[point] for point in limb.points):
            return
        points = [self._points[point] for point in limb.points]
        x, y = (int(sum(values) / len(points)) for values in zip(*points, strict=True))
        (x0, y0), (x1, y1) = points[:2]
        angle = int(math.degrees(math.atan2(y0 - y1, x0 - x1)))
        axes = int(math.hypot(x0 - x1, y0 - y1) / 2), self._pixels(limb.half_width)
        place = self._ellipse(x, y, axes, angle)
        pixels = self.image.reshape(-1, 3)
        if self._opacity < 1:
            pixels[place] = _blending(limb.colour, self._opacity)[pixels[place], _CHANNELS]
        else:
            pixels[place] = limb.colour

    def _ellipse(self, x: int, y: int, axes: tuple[int, int], angle: int) -> np.ndarray:
        """Numbers of the pixels inside. The shape of a short one is likely to be known already."""
        height, width = self.image.shape[:2]
        reach = max(axes) + 1
        if reach <= _LONGEST_KEPT and reach <= x < width - reach and reach <= y < height - reach:
            columns, rows = _short_ellipse(*axes, angle)
            return (rows + y) * width + columns + x
        inside = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(inside, cv2.ellipse2Poly((x, y), axes, angle, 0, 360, 1), 1)
        return np.flatnonzero(inside)


@lru_cache(maxsize=1024)
def _blending(colour: Colour, opacity: float) -> np.ndarray:
    """uint8 (256, 3): what each value of each channel becomes under `colour`, rounded."""
    below = np.arange(256)[:, None]
    return np.rint(below * (1 - opacity) + np.multiply(colour, opacity)).astype(np.uint8)


@lru_cache(maxsize=4096)
def _short_ellipse(half_length: int, half_width: int, angle: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows, from its centre, of the pixels of a filled ellipse."""
    reach = max(half_length, half_width) + 1
    outline = cv2.ellipse2Poly((reach, reach), (half_length, half_width), angle, 0, 360, 1)
    filled = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    cv2.fillConvexPoly(filled, outline, 1)
    rows, columns = np.nonzero(filled)
    return columns - reach, rows - reach


def _runs(points: tuple[int, ...], visible: list[bool]) -> list[list[int]]:
    """The parts of a stroke, two points or longer, whose points are all visible."""
    runs: list[list[int]] = [[]]
    for point in points:
        if visible[point]:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]
