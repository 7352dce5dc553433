"""Fully sharded data parallel (FSDP2) by accelerate: weights and moments in shards in, whole tensors out, and back.

States and models are written whole, the same files that any other number of processes writes and reads. Gathering is a
collective call: every process makes it, and the first one keeps what comes of it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.distributed.tensor import DTensor, distribute_tensor

from signgen.config import Recipe
from signgen.errors import ModelError, RecipeError
from signgen.models.pipeline import SignerPipeline
from signgen.training.data.dataset import TripleDataset
from signgen.training.stages import Stage, stages_of

UNIT_CLASSES = ("ResnetBlock2D", "BasicTransformerBlock", "CLIPEncoderLayer", "Dinov2Layer")


def check_sharding(device: torch.device) -> None:
    """Refuse what accelerate's configuration asks for where it would not be done: on CPUs it falls back to plain data
    parallel without a word; version 1 keeps its shards in another way."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() not in ("1", "true"):
        return
    if device.type == "cpu":
        raise ModelError(
            "accelerate's configuration asks for FSDP, on a CPU",
            expected="GPUs: on CPUs accelerate would train by plain data parallel without a word",
            fix="launch with a configuration without it",
        )
    if (version := os.environ.get("FSDP_VERSION", "1")) != "2":
        raise ModelError(
            f"accelerate's configuration asks for FSDP of version {version}",
            expected="fsdp_version: 2",
            fix="set it in the file that accelerate launch --config_file names",
        )


def check_shardable(recipe: Recipe, adapter: bool) -> None:
    """Refuse settings of a recipe that shards do not go with. Raises RecipeError."""
    wrong = ["--lora"] if adapter else []
    wrong += ["precision fp16"] if recipe.training.precision == "fp16" else []
    for name, settings in stages_of(recipe).items():
        wrong += [f"training.{name}.ema_on_cpu"] if settings.ema_on_cpu else []
        wrong += [f"training.{name}.optimizer adamw8bit"] if settings.optimizer == "adamw8bit" else []
    if wrong:
        raise RecipeError(f"{', '.join(wrong)} with FSDP", expected="none of these", fix="or launch without FSDP")


def make_shardable(plugin: FullyShardedDataParallelPlugin, module: nn.Module) -> None:
    """Lay weights out plainly, and say what is gathered at a time: every block of UNIT_CLASSES that is there.

    Parts that are called by other methods than `forward` cannot be units of their own, so that the choice is not the
    configuration's.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()
    present = {type(each).__name__ for each in module.modules()}
    plugin.auto_wrap_policy = transformer_auto_wrap_policy
    plugin.transformer_cls_names_to_wrap = [name for name in UNIT_CLASSES if name in present]


def whole(value: Any, keep: bool) -> Any:
    """Tensors, or dictionaries and lists of them, with every shard gathered, on the CPU; what is no shard stays.

    keep: whether this process keeps what is gathered; the others get None in its place.
    """
    if isinstance(value, DTensor):
        full = value.full_tensor()
        return full.cpu() if keep else None
    if isinstance(value, dict):
        return {name: whole(each, keep) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(each, keep) for each in value)
    return value


def whole_norm(norm: torch.Tensor) -> torch.Tensor:
    """The norm of gradients, from each process's part of it."""
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def shard_like(full: Any, like: Any) -> Any:
    """A whole tensor as the shard that `like` is; anything for which `like` is no shard, or of another shape, stays."""
    if not isinstance(like, DTensor) or not isinstance(full, torch.Tensor) or full.shape != like.shape:
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def load_weights(module: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """As module.load_state_dict, for whole tensors."""
    own = module.state_dict()
    module.load_state_dict({name: shard_like(value, own.get(name)) for name, value in weights.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """As optimizer.load_state_dict, for whole tensors."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        number: {name: shard_like(value, parameters[number]) for name, value in each.items()}
        for number, each in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


def shards_of(tensors: Sequence[torch.Tensor], parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Whole tensors, one for each parameter, as its shards."""
    return [shard_like(full, like) for full, like in zip(tensors, parameters, strict=True)]


def whole_twin(stage: Stage) -> Stage:
    """A copy of a stage with its own module, before that is sharded; frozen networks and data are shared."""
    shared: list[object] = [each for each in vars(stage).values() if isinstance(each, TripleDataset)]
    if isinstance(pipeline := getattr(stage, "pipeline", None), SignerPipeline):
        networks = pipeline.networks().values()
        shared += [each for each in networks if not any(p.requires_grad for p in each.parameters())]
    return copy.deepcopy(stage, {id(each): each for each in shared})
