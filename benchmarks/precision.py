"""bf16 against fp32 on this processor: a convolution and a matrix product of nano's sizes, and steps of its stage 2.

`python benchmarks/precision.py [--rounds 3] [--threads 2]`: both precisions in turn, medians, and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from signgen.config import load_recipe
from signgen.models.build import build_pipeline
from signgen.models.device import fast_bf16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{torch.backends.cpu.get_cpu_capability()}, {given.threads} threads, bf16 in hardware: {fast_bf16()}")
    for name, work in (("convolution", convolution()), ("matrix product", product()), ("nano, one frame", frame())):
        seconds: dict[str, list[float]] = {"fp32": [], "bf16": []}
        for precision in seconds:
            run(work, precision)
        for _ in range(given.rounds):
            for precision, found in seconds.items():
                found.append(run(work, precision))
        fp32, bf16 = (statistics.median(found) for found in seconds.values())
        print(f"{name}: fp32 {1000 * fp32:.1f} ms, bf16 {1000 * bf16:.1f} ms, bf16/fp32 {bf16 / fp32:.1f}")


def run(work: Callable[[], object], precision: str) -> float:
    """Seconds of one call under autocast."""
    began = time.perf_counter()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        work()
    return time.perf_counter() - began


def convolution() -> Callable[[], object]:
    layer, image = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(4, 64, 32, 32)
    return lambda: layer(image)


def product() -> Callable[[], object]:
    layer, tokens = torch.nn.Linear(128, 512), torch.randn(1024, 128)
    return lambda: layer(tokens)


def frame() -> Callable[[], object]:
    """nano's conditions and one call of its UNet, by the pipeline."""
    recipe = load_recipe("nano")
    pipeline = build_pipeline(recipe)
    side = recipe.canvas.width
    source, pose, warp = torch.zeros(1, 3, side, side), torch.zeros(1, 9, side, side), torch.zeros(1, 6, side, side)
    return lambda: pipeline(source, pose, None, warp, sampling=recipe.sampling.model_copy(update={"micro_batch": 1}))


if __name__ == "__main__":
    main()
