"""A source frame and its keypoints in; the person as layers, and the background without the person, out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from signgen.warp.anatomy import FINGER, FOREARM, PALM, PALM_MARGIN, PHALANGES, SIDES, UPPER_ARM, Anatomy, anatomy
from signgen.warp.geometry import distance

VERSION = 1  # one more whenever `source_bank` makes another bank of the same frame: those on disk are built anew

_SLEEVE = 1.7  # times its thickness, what is not trunk or head belongs to the arm
_UNDER = 0.12  # shoulder widths that the trunk reaches under the arms
_SURE = 0.6  # of a limb's thickness is the person beyond doubt
_HEAD_WIDTH, _HEAD_ABOVE, _HEAD_BELOW = 0.62, 0.95, 0.75  # half axes of the head's ellipse, in face heights
_NAPE = 0.14  # shoulder widths, half the neck's thickness
_HIGH = 0.22  # shoulder widths that shoulders rise above their joints
_FAR = 0.45  # shoulder widths beyond the sure person are background
_CUT_SIDE = 128  # px of the longer side that GrabCut sees, or up to half as many more
_CUTS = 3  # GrabCut's iterations
_SOFT = 0.8  # px, of the layers' edges


@dataclass(frozen=True)
class Layer:
    """rgba: uint8 (H, W, 4), colours multiplied by alpha; box: x0, y0, x1, y1 of where alpha is not 0."""

    rgba: np.ndarray
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class SourceBank:
    """One reference frame, cut up. All pictures have the frame's size.

    background: uint8 (H, W, 3), the person painted over by what is around. trunk: torso and head, arms and hands
    painted over. arms, hands: by side, None where the source does not show them. filled: uint8 (H, W), 255 where the
    trunk's pixels are painted, not seen. person: uint8 (H, W), the soft mask of the whole person.
    """

    body: Anatomy
    background: np.ndarray
    trunk: Layer
    arms: dict[str, Layer | None]
    hands: dict[str, Layer | None]
    filled: np.ndarray
    person: np.ndarray


def source_bank(frame: np.ndarray, keypoints: np.ndarray, spare: float = 0) -> SourceBank | None:
    """uint8 (H, W, 3) and its (133, 3) keypoints in pixels -> its layers; None without both shoulders.

    spare: shoulder widths around arms and hands of which the trunk takes no colours."""
    body = anatomy(keypoints)
    if body is None:
        return None
    grid = pixel_grid(frame.shape[1], frame.shape[0])
    person = person_mask(frame, keypoints)
    core = _torso(body, grid, 1.0) | head_mask(body, grid, 1.2)
    # A wide sleeve goes with its arm where it cannot be the trunk's.
    arms = {
        side: person & (_arm_mask(body, side, grid) | (_arm_mask(body, side, grid, _SLEEVE) & ~core)) for side in SIDES
    }
    hands = {side: hand_mask(body, side, grid) for side in SIDES}
    over = np.any([*arms.values(), *hands.values()], axis=0)
    seen = person & ~over
    # Under the arms the trunk goes on, or an arm that moves away leaves a gap.
    trunk = seen | (over & (_torso(body, grid, 1.0) | _grown(seen, max(1, round(_UNDER * body.width)))))
    covered = trunk & ~seen
    # Painted from the trunk alone: the background would bleed in where an arm covers its outline.
    near = _grown(over, round(spare * body.width)) if spare else over
    filled = _painted(frame, ~person | near, trunk)
    everyone = person | over
    hole = _grown(everyone, max(2, round(0.03 * body.width)))
    return SourceBank(
        body=body,
        background=_painted(frame, hole, hole),
        trunk=layer_of(filled, trunk),
        arms={side: layer_of(frame, mask) if mask.any() else None for side, mask in arms.items()},
        hands={side: layer_of(frame, mask) if mask.any() else None for side, mask in hands.items()},
        filled=covered.astype(np.uint8) * 255,
        person=_soft(everyone),
    )


@lru_cache(4)
def pixel_grid(width: int, height: int) -> np.ndarray:
    """float32 (H, W, 2), read-only: each pixel's x, y."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    grid = np.stack([x, y], -1)
    grid.flags.writeable = False
    return grid


def person_mask(frame: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """bool (H, W): where the person of (133, 3) keypoints is; nowhere without both shoulders.

    Large frames are cut at a fraction of their size: GrabCut's time grows with the pixels, its outline hardly betters.
    """
    height, width = frame.shape[:2]
    times = max(1, round(max(height, width) / _CUT_SIDE))
    size = (-(-width // times), -(-height // times))
    scale = np.array([size[0] / width, size[1] / height, 1], np.float32)
    half = np.array([0.5, 0.5, 0], np.float32)  # pixel centres move as in cv2.resize
    body = anatomy((keypoints + half) * scale - half)
    if body is None:
        return np.zeros((height, width), bool)
    if times == 1:
        return _cut_out(frame, body, pixel_grid(width, height))
    mask = _cut_out(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), body, pixel_grid(*size))
    return cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_CUBIC) > 127


def _cut_out(frame: np.ndarray, body: Anatomy, grid: np.ndarray) -> np.ndarray:
    """bool (H, W): GrabCut (Rother et al. 2004), seeded by the keypoints."""
    sure = _torso(body, grid, 0.75) | head_mask(body, grid, 0.95)
    likely = _torso(body, grid, 1.25) | head_mask(body, grid, 1.3)
    for side in SIDES:
        sure |= _arm_mask(body, side, grid, _SURE) | hand_mask(body, side, grid, _SURE)
        likely |= _arm_mask(body, side, grid, 1.5) | hand_mask(body, side, grid, 1.2)
    if sure.all() or not sure.any():
        return sure
    away = cv2.distanceTransform((~(sure | likely)).astype(np.uint8), cv2.DIST_L2, 3)
    labels = np.full(sure.shape, cv2.GC_PR_BGD, np.uint8)
    labels[likely] = cv2.GC_PR_FGD
    labels[away > _FAR * body.width] = cv2.GC_BGD
    labels[sure] = cv2.GC_FGD
    if not (labels == cv2.GC_BGD).any():  # a signer who fills the frame: what is not likely is all there is
        labels[labels == cv2.GC_PR_BGD] = cv2.GC_BGD
    if not np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return np.ones_like(sure)
    cv2.setRNGSeed(0)  # GrabCut's colour clusters begin at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), labels, None, *models, _CUTS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _torso(body: Anatomy, grid: np.ndarray, thickness: float) -> np.ndarray:
    """bool (H, W): from a little above the shoulders down to the hips, or out of the frame; and the neck."""
    left, right = body.shoulders
    down = np.array([-(left - right)[1], (left - right)[0]], np.float32) / body.width
    if down[1] < 0:
        down = -down
    hips = body.hips if body.hips is not None else body.shoulders + 1.6 * body.width * down
    waist = 0.14 * thickness * (left - right)
    corners = [left, right, hips[1] - waist, hips[0] + waist]
    mask = np.zeros(grid.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    neck = distance(grid, body.neck, body.head_centre()) < 0.16 * thickness * body.width
    return mask.astype(bool) | neck


def nape_mask(body: Anatomy, grid: np.ndarray) -> np.ndarray:
    """bool (H, W): the neck, from the head half-way to the shoulders."""
    head = body.head_centre()
    return distance(grid, (head + body.neck) / 2, head) < _NAPE * body.width


def above_mask(body: Anatomy, grid: np.ndarray) -> np.ndarray:
    """bool (H, W): what is higher than shoulders ever are, on the side of the head."""
    up = body.head_centre() - body.neck
    return (grid - body.neck) @ (up / max(float(np.linalg.norm(up)), 1.0)) > _HIGH * body.width


def head_mask(body: Anatomy, grid: np.ndarray, thickness: float) -> np.ndarray:
    """bool (H, W): an ellipse from the chin to above the hair."""
    centre = body.head_centre()
    up = centre - body.neck
    length = max(float(np.linalg.norm(up)), 1.0)
    up = up / length
    if len(body.head):
        along = (body.points[body.head] - centre) @ up
        height = max(float(along.max() - along.min()), 0.3 * body.width)
    else:
        height = 0.55 * body.width
    offset = grid - centre
    v, u = offset @ up, offset @ np.array([-up[1], up[0]], np.float32)
    half = np.where(v > 0, _HEAD_ABOVE * height, _HEAD_BELOW * height)
    return (u / (_HEAD_WIDTH * height)) ** 2 + (v / half) ** 2 < thickness**2


def _arm_mask(body: Anatomy, side: str, grid: np.ndarray, thickness: float = 1.0) -> np.ndarray:
    """bool (H, W), empty where the arm is not seen."""
    arm = body.arms[side]
    if arm is None:
        return np.zeros(grid.shape[:2], bool)
    upper, fore = (thickness * share * body.width for share in (UPPER_ARM, FOREARM))
    return (distance(grid, arm[0], arm[1]) < upper) | (distance(grid, arm[1], arm[2]) < fore)


def hand_mask(body: Anatomy, side: str, grid: np.ndarray, thickness: float = 1.0) -> np.ndarray:
    """bool (H, W), empty where the hand is not seen: the palm, and capsules around the phalanges."""
    mask = np.zeros(grid.shape[:2], np.uint8)
    hand = body.hands[side]
    if hand is None:
        return mask.astype(bool)
    size = body.palm_size(side)
    palm = hand[list(PALM)]
    palm = np.rint(palm[np.isfinite(palm).all(1)]).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(palm), 1)
    width = max(1, round(2 * thickness * FINGER * size))
    cv2.polylines(mask, [cv2.convexHull(palm)], True, 1, max(1, round(thickness * PALM_MARGIN * size)))
    for begin, end in PHALANGES:
        if np.isfinite(hand[[begin, end]]).all():
            ends = np.rint(hand[[begin, end]]).astype(int)
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 1, width)
    return mask.astype(bool)


def _painted(frame: np.ndarray, unknown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The frame with its unknown pixels painted by the others (Telea 2004), at least where wanted."""
    y, x = np.nonzero(_grown(wanted, 3))
    if not len(y):
        return frame
    part = np.s_[y.min() : y.max() + 1, x.min() : x.max() + 1]
    painted = frame.copy()
    painted[part] = cv2.inpaint(frame[part], unknown[part].astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return painted


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _soft(mask: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), _SOFT)


def layer_of(frame: np.ndarray, mask: np.ndarray) -> Layer:
    """The pixels of a mask, with soft edges."""
    alpha = _soft(mask)
    colours = np.rint(frame * (alpha[..., None] / np.float32(255))).astype(np.uint8)
    y, x = np.nonzero(alpha)
    box = (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1) if len(x) else (0, 0, 0, 0)
    return Layer(np.dstack([colours, alpha]), box)
