"""Recipes at tiny size: the real classes with seeded random weights."""

from __future__ import annotations

import json
from typing import Any

from signgen.config import Recipe, load_recipe

_SMALL_VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
_VALUES: dict[str, Any] = {
    "canvas": {"width": 32, "height": 32},
    "source_encoder.side": 32,
    "source_encoder.config": {**_SMALL_VIT, "mlp_ratio": 2},
    "fusion.side": 32,
    "fusion.tower.config": {**_SMALL_VIT, "intermediate_size": 32, "projection_dim": 16},
    "conditions.0.options.hidden": 16,
    "conditions.1.options.channels": [8, 8, 8],
    "conditions.4.options.channels": [8, 8, 8],
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
    "training.fusion.steps": 6,
    "training.fusion.batch_size": 4,
    "training.diffusion.steps": 8,
    "training.diffusion.batch_size": 2,
    "training.precision": "fp32",
    "sampling.precision": "fp32",
    "sampling.micro_batch": 2,
}
# nano with a 32x32 canvas and two-digit widths: every part there, a step in milliseconds.
TINY = tuple(f"{key}={json.dumps(value)}" for key, value in _VALUES.items())


def tiny_recipe(*overrides: str) -> Recipe:
    """nano, made tiny, with further `a.b=c` overrides."""
    return load_recipe("nano", (*TINY, *overrides))


def set_options(*overrides: str) -> list[str]:
    """The same as command-line options."""
    return [word for override in (*TINY, *overrides) for word in ("--set", override)]
