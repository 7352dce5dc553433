"""Augmentation: frames and their keypoints on the canvas in; the same, moved or mirrored together, out."""

from __future__ import annotations

import cv2
import numpy as np

from signgen.config import Moves
from signgen.models.canvas import Canvas
from signgen.poses.skeletons import Skeleton


def random_affine(moves: Moves, canvas: Canvas, rng: np.random.Generator) -> np.ndarray | None:
    """A random affine map, float32 (2, 3): scale and rotation about the canvas centre, then a shift by whole pixels.

    None where nothing is moved.
    """
    if not (moves.shift or moves.scale or moves.rotate):
        return None
    angle = rng.uniform(-1, 1) * moves.rotate
    scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(moves.scale)))
    shift = np.round(rng.uniform(-moves.shift, moves.shift, 2))  # whole pixels: no resampling blur
    centre = ((canvas.width - 1) / 2, (canvas.height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, angle, scale)
    matrix[:, 2] += shift
    return matrix.astype(np.float32)


def move_frame(frame: np.ndarray, affine: np.ndarray | None) -> np.ndarray:
    """uint8 (H, W, 3) resampled by `affine` (2, 3), bilinear, edges repeated; None: unchanged."""
    if affine is None:
        return frame
    size = (frame.shape[1], frame.shape[0])
    return cv2.warpAffine(frame, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def move_points(points: np.ndarray, affine: np.ndarray | None) -> np.ndarray:
    """(K, 3) canvas pixels moved by `affine` (2, 3); scores and NaN are kept. None: unchanged."""
    if affine is None:
        return points
    return np.concatenate([points[:, :2] @ affine[:, :2].T + affine[:, 2], points[:, 2:]], 1).astype(np.float32)


def mirror_points(points: np.ndarray, width: int, skeleton: Skeleton) -> np.ndarray:
    """Keypoints (K, 3) of the horizontally mirrored image, `width` pixels wide: left and right points swap places."""
    mirrored = points[list(skeleton.mirror)]
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored
