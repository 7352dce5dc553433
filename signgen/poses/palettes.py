"""Palettes: which lines, ellipses and dots a pose picture consists of, in which colours, widths and order."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise

import numpy as np

Colour = tuple[int, int, int]

_DRAWING = 1  # raise when signgen.poses.draw changes the pixels of every palette


@dataclass(frozen=True)
class Stroke:
    """A line through `points`; drawn in pieces where some are missing.

    unless: it is not drawn where any of these points is seen.
    """

    points: tuple[int, ...]
    colour: Colour
    width: float  # fraction of the image, the root of its area; at least one pixel
    unless: tuple[int, ...] = ()


@dataclass(frozen=True)
class Limb:
    """A filled ellipse, as long as its first two points are apart, about the middle of all of them."""

    points: tuple[int, ...]
    colour: Colour
    half_width: float  # fraction of the image, at least one pixel


@dataclass(frozen=True)
class Dots:
    """A disc on every point."""

    points: tuple[int, ...]
    colour: Colour
    radius: float  # fraction of the image, at least one pixel


Mark = Stroke | Limb | Dots


@dataclass(frozen=True)
class Palette:
    """Everything that influences the pixels of a pose picture. Later marks cover earlier ones.

    middles: pairs of points whose middle is one more point, numbered after the skeleton's.
    antialias: of strokes and dots, which then lie on fractions of pixels; otherwise coordinates are cut to whole ones.
    opacity: of limbs, over what lies below.
    """

    name: str
    skeleton: str
    score_threshold: float
    strokes: tuple[Mark, ...]
    middles: tuple[tuple[int, int], ...] = ()
    antialias: bool = True
    opacity: float = 1.0

    def fingerprint(self) -> str:
        """12 hex digits; equal when the pictures are equal."""
        # Fields that came later count only where they say something: older model folders hold older fingerprints.
        later = {"middles", "antialias", "opacity"}
        same = {each.name for each in fields(self) if each.name in later and getattr(self, each.name) == each.default}
        content = {key: value for key, value in asdict(self).items() if key not in same}
        for stroke in content["strokes"]:
            if not stroke.get("unless", True):
                del stroke["unless"]
        return hashlib.sha256(json.dumps([_DRAWING, content], sort_keys=True).encode()).hexdigest()[:12]


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

# A head for keypoints without a face (BODY_25, COCO-17): ear, eye, nose, eye, ear, and down to the shoulders' middle.
_FACE_POINTS = tuple(range(23, 91))
_HEAD = (
    Stroke((3, 1, 0, 2, 4), (200, 200, 90), _FACE_WIDTH, unless=_FACE_POINTS),
    Stroke((0, 133), (150, 150, 150), _FACE_WIDTH, unless=_FACE_POINTS),
)
_HANDS = (*_hand(91, _LEFT_FINGERS, _HAND_WIDTH), *_hand(112, _RIGHT_FINGERS, _HAND_WIDTH))

SIGNGEN_133_V1 = Palette(
    name="signgen-133-v1",
    skeleton="coco-wholebody-133",
    score_threshold=0.3,
    strokes=(*_BODY, *_FACE, *_HANDS),
)
# As version 1 where the face is seen; models say in signgen.json which version they were trained with.
SIGNGEN_133 = Palette(
    name="signgen-133-v2",
    skeleton="coco-wholebody-133",
    score_threshold=0.3,
    strokes=(*_BODY, *_HEAD, *_FACE, *_HANDS),
    middles=((5, 6),),
)

# OpenPose's 18 points, and the limbs between them, as drawn since by ControlNet, DWPose and FPDM. Points count from 0.
_RAINBOW: tuple[Colour, ...] = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
_LIMBS_18 = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
_NECK = 133  # the middle of the shoulders, in palettes that have it
_COCO = (0, _NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # of each of the 18 points
_FINGERS = tuple((0, *range(1 + 4 * finger, 5 + 4 * finger)) for finger in range(5))


def _swapped(colour: Sequence[int]) -> Colour:
    """Blue and red exchanged, as in pictures whose authors did so once too often."""
    return int(colour[2]), int(colour[1]), int(colour[0])


def _hue(share: float) -> Colour:
    """The pure colour at `share` of the circle of hues."""
    red, green, blue = (round(255 * value) for value in colorsys.hsv_to_rgb(share, 1, 1))
    return red, green, blue


def _dwpose() -> Palette:
    """DWPose's drawing at 512 px: body at 60 %, discs of 4, hands in 20 hues with blue discs, a white face."""
    one = 1 / 512
    limbs = [tuple(_COCO[point] for point in limb) for limb in _LIMBS_18]
    dimmed = [(int(r * 0.6), int(g * 0.6), int(b * 0.6)) for r, g, b in _RAINBOW]
    marks: list[Mark] = [Limb(limb, dimmed[index], 4 * one) for index, limb in enumerate(limbs)]
    marks += [Dots((_COCO[point],), colour, 4 * one) for point, colour in enumerate(_RAINBOW)]
    bones = [pair for finger in _FINGERS for pair in pairwise(finger)]
    for hand in (91, 112):
        marks += [Stroke((hand + a, hand + b), _hue(bone / 20), 2 * one) for bone, (a, b) in enumerate(bones)]
        marks.append(Dots(tuple(range(hand, hand + 21)), (0, 0, 255), 4 * one))
    marks.append(Dots(tuple(range(23, 91)), (255, 255, 255), 3 * one))
    return Palette("dwpose", "coco-wholebody-133", 0.3, tuple(marks), ((5, 6),), antialias=False)


def _fpdm_deepfashion() -> Palette:
    """FPDM's drawing of DeepFashion at 750x1101: discs and half-widths of 4 px, limbs over the discs."""
    four = 4 / (750 * 1101) ** 0.5
    marks: list[Mark] = [Dots((point,), _swapped(colour), four) for point, colour in enumerate(_RAINBOW)]
    marks += [Limb(limb, _swapped(_RAINBOW[index]), four) for index, limb in enumerate(_LIMBS_18)]
    return Palette("fpdm-deepfashion", "openpose-18", 0.0, tuple(marks), antialias=False, opacity=0.6)


def _fpdm_sign() -> Palette:
    """FPDM's drawing of Phoenix on a canvas of 260x260: 1 px, in random colours, limbs over discs.

    As in the pose panels its authors published; their published code has discs of 2 px, and blue and red exchanged.
    Its slips are part of it: a line between the brows, ellipses from the outer to the inner lips, a bone missing in
    the right little finger. Points count from 1 in the lists below, as the authors'.
    """
    colours: list[Colour] = [(r, g, b) for r, g, b in np.random.RandomState(777).choice(256, (133, 3)).tolist()]
    pairs = [(11, 9), (9, 7), (7, 6), (6, 8), (8, 10), (7, 13), (6, 12), (13, 12), (13, 15), (15, 17), (12, 14)]
    pairs += [(14, 16), (24, 25), (25, 26), (26, 27)]
    for first, last in ((24, 40), (41, 50), (51, 59)):
        pairs += [(point, point + 1) for point in range(first, last)]
    pairs.append((59, 54))
    for first, last in ((60, 65), (66, 71)):
        pairs += [*((point, point + 1) for point in range(first, last)), (last, first)]
    limbs: list[tuple[int, ...]] = [*pairs, *((point, point + 1) for point in range(72, 88)), (83, 72, 72, 84, 88, 78)]
    for wrist, tips in ((92, range(96, 113, 4)), (113, range(133, 116, -4))):
        for tip in tips:
            limbs += [(tip, tip - 1), (tip - 1, tip - 2), (tip - 2, tip - 3), (tip - 3, wrist)]
    limbs[limbs.index((109, 92))] = (92, 109)  # the direction decides how its angle is cut to whole degrees
    limbs.remove((132, 131))
    marks: list[Mark] = [Dots((point,), colour, 1 / 260) for point, colour in enumerate(colours)]
    marks += [Limb(tuple(p - 1 for p in limb), colours[i], 1 / 260) for i, limb in enumerate(limbs)]
    return Palette("fpdm-sign", "coco-wholebody-133", 0.0, tuple(marks), antialias=False, opacity=0.6)


PALETTES = {
    palette.name: palette for palette in (SIGNGEN_133, SIGNGEN_133_V1, _dwpose(), _fpdm_sign(), _fpdm_deepfashion())
}
