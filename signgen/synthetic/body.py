"""A skeleton in; torso, arms and hands drawn with a Pen out. Lengths in shoulder widths, hands in hand lengths."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from signgen.synthetic.identity import Identity
from signgen.synthetic.materials import Material
from signgen.synthetic.pen import Pen
from signgen.synthetic.raster import Baked, Lathe, Light, Paint, Ripple, Surface
from signgen.synthetic.skeleton import Skeleton

# Height below the shoulder joints, half-width, depth.
_TORSO = np.array(
    [
        (-0.34, 0.100, 0.10),
        (-0.29, 0.150, 0.13),
        (-0.24, 0.270, 0.16),
        (-0.18, 0.430, 0.18),
        (-0.12, 0.525, 0.20),
        (-0.04, 0.575, 0.22),
        (0.06, 0.585, 0.24),
        (0.20, 0.560, 0.27),
        (0.45, 0.545, 0.29),
        (0.80, 0.525, 0.27),
        (1.10, 0.530, 0.27),
        (2.40, 0.600, 0.28),
    ]
)
_FRONT = np.array([0, 0, 0.25])  # of the chest, where buttons are
_INSET = np.array([0, 0.04, -0.09])  # from the shoulder joint to where the sleeve begins, within the torso
_FINGER = (0.060, 0.054, 0.049, 0.040)  # radii from knuckle to tip
_FINGER_SIZE = (1.0, 1.03, 0.98, 0.86)
_THUMB = (0.080, 0.066, 0.058, 0.046)
_SKIN = Surface(Material.SKIN)
_FINGERS = Surface(Material.SKIN, relief=0.75)


def draw_torso(pen: Pen, skeleton: Skeleton) -> None:
    """Shirt with its neckline, folds, stripes and buttons."""
    rotation = skeleton.torso_rotation
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    pen.lathe(skeleton.torso - 0.2 * _FRONT, roll, _torso(pen.identity, pen.camera.unit))
    if pen.identity.buttons:
        for height in (0.14, 0.40, 0.66, 0.92, 1.18):
            pen.ball(skeleton.torso + rotation[:, :, 1] * height + _FRONT, 0.014, Surface(Material.BUTTON))


@lru_cache(maxsize=64)
def _torso(identity: Identity, unit: float) -> Baked:
    heights = np.linspace(_TORSO[0, 0], _TORSO[-1, 0], 270)
    width, depth = (np.interp(heights, _TORSO[:, 0], _TORSO[:, i]) for i in (1, 2))
    soft = np.hanning(15) / np.hanning(15).sum()
    width[7:-7], depth[7:-7] = np.convolve(width, soft, "valid"), np.convolve(depth, soft, "valid")
    width *= 1 + (identity.girth - 1) * np.clip(heights / 0.4, 0, 1)
    shape = Lathe(heights[0] * unit, (heights[1] - heights[0]) * unit, width * unit, depth * unit, columns=256)
    return shape.bake(Light(identity.light, identity.ambient), 0.0, _shirt(identity, unit))


def _shirt(identity: Identity, unit: float) -> Paint:
    """Skin within the neckline, cloth elsewhere, folds, stripes."""
    rng = np.random.default_rng([identity.seed, 0x5417])
    low = {"vee": rng.uniform(0.06, 0.22), "round": rng.uniform(-0.16, -0.06), "collar": rng.uniform(-0.06, 0.10)}
    bottom, top = low[identity.neckline], _TORSO[0, 0]
    stripes_lie = rng.random() < 0.5
    waves = rng.normal(0, 1, (7, 4)) * (7, 6, 2, 1) + (0, 0, 0, 2)

    def paint(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, v = x / unit, v / unit + 0 * x
        side = np.abs(x)
        down = np.clip((bottom - v) / (bottom - top), 0, 1)
        edge = 0.20 * np.sqrt(1 - (1 - down) ** 2) if identity.neckline == "round" else 0.165 * down
        bare = side < edge
        material = np.where(bare, np.uint16(Material.SKIN), np.uint16(Material.CLOTH))
        if identity.stripe is not None:
            material[((v if stripes_lie else x) * 8 % 1 < 0.3) & ~bare] = Material.STRIPE
        factor = 1 + _folds(x, v, waves)
        collar = identity.neckline == "collar"
        rim = (side > edge) & (side < edge + (0.085 if collar else 0.016)) & (v < bottom + (0.05 if collar else 0))
        factor[rim] *= 1.22 if collar else 0.8
        if collar:
            factor[(side < edge + 0.10) & (side >= edge + 0.085) & (v < bottom + 0.05)] *= 0.7
        if identity.buttons or collar:
            factor[(np.abs(x - 0.025) < 0.008) & (v > bottom)] *= 0.75
        return material, np.where(bare, 0.9 - 0.1 * np.clip((-0.14 - v) / 0.1, 0, 1), factor)

    return paint


def _folds(x: np.ndarray, v: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Brightness changes of creased cloth: bent waves that come and go, more of them at the sides and the waist."""
    total = np.zeros_like(x)
    for across, along, phase, bend in waves:
        crest = np.sin(across * x + along * v + phase + bend * np.sin(3 * v + phase))
        total += np.maximum(crest, 0) ** 3 * np.clip(np.sin(4 * v + 5 * x + 2 * phase), 0, 1)
    return (0.05 + 0.09 * np.clip(np.abs(x) * 1.6 + 0.25 * v, 0, 1)) * (total - 0.5)


def draw_arms(pen: Pen, skeleton: Skeleton) -> None:
    """Upper arms and forearms; as much of them as the sleeve covers is cloth."""
    girth, cover = pen.identity.girth, pen.identity.sleeve
    for side in range(2):
        shoulder, elbow, wrist = (joint[:, side] for joint in (skeleton.shoulders, skeleton.elbows, skeleton.wrists))
        upper = Surface(Material.CLOTH, relief=0.9, ripple=Ripple(0.05, along=1.3, across=0.7, phase=1.0 + 2 * side))
        lower = Surface(Material.CLOTH, ripple=Ripple(0.07, along=2.2, across=-0.5, phase=3.0 - side))
        inset = shoulder + _INSET
        bare = (0.104 * girth, 0.068)
        if cover == 0:
            cuff = shoulder + 0.70 * (elbow - shoulder)
            pen.cone(inset, cuff, (0.165 * girth, 0.150 * girth), upper)
            pen.cone(cuff, elbow, (0.118 * girth, 0.104 * girth), _SKIN)
            pen.cone(elbow, wrist, bare, _SKIN)
            continue
        pen.cone(inset, elbow, (0.165 * girth, 0.135 * girth), upper)
        cuff = elbow + cover * (wrist - elbow)
        pen.cone(elbow, cuff, (0.133 * girth, (0.133 - 0.040 * cover) * girth), lower)
        rim = bare[0] + cover * (bare[1] - bare[0])
        pen.cone(cuff, wrist, (rim, bare[1]), _SKIN)


def draw_hands(pen: Pen, skeleton: Skeleton) -> None:
    """Palm, thumb and fingers as cones; what is in front is settled by depth."""
    size = pen.identity.hand * pen.identity.fingers
    for side in range(2):
        points = skeleton.hands[:, side]
        _palm(pen, points, pen.identity.hand)
        pen.chain(points[:, 1:5], np.array(_THUMB) * size, _FINGERS)
        for finger in range(4):
            first = 5 + 4 * finger
            pen.chain(points[:, first : first + 4], np.array(_FINGER) * size * _FINGER_SIZE[finger], _FINGERS)


def _palm(pen: Pen, points: np.ndarray, size: float) -> None:
    """Four bones of the hand, and what lies between them and the thumb."""
    wrist = points[:, 0]
    bone, flesh = Surface(Material.SKIN, relief=0.8), Surface(Material.SKIN, relief=0.6)
    for knuckle in range(5, 21, 4):
        root = wrist + 0.14 * (points[:, knuckle] - points[:, 9])
        pen.cone(root, points[:, knuckle], (0.085 * size, 0.068 * size), bone)
    for a, b in ((5, 9), (13, 17)):
        pen.cone(wrist, (points[:, a] + points[:, b]) / 2, (0.105 * size, 0.064 * size), flesh)
    web = points[:, 5] + 0.35 * (wrist - points[:, 5])
    pen.cone(points[:, 1], web, (0.090 * size, 0.066 * size), flesh)
