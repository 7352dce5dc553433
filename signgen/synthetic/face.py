"""An identity and a face's expression in; the head's surface and its 68 landmarks out, in shoulder widths.

Head coordinates: origin between the ears, x to the picture's right, y down, z to the camera.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from signgen.synthetic.identity import Identity

# Height, half-width and depth of an average head from crown to chin.
_HEIGHTS = (-0.450, -0.440, -0.410, -0.360, -0.280, -0.180, -0.060, 0.060, 0.160, 0.250, 0.330, 0.390, 0.425, 0.440)
_WIDTHS = (0.000, 0.080, 0.140, 0.192, 0.232, 0.252, 0.255, 0.245, 0.228, 0.200, 0.158, 0.112, 0.066, 0.000)
_DEPTHS = (0.000, 0.090, 0.160, 0.215, 0.258, 0.278, 0.284, 0.282, 0.275, 0.262, 0.240, 0.205, 0.150, 0.020)
_STEPS = 90
EYE_HEIGHT, EYE_SIDE = -0.03, 0.108
_JAW_HEIGHTS = np.array([-0.04, 0.04, 0.12, 0.20, 0.275, 0.34, 0.39, 0.425, 0.438])


@lru_cache(maxsize=64)
def head_profile(identity: Identity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights (evenly spaced), half-widths and depths of this head."""
    heights = np.linspace(_HEIGHTS[0], _HEIGHTS[-1], _STEPS)
    widths = np.interp(heights, _HEIGHTS, _WIDTHS) * identity.head_width
    widths *= 1 + (identity.jaw - 1) * np.clip((heights - 0.05) / 0.25, 0, 1) * np.clip((0.44 - heights) / 0.1, 0, 1)
    depths = np.interp(heights, _HEIGHTS, _DEPTHS)
    soft = np.ones(5) / 5
    widths[2:-2], depths[2:-2] = np.convolve(widths, soft, "valid"), np.convolve(depths, soft, "valid")
    return heights * identity.head, widths * identity.head, depths * identity.head


def surface(identity: Identity, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth z of the face at (x, y) of an average-sized head, already scaled like the head."""
    heights, widths, depths = head_profile(identity)
    width = np.interp(y * identity.head, heights, widths)
    depth = np.interp(y * identity.head, heights, depths)
    return depth * np.sqrt(np.maximum(0.04, 1 - (x * identity.head / np.maximum(width, 1e-3)) ** 2))


def landmarks(identity: Identity, expression: np.ndarray) -> np.ndarray:
    """(S, 68, 3) in head coordinates, in COCO-WholeBody's order; expression (S, 8), see `motion.FACE`."""
    raised, drawn, shut, _gx, _gy, opened, wide, corners = (channel[:, None] for channel in expression.T)
    jaw = _jaw(identity, opened)
    brows = _brows(identity, raised, drawn)
    nose = _nose(identity, len(expression))
    eyes = _eyes(identity, shut)
    mouth = _mouth(identity, opened, wide, corners)
    points = np.concatenate([jaw, brows, nose, eyes, mouth], 1)
    z = surface(identity, points[..., 0], points[..., 1])
    z[:, 27:31] += np.linspace(0.015, 0.085, 4) * identity.nose
    z[:, 31:36] += np.array([0.02, 0.045, 0.06, 0.045, 0.02]) * identity.nose
    z[:, 48:68] += 0.012
    z[:, :17] *= 0.5
    return np.concatenate([points * identity.head, z[..., None]], -1)


def _jaw(identity: Identity, opened: np.ndarray) -> np.ndarray:
    heights, widths, _ = head_profile(identity)
    half = np.interp(_JAW_HEIGHTS * identity.head, heights, widths) / identity.head * 0.97
    half[-1] = 0
    x = np.concatenate([-half, half[-2::-1]])
    y = np.concatenate([_JAW_HEIGHTS, _JAW_HEIGHTS[-2::-1]])
    drop = jaw_drop(y, opened)
    return np.stack([np.broadcast_to(x, drop.shape), y + drop], -1)


def jaw_drop(height: np.ndarray, opened: np.ndarray | float) -> np.ndarray:
    """How far an open mouth lowers the skin at a height of the head; both in head sizes."""
    return 0.045 * opened * np.clip((height - 0.15) / 0.25, 0, 1)


def _brows(identity: Identity, raised: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    side = np.array([0.185, 0.155, 0.118, 0.080, 0.045])  # outer end first
    arch = np.array([0.020, -0.010, -0.022, -0.018, -0.004])
    inner = np.linspace(0, 1, 5)
    x = side - 0.018 * drawn.clip(0) * inner
    y = -0.125 + arch - 0.035 * raised + 0.022 * drawn * inner
    right, left = np.stack([-x, y], -1), np.stack([x, y], -1)[:, ::-1]
    return np.concatenate([right, left], 1)


def _nose(identity: Identity, samples: int) -> np.ndarray:
    bridge = np.stack([np.zeros(4), np.linspace(-0.045, 0.095, 4)], -1)
    x = np.array([-0.048, -0.024, 0, 0.024, 0.048]) * identity.nose
    base = np.stack([x, 0.128 + np.array([-0.006, 0.002, 0.008, 0.002, -0.006])], -1)
    return np.tile(np.concatenate([bridge, base])[None], (samples, 1, 1))


def _eyes(identity: Identity, shut: np.ndarray) -> np.ndarray:
    """Six points an eye: corner, two of the upper lid, corner, two of the lower lid."""
    half, lid = 0.050 * identity.eye, 0.022 * identity.eye
    x = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4]) * half
    upper = np.array([0, 1, 1, 0, 0, 0]) * (1 - 1.6 * shut) * lid
    lower = np.array([0, 0, 0, 0, 1, 1]) * lid * 0.75
    y = EYE_HEIGHT - np.maximum(upper, -0.7 * lid) + lower
    one = np.stack([np.broadcast_to(x, y.shape), y], -1)
    return np.concatenate([one + np.array([-side, 0]) for side in (EYE_SIDE, -EYE_SIDE)], 1)


def _mouth(identity: Identity, opened: np.ndarray, wide: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Twelve points around the lips from the left of the picture over the upper lip, then eight inside."""
    half = 0.085 * identity.mouth * (1 + 0.22 * wide - 0.2 * opened)
    gap = 0.058 * opened
    outer_x = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1, 0.62, 0.25, 0, -0.25, -0.62])
    outer_lip = np.array([0, -0.70, -1, -0.85, -1, -0.70, 0, 0.75, 1.1, 1.2, 1.1, 0.75]) * 0.034
    outer_gap = np.array([0, -0.3, -0.4, -0.4, -0.4, -0.3, 0, 0.9, 1.3, 1.4, 1.3, 0.9])
    inner_x = np.array([-0.8, -0.35, 0, 0.35, 0.8, 0.35, 0, -0.35])
    inner_lip = np.array([0, -0.1, -0.1, -0.1, 0, 0.1, 0.1, 0.1]) * 0.034
    inner_gap = np.array([0, -0.35, -0.4, -0.35, 0, 1.2, 1.4, 1.2])
    x = np.concatenate([outer_x, inner_x]) * half
    y = np.concatenate([outer_lip, inner_lip]) + np.concatenate([outer_gap, inner_gap]) * gap
    return np.stack([x, 0.250 + y - 0.022 * corners * (x / half) ** 2], -1)
