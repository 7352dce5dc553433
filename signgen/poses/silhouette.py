"""Where in a frame a person may be, and where hands and mouth are: keypoints in, soft masks out.

Generous on purpose: keypoints say nothing of hair, sleeves and skirts. What lies outside is background for sure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from signgen.poses.parts import layout_of, visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133

MOUTH = range(71, 91)  # of 133 points
# Limbs from the trunk on, hips, and points of the head that both skeletons have, by number of points.
_ARMS = {133: ((5, 7, 9), (6, 8, 10)), 18: ((5, 6, 7), (2, 3, 4))}
_LEGS = {133: ((11, 13, 15), (12, 14, 16)), 18: ((11, 12, 13), (8, 9, 10))}
_HEAD = {133: (*range(5), *COCO_WHOLEBODY_133.face), 18: (0, 14, 15, 16, 17)}

# In shoulder widths.
_HEAD_REACH, _LEAST_HEAD = 0.32, 0.55  # beyond the head's points, for hair; and at least this radius
_TRUNK, _ARM, _LEG, _HAND, _WRIST = 0.25, 0.45, 0.6, 0.18, 0.4
_FEATHER = 0.06
_MOST = 256  # the longer side that masks are drawn at


def person_mask(keypoints: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """float32 (height, width): 1 where the person may be, 0 where only background is, soft between.

    keypoints: (K, 3) in pixels of the frame. Without hips in view the trunk reaches to the lower border. None where
    the shoulders are not seen: nothing is known to be background then.
    """
    drawing = _Drawing.of(keypoints, width, height)
    if drawing is None:
        return None
    points = len(keypoints)
    drawing.head(_HEAD[points])
    drawing.trunk([leg[0] for leg in _LEGS[points]], [arm[0] for arm in _ARMS[points]])
    for limb in _ARMS[points]:
        drawing.limb(limb, _ARM)
        drawing.discs(limb[2:], _WRIST)
    for limb in _LEGS[points]:
        drawing.limb(limb, _LEG)
    layout = layout_of(points)
    for hand in (layout.left_hand, layout.right_hand):
        drawing.hull(hand, _HAND)
    return drawing.soft(_FEATHER)


def delicate_mask(keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 (height, width): 1 on hands and mouth, where nothing may be smoothed, 0 away from them.

    All ones where the shoulders are not seen.
    """
    drawing = _Drawing.of(keypoints, width, height)
    if drawing is None:
        return np.ones((height, width), np.float32)
    layout = layout_of(len(keypoints))
    for hand in (layout.left_hand, layout.right_hand):
        drawing.hull(hand, _HAND)
    drawing.discs([arm[2] for arm in _ARMS[len(keypoints)]], _WRIST)
    if layout is COCO_WHOLEBODY_133:
        drawing.hull(MOUTH, 0.1)
    else:
        drawing.discs(_HEAD[18][:1], 0.3)
    return drawing.soft(_FEATHER)


class _Drawing:
    """A mask that is drawn at a small size and brought to the frame's at the end."""

    def __init__(self, points: np.ndarray, seen: np.ndarray, shoulders: float, size: tuple[int, int]) -> None:
        self._scale = min(1.0, _MOST / max(size))
        self._size = size
        self._points, self._seen = points * self._scale, seen
        self._unit = shoulders * self._scale
        width, height = (max(1, round(side * self._scale)) for side in size)
        self._mask = np.zeros((height, width), np.uint8)

    @classmethod
    def of(cls, keypoints: np.ndarray, width: int, height: int) -> _Drawing | None:
        """None where the shoulders are not seen."""
        layout, seen = layout_of(len(keypoints)), visible(keypoints)
        if not (seen[layout.left_shoulder] and seen[layout.right_shoulder]):
            return None
        points = np.nan_to_num(keypoints[:, :2].astype(np.float64))
        apart = float(np.linalg.norm(points[layout.left_shoulder] - points[layout.right_shoulder]))
        head = points[[p for p in _HEAD[len(keypoints)] if seen[p]]]
        tall = float(np.ptp(head, axis=0).max()) if len(head) else 0.0
        return cls(points, seen, max(apart, 1.2 * tall, 2.0), (width, height))  # turned shoulders are close together

    def _where(self, numbers: Iterable[int]) -> np.ndarray:
        return self._points[[number for number in numbers if self._seen[number]]]

    def _thick(self, widths: float) -> int:
        return max(1, round(widths * self._unit))

    def head(self, numbers: Sequence[int]) -> None:
        found = self._where(numbers)
        if len(found):
            low, high = found.min(0), found.max(0)
            radius = max(_LEAST_HEAD * self._unit, float((high - low).max()) / 2 + _HEAD_REACH * self._unit)
            centre = (low + high) / 2 - (0, 0.12 * radius)
            cv2.circle(self._mask, _pixel(centre), round(radius), 255, cv2.FILLED)

    def trunk(self, hips: Sequence[int], shoulders: Sequence[int]) -> None:
        left, right = (self._points[number] for number in shoulders)
        across = (left - right) / max(float(np.linalg.norm(left - right)), 1.0)
        lower = self._where(hips)
        bottom = float(self._mask.shape[0]) + self._unit
        ends = [(left[0], bottom), (right[0], bottom)] if len(lower) < 2 else list(lower)
        out = across * self._unit * _TRUNK
        corners = np.array([left + out, right - out, ends[1] - out, ends[0] + out])
        cv2.fillConvexPoly(self._mask, cv2.convexHull(np.round(corners).astype(np.int32)), 255)
        cv2.polylines(self._mask, [np.round(corners).astype(np.int32)], True, 255, self._thick(_TRUNK))
        neck = (left + right) / 2
        cv2.line(self._mask, _pixel(neck), _pixel(neck - (0, 0.6 * self._unit)), 255, self._thick(0.6))

    def limb(self, numbers: Sequence[int], widths: float) -> None:
        for first, second in itertools.pairwise(numbers):
            if self._seen[first] and self._seen[second]:
                ends = _pixel(self._points[first]), _pixel(self._points[second])
                cv2.line(self._mask, *ends, 255, self._thick(widths))

    def discs(self, numbers: Iterable[int], widths: float) -> None:
        for point in self._where(numbers):
            cv2.circle(self._mask, _pixel(point), self._thick(widths), 255, cv2.FILLED)

    def hull(self, numbers: Sequence[int], reach: float) -> None:
        found = self._where(numbers)
        if len(found) >= 3:
            outline = cv2.convexHull(np.round(found).astype(np.int32))
            cv2.fillConvexPoly(self._mask, outline, 255)
            cv2.polylines(self._mask, [outline], True, 255, 2 * self._thick(reach))

    def soft(self, feather: float) -> np.ndarray:
        soft = cv2.GaussianBlur(self._mask, (0, 0), max(0.5, feather * self._unit))
        return cv2.resize(soft, self._size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(np.round(point), -(1 << 14), 1 << 14).astype(int)
    return int(x), int(y)
