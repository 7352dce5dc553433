"""`signgen train-posenet PAIRS --out POSENET`: a pair set in; a pose network with its card, posenet.json, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.cli.options import MACHINE, PairsFolder, Threads
from signgen.console import Bars, console

RECIPE = "Recipe"


def train_posenet(
    pairs: PairsFolder,
    out: Annotated[Path, typer.Option(help="Folder to write: network, card, logs and state.", show_default=False)],
    config: Annotated[
        str | None,
        typer.Option(
            help="Recipe: posenet-nano, posenet-256 or a YAML file.",
            show_default="posenet-nano",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="A.B=C", help="Change one key of the recipe; repeatable.", rich_help_panel=RECIPE
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same as --set seed=N.", rich_help_panel=RECIPE)] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train for this time; kept by --resume.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.", rich_help_panel=MACHINE)
    ] = "auto",
    threads: Threads = None,
) -> None:
    """Train a pose network: heat maps of the points that matter, from the pair set's training frames and keypoints.

    POSENET/posenet.json says how often it finds body, hands and face on held-out frames. It estimates keypoints:
    `signgen poses extract VIDEO OUT --estimator own --posenet POSENET`.
    """
    from signgen.training.posenet.run import PoseNetRequest, train_posenet

    overrides = [*(settings or []), *([f"seed={seed}"] if seed is not None else [])]
    request = PoseNetRequest(pairs, out, config, tuple(overrides), max_minutes, resume, device, threads)
    result = train_posenet(request, Bars())
    for part, found in result.accuracy.items():
        console.print(
            f"{part}: PCK@0.1 {found.pck:.1%} of the {found.seen:.1%} of {found.points} points that it sees",
            highlight=False,
        )
    console.print(f"pose network: {result.network}", markup=False)
