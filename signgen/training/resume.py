"""The recipe of a run and the one that it is to go on with in; what changes, in words, out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from signgen.config import Recipe
from signgen.errors import ModelError
from signgen.training.stages import CONTRASTIVE, stages_of

# They decide nothing about the weights.
_OF_TRAINING = ("workers", "save_every", "checkpoints", "feature_cache", "compile", "wandb", "keep_best")
_OF_STAGE = (
    *("steps", "validations", "batch_size", "accumulation"),
    *("ema_on_cpu", "gradient_checkpointing", "frozen_on_cpu"),
)


def check_resumed(where: str, kept: Recipe, asked: Recipe, done: Mapping[str, int]) -> list[str]:
    """Raise ModelError, naming the key, where `asked` trains for another objective than `kept`; else what is changed.

    done: steps that each begun stage has made. Free are the number of steps, how a step's samples are split into
    micro-batches (not in a contrastive stage), and what decides nothing about the weights.
    """
    stages = stages_of(kept)
    free = {f"training.{name}" for name in _OF_TRAINING}
    free |= {f"training.{stage}.{name}" for stage in stages for name in _OF_STAGE}
    free -= {f"training.{stage}.{name}" for stage in CONTRASTIVE for name in ("batch_size", "accumulation")}
    changed = list(_differences(kept.model_dump(mode="json"), asked.model_dump(mode="json")))
    for key, before, after in changed:
        if key not in free:
            raise ModelError(
                f"{where} differs from the recipe asked for: {key} was {before!r}, now {after!r}",
                fix="leave --config, --set, --seed and --dtype out, or choose another --out",
            )
    for name, settings in stages.items():
        now = stages_of(asked)[name]
        before, after = (each.batch_size * each.accumulation for each in (settings, now))
        if before != after:
            raise ModelError(
                f"stage {name} was begun with {before} samples in a step, now {after}",
                fix=f"choose training.{name}.batch_size and accumulation whose product is {before}",
            )
        if now.steps != settings.steps and now.steps < done.get(name, 0):
            raise ModelError(f"stage {name} has made {done[name]} steps already", expected=f"{now.steps} or fewer")
    if "diffusion" in done and any(key == "training.fusion.steps" for key, *_ in changed):
        raise ModelError(
            "stage diffusion was begun with this stage fusion, which cannot be trained longer now",
            fix="leave training.fusion.steps as it was, or choose another --out",
        )
    return [f"{key}: {before} -> {after}{_effect(key, kept)}" for key, before, after in changed]


def _effect(key: str, recipe: Recipe) -> str:
    stage, name = key.split(".")[1], key.split(".")[-1]
    if name == "steps" and stages_of(recipe)[stage].decay != "constant":
        return ", and the learning rate decays until then"
    return ""


def _differences(before: Any, after: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Keys that differ, as `--set` writes them, with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            yield from _differences(before.get(name), after.get(name), f"{key}.{name}" if key else name)
    elif before != after:
        yield key, before, after
