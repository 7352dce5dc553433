"""`signgen evaluate-fusion MODEL PAIRS`: stage 1 and triples in; retrieval and similarities of its embedding out."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from signgen.cli.options import Device, ModelFolder, PairsFolder, ReportFolder, Threads
from signgen.cli.results import write_result
from signgen.console import Bars
from signgen.files import check_folder


def evaluate_fusion(
    model: ModelFolder,
    pairs: PairsFolder,
    out: ReportFolder,
    split: Annotated[Literal["val", "test", "train"], typer.Option(help="Whose triples.")] = "val",
    batch_size: Annotated[int, typer.Option(min=1, help="Triples embedded at once.")] = 32,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Judge stage 1: does the fusion embedding find the target's picture among all targets of a split?

    Recall at 1, 5, 10 and median rank over the whole gallery and within each clip, beside what the source and the
    pose find alone; histograms of similarities. Writes report.html, metrics.json, per_frame.csv and .parquet.
    """
    from signgen.evaluation.fusion import FusionRequest, evaluate_fusion
    from signgen.reporting.fusion_report import write_fusion_report

    check_folder(out)
    result = evaluate_fusion(FusionRequest(model, pairs, split, batch_size, device, threads), Bars())
    title = f"Stage 1 of {model} on the {split} triples of {pairs}"
    write_result(result, out, lambda path, links: write_fusion_report(result, path, links, title))
