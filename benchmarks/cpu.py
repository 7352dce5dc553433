"""Frames a second of rendering on a CPU by torch, OpenVINO and onnxruntime, against what the processor can compute.

    OMP_NUM_THREADS=2 python benchmarks/cpu.py [--canvas 128 256] [--frames 32] [--rounds 3] [--micro-batch 8]
    python benchmarks/cpu.py --model MODEL

nano's networks with random weights, at each canvas, or a model at its own. All backends that are installed render the
same frames of a drawn signer in turn, round by round, and are compared with torch's by PSNR. Then every stage alone, on
the same threads. FLOPs are counted on the meta device. The peak is the best of a matrix product and of the UNet's
3x3 convolution that takes most of its FLOPs, in the precision that is rendered in; other work on the machine lowers
all figures alike. In a rendering, drawing and part warp of the next frames run beside the denoiser.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from render import clip_in

from signgen.config import Recipe, load_recipe
from signgen.errors import OptionError
from signgen.metrics.image.pixels import psnr
from signgen.models.backends.denoisers import export_model, writer_of
from signgen.models.backends.runtimes import RUNTIMES, version_of
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.cost import counted
from signgen.models.device import fast_bf16
from signgen.models.noise import ClipNoise
from signgen.rendering.renderer import AUTOCAST, Renderer
from signgen.rendering.strips import to_uint8
from signgen.video.writer import VideoWriter

Stages = dict[str, float]  # milliseconds a frame
WARM = 2  # batches


def seconds(work: Callable[[], Any], rounds: int) -> float:
    """The best of some calls, after one that is not timed."""
    work()
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def random_model(side: int, folder: Path) -> Path:
    """nano at a canvas, with random weights."""
    recipe = load_recipe("nano", (f"canvas.width={side}", f"canvas.height={side}"))
    pipeline = build_pipeline(recipe)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # no layer that is zero at first may hide what comes before it
        for parameter in pipeline.unet.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    save_model(pipeline, ModelCard.describe(recipe, {"fingerprint": "", "clips": []}, {"diffusion": 0}, 0), folder)
    return folder


def renderers(model: Path, chosen: dict[str, Any]) -> dict[str, Renderer]:
    """By backend, those that are installed; the model is exported for them."""
    found = {}
    for backend in ("torch", *RUNTIMES):
        try:
            if backend != "torch":
                writer_of(backend)
                export_model(model, backend)
        except OptionError as error:
            print(error)
            continue
        pipeline, card = load_model(model)
        found[backend] = Renderer(pipeline, card, card.sampling({**chosen, "backend": backend}))
    return found


# ---- the machine


def busiest_convolution(recipe: Recipe) -> tuple[int, int, int, int]:
    """Channels in and out, height and width of the UNet's stride-1 3x3 convolution with most FLOPs in all its calls."""
    flops: Counter[tuple[int, int, int, int]] = Counter()

    def seen(layer: torch.nn.Conv2d, given: tuple[torch.Tensor], _: torch.Tensor) -> None:
        if layer.kernel_size == (3, 3) and layer.stride == (1, 1):
            shape = (layer.in_channels, layer.out_channels, *given[0].shape[-2:])
            flops[shape] += int(np.prod(shape))

    with torch.device("meta"):
        pipeline = build_pipeline(recipe)
    for layer in pipeline.unet.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(seen)
    counted(pipeline, recipe, recipe.sampling)
    return flops.most_common(1)[0][0]


@torch.no_grad()
def peaks(recipe: Recipe, batch: int, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """GFLOP a second of a matrix product, and of the busiest convolution."""
    side = 1024
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    product = 2 * side**3 / seconds(lambda: a @ b, 5 * rounds)
    inside, outside, height, width = busiest_convolution(recipe)
    layer = torch.nn.Conv2d(inside, outside, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
    picture = torch.randn(batch, inside, height, width).to(dtype).to(memory_format=torch.channels_last)
    work = 2 * 9 * batch * inside * outside * height * width
    convolution = work / seconds(lambda: layer(picture), 5 * rounds)
    return {
        f"product {side}x{side}x{side}": product / 1e9,
        f"3x3 convolution {inside} to {outside}, {height}x{width}": convolution / 1e9,
    }


# ---- stages


@torch.no_grad()
def stages(renderer: Renderer, source: Any, poses: Any, folder: Path, rounds: int) -> Stages:
    """Milliseconds a frame of each stage alone, of one micro-batch."""
    size = renderer.sampling.micro_batch
    numbers = range(size)
    warp = renderer.part_warps(source, poses) if renderer.warps else None
    drawn = renderer.draw_windows(poses, numbers)
    moved = None if warp is None else warp(numbers)
    tensors = [None if part is None else renderer._tensor(part) for part in (drawn, moved)]
    image = renderer._tensor(renderer.canvas.fit_frame(source.frame)[None]) * 2 - 1
    pipeline, sampling = renderer.pipeline, renderer.sampling
    noise = ClipNoise(0, source.name, sampling.noise_scale, sampling.shared_noise)
    height, width = source.frame.shape[:2]
    spent = [0.0]
    denoise = pipeline.denoise

    def timed(*given: Any) -> torch.Tensor:
        start = time.perf_counter()
        output = denoise(*given)
        spent[0] += time.perf_counter() - start
        return output

    def sampled() -> torch.Tensor:
        spent[0] = 0.0
        return pipeline.sample(clip, frames, noise, numbers, sampling)

    def written() -> None:
        with VideoWriter(folder / "out.mp4", width, height, 25) as writer:
            for frame in native:
                writer.write(frame)

    with renderer._running():
        clip = pipeline.encode_clip(image, renderer._tensor(renderer.draw(source.pose)))
        frames = pipeline.encode_frames(clip, *tensors)
        conditions = seconds(lambda: pipeline.encode_frames(clip, *tensors), rounds)
        pipeline.denoise = timed
        sampled()
        found, denoiser = [], []
        for _ in range(rounds):
            found.append(seconds(sampled, 1))
            denoiser.append(spent[0])
        pipeline.denoise = denoise
    made = to_uint8(sampled())
    native = [renderer.canvas.restore_frame(frame, width, height) for frame in made]
    took = {
        "drawing": seconds(lambda: renderer.draw_windows(poses, numbers), rounds),
        "part warp": 0.0 if warp is None else seconds(lambda: warp(numbers), rounds),
        "conditions": conditions,
        "denoiser": min(denoiser),
        "mixing, decoding": min(found) - min(denoiser),
        "to native size": seconds(
            lambda: [renderer.canvas.restore_frame(frame, width, height) for frame in made], rounds
        ),
        "encoding mp4": seconds(written, rounds),
    }
    return {name: 1000 * took / size for name, took in took.items()}


# ---- one canvas


def measure(model: Path, options: argparse.Namespace, folder: Path) -> list[str]:
    """Interleaved rounds of all backends, their stages, and the account; returns which backends."""
    ours = renderers(model, {"micro_batch": options.micro_batch, "precision": options.dtype})
    source, poses, _ = clip_in(folder, options.frames)
    recipe = load_model(model)[1].parsed_recipe()
    for renderer in ours.values():
        list(renderer.frames(source, poses, range(WARM * renderer.sampling.micro_batch)))
    rates: dict[str, list[float]] = {name: [] for name in ours}
    pictures: dict[str, np.ndarray] = {}
    for _ in range(options.rounds):
        for name, renderer in ours.items():
            start = time.perf_counter()
            pictures[name] = np.stack([*renderer.frames(source, poses)])
            rates[name].append(len(poses) / (time.perf_counter() - start))
    size = ours["torch"].sampling.micro_batch
    with torch.device("meta"):
        work = counted(build_pipeline(recipe), recipe, ours["torch"].sampling)[1]
    total = sum(work.values()) / 1e9
    known = {name: peaks(recipe, size, AUTOCAST[name] or torch.float32, options.rounds) for name in precisions()}
    canvas = f"{recipe.canvas.width}x{recipe.canvas.height}"
    print(f"\n{recipe.name} at {canvas}, {len(poses)} frames, batches of {size}, {torch.get_num_threads()} threads")
    parts = ", ".join(f"{name} {flops / 1e9:.3g}" for name, flops in work.items())
    print(f"GFLOP a frame: {parts}; {total:.3g} in all")
    for name, rows in known.items():
        print(f"peak in {name}: {', '.join(f'{what} {rate:.0f}' for what, rate in rows.items())} GFLOP/s")
    table = {name: stages(renderer, source, poses, folder, options.rounds) for name, renderer in ours.items()}
    names = list(table["torch"])
    print(f"\n| backend | precision | frames/s | PSNR to torch | {' | '.join(names)} |")
    print("|---|---|---|---|" + "---|" * len(names))
    for name, row in table.items():
        near = min(psnr(a, b) for a, b in zip(pictures[name], pictures["torch"], strict=True))
        cells = " | ".join(f"{row[stage]:.1f}" for stage in names)
        print(f"| {name} | {ours[name].sampling.precision} | {median(rates[name]):.2f} | {near:.0f} dB | {cells} |")
    print("(stages alone, milliseconds a frame)\n")
    for name, row in table.items():
        computed = known.get(ours[name].sampling.precision, known["fp32"])
        print(account(name, median(rates[name]), row, work, max(computed.values())))
    return list(ours)


def precisions() -> list[str]:
    """Those that this processor has instructions for."""
    return ["fp32", "bf16"] if fast_bf16() else ["fp32"]


def account(name: str, rate: float, row: Stages, work: dict[str, int], peak: float) -> str:
    """What share of the peak (GFLOP/s) is reached, and where the rest of the time goes."""
    total = sum(work.values()) / 1e9
    frame, whole = 1000 / rate, sum(row.values()) - row["encoding mp4"]
    steps = work["steps"] / 1e9 / (row["denoiser"] / 1000)
    beside = row["drawing"] + row["part warp"]
    rest = row["conditions"] + row["mixing, decoding"] + row["to native size"]
    return (
        f"{name}: {rate:.1f} frames/s of {peak / total:.1f} at the peak, {100 * rate * total / peak:.0f} %. The"
        f" denoiser alone computes {steps:.0f} GFLOP/s, {100 * steps / peak:.0f} % of it. Of {frame:.0f} ms a frame"
        f" ({whole:.0f} one after the other) it takes {row['denoiser']:.0f}, drawing and part warp beside it"
        f" {beside:.0f}, the rest {rest:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder, in place of random weights; it is exported")
    parser.add_argument("--canvas", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="bf16", help="fp32 where bf16 is emulated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cpu-") as name:
        folder = Path(name)
        made = [] if options.model else [random_model(side, folder / str(side)) for side in options.canvas]
        for model in made or [options.model]:
            used = measure(model, options, folder)
    versions = {"torch": torch.__version__} | dict(kv for name in used for kv in version_of(name).items())
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))


if __name__ == "__main__":
    main()
