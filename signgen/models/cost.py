"""A pipeline in; what it weighs and what a frame of it costs, out: parameters by part, FLOPs, and milliseconds here.

FLOPs are counted on the meta device, where attention counts (on a CPU torch's counter takes it for nothing): a multiply
and an add are two. Resampling, norms and other elementwise work are not in them.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import Recipe, SamplingSettings
from signgen.models.guidance import branch_weights
from signgen.models.noise import ClipNoise
from signgen.models.pipeline import ClipState, FrameState, SignerPipeline

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
    clip, frame = counted(pipeline.to("meta"), recipe, sampling)
    return Cost(parameters, clip, frame, len(weights), milliseconds)


def counted(
    pipeline: SignerPipeline, recipe: Recipe, sampling: SamplingSettings
) -> tuple[dict[str, int], dict[str, int]]:
    """FLOPs by stage, once a clip and for each frame, of a pipeline on the meta device, as `sample` spends them."""
    image, poses, warp = _inputs(recipe, 1, "meta")
    with torch.no_grad():
        with _counter() as once:
            state = pipeline.encode_clip(image, image)
        with _counter() as conditions:
            frames = pipeline.encode_frames(state, poses, warp)
        _, timesteps = pipeline.solver_of(sampling)
        weights = [tuple(pipeline.weights_at(sampling, timestep)) for timestep in timesteps.tolist()]
        steps = tokens = 0
        for names, times in Counter(weights).items():
            first, later = _step(pipeline, state, frames, names)
            steps += times * later
            tokens += first - later
        with _counter() as decode:
            pipeline.space.decode(torch.empty_like(state.latent))
    clip = {"source": once.get_total_flops(), "keys and values": tokens}
    return clip, {
        "conditions": conditions.get_total_flops(),
        "decoder": decode.get_total_flops(),
        "steps": steps,
    }


def _step(pipeline: SignerPipeline, clip: ClipState, frames: FrameState, names: tuple[str, ...]) -> tuple[int, int]:
    """FLOPs of a step with these branches: the first of a clip, which projects the source's tokens, and a later one."""
    given = pipeline.guided(clip, frames, names, torch.empty_like(clip.latent))
    noisy, timestep = clip.latent.repeat(len(names), 1, 1, 1), torch.empty((), device="meta")
    found = []
    for _ in range(2):
        with _counter() as step:
            pipeline.predict(noisy, timestep, given.conditioning, clip.latent, given.part_warp, given.attention)
        found.append(step.get_total_flops())
    return found[0], found[1]


def _milliseconds(pipeline: SignerPipeline, recipe: Recipe, sampling: SamplingSettings) -> float:
    device = pipeline.unet.device
    image, poses, warp = _inputs(recipe, sampling.micro_batch, device)
    with torch.no_grad():
        state = pipeline.encode_clip(image)
        noise = ClipNoise(0, "", sampling.noise_scale)
        took = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for batch in pipeline.render_batches(state, poses, warp, noise, range(len(poses)), sampling):
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
