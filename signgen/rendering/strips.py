"""Strips: rows of images (source | pose | output | truth) in, one picture out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from signgen.files import atomic_path


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> uint8 (B, H, W, 3)."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def join(images: list[np.ndarray], gap: int = 0) -> np.ndarray:
    """uint8 images of one height side by side, `gap` white pixels between them."""
    spacer = np.full((images[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for image in images for part in (image, spacer)]
    return np.concatenate(parts[:-1], 1)


def save_strips(rows: list[list[np.ndarray]], path: Path) -> None:
    """Write the rows as one PNG, atomically."""
    picture = np.concatenate([join(row, 2) for row in rows], 0)
    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise OSError(f"cannot encode {path}")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
