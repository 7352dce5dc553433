"""`signgen robustness MODEL PAIRS` or `MODEL VIDEO POSES`: what worse keypoints and other sources cost; a page out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from signgen.cli.options import (
    Device,
    ModelFolder,
    Processes,
    Threads,
)
from signgen.cli.results import print_table
from signgen.cli.sampling import with_sampling
from signgen.console import console
from signgen.launch import begin

JSON_FILE, PAGE_FILE = "robustness.json", "robustness.html"
SHOWN, SPREAD = ("hand_ssim", "ssim", "face_ssim"), ("mean", "spread", "best", "worst")
NOISE, SHARES, SOURCES = "0,1,2,4,8", "0,25,50,75", 4


@with_sampling()
def robustness(
    model: ModelFolder,
    data: Annotated[
        Path, typer.Argument(metavar="PAIRS|VIDEO", help="Pair set, or a video with its POSES.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page and its numbers.", show_default=False)],
    poses: Annotated[
        Path | None, typer.Argument(metavar="POSES", help="Keypoints of VIDEO, any format.", show_default=False)
    ] = None,
    split: Annotated[Literal["val", "test", "train"], typer.Option(help="Of a pair set: whose pairs.")] = "val",
    frames: Annotated[
        str | None, typer.Option(metavar="A:B", help="Of a video: only these frames (0-based, B exclusive).")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Of a pair set: its first so many clips only.")] = None,
    noise: Annotated[str, typer.Option(metavar="PX,...", help="Standard deviations of keypoint noise.")] = NOISE,
    shares: Annotated[str, typer.Option(metavar="%,...", help="Per cent of hands, and of frames, lost.")] = SHARES,
    sources: Annotated[
        int, typer.Option(min=0, help="Other source frames: the middle one, then random ones.")
    ] = SOURCES,
    studies: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...|all",
            help="What is made worse: noise, drift, hands, held, interpolated, source, and of the source image "
            "source-noise, source-blur, source-jpeg, source-scale, source-box.",
            show_default="noise,hands,held,interpolated,source; of lists noise",
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option("--levels", metavar="NAME=L,...", help="Other levels of one study; may be given several times."),
    ] = None,
    all_sources: Annotated[
        bool,
        typer.Option("--all-sources", help="Of lists: also each target from every other image of its outfit."),
    ] = False,
    *,
    sampling: dict[str, Any],
    seed: Annotated[int, typer.Option(help="Of the noise that rendering starts from, and of all that is drawn.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
    processes: Processes = 1,
) -> None:
    """Measure how a model bears bad input: noisy keypoints, lost hands, lost frames, and another source frame.

    Every setting is one rendering of all frames, scored on whole frames, hands and face beside copy-source and
    nearest-pose. Writes robustness.html, a page with the plot, and robustness.json.
    """
    from signgen.evaluation.perturbations import levels_of_study, parse_levels
    from signgen.evaluation.robustness import RobustnessRequest, measure_robustness
    from signgen.files import write_json
    from signgen.reporting.robustness_report import write_robustness_report

    bars = begin(processes, out)
    result = measure_robustness(
        RobustnessRequest(
            model,
            data,
            poses,
            split=split,
            frames=frames,
            clips=clips,
            noise=parse_levels("--noise", noise),
            shares=parse_levels("--shares", shares, most=100),
            sources=sources,
            studies=None if studies is None else studies.split(","),
            levels=dict(levels_of_study(word) for word in level or ()),
            all_sources=all_sources,
            sampling=sampling,
            seed=seed,
            device=device,
            threads=threads,
        ),
        bars,
    )
    write_json(out / JSON_FILE, result)
    page = write_robustness_report(result, out / PAGE_FILE, {JSON_FILE: JSON_FILE}, f"{model} on {data}")
    _print(result)
    console.print(f"wrote {out / JSON_FILE}, {page}", markup=False)


def _print(result: dict[str, Any]) -> None:
    """The verdict, and a table for each study."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from signgen.metrics.results import number_text

    console.print(escape(result["verdict"]))
    for name, study in result["studies"].items():
        table = Table(name, *(f"{level:g}" for level in study["levels"]), box=box.SIMPLE_HEAD)
        for metric in SHOWN:
            for who, means in study["means"].items():
                if any(mean.get(metric) is not None for mean in means):
                    table.add_row(f"{metric}, {who}", *(number_text(metric, mean.get(metric)) for mean in means))
        console.print(table)
    if views := result.get("all_sources"):
        head = [f"{views['targets']} targets, {views['pairs']} pairs", *SPREAD]
        found = [(who, metric, row) for who, of in views["means"].items() for metric, row in of.items()]
        rows = [[f"{metric}, {who}", *(number_text(metric, row[k]) for k in SPREAD)] for who, metric, row in found]
        print_table(head, rows)
    for note in result["notes"]:
        console.print(escape(f"note: {note}"))
