"""`signgen train`: reads a pair set and a recipe; writes a run folder with both stages and, at the end, RUN/model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.console import Bars, console

RECIPE = "Recipe"
MACHINE = "Machine"


def train(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="Pair set written by build-pairs.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
    config: Annotated[
        str | None,
        typer.Option(help="Recipe: a shipped name (nano, phoenix-256) or a YAML file.", rich_help_panel=RECIPE),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="A.B=C", help="Change one key of the recipe; repeatable.", rich_help_panel=RECIPE
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same as --set seed=N.", rich_help_panel=RECIPE)] = None,
    stage: Annotated[
        Literal["fusion", "diffusion"] | None, typer.Option(help="Train one stage only.", show_default="both")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Fit both stages into this time: the first 20 steps of each are timed, then its number of steps is"
            " fixed, stored, and kept by --resume.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Start from the weights of this model folder, of the same recipe, instead of random ones."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.", rich_help_panel=MACHINE)
    ] = "auto",
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option(help="Autocast of both stages.", show_default="the recipe's", rich_help_panel=MACHINE),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores", rich_help_panel=MACHINE)
    ] = None,
) -> None:
    """Train stage 1 (fusion), then stage 2 (diffusion), on a pair set.

    Several processes: `accelerate launch -m signgen train ...` on GPUs, or
    `torchrun --nproc_per_node 2 -m signgen train ... --device cpu`.
    """
    overrides = list(settings or [])
    if seed is not None:
        overrides.append(f"seed={seed}")
    if dtype is not None:
        overrides.append(f"training.precision={dtype}")
    from signgen.training.run import TrainRequest, train

    result = train(
        TrainRequest(
            pairs,
            out,
            config=config,
            overrides=tuple(overrides),
            stage=stage,
            resume=resume,
            max_minutes=max_minutes,
            init=init,
            device=device,
            threads=threads,
        ),
        Bars(),
    )
    if not result.notes:  # not the first process of several
        return
    console.print(f"model: {result.model}" if result.model else f"stage 1: {result.fusion}", markup=False)
