"""What a run would do, without doing it: a pair set and a recipe in; parameters, FLOPs, memory, disk and time out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from signgen.config import Recipe
from signgen.models.device import prepare_device, usable_precision
from signgen.pairs.pairset import PairSet
from signgen.training import features
from signgen.training.clip_canvas import with_clip_canvas
from signgen.training.cost import StageCost, meta_pipeline, stage_costs
from signgen.training.features import FeaturePlan, plan_features, room_for_features
from signgen.training.request import TrainRequest, asked_recipe

GIB = 1 << 30


@dataclass(frozen=True)
class DryRun:
    """What was found. features: what is computed once, None where the recipe or the call says that nothing is.

    memory: of the device, in bytes; None on a CPU. precision: that is computed in. fitted: what was done to fit.
    """

    recipe: Recipe
    stages: dict[str, StageCost]
    features: FeaturePlan | None
    precision: str
    memory: int | None
    fitted: tuple[str, ...] = ()


# Kind of feature -> names of StageCost's work that it saves.
_SAVED = {
    features.LATENT: ("image_space: target", "image_space: source"),
    features.TOKENS: ("source_encoder",),
    features.EMBEDDING: ("fusion: source",),
    features.POSE: ("fusion: pose",),
    features.POSE_LATENT: ("image_space: pose_latent",),
    features.SOURCE_POSE_LATENT: ("image_space: source_pose_latent",),
}


def dry_run(request: TrainRequest) -> DryRun:
    """Read the pair set and the recipe and count; nothing is written. Raises RecipeError, PairSetError."""
    pairs = PairSet.load(request.pairs)
    recipe, fitted = asked_recipe(with_clip_canvas(request, pairs))
    device = prepare_device(request.device, request.threads)
    pipeline = meta_pipeline(recipe)
    kept = None
    if recipe.training.feature_cache:
        kept = plan_features(recipe, pipeline, pairs.triples("train"), room_for_features(pairs.folder))
    precision = usable_precision(recipe.training.precision, device)
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
    return DryRun(recipe, stage_costs(recipe, pipeline), kept, precision, memory, tuple(fitted))


def saved_work(found: DryRun, cost: StageCost) -> set[str]:
    """The names of the work that the features of this run save."""
    kept = [kind.name for kind in found.features.kinds] if found.features else []
    return {work for name in kept for work in _SAVED[name] if work in cost.cached}


def in_words(found: DryRun, throughput: float | None) -> list[str]:
    """Lines that say it. throughput: samples a second, for the time."""
    lines: list[str] = []
    for name, cost in found.stages.items():
        saved = saved_work(found, cost)
        flops = sum(value for work, value in cost.flops.items() if work not in saved)
        samples = cost.samples * cost.settings.steps
        memory = cost.memory(found.precision)
        lines += [
            f"stage {name}: {cost.settings.steps:,} steps of {cost.samples} samples"
            f" ({cost.settings.accumulation} x {cost.settings.batch_size}), {samples:,} samples",
            f"  parameters trained: {_counts(cost.trained)}",
            *([f"  frozen: {_counts(cost.frozen)}"] if cost.frozen else []),
            f"  GFLOP a sample: {_parts(cost.flops, saved)}; {flops / 1e9:,.4g} in a step,"
            f" {flops * samples:.2g} FLOP in all",
            f"  GiB at {cost.settings.batch_size} samples in {found.precision}, counted: {_gib(memory)}",
            *_against(found, sum(memory.values())),
            *([f"  {_duration(samples / throughput)} at {throughput:g} samples a second"] if throughput else []),
        ]
    return [*lines, *_features(found), *(f"to fit: {line}" for line in found.fitted)]


def _features(found: DryRun) -> list[str]:
    if found.features is None or not (found.features.kinds or found.features.notes):
        return ["features: none are kept"]
    kinds = [f"{kind.name} of {len(kind.frames):,}, {kind.nbytes / 1e9:.2g} GB" for kind in found.features.kinds]
    kept = f"features, computed once: {'; '.join(kinds)}; {found.features.nbytes / 1e9:.3g} GB of disk"
    return [*([kept] if kinds else []), *found.features.notes]


def _against(found: DryRun, needed: int) -> Sequence[str]:
    if found.memory is None or needed <= found.memory:
        return ()
    return (f"  more than this device's {found.memory / GIB:.1f} GiB",)


def _counts(parameters: dict[str, int]) -> str:
    return f"{sum(parameters.values()):,} ({', '.join(f'{name} {count:,}' for name, count in parameters.items())})"


def _parts(flops: dict[str, int], saved: set[str]) -> str:
    return ", ".join(f"{name} {v / 1e9:,.4g}{' (once a frame)' if name in saved else ''}" for name, v in flops.items())


def _gib(memory: dict[str, int]) -> str:
    parts = ", ".join(f"{name} {value / GIB:.2f}" for name, value in memory.items())
    return f"{parts}; {sum(memory.values()) / GIB:.1f} in all"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
