"""Trains a pose network on frames and keypoints by the weighted squared error of its heat maps; validates by PCK."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from signgen.models.heat_maps import gaussian_targets
from signgen.models.posenet import PoseNet
from signgen.training.posenet.frames import PoseFrames
from signgen.training.posenet.recipe import HeatMapSettings, PoseNetRecipe
from signgen.training.posenet.score import part_accuracy
from signgen.training.stages import Batch, Stage, evaluating, signed_range

STAGE = "posenet"
VALIDATION_FRAMES = 256  # to bound the time; the card takes more


class PoseModule(nn.Module):
    """The network with its loss, as one module for the accelerator."""

    def __init__(self, network: PoseNet, settings: HeatMapSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: Batch) -> Batch:
        """A batch of PoseFrames' items -> {"loss": ()}."""
        maps = self.network.heat_maps(signed_range(batch["image"])).maps.float()
        size = (maps.shape[-2], maps.shape[-1])
        targets, known = gaussian_targets(batch["points"], size, self.network.stride, self.settings.sigma)
        return {"loss": heat_map_loss(maps, targets, known, self.settings.foreground)}


def heat_map_loss(maps: torch.Tensor, targets: torch.Tensor, known: torch.Tensor, foreground: float) -> torch.Tensor:
    """mean_known of (1 + foreground t) (m - t)^2, over the pixels of the maps of known joints.

    maps, targets: (B, K, h, w); known: bool (B, K). A missing joint contributes nothing; 0 where all are.
    """
    errors = ((1 + foreground * targets) * (maps - targets) ** 2).mean((-2, -1))
    return (errors * known).sum() / known.sum().clamp_min(1)


class PoseStage(Stage):
    """The one stage of a pose network. Its loss draws no random numbers."""

    name = STAGE

    def __init__(self, recipe: PoseNetRecipe, network: PoseNet, validation: PoseFrames | None) -> None:
        self.settings = recipe.training
        self.network, self.validation = network, validation
        self.module: nn.Module = PoseModule(network, recipe.heat_maps)

    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """PCK@0.1 of each part, and the share of its points that are seen, on some of the held-out frames."""
        if self.validation is None:
            return {}
        with evaluating(self.network):
            found = part_accuracy(self.network, self.validation, VALIDATION_FRAMES)
        return {f"{part}_{name}": value for part, each in found.items() for name, value in each.shares.items()}
