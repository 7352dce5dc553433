"""A recipe in; what training it costs, out: parameters, FLOPs and memory of each stage. Nothing is loaded or trained.

Networks are built on the meta device, from the configurations in the recipe where it names origins. FLOPs are counted
by torch (a multiply and an add are two; attention is in them, norms and other elementwise work are not) in one pass
forwards and backwards. Memory is counted, not measured: weights, gradients, optimiser and averages by their sizes, and
activations by what the backward pass keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import Recipe, StageSettings
from signgen.models.build import build_fusion, build_pipeline
from signgen.models.card import palette_of
from signgen.models.conditions import BRANCHES
from signgen.models.pipeline import SignerPipeline
from signgen.poses.skeletons import SKELETONS
from signgen.training.diffusion import diffusion_module
from signgen.training.features import moves_pixels, poses_are_fixed, source_poses_are_known
from signgen.training.fusion import FusionModule
from signgen.training.stages import stages_of

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_COMPUTED_AGAIN = ("ResnetBlock2D", "BasicTransformerBlock", "CLIPEncoderLayer")  # by gradient checkpointing


@dataclass(frozen=True)
class StageCost:
    """What one stage trains and costs.

    trained, frozen: parameters, by network. flops: of one sample, by part of the work; what a feature cache saves is in
    `cached`, and is paid once a frame instead. activations: float32 bytes that the backward pass keeps of one sample;
    checkpointed: the same with gradient checkpointing: inputs of the blocks that are computed again, and the largest of
    these.
    """

    name: str
    settings: StageSettings
    trained: dict[str, int]
    frozen: dict[str, int]
    flops: dict[str, int]
    cached: dict[str, int]
    activations: int
    checkpointed: int

    @property
    def parked(self) -> list[str]:
        """Frozen networks all of whose work is of single frames."""
        online = {work.split(":")[0] for work in self.flops if work not in self.cached}
        return [name for name in self.frozen if name not in online]

    @property
    def samples(self) -> int:
        """In a step."""
        return self.settings.batch_size * self.settings.accumulation

    def memory(self, precision: str, settings: StageSettings | None = None, processes: int = 1) -> dict[str, int]:
        """Bytes on one of `processes` devices, by part, with these settings, the stage's by default. Frozen networks
        stay there for validation."""
        settings = settings or self.settings
        trained, frozen = sum(self.trained.values()), sum(self.frozen.values())
        if settings.frozen_on_cpu:
            frozen -= sum(self.frozen[name] for name in self.parked)
        moments = 2 if settings.optimizer == "adamw8bit" else 8
        found = {"weights": 4 * trained, "gradients": 4 * trained, "Adam": moments * trained}
        if settings.ema and not settings.ema_on_cpu:
            found["average"] = 4 * trained
        if processes > 1:  # DistributedDataParallel exchanges gradients in buffers of their size
            found["exchange"] = 4 * trained
        found["frozen"] = 4 * frozen
        if precision != "fp32":  # autocast keeps a copy of each weight it has converted, within a step
            found["copies"] = _BYTES[precision] * trained
        kept = self.checkpointed if settings.gradient_checkpointing else self.activations
        found["activations"] = kept * settings.batch_size // processes * _BYTES[precision] // 4
        return found


def meta_pipeline(recipe: Recipe) -> SignerPipeline:
    """The recipe's networks, without weights."""
    with torch.device("meta"):
        return build_pipeline(without_origins(recipe))


def stage_costs(recipe: Recipe, pipeline: SignerPipeline | None = None) -> dict[str, StageCost]:
    """Of every stage that a run of this recipe trains. pipeline: its `meta_pipeline`, where that is built already."""
    recipe, pipeline = without_origins(recipe), pipeline or meta_pipeline(recipe)
    costs = {}
    with torch.device("meta"):
        for name, settings in stages_of(recipe).items():
            costs[name] = _fusion(recipe, settings) if name == "fusion" else _diffusion(recipe, settings, pipeline)
    return costs


def without_origins(recipe: Recipe) -> Recipe:
    """The recipe with every network built from its configuration."""

    def cleared(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: None if name == "origin" else cleared(each) for name, each in value.items()}

    return Recipe.model_validate(cleared(recipe.model_dump()))


def _fusion(recipe: Recipe, settings: StageSettings) -> StageCost:
    module = FusionModule(build_fusion(recipe), recipe.fusion.loss)
    images = {name: _picture(recipe) for name in ("source", "target_pose", "target")}
    ids = {name: torch.zeros(1, dtype=torch.int64) for name in ("source_id", "target_id")}
    flops, *activations = _measured(module, lambda: module({**images, **ids})["loss"])
    trained = {"fusion": _parameters(module)}
    return StageCost("fusion", settings, trained, {}, {"trained": flops}, {}, *activations)


def _diffusion(recipe: Recipe, settings: StageSettings, pipeline: SignerPipeline) -> StageCost:
    module = diffusion_module(recipe, pipeline)
    trains = {"unet", "conditions"} | ({"source_encoder"} if recipe.source_encoder.trainable else set())
    for name, network in pipeline.networks().items():
        network.requires_grad_(name in trains).train(name in trains)
    frozen = _frozen_work(recipe, pipeline)
    batch = _batch(recipe, pipeline)
    whole, activations, checkpointed = _measured(module, lambda: module(batch)["loss"])
    spent = sum(flops for flops, _ in frozen.values())
    parameters = {name: _parameters(network) for name, network in pipeline.networks().items()}
    return StageCost(
        "diffusion",
        settings,
        trained={name: count for name, count in parameters.items() if name in trains},
        frozen={name: count for name, count in parameters.items() if name not in trains and count},
        flops={"trained": whole - spent, **{name: flops for name, (flops, _) in frozen.items()}},
        cached={name: flops for name, (flops, keeps) in frozen.items() if keeps},
        activations=activations,
        checkpointed=checkpointed,
    )


def _frozen_work(recipe: Recipe, pipeline: SignerPipeline) -> dict[str, tuple[int, bool]]:
    """FLOPs a sample of what is not trained, by work, and whether it is of single frames, so that it can be kept."""
    needs, image = pipeline.conditions.needs, _signed(recipe)
    augmentation = recipe.training.diffusion.augmentation
    still = not moves_pixels(augmentation)
    fixed = still and poses_are_fixed(augmentation)
    work: dict[str, tuple[Callable[[], object], bool]] = {
        "image_space: target": (lambda: pipeline.space.encode(image), still),
    }
    if pipeline.reads_source_latent:
        work["image_space: source"] = (lambda: pipeline.space.encode(image), still)
    known = {"pose_latent": fixed, "source_pose_latent": still and source_poses_are_known(augmentation)}
    for name, keeps in known.items():
        if name in needs:
            work[f"image_space: {name}"] = (lambda: pipeline.space.encode(image), keeps)
    if "part_warp" in needs:
        work["image_space: part warp"] = (lambda: pipeline.space.encode(image), False)
    if "source_tokens" in needs and not recipe.source_encoder.trainable:
        work["source_encoder"] = (lambda: pipeline.source_tokens(image), still)
    if "fusion" in needs and pipeline.fusion is not None:
        fusion = pipeline.fusion
        work["fusion: source"] = (lambda: fusion.embed(image), still)
        work["fusion: pose"] = (lambda: fusion.embed(image), fixed)
    found = {}
    for name, (call, keeps) in work.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call()
        found[name] = (counter.get_total_flops(), keeps)
    return found


def _batch(recipe: Recipe, pipeline: SignerPipeline) -> dict[str, torch.Tensor]:
    """One training item with its random numbers, all on the meta device."""
    height, width = recipe.canvas.height, recipe.canvas.width
    factor = pipeline.space.factor
    batch = {name: _picture(recipe) for name in ("source", "target", "source_pose")}
    batch["target_pose"] = _picture(recipe, 3 * (1 + 2 * recipe.pose_window))
    batch["regions"] = _picture(recipe, 2)
    if recipe.keypoints:
        points = torch.zeros(1, SKELETONS[palette_of(recipe).skeleton].points, 3)
        batch |= {"source_points": points, "target_points": points}
    if recipe.part_warp:
        batch["part_warp"] = _picture(recipe, 6)
    batch["source_pose_known"] = torch.ones(1, dtype=torch.bool)
    batch["noise"] = torch.zeros(1, pipeline.space.channels, height // factor, width // factor)
    batch["timestep"] = torch.zeros(1, dtype=torch.int64)
    return batch | {f"keep_{name}": torch.ones(1, dtype=torch.bool) for name in BRANCHES}


def _picture(recipe: Recipe, channels: int = 3) -> torch.Tensor:
    return torch.zeros(1, channels, recipe.canvas.height, recipe.canvas.width, dtype=torch.uint8)


def _signed(recipe: Recipe) -> torch.Tensor:
    return torch.zeros(1, 3, recipe.canvas.height, recipe.canvas.width)


def _measured(module: nn.Module, loss: Callable[[], torch.Tensor]) -> tuple[int, int, int]:
    """FLOPs of a pass forwards and backwards; bytes that the backward pass keeps, weights not among them, without and
    with gradient checkpointing."""
    weights = {tensor.untyped_storage()._cdata for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}
    inside: list[int] = []  # bytes kept in each block that checkpointing would compute again
    inputs = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    def held() -> int:
        return sum(storage.nbytes() for storage in kept.values())

    def begin(_: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal inputs
        inputs += sum(value.nbytes for value in given if isinstance(value, torch.Tensor))
        inside.append(-held())

    def end(*_: object) -> None:
        inside[-1] += held()

    blocks = [each for each in module.modules() if type(each).__name__ in _COMPUTED_AGAIN]
    handles = [handle for each in blocks for handle in _hooks(each, begin, end)]
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            found = loss()
        found.backward()
    for handle in handles:
        handle.remove()
    return counter.get_total_flops(), held(), held() - sum(inside) + inputs + max(inside, default=0)


def _hooks(block: nn.Module, begin: Any, end: Any) -> list[Any]:
    return [block.register_forward_pre_hook(begin), block.register_forward_hook(end)]


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
