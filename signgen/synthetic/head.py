"""A skeleton in; neck, face and hair drawn with a Pen out. Lengths in shoulder widths, times the head's size."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from signgen.synthetic.face import head_profile, jaw_drop
from signgen.synthetic.identity import Identity
from signgen.synthetic.materials import Material
from signgen.synthetic.pen import Pen
from signgen.synthetic.raster import Baked, Lathe, Light, Paint, Ripple, Surface
from signgen.synthetic.skeleton import Skeleton

_LIFT = 0.03  # features lie on the skin, never in it
_SKIN = Surface(Material.SKIN)
_LOCK = Surface(Material.HAIR, ripple=Ripple(0.12, across=1.7, along=0.4))
_SIDEBURN = {"short": 0.02, "crop": -0.02, "bob": 0.24, "long": 0.30, "bun": 0.00, "curly": 0.10}
_CAP_ENDS = {"short": 0.08, "crop": -0.02, "bun": 0.02}
_HANGS = {"bob": 0.36, "long": 0.72}  # how far below the ears hair ends


def draw_head(pen: Pen, skeleton: Skeleton) -> None:
    """Neck, ears, skull with its hairline, features, and the hair around them."""
    identity, light = pen.identity, pen.raster.light
    _neck(pen, skeleton)
    _hair(pen, skeleton)
    angles = skeleton.head_angles
    skull = _skull(identity, pen.camera.unit, float(skeleton.opened.mean()))
    paint = _complexion(identity, pen.camera.unit, angles.mean(0))
    pen.lathe(skeleton.head, angles[:, 2], skull.bake(light, float(angles[:, 2].mean()), paint))
    if identity.hair_style not in _HANGS:
        _ears(pen, skeleton)
    _brows_and_eyes(pen, skeleton)
    _nose(pen, skeleton)
    _mouth(pen, skeleton)


def _local(skeleton: Skeleton, size: float, *place: float) -> np.ndarray:
    """(S, 3) in space of a place in head coordinates."""
    return skeleton.head + skeleton.head_rotation @ (size * np.array(place))


def _skull(identity: Identity, unit: float, opened: float) -> Lathe:
    """The head in pixels, its chin dropped as far as the mouth is open."""
    heights, widths, depths = head_profile(identity)
    size = identity.head
    dropped = heights + jaw_drop(heights / size, opened) * size
    step = heights[1] - heights[0]
    # The rows above the mouth stay where they are, so that nothing shimmers there.
    even = heights[0] + step * np.arange(round((dropped[-1] - heights[0]) / step) + 1)
    width, depth = np.interp(even, dropped, widths), np.interp(even, dropped, depths)
    return Lathe(even[0] * unit, step * unit, width * unit, depth * unit)


def _complexion(identity: Identity, unit: float, angles: np.ndarray) -> Paint:
    """Hair above the hairline, a beard where there is one, shade in the eye sockets, colour in the cheeks."""
    scale = 1 / (unit * identity.head)
    sideburn, line_height = _SIDEBURN[identity.hair_style], identity.hairline

    def paint(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta = np.arcsin(u) - np.float32(angles[0])
        height = v * np.float32(scale) - np.float32(0.27 * np.sin(angles[1])) * np.cos(theta)
        side = np.abs(theta)
        drop = np.clip((side - 0.72) * 2.2, 0, 1) ** 2
        line = line_height + 0.045 * np.sin(1.7 * theta + 2 * identity.parting)
        line = line + (sideburn - line_height) * drop
        strands = np.sin(theta * 37 + height * 9) * np.sin(theta * 17 - 4 * height)
        hair = height < line + 0.014 * strands
        socket = np.clip(1 - ((side - 0.43) / 0.24) ** 2 - ((height + 0.06) / 0.065) ** 2, 0, 1)
        under_lip = np.clip(1 - (theta / 0.5) ** 2 - ((height - 0.335) / 0.03) ** 2, 0, 1)
        factor = np.where(hair, (0.93 + 0.13 * strands) * (1 + 0.4 * u * u), 1 - 0.16 * socket - 0.08 * under_lip)
        material = np.where(hair, np.uint16(Material.HAIR), np.uint16(Material.SKIN))
        if identity.beard:
            around_mouth = (side < 0.6) & (height > 0.172 + 0.15 * side**2)
            around_mouth &= (side > 0.36) | (np.abs(height - 0.255) > 0.032)
            jaw = height > 0.30 - 0.20 * np.clip(side - 0.5, 0, 1.2)
            material[(around_mouth | jaw) & ~hair] = Material.BEARD
        return material, factor

    return paint


@lru_cache(maxsize=64)
def _cap(identity: Identity, unit: float, light: Light) -> Baked:
    """The hair's outline around the skull, shallow, so that the face stays before it."""
    heights, widths, depths = head_profile(identity)
    volume = identity.hair_volume * (0.4 if identity.hair_style == "crop" else 1.0)
    end = _CAP_ENDS.get(identity.hair_style, 0.16) * identity.head
    ring = np.linspace(heights[0] - volume, end, 70)
    squeezed = np.interp(ring, (ring[0], 0, max(end, 0.01)), (heights[0], 0, max(end, 0.01)))
    fade = np.clip((end - ring) / 0.12, 0, 1) ** 0.5
    dome = np.clip((ring - ring[0]) / (3 * volume), 0, 1) ** 0.5
    width = np.interp(squeezed, heights, widths) + volume * dome * (0.2 + 0.8 * fade)
    depth = 0.6 * np.interp(squeezed, heights, depths) * (0.3 + 0.7 * fade)
    shape = Lathe(ring[0] * unit, (ring[1] - ring[0]) * unit, width * unit, depth * unit)

    def strands(x: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[int, np.ndarray]:
        return int(Material.HAIR), 0.93 + 0.12 * np.sin(23 * u + 3 * v / unit) * np.sin(9 * u)

    return shape.bake(light, 0.0, strands)


def _neck(pen: Pen, skeleton: Skeleton) -> None:
    low = skeleton.torso - skeleton.torso_rotation @ np.array([0, 0.10, 0.03])
    high = _local(skeleton, pen.identity.head, 0, 0.22, -0.06)
    width = 0.148 * pen.identity.neck
    pen.cone(low, high, (width * 1.08, width), Surface(Material.SKIN, brightness=0.80))


def _ears(pen: Pen, skeleton: Skeleton) -> None:
    size, out = pen.identity.head, 0.253 * pen.identity.head_width
    for side in (-1, 1):
        top, lobe = (_local(skeleton, size, side * out, y, -0.05) for y in (-0.03, 0.075))
        pen.cone(top, lobe, (0.036 * size, 0.024 * size), Surface(Material.SKIN, brightness=0.9))


def _hair(pen: Pen, skeleton: Skeleton) -> None:
    """The cap, and what the style adds: locks, a bun, curls."""
    identity = pen.identity
    size, volume, style = identity.head, identity.hair_volume, identity.hair_style
    cap = _cap(identity, pen.camera.unit, pen.raster.light)
    pen.lathe(_local(skeleton, size, 0, 0, -0.05), skeleton.head_angles[:, 2], cap)
    if style in _HANGS:
        _hanging_hair(pen, skeleton, _HANGS[style])
    if style == "bun":
        pen.ball(_local(skeleton, size, 0.02, -0.47, -0.12), 0.12 * size, _LOCK)
    if style == "curly":
        for number, angle in enumerate(np.linspace(-2.0, 2.0, 15)):
            wide = 0.205 + 0.02 * (number % 2) + volume / 2
            place = (wide * np.sin(angle), -0.16 - (wide + 0.03) * np.cos(angle), -0.05 + 0.04 * (number % 3))
            curl = Surface(Material.HAIR, brightness=0.88 + 0.05 * (number % 3), ripple=Ripple(0.08, 1.0, 1.5, number))
            pen.ball(_local(skeleton, size, *place), (0.078 + 0.012 * (number % 3)) * size, curl)


def _hanging_hair(pen: Pen, skeleton: Skeleton, end: float) -> None:
    """Behind the neck, and a lock before either ear; it hangs straight down however the head is tilted."""
    identity = pen.identity
    size, volume = identity.head, identity.hair_volume
    top = _local(skeleton, size, 0, -0.02, -0.20)
    low = top + np.array([0, (end - 0.26) * size, -0.02])
    back = Surface(Material.HAIR, depth=0.15, brightness=0.72, ripple=Ripple(0.10, across=3.3))
    pen.cone(top, low, ((0.25 + volume) * size, 0.27 * size), back)
    radius = (0.050 + 0.5 * volume) * size
    for side in (-1, 1):
        root = _local(skeleton, size, side * 0.205 * identity.head_width, -0.22, 0.02)
        middle = _local(skeleton, size, side * (0.252 + volume / 3), 0.06, 0.02)
        tip = middle + np.array([side * 0.015, (end - 0.12) * size, 0.04])
        lock = Surface(Material.HAIR, depth=0.7, ripple=Ripple(0.10, across=1.3, phase=side))
        pen.cone(root, middle, (radius, radius), lock)
        pen.cone(middle, tip, (radius, 0.75 * radius), lock)


def _brows_and_eyes(pen: Pen, skeleton: Skeleton) -> None:
    size = pen.identity.head
    thick = np.array([0.006, 0.010, 0.013, 0.013, 0.010]) * pen.identity.brow * size
    brow = Surface(Material.BROW, relief=0.3)
    pen.chain(skeleton.face[:, 17:22], thick, brow, _LIFT)
    pen.chain(skeleton.face[:, 22:27], thick[::-1], brow, _LIFT)
    look = np.einsum("sij,sj->si", skeleton.head_rotation[:, :, :2], skeleton.gaze * (0.022, 0.008)) * size
    for first in (36, 42):
        eye = skeleton.face[:, first : first + 6]
        middle, half = eye.mean(1), 0.62 * (eye[:, 3] - eye[:, 0]) / 2
        opening = np.linalg.norm(eye[:, 4] + eye[:, 5] - eye[:, 1] - eye[:, 2], axis=1) / 4
        lid = np.maximum(opening, 0.004)
        pen.cone(middle - half, middle + half, (lid, lid), Surface(Material.EYE, relief=0.25), _LIFT)
        iris = np.minimum(0.025 * size * pen.identity.eye, lid * 1.05)
        pen.ball(middle + look, iris, Surface(Material.IRIS, relief=0.2), _LIFT + 0.02)
        pen.chain(eye[:, :4], np.array([0.006, 0.010, 0.010, 0.006]) * size, Surface(Material.LASHES), _LIFT + 0.03)


def _nose(pen: Pen, skeleton: Skeleton) -> None:
    size = pen.identity.head * pen.identity.nose
    bridge, base = skeleton.face[:, 27:31], skeleton.face[:, 31:36]
    inwards = np.array([0, 0, 0.045])
    ridge = np.stack([bridge[:, 0], bridge[:, 3]], 1) - inwards
    pen.chain(ridge, np.array([0.030, 0.054]) * size, Surface(Material.SKIN, relief=0.8), 0.010)
    for index in (0, 4):
        wing = base[:, index] * 0.7 + base[:, 2] * 0.3 - inwards
        pen.ball(wing, 0.030 * size, _SKIN, 0.02)
    for index in (1, 3):
        pen.ball(base[:, index], 0.010 * size, Surface(Material.LASHES, relief=0, brightness=0.8))


def _mouth(pen: Pen, skeleton: Skeleton) -> None:
    """Lips around a dark gap, with the upper teeth when it is wide."""
    size, face = pen.identity.head, skeleton.face
    upper = np.stack([face[:, 48], *((face[:, 50 + i] + face[:, 61 + i]) / 2 for i in range(3)), face[:, 54]], 1)
    lower = np.stack([face[:, 48], *((face[:, 58 - i] + face[:, 67 - i]) / 2 for i in range(3)), face[:, 54]], 1)
    gap = np.linalg.norm(face[:, 66] - face[:, 62], axis=1) / 2
    middle = (face[:, 62] + face[:, 66]) / 2
    across = (face[:, 64] - face[:, 60]) / 2
    width = np.linalg.norm(across, axis=1)
    half = across * (np.maximum(0.95 * width - gap, 0.3 * width) / width)[:, None]
    inside = Surface(Material.MOUTH, relief=0.2, brightness=0.9, depth=0.1)
    pen.cone(middle - half, middle + half, (gap, gap), inside, _LIFT - 0.01)
    if gap.max() > 0.012 * size:
        teeth = face[:, 62] + skeleton.head_rotation[:, :, 1] * 0.010 * size
        white = Surface(Material.TEETH, depth=0.3)
        pen.cone(teeth - 0.9 * half, teeth + 0.9 * half, (0.010 * size, 0.010 * size), white, _LIFT - 0.005)
    lips = Surface(Material.LIPS, relief=0.8)
    pen.chain(upper, np.array([0.007, 0.014, 0.014, 0.014, 0.007]) * size, lips, _LIFT)
    pen.chain(lower, np.array([0.007, 0.016, 0.018, 0.016, 0.007]) * size, lips, _LIFT)
