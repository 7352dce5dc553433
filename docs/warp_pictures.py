"""The pictures of part_warp.md: `python docs/warp_pictures.py [MODEL]` writes warp.png here, and with a model gate.png.

Only drawn signers are shown: no picture of a real person is part of the project.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from signgen.data.synthetic.corpus import plan_takes
from signgen.data.video import write_png
from signgen.warp.bank import Layer, SourceBank, source_bank
from signgen.warp.compose import part_warp

HERE = Path(__file__).parent
FRAMES = (8, 16, 24, 32)
GREY = 230


def shown(layers: list[Layer | None], like: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): layers on light grey."""
    image = np.full(like.shape, GREY, np.float32)
    for layer in layers:
        if layer is not None:
            image = image * (1 - layer.rgba[..., 3:] / 255) + layer.rgba[..., :3]
    return np.rint(image).astype(np.uint8)


def bank_row(frame: np.ndarray, bank: SourceBank) -> np.ndarray:
    """Source | background | trunk | arms | hands."""
    arms, hands = list(bank.arms.values()), list(bank.hands.values())
    layers = [shown(parts, frame) for parts in ([bank.trunk], arms, hands)]
    return np.concatenate([frame, bank.background, *layers], 1)


def warp_column(bank: SourceBank, keypoints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Warp, its masks (moved red, hands green, painted blue), truth; below each other."""
    warped = part_warp(bank, keypoints)
    return np.concatenate([warped.image, np.ascontiguousarray(warped.masks.transpose(1, 2, 0)), truth])


def main() -> None:
    clip = plan_takes(3, signers=2, clips=1, frames=40)["train"][1].render()
    points = clip.poses.keypoints
    bank = source_bank(clip.frames[0], points[0])
    assert bank is not None
    top = bank_row(clip.frames[0], bank)
    columns = [warp_column(bank, points[frame], clip.frames[frame]) for frame in FRAMES]
    below = np.concatenate([np.full_like(columns[0], 255), *columns], 1)
    sheet = np.concatenate([top, below])
    write_png(HERE / "warp.png", cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    sys.exit(main())
