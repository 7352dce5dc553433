"""A recipe and a device's memory in; the recipe whose stages fit there, and what was changed in words, out.

Steps keep their samples: micro-batches become smaller and more. What that alone does not reach is tried in this order:
the average on the CPU, frozen networks on the CPU, gradient checkpointing, Adam in 8 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from signgen.config import Recipe, StageSettings
from signgen.errors import OptionError, RecipeError
from signgen.training.cost import StageCost, stage_costs
from signgen.training.stages import CONTRASTIVE

GIB = 1 << 30
USABLE = 0.92  # of a device's memory; CUDA itself, and memory in pieces too small, take the rest
MEASURES: tuple[tuple[str, object, str], ...] = (
    ("ema_on_cpu", True, "the average on the CPU"),
    ("frozen_on_cpu", True, "frozen networks on the CPU between validations"),
    ("gradient_checkpointing", True, "gradient checkpointing"),
    ("optimizer", "adamw8bit", "Adam in 8 bits"),
)


def parse_memory(text: str) -> int:
    """`24GB` -> bytes. Raises OptionError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*G(?:i?B)?\s*", text, re.IGNORECASE)
    if found is None or not float(found[1]):
        raise OptionError(f"--fit {text}", expected="a device's memory, as in 24GB")
    return int(float(found[1]) * GIB)


def fit(recipe: Recipe, memory: int, processes: int = 1, measures: bool = True) -> tuple[Recipe, list[str]]:
    """The recipe whose stages take at most `memory` bytes of each device, by count; lines about what was changed.

    measures: whether more than smaller micro-batches is tried. Raises RecipeError where nothing fits.
    """
    training, lines = recipe.training, []
    for name, cost in stage_costs(recipe).items():
        found, done = _fit_stage(cost, recipe.training.precision, memory, processes, measures)
        expected = sum(cost.memory(recipe.training.precision, found, processes).values())
        training = training.model_copy(update={name: found})
        said = f"{', '.join(done)}; " if done else ""
        lines.append(f"stage {name}: {said}{expected / GIB:.1f} GiB expected of {memory / GIB:.1f}")
    return recipe.model_copy(update={"training": training}), lines


def _fit_stage(
    cost: StageCost, precision: str, memory: int, processes: int, measures: bool
) -> tuple[StageSettings, list[str]]:
    least = 0
    for settings, done in _tries(cost, processes, measures):
        needed = sum(cost.memory(precision, settings, processes).values())
        if needed <= memory * USABLE:
            return settings, done
        least = min(least or needed, needed)
    raise RecipeError(
        f"stage {cost.name} takes {least / GIB:.1f} GiB at least",
        expected=f"{memory * USABLE / GIB:.1f} GiB, what can be used of {memory / GIB:.1f}",
        fix="take a larger device or more of them, or a smaller recipe",
    )


def _tries(cost: StageCost, processes: int, measures: bool) -> Iterator[tuple[StageSettings, list[str]]]:
    """Settings from the recipe's own to those that take least. Measures come before micro-batches below a quarter."""
    done: list[str] = []
    chosen = cost.settings
    sizes = _micro_batches(cost, processes)
    for step in range(len(MEASURES) + 1 if measures else 1):
        if step:
            name, value, said = MEASURES[step - 1]
            if (name == "ema_on_cpu" and not chosen.ema) or (name == "frozen_on_cpu" and not cost.parked):
                continue
            chosen, done = chosen.model_copy(update={name: value}), [*done, said]
        for size in sizes if not measures else [size for size in sizes if 4 * size >= sizes[0]]:
            yield _split(chosen, size), _said(done, cost.settings, size)
    for size in sizes:
        yield _split(chosen, size), _said(done, cost.settings, size)


def _micro_batches(cost: StageCost, processes: int) -> list[int]:
    """Sizes, the largest first, whose multiples are a step and that processes can share."""
    settings = cost.settings
    if cost.name in CONTRASTIVE:
        return [settings.batch_size]
    sizes = range(settings.batch_size, 0, -1)
    return [n for n in sizes if cost.samples % n == 0 and n % processes == 0] or [settings.batch_size]


def _split(settings: StageSettings, size: int) -> StageSettings:
    samples = settings.batch_size * settings.accumulation
    return settings.model_copy(update={"batch_size": size, "accumulation": samples // size})


def _said(done: list[str], before: StageSettings, size: int) -> list[str]:
    if size == before.batch_size:
        return done
    samples = before.batch_size * before.accumulation
    return [
        *done,
        f"{samples // size} micro-batches of {size} in place of {before.accumulation} of {before.batch_size}",
    ]


def as_overrides(before: Recipe, after: Recipe) -> tuple[str, ...]:
    """What `fit` changed, as `--set` takes it."""
    found = []
    for stage in ("fusion", "diffusion"):
        old, new = (getattr(recipe.training, stage).model_dump() for recipe in (before, after))
        changed = ((name, value) for name, value in new.items() if value != old[name])
        found += [f"training.{stage}.{name}={str(value).lower()}" for name, value in changed]
    return tuple(found)
