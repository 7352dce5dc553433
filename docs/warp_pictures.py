"""The pictures of part_warp.md: `python docs/warp_pictures.py` writes warp.png here; with a model and a drawn corpus,
`python docs/warp_pictures.py MODEL CORPUS` (a nano trained on it), gate.png.

Only drawn signers are shown: no picture of a real person is part of the project.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from signgen.models.card import load_model
from signgen.models.compositing import shares, split_layers
from signgen.poses.clean import clean_poses
from signgen.poses.readers import read_poses
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.synthetic import frame_folders
from signgen.synthetic.corpus import plan_takes
from signgen.video.reader import open_frames, write_png
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


def bank_and_warps() -> np.ndarray:
    """A signer's layers, and warps of them."""
    clip = plan_takes(3, signers=2, clips=1, frames=40)["train"][1].render()
    points = clip.poses.keypoints
    bank = source_bank(clip.frames[0], points[0])
    assert bank is not None
    top = bank_row(clip.frames[0], bank)
    columns = [warp_column(bank, points[frame], clip.frames[frame]) for frame in FRAMES]
    below = np.concatenate([np.full_like(columns[0], 255), *columns], 1)
    return np.concatenate([top, below])


class Gate:
    """Renders, and remembers the shares of the mixture: prediction red, moved copy green, part warp blue."""

    def __init__(self, model: Path) -> None:
        pipeline, card = load_model(model)
        self.copies = pipeline.copies
        self.renderer = Renderer(pipeline, card, card.parsed_recipe().sampling.model_copy(update={"micro_batch": 1}))
        self.shares: list[np.ndarray] = []
        pipeline.unet.register_forward_hook(self._note)

    def _note(self, _: torch.nn.Module, __: tuple, output: object) -> None:
        _, logits, _ = split_layers(output.sample.float(), self.copies)  # type: ignore[attr-defined]
        finer = torch.nn.functional.interpolate(logits, scale_factor=4, mode="bilinear")
        self.shares.append((shares(finer)[0] * 255).round().byte().permute(1, 2, 0).numpy())

    def rows(self, clip: Path, keypoints: Path) -> np.ndarray:
        """Source, then for each frame pose, warp, shares, result and truth, below each other."""
        video = open_frames(clip)
        truth = video.read()
        poses = clean_poses(read_poses(keypoints, clip=clip.name, size=(video.width, video.height), fps=25.0))
        source, size = Source(truth[0], poses[0:1], clip.name), (video.width, video.height)
        warp, drawn = self.renderer.part_warps(source, poses), self.renderer.draw(poses)
        columns = [np.concatenate([truth[0], *[np.full_like(truth[0], 255)] * 4])]
        for number in FRAMES:
            self.shares.clear()
            result = next(self.renderer.frames(source, poses, range(number, number + 1)))
            small = [drawn[number], warp(range(number, number + 1))[0, ..., :3]]
            pictures = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in small]
            mixture = cv2.resize(self.shares[-1], size, interpolation=cv2.INTER_LINEAR)
            columns.append(np.concatenate([*pictures, mixture, result, truth[number]]))
        return np.concatenate(columns, 1)


def main() -> None:
    if len(sys.argv) > 1:
        model, corpus = map(Path, sys.argv[1:])
        clips, gate = frame_folders(corpus, "test"), Gate(model)
        keypoints = corpus / "keypoints" / "Phoenix-2014T.test"
        sheet, name = np.concatenate([gate.rows(clip, keypoints) for clip in (clips[0], clips[-1])], 1), "gate.png"
    else:
        sheet, name = bank_and_warps(), "warp.png"
    write_png(HERE / name, cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    sys.exit(main())
