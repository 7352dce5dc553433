"""A stage's batch and a number of processes in; micro-batches that they share evenly, with the same samples in a step,
out."""

from __future__ import annotations

from signgen.config import Recipe, StageSettings
from signgen.errors import RecipeError
from signgen.training.stages import CONTRASTIVE, stages_of


def divided(settings: StageSettings, stage: str, processes: int) -> StageSettings:
    """The settings with the largest micro-batch, up to the recipe's, that `processes` can share, and as many of them
    that a step has the recipe's samples.

    The micro-batch of a contrastive stage stays: it is part of the objective. Raises RecipeError where none fits.
    """
    if settings.batch_size % processes == 0:
        return settings
    key = f"training.{stage}"
    if stage in CONTRASTIVE:
        near = max(processes, round(settings.batch_size / processes) * processes)
        raise RecipeError(
            f"{key}.batch_size is {settings.batch_size}, which {processes} processes cannot share evenly",
            expected="a multiple of their number: its samples are compared with each other",
            fix=f"add --set {key}.batch_size={near}, or start another number of processes",
        )
    samples = settings.batch_size * settings.accumulation
    fitting = [size for size in range(processes, settings.batch_size + 1, processes) if samples % size == 0]
    if not fitting:
        raise RecipeError(
            f"a step of {samples} samples ({key}.batch_size {settings.batch_size} x accumulation"
            f" {settings.accumulation}), which {processes} processes cannot share evenly",
            expected="a multiple of their number",
            fix=f"change --set {key}.batch_size, or start another number of processes",
        )
    return settings.model_copy(update={"batch_size": fitting[-1], "accumulation": samples // fitting[-1]})


def divide_batches(recipe: Recipe, processes: int) -> tuple[Recipe, list[str]]:
    """The recipe as `processes` train it, all stages at once, and a line for each stage whose micro-batches changed."""
    training, lines = recipe.training, []
    for stage, settings in stages_of(recipe).items():
        found = divided(settings, stage, processes)
        if found != settings:
            training = training.model_copy(update={stage: found})
            lines.append(
                f"stage {stage}: {found.accumulation} micro-batches of {found.batch_size} in place of"
                f" {settings.accumulation} of {settings.batch_size}, so that {processes} processes share them evenly"
            )
    return recipe.model_copy(update={"training": training}), lines
