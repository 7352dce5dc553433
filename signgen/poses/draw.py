"""Keypoints in, a pose picture out: uint8 RGB on black, drawn the way a palette says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import cv2
import numpy as np

Colour = tuple[int, int, int]

_SHIFT = 4  # OpenCV takes coordinates in 1/16 px
_LIMIT = 1 << 14  # points far outside are cut, so that 16ths of a pixel stay within OpenCV's integers
_DRAWING = 1  # raise when the code below changes pixels


@dataclass(frozen=True)
class Stroke:
    """A line through `points`; drawn in pieces where some are missing."""

    points: tuple[int, ...]
    colour: Colour
    width: float  # fraction of the image, the root of its area; at least one pixel


@dataclass(frozen=True)
class Palette:
    """Everything that influences the pixels of a pose picture. Later strokes cover earlier ones."""

    name: str
    skeleton: str
    score_threshold: float
    strokes: tuple[Stroke, ...]

    def fingerprint(self) -> str:
        """12 hex digits; equal when the pictures are equal."""
        content = json.dumps([_DRAWING, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def _hand(first: int, colours: Iterable[Colour], width: float) -> tuple[Stroke, ...]:
    """Five fingers from the wrist on, thumb first, each with its colour."""
    fingers = [(first, *range(first + 1 + 4 * finger, first + 5 + 4 * finger)) for finger in range(5)]
    return tuple(Stroke(points, colour, width) for points, colour in zip(fingers, colours, strict=True))


_BODY_WIDTH, _HAND_WIDTH, _FACE_WIDTH = 0.016, 0.007, 0.005
_LEFT_FINGERS = ((255, 60, 60), (255, 140, 0), (255, 225, 0), (255, 120, 170), (255, 90, 255))
_RIGHT_FINGERS = ((60, 110, 255), (0, 190, 255), (0, 255, 200), (110, 255, 60), (170, 120, 255))
_BODY = (
    Stroke((5, 6), (110, 110, 110), _BODY_WIDTH),
    Stroke((11, 12), (80, 80, 80), _BODY_WIDTH),
    Stroke((5, 11), (130, 70, 60), _BODY_WIDTH),
    Stroke((6, 12), (60, 80, 130), _BODY_WIDTH),
    Stroke((5, 7), (190, 80, 40), _BODY_WIDTH),
    Stroke((6, 8), (40, 90, 190), _BODY_WIDTH),
    Stroke((7, 9), (220, 130, 60), _BODY_WIDTH),
    Stroke((8, 10), (60, 150, 220), _BODY_WIDTH),
)
_FACE = (
    Stroke(tuple(range(23, 40)), (150, 150, 150), _FACE_WIDTH),  # jaw
    Stroke(tuple(range(40, 45)), (90, 200, 120), _FACE_WIDTH),  # brows
    Stroke(tuple(range(45, 50)), (90, 200, 120), _FACE_WIDTH),
    Stroke(tuple(range(50, 54)), (200, 200, 90), _FACE_WIDTH),  # nose
    Stroke(tuple(range(54, 59)), (200, 200, 90), _FACE_WIDTH),
    Stroke((*range(59, 65), 59), (230, 230, 230), _FACE_WIDTH),  # eyes
    Stroke((*range(65, 71), 65), (230, 230, 230), _FACE_WIDTH),
    Stroke((*range(71, 83), 71), (230, 80, 110), _FACE_WIDTH),  # mouth, outer and inner
    Stroke((*range(83, 91), 83), (150, 40, 70), _FACE_WIDTH),
)

SIGNGEN_133 = Palette(
    name="signgen-133-v1",
    skeleton="coco-wholebody-133",
    score_threshold=0.3,
    strokes=(*_BODY, *_FACE, *_hand(91, _LEFT_FINGERS, _HAND_WIDTH), *_hand(112, _RIGHT_FINGERS, _HAND_WIDTH)),
)

PALETTES = {palette.name: palette for palette in (SIGNGEN_133,)}


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
    fixed = np.rint(np.clip(points, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32)
    unit = (width * height) ** 0.5
    image = np.zeros((height, width, 3), np.uint8)
    for stroke in palette.strokes:
        thickness = max(1, round(stroke.width * unit))
        for run in _runs(stroke.points, visible):
            cv2.polylines(image, [fixed[run]], False, stroke.colour, thickness, cv2.LINE_AA, _SHIFT)
    return image


def _runs(points: tuple[int, ...], visible: np.ndarray) -> list[list[int]]:
    """The parts of a stroke, two points or longer, whose points are all visible."""
    runs: list[list[int]] = [[]]
    for point in points:
        if visible[point]:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]
