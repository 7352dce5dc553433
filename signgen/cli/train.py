"""`signgen train`: reads a pair set and a recipe; writes a run folder with both stages and, at the end, RUN/model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.cli.options import MACHINE, Threads
from signgen.console import Bars, console
from signgen.errors import OptionError

RECIPE = "Recipe"


def _check(run: Path | None) -> None:
    """Say how a run's logs compare, and end: 1 where they do not."""
    if run is not None:
        from signgen.training import check_run as checking

        found = checking.check_run(run)
        console.print("\n".join(checking.in_words(found)), markup=False)
        raise typer.Exit(0 if found.good else 1)


CheckRun = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        callback=_check,
        is_eager=True,
        help="Compare a run's logs, so far, with the curves expected of its recipe; exit code 1 if they differ.",
        show_default=False,
    ),
]


def train(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="Pair set written by build-pairs.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Run folder to write.", show_default=False)] = None,
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
            help="Fit both stages into this time: each ends when its share is over, and a learning rate that decays"
            " follows the clock. Kept by --resume.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Start from the weights of this model folder, of the same recipe, instead of random ones."),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Compute what frozen networks make of each frame once, and keep it in PAIRS/cache.",
            show_default="the recipe's: on",
            rich_help_panel=MACHINE,
        ),
    ] = True,
    check_run: CheckRun = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count parameters, FLOPs, memory and disk, and end.")
    ] = False,
    fit: Annotated[
        str | None,
        typer.Option(
            metavar="24GB",
            help="Make both stages fit into a device's memory, by smaller micro-batches, average and frozen networks on"
            " the CPU, gradient checkpointing and 8-bit Adam, as far as is needed.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    throughput: Annotated[
        float | None, typer.Option(min=0.001, help="Of --dry-run: samples a second, for the time it would take.")
    ] = None,
    adapt: Annotated[
        Path | None,
        typer.Option("--from", help="Fine-tune this model: its recipe, weights and stage 1; --set changes the recipe."),
    ] = None,
    lora: Annotated[
        int | None,
        typer.Option(min=1, max=512, metavar="RANK", help="Of --from: train an adapter of this rank (RUN/lora)."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.", rich_help_panel=MACHINE)
    ] = "auto",
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option(help="Autocast of both stages.", show_default="the recipe's", rich_help_panel=MACHINE),
    ] = None,
    threads: Threads = None,
) -> None:
    """Train stage 1 (fusion), then stage 2 (diffusion), on a pair set.

    Ctrl-C and SIGTERM save the state; --resume goes on. Several processes: `accelerate launch -m signgen train ...`
    on GPUs, or `torchrun --nproc_per_node 2 -m signgen train ... --device cpu`.
    """
    named = {"seed": seed, "training.precision": dtype, "training.feature_cache": None if cache else "false"}
    overrides = [*(settings or []), *(f"{key}={value}" for key, value in named.items() if value is not None)]
    from signgen.training.run import TrainRequest, train

    request = TrainRequest(
        *(pairs, out or Path(), config, tuple(overrides), stage, resume, max_minutes),
        init=init,
        fit=fit,
        adapt=adapt,
        lora=lora,
        device=device,
        threads=threads,
    )
    if dry_run:
        from signgen.training import dry_run as counting

        console.print("\n".join(counting.in_words(counting.dry_run(request), throughput)), markup=False)
        return
    if out is None:
        raise OptionError("no --out", expected="the run folder to write")
    result = train(request, Bars())
    if result.adapter:
        console.print(f"adapter: {result.adapter}", markup=False)
    elif result.notes:  # of several processes, the first one
        console.print(f"model: {result.model}" if result.model else f"stage 1: {result.fusion}", markup=False)
