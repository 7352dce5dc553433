"""A small untrained model and a clip of any length for it: what benchmarks of rendering itself render with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from signgen.config import Recipe, load_recipe
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, save_model
from signgen.poses.sequence import PoseSequence
from signgen.synthetic import Identity, Motion, render_clip
from signgen.video.reader import write_png
from signgen.video.writer import VideoWriter

SIDE, FPS = 128, 25
_VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
_VALUES: dict[str, Any] = {
    "canvas": {"width": 32, "height": 32},
    "source_encoder.side": 32,
    "source_encoder.config": {**_VIT, "mlp_ratio": 2},
    "fusion.enabled": False,
    "conditions": [
        {"kind": "source_tokens", "options": {"hidden": 16}},
        {"kind": "pose_map", "options": {"channels": [8, 8, 8], "window": 1}},
    ],
    "unet.config": {
        "sample_size": 8,
        "block_out_channels": [16, 32],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    },
    "sampling.precision": "fp32",
    "sampling.steps": 1,
    "sampling.noise_scale": 1,
    "sampling.micro_batch": 16,
    "diffusion.base": "source",
    "training.diffusion.augmentation.references": 0,
    "diffusion.copies": {"layers": 0, "warp": False},
}


def small_recipe() -> Recipe:
    """nano on a 32x32 canvas, with two-digit widths: a frame takes a millisecond or two."""
    return load_recipe("nano", tuple(f"{key}={json.dumps(value)}" for key, value in _VALUES.items()))


def write_model(folder: Path) -> Path:
    """A model folder with seeded random weights."""
    import torch

    torch.manual_seed(0)
    recipe = small_recipe()
    card = ModelCard.describe(recipe, {"fingerprint": "none"}, {"diffusion": 0}, 1)
    save_model(build_pipeline(recipe), card, folder)
    return folder


def write_clip(folder: Path, frames: int, filmed: bool = False) -> tuple[Path, Path]:
    """A drawn signer of 128x128, and keypoints of so many frames: the same two seconds again, each a little off.

    The signer is a picture, or filmed: a video of all frames, which then are the truth.
    """
    drawn = render_clip(Identity.random(0, "signer"), Motion.random(0, 50), size=(SIDE, SIDE))
    points = np.tile(drawn.poses.keypoints, (-(-frames // len(drawn.poses)), 1, 1))[:frames]
    points[..., 0] += np.sin(np.arange(frames, dtype=np.float32) / 7)[:, None]
    source, poses = folder / ("signer.mp4" if filmed else "me.png"), folder / "signer.poses.npz"
    PoseSequence(points, SIDE, SIDE, float(FPS)).save(poses)
    if not filmed:
        write_png(source, drawn.frames[0])
        return source, poses
    with VideoWriter(source, SIDE, SIDE, FPS) as writer:
        for number in range(frames):
            writer.write(drawn.frames[number % len(drawn.frames)])
    return source, poses
