"""`signgen info`: a model folder in; its parameters, FLOPs and milliseconds a frame out. Or a rendered file in; how it
was made, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signgen.cli.options import Device, Threads
from signgen.cli.results import print_table
from signgen.console import console


def info(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|FILE", help="Model folder, e.g. RUN/model, or a video or image.", show_default=False
        ),
    ],
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Say what a model is, how many parameters its parts have, and what a frame costs at its own settings; or how a
    video or image was rendered, as the file itself says it.

    FLOPs are counted (a multiply and an add are two; attention is in them, resampling is not); milliseconds are
    measured on this machine, best of three micro-batches.
    """
    from signgen.evaluation.info import InfoRequest, model_info, origin_lines

    if model.is_file():
        console.print(f"{model}: " + "\n".join(origin_lines(model)), markup=False)
        return
    found = model_info(InfoRequest(model, device, threads))
    card, cost = found.card, found.cost
    canvas, sampling = card.parsed_recipe().canvas, card.sampling()
    trained = ", ".join(f"{name} {steps:,} steps" for name, steps in card.steps.items())
    console.print(f"{model}: {card.parsed_recipe().name}, {trained}, seed {card.seed}", markup=False)
    guided = f", {cost.branches} guidance branches" if cost.branches > 1 else ""
    console.print(
        f"canvas {canvas.width}x{canvas.height}; {sampling.solver}, {sampling.steps} steps{guided}", markup=False
    )
    total = sum(cost.parameters.values())
    print_table(["part", "parameters"], [*([n, f"{c:,}"] for n, c in cost.parameters.items()), ["all", f"{total:,}"]])
    work = {f"{name}, once a clip": flops for name, flops in cost.clip.items()} | cost.frame
    rows = [[name, f"{flops / 1e9:,.4g}"] for name, flops in work.items()]
    print_table(["work", "GFLOP"], [*rows, ["a frame", f"{sum(cost.frame.values()) / 1e9:,.4g}"]])
    console.print(f"{cost.milliseconds:.1f} ms a frame ({found.where})", markup=False)
