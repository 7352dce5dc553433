"""`signgen render-set PAIRS --model M --out DIR`: every clip of a split rendered into a folder, and a table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from signgen.cli.options import (
    Device,
    PairsFolder,
    Processes,
    Seed,
    Threads,
)
from signgen.cli.results import print_result
from signgen.cli.sampling import with_sampling
from signgen.console import console
from signgen.launch import begin

CHOICE, SIGNER, KEPT = "Which clips", "One signer for all clips", "How they are kept"


@with_sampling()
def render_set(
    pairs: PairsFolder,
    model: Annotated[Path, typer.Option(help="Model folder, e.g. RUN/model.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the clips.", show_default=False)],
    split: Annotated[
        Literal["test", "val", "train"], typer.Option(help="Whose pairs.", rich_help_panel=CHOICE)
    ] = "test",
    clips: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...|FILE", help="These clips only; a file has a name a line.", rich_help_panel=CHOICE
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first so many clips only.", rich_help_panel=CHOICE)
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Who signs, in place of each clip's own signer.", rich_help_panel=SIGNER),
    ] = None,
    source_poses: Annotated[
        Path | None,
        typer.Option(help="Keypoints of IMAGE.", show_default="those beside it", rich_help_panel=SIGNER),
    ] = None,
    retarget: Annotated[
        Literal["auto", "none"], typer.Option(help="auto: fit all poses to that signer.", rich_help_panel=SIGNER)
    ] = "none",
    layout: Annotated[
        Literal["mp4", "phoenix", "frames"] | None,
        typer.Option(
            help="DIR/CLIP.mp4; frames as Phoenix-2014T has them; or DIR/CLIP/images0001.png.",
            show_default="mp4",
            rich_help_panel=KEPT,
        ),
    ] = None,
    names: Annotated[
        Literal["pidm", "cfld", "pcdms", "fpdm"] | None,
        typer.Option(
            help="Of lists of pairs: whose names the images have.", show_default="pcdms", rich_help_panel=KEPT
        ),
    ] = None,
    *,
    sampling: dict[str, Any],
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    processes: Processes = 1,
) -> None:
    """Render every clip of a split, score it on the way, and write a table: DIR/clips.csv, metrics.json.

    A clip that is whole is not rendered again: after Ctrl-C, or a machine that failed, the same command goes on.
    """
    bars = begin(processes, out)
    from signgen.evaluation.render_set import RenderSetRequest, names_of_clips, render_set

    result = render_set(
        RenderSetRequest(
            *(pairs, model, out, split, names_of_clips(clips), limit, source, source_poses, retarget, layout, names),
            sampling=sampling,
            seed=seed,
            device=device,
            threads=threads,
        ),
        bars,
    )
    if result.scores is not None:
        print_result(result.scores)
    for clip, problem in result.put_aside.items():
        console.print(f"put aside {clip}: {problem}", markup=False)
    console.print(f"wrote {len(result.rows)} clips to {out}, {', '.join(map(str, result.files))}", markup=False)
    raise typer.Exit(1 if result.put_aside else 0)
