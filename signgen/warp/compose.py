"""A source bank and a target's keypoints in; the source person in that pose, and masks of what was done, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from signgen.warp.anatomy import FACE, FINGER, FOREARM, PALM, PHALANGES, SIDES, UPPER_ARM, Anatomy, anatomy
from signgen.warp.bank import Layer, SourceBank
from signgen.warp.garment import Dress, kept_pixels
from signgen.warp.geometry import affine, blended, carry, follow_bones, scale_of, similarity, spread

MASKS = ("moved", "hands", "painted")
_COLOURS = 3
_MOVED, _HANDS, _PAINTED = range(_COLOURS, _COLOURS + len(MASKS))
_NECK = (0.15, 0.5)  # on the way from the shoulders to the middle of the face, torso turns into head
_LEAST_FACE = 20  # points of 68
_SPREAD, _FURTHEST = 0.1, 0.25  # widths of the face: how far around a point it is felt, and how far it may move
_STIFF = 0.3  # holds back what few points are near to
_THICKEST = 1.6  # no limb becomes thicker or thinner than this
_TEAR = 1.0  # half thicknesses of a forearm
_ARM_BONES = np.array([(0, 1), (1, 2)])


@dataclass(frozen=True)
class Warped:
    """image: uint8 (H, W, 3). masks: uint8 (3, H, W), 0..255: MASKS, where a moved part lies, where a hand does, and
    where what is shown was painted, not seen."""

    image: np.ndarray
    masks: np.ndarray

    def channels(self) -> np.ndarray:
        """uint8 (H, W, 6): the image's R, G, B, then the masks."""
        return np.concatenate([self.image, self.masks.transpose(1, 2, 0)], -1)


def unmoved(frame: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 6) of a frame whose person is not known: itself, nothing moved."""
    return np.concatenate([frame, np.zeros_like(frame)], -1)


def part_warp(
    bank: SourceBank, keypoints: np.ndarray, hands: Mapping[str, SourceBank] | None = None, worn: Dress | None = None
) -> Warped:
    """The bank's person in the pose of (133, 3) keypoints, on the bank's background.

    hands: by side, the banks that hands are taken from; the same bank where not said. worn: another one's clothes.
    What the target's keypoints lack stays out of the picture; without both shoulders the person is left out.
    """
    target = anatomy(keypoints)
    canvas = _Canvas(bank)
    if target is not None:
        torso = _torso(target, bank.body)
        across = _thickness(torso)
        if worn is None:
            canvas.trunk(bank, target, torso, bank.trunk)
        else:
            canvas.trunk(bank, target, torso, worn.nape)
            canvas.clothes(worn.clothes, _torso(target, worn.clothes.body))
            canvas.trunk(bank, target, torso, worn.head)
        for side in SIDES:
            arm = bank if worn is None else worn.arms[side]
            canvas.arm(arm, target, side, across if arm is bank else _thickness(_torso(target, arm.body)))
        for side in SIDES:
            other = (hands or {}).get(side, bank)
            canvas.hand(other, target, side, across if other is bank else _thickness(_torso(target, other.body)))
    return canvas.result()


def dressed(frame: np.ndarray, bank: SourceBank, keypoints: np.ndarray, worn: Dress) -> np.ndarray:
    """uint8 (H, W, 3): the frame that a bank was cut from, its person in other clothes and in the same pose. What is
    kept of head and hands, and all that is far from the person, are the frame's own bytes."""
    moved = part_warp(bank, keypoints, worn=worn).image
    return np.where(kept_pixels(frame, bank)[..., None], frame, moved)


def _torso(target: Anatomy, source: Anatomy) -> np.ndarray:
    """The similarity that carries the target's torso to the source's."""
    if target.hips is None or source.hips is None:
        return similarity(target.shoulders, source.shoulders)
    weights = np.array([1, 1, 0.25, 0.25])
    here, there = np.vstack([target.shoulders, target.hips]), np.vstack([source.shoulders, source.hips])
    return similarity(here, there, weights)


def _thickness(torso: np.ndarray) -> float:
    """How many source pixels across a limb are one of the target."""
    return float(np.clip(scale_of(torso), 1 / _THICKEST, _THICKEST))


class _Canvas:
    """The picture in the making: layers are laid over it from the back to the front.

    _planes: float32 (6, H, W), 0..255: R, G, B, then MASKS. Planes, because NumPy is slow over a last axis of three.
    """

    def __init__(self, bank: SourceBank) -> None:
        height, width = bank.background.shape[:2]
        self._size = (width, height)
        self._x, self._y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        self._planes = np.zeros((_COLOURS + len(MASKS), height, width), np.float32)
        for plane, colour in zip(self._planes, cv2.split(bank.background), strict=False):
            plane[:] = colour
        self._planes[_PAINTED] = bank.person

    def clothes(self, bank: SourceBank, torso: np.ndarray) -> None:
        """The torso of another one, which has no head to turn. Below its picture it goes on as at the edge."""
        places = carry(torso, self._x, self._y)
        np.minimum(places[1], len(bank.background) - 1, out=places[1])
        filled = cv2.remap(bank.filled, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        self._lay(bank.trunk, places, (0, 0, *self._size), painted=filled)

    def trunk(self, bank: SourceBank, target: Anatomy, torso: np.ndarray, layer: Layer) -> None:
        """Torso and head by two similarities, blended over the neck. layer: the bank's trunk, or a part of it."""
        places = carry(torso, self._x, self._y)
        head = np.intersect1d(target.head, bank.body.head)
        if len(head) >= 3:
            turned = similarity(target.points[head], bank.body.points[head])
            way = target.points[head].mean(0) - target.neck
            way /= max(float(way @ way), 1e-6)
            along = carry(np.array([[*way, -way @ target.neck]], np.float32), self._x, self._y)
            places += _smoothstep(along, *_NECK) * carry(turned - torso, self._x, self._y)
            self._features(places, target.points, bank.body.points, np.intersect1d(head, FACE), turned)
        filled = cv2.remap(bank.filled, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        self._lay(layer, places, (0, 0, *self._size), painted=filled)

    def _features(
        self, places: np.ndarray, here: np.ndarray, there: np.ndarray, face: np.ndarray, turned: np.ndarray
    ) -> None:
        """Mouth, brows and outline follow their own points: what the head's turn leaves over at each of them is spread
        around it by a Gaussian. Changes `places`."""
        if len(face) < _LEAST_FACE:
            return
        points = here[face]
        width = float(np.ptp(points[:, 0]))
        left = np.clip(there[face] - (points @ turned[:, :2].T + turned[:, 2]), -_FURTHEST * width, _FURTHEST * width)
        reach = max(1.0, _SPREAD * width)
        box = self._box(points, 2 * reach)
        part = places[:, box[1] : box[3], box[0] : box[2]]
        part += spread(*self._part(box), points, left, reach, _STIFF)

    def arm(self, bank: SourceBank, target: Anatomy, side: str, across: float) -> None:
        """Upper arm and forearm, each by its own bone."""
        layer, here, there = bank.arms[side], target.arms[side], bank.body.arms[side]
        if layer is None or here is None or there is None:
            return
        radii = np.array([UPPER_ARM, FOREARM], np.float32) * (bank.body.width / across)
        box = self._box(here, float(radii.max()) + 1)
        part = self._part(box)
        carried = follow_bones(*part, here[_ARM_BONES], there[_ARM_BONES], across)
        tear = _TEAR * FOREARM * bank.body.width
        self._lay(layer, blended(carried, *part, tear), box, within=_within(carried.gaps, radii))

    def hand(self, bank: SourceBank, target: Anatomy, side: str, across: float) -> None:
        """The palm by an affine map, each phalanx by its bone."""
        layer, here, there = bank.hands[side], target.hands[side], bank.body.hands[side]
        if layer is None or here is None or there is None:
            return
        both = np.isfinite(here).all(1) & np.isfinite(there).all(1)
        palm = [point for point in PALM if both[point]]
        if len(palm) < 3 or not both[0]:
            return
        size = target.palm_size(side)
        box = self._box(here[both], FINGER * size + 1)
        part = self._part(box)
        # The palm is near where one of its own bones is, and moves as a whole.
        metacarpals = [(0, point) for point in palm[1:]]
        bones = np.array([*metacarpals, *((a, b) for a, b in PHALANGES if both[a] and both[b])])
        thick = float(np.clip(bank.body.palm_size(side) / size, across / _THICKEST, across * _THICKEST))
        carried = follow_bones(*part, here[bones], there[bones], thick)
        carried = carried.first_as_one(len(metacarpals), affine(here[palm], there[palm]))
        within = _within(carried.gaps.min(0, keepdims=True), FINGER * size)
        self._lay(layer, blended(carried, *part), box, within=within, hand=True)

    def result(self) -> Warped:
        planes = [cv2.convertScaleAbs(plane) for plane in self._planes]
        return Warped(cv2.merge(planes[:_COLOURS]), np.stack(planes[_COLOURS:]))

    def _box(self, points: np.ndarray, reach: float) -> tuple[int, int, int, int]:
        low = np.clip(np.floor(points.min(0) - reach), 0, self._size).astype(int)
        high = np.clip(np.ceil(points.max(0) + reach) + 1, 0, self._size).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _part(self, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """x (w,) and y (h,) of the box's pixels."""
        return self._x[box[0] : box[2]], self._y[box[1] : box[3]]

    def _lay(
        self,
        layer: Layer,
        places: np.ndarray,
        box: tuple[int, int, int, int],
        painted: np.ndarray | None = None,
        within: np.ndarray | float = 1.0,
        hand: bool = False,
    ) -> None:
        """Lay a layer over what is there, within `box`; places (2, h, w): x and y in the source of each of its pixels;
        within: how much of each pixel the part can reach, 0..1."""
        x0, y0, x1, y1 = box
        if x1 <= x0 or y1 <= y0:
            return
        rgba = cv2.remap(layer.rgba, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        *colours, alpha = (np.multiply(plane, within, dtype=np.float32) for plane in cv2.split(rgba))
        part = self._planes[:, y0:y1, x0:x1]
        part *= 1 - alpha / 255
        for plane, colour in zip(part, colours, strict=False):
            plane += colour
        part[_MOVED] += alpha
        if hand:
            part[_HANDS] += alpha
        if painted is not None:
            part[_PAINTED] += painted * (alpha / 255)


def _within(gaps: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
    """Squared distances from n bones (n, h, w) -> (h, w), 1 within a bone's radius and 0 a pixel beyond: without it, a
    bent arm shows its other half twice."""
    radii = np.reshape(np.asarray(radius, np.float32), (-1, 1, 1))
    return np.clip((radii - np.sqrt(gaps)).max(0) + 1, 0, 1)


def _smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)
