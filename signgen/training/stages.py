"""What a training stage is: trainable parameters + loss(batch) + validation. Both stages have this one signature."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from signgen.config import StageSettings
from signgen.models.pipeline import keyed_generator

Batch = dict[str, torch.Tensor]


class Stage(Protocol):
    """One stage of training. `trainee(batch)` returns {"loss": (), ...} with further scalars for the logs."""

    name: str
    settings: StageSettings
    trainee: nn.Module

    def draw(self, batch: Batch, seed: int) -> Batch:
        """Add the batch's random numbers, keyed by (seed, stage, epoch, sample); runs on the CPU."""

    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """Scores on the validation split, pictures into `samples`; the trainee holds the weights to judge."""

    def export(self, folder: Path) -> None:
        """Write the stage's result in Hub layout."""


def sample_generators(stage: str, batch: Batch, seed: int) -> list[torch.Generator]:
    """One CPU generator per sample, keyed by (seed, stage, epoch, index): independent of batch size and processes."""
    return [
        keyed_generator(seed, stage, epoch, index)
        for epoch, index in zip(batch["epoch"].tolist(), batch["index"].tolist(), strict=True)
    ]


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 in [0, 1]."""
    return images.float() / 255


def signed_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
