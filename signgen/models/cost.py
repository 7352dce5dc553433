"""A pipeline in; what it weighs and what a frame of it costs, out: parameters by part, FLOPs, and milliseconds here.

FLOPs are counted on the meta device, where attention counts (on a CPU torch's counter takes it for nothing): a multiply
and an add are two. Resampling, norms and other elementwise work are not in them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import Recipe, SamplingSettings
from signgen.models.guidance import branch_weights, keep_masks
from signgen.models.pipeline import SignerPipeline, clip_noise

ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """parameters: part -> how many. clip, frame: stage -> FLOPs, once a clip and for each frame. branches: of guidance.

    milliseconds: a frame, on the device and in the precision of the pipeline; best of a few micro-batches.
    """

    parameters: dict[str, int]
    clip: dict[str, int]
    frame: dict[str, int]
    branches: int
    milliseconds: float


def cost_of(pipeline: SignerPipeline, recipe: Recipe, sampling: SamplingSettings) -> Cost:
    """Time and count a loaded pipeline at these settings; it is on the meta device, without weights, afterwards."""
    parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in pipeline.networks().items()}
    weights = branch_weights(sampling.w_c, sampling.w_f, pipeline.fusion is not None)
    milliseconds = _milliseconds(pipeline, recipe, sampling)
    clip, frame = _counted(pipeline.to("meta"), recipe, sampling, list(weights))
    return Cost(parameters, clip, frame, len(weights), milliseconds)


def _counted(
    pipeline: SignerPipeline, recipe: Recipe, sampling: SamplingSettings, branches: list[str]
) -> tuple[dict[str, int], dict[str, int]]:
    image, poses, warp = _inputs(recipe, 1, "meta")
    with torch.no_grad():
        with _counter() as once:
            state = pipeline.encode_clip(image, image)
        with _counter() as conditions:
            frames = pipeline.encode_frames(state, poses, warp)
        count = len(branches)
        values = {n: v.repeat(count, *[1] * (v.dim() - 1)) for n, v in frames.values.items()}
        part_warp = None if frames.part_warp is None else frames.part_warp.repeat(count, 1, 1, 1)
        noise = torch.empty_like(state.latent).repeat(count, 1, 1, 1)
        keep = keep_masks(branches, 1, noise.device)
        conditioning = pipeline.conditions.merge({**state.values, **values}, keep, noise)
        with _counter() as step:
            pipeline.predict(noise, torch.empty((), device="meta"), conditioning, state.latent, part_warp)
        with _counter() as decode:
            pipeline.space.decode(torch.empty_like(state.latent))
    each = {name: counter.get_total_flops() for name, counter in (("conditions", conditions), ("decoder", decode))}
    return {"source": once.get_total_flops()}, {**each, "steps": sampling.steps * step.get_total_flops()}


def _milliseconds(pipeline: SignerPipeline, recipe: Recipe, sampling: SamplingSettings) -> float:
    device = pipeline.unet.device
    image, poses, warp = _inputs(recipe, sampling.micro_batch, device)
    with torch.no_grad():
        state = pipeline.encode_clip(image)
        noise = clip_noise(0, "", state.latent.shape[1:], sampling.noise_scale).to(device)
        took = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for batch in pipeline.render_batches(state, poses, warp, noise, sampling):
                batch.cpu()  # waits for the device
            took.append(time.perf_counter() - start)
    return 1000 * min(took) / sampling.micro_batch


def _inputs(
    recipe: Recipe, count: int, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Source, poses and part warp of `count` grey frames."""
    size = (recipe.canvas.height, recipe.canvas.width)
    poses = torch.zeros(count, 3 * (1 + 2 * recipe.pose_window), *size, device=device)
    warp = torch.zeros(count, 6, *size, device=device) if recipe.part_warp else None
    return torch.zeros(1, 3, *size, device=device), poses, warp


def _counter() -> FlopCounterMode:
    return FlopCounterMode(display=False)
