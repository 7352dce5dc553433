"""A model folder in; what it is, what it weighs and what a frame of it costs, out. Or a file in; what it says of its
making, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signgen.errors import VideoError
from signgen.models.card import ModelCard, load_model
from signgen.models.cost import Cost, cost_of
from signgen.models.device import prepare_device, usable_precision
from signgen.requests import Request
from signgen.video.origin import origin_of


@dataclass(frozen=True)
class InfoRequest(Request):
    """model: a model folder. threads: of the CPU; None: torch's own."""

    model: Path
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class ModelInfo:
    """card: as the folder has it. where: device and precision that milliseconds were taken in."""

    card: ModelCard
    cost: Cost
    where: str


def model_info(request: InfoRequest) -> ModelInfo:
    """Load a model, count its weights and a frame's work, and time some frames. Raises ModelError."""
    import torch

    pipeline, card = load_model(request.model)
    device = prepare_device(request.device, request.threads)
    pipeline.to(device)
    recipe, sampling = card.parsed_recipe(), card.sampling()
    precision = usable_precision(sampling.precision, device)
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    with torch.autocast(device.type, kinds.get(precision, torch.float32), enabled=precision in kinds):
        cost = cost_of(pipeline, recipe, sampling)
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return ModelInfo(card, cost, f"{device.type}{threads}, {precision}, {sampling.micro_batch} frames at once")


def origin_lines(path: Path) -> list[str]:
    """What a rendered video or image says of its making. Raises VideoError for one that says nothing."""
    origin = origin_of(path)
    if origin is None:
        raise VideoError(
            f"{path}: nothing in it says how it was made",
            expected="a video or image that signgen rendered, or a model folder",
            fix="programs that encode a file again, or platforms it went through, remove what it said",
        )
    return origin.lines()
