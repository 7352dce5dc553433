"""What a training stage is: a module with its loss, its optimisers, its random numbers and its validation.

All stages have this one signature and run in the one `Trainer`; a new method is a stage, or optimisers and extra
losses of a stage, and no second loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from signgen.config import Recipe, StageSettings
from signgen.errors import RecipeError
from signgen.seeds import keyed_generator

Batch = dict[str, torch.Tensor]
MAIN = "main"
CONTRASTIVE = ("fusion",)  # stages whose loss compares the samples of a micro-batch


def stages_of(recipe: Recipe) -> dict[str, StageSettings]:
    """The stages that a run of this recipe trains, by name, in order. A new stage is one entry here."""
    training = recipe.training
    stages = {"fusion": training.fusion, "diffusion": training.diffusion}
    return {name: settings for name, settings in stages.items() if name != "fusion" or recipe.fusion.enabled}


class Stage:
    """Base of the stages; what a subclass does not say has the default here.

    name: that of its settings, state folder and logs. module: holds all that is trained; `module(batch)` returns
    {"loss": (), ...}, with any further scalars by name.
    """

    name: str
    settings: StageSettings
    module: nn.Module

    @property
    def extra_losses(self) -> Mapping[str, float]:
        """Weights of the module's further scalars that are added to its "loss", by name. All are logged, weighted or
        not."""
        return {}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Optimisers by name, one or more, which together hold every trainable parameter of the module once.

        Each makes a step in every step of the stage. The learning rates they have here are the highest: the Trainer
        multiplies them by the stage's schedule.
        """
        return {MAIN: adamw(self.settings, trainable(self.module))}

    def sample_noise(self, batch: Batch, seed: int) -> Batch:
        """The batch with its random numbers, keyed by (seed, stage, epoch, sample); runs on the CPU."""
        return batch

    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """Scores on the validation split, pictures into `samples`; the module holds the weights to judge."""
        return {}

    def export(self, folder: Path) -> None:
        """Write the stage's result in Hub layout, if it has one of its own."""


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that need gradients, in the module's order."""
    return [p for p in module.parameters() if p.requires_grad]


def adamw(
    settings: StageSettings, parameters: list[nn.Parameter], learning_rate: float | None = None
) -> torch.optim.AdamW:
    """AdamW with the stage's weight decay, and its learning rate unless another is given."""
    rate = settings.learning_rate if learning_rate is None else learning_rate
    if settings.optimizer == "adamw8bit":
        return _adamw_8bit()(parameters, lr=rate, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=settings.weight_decay, fused=True)


def _adamw_8bit() -> Any:
    """bitsandbytes' AdamW with moments in 8 bits (Dettmers et al. 2021). Raises RecipeError where it is not there."""
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise RecipeError("optimizer adamw8bit needs bitsandbytes", fix="pip install 'signgen[low-memory]'") from error
    return AdamW8bit


def sample_generators(stage: str, batch: Batch, seed: int) -> list[torch.Generator]:
    """One CPU generator per sample, keyed by (seed, stage, epoch, index): independent of batch size and processes."""
    return [
        keyed_generator(seed, stage, epoch, index)
        for epoch, index in zip(batch["epoch"].tolist(), batch["index"].tolist(), strict=True)
    ]


@contextmanager
def evaluating(*modules: nn.Module | None) -> Iterator[None]:
    """Put modules into eval mode for validation, and back into the mode each was in."""
    before = [(m, m.training) for m in modules if m is not None]
    for module, _ in before:
        module.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.train(training)


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 in [0, 1]."""
    return images.float() / 255


def signed_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
