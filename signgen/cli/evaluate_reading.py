"""`signgen evaluate-reading MODEL PAIRS --out REPORT`: which drawn signs a reader that needs no people reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from signgen.cli.options import Device, ModelFolder, PairsFolder, ReportFolder, Seed, Threads
from signgen.cli.results import write_result
from signgen.cli.sampling import with_sampling
from signgen.console import Bars
from signgen.files import check_folder


@with_sampling()
def evaluate_reading(
    model: ModelFolder,
    pairs: PairsFolder,
    out: ReportFolder,
    split: Annotated[Literal["test", "val", "train"], typer.Option(help="Whose signs.")] = "test",
    reader: Annotated[
        Path | None,
        typer.Option(help="REPORT/reader.safetensors of an earlier call.", show_default="one is trained, in minutes"),
    ] = None,
    *,
    sampling: dict[str, Any],
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Let a small network read drawn signs in what a model renders: by body and hands, and by the hands alone.

    PAIRS is of a corpus of `signgen synthesize`, whose signs are known. The reader learns from other drawn people and
    is tested on people it never saw. Writes report.html, metrics.json, per_frame.csv (a row a sign) and .parquet.
    """
    from signgen.evaluation.reading import READER_FILE, ReaderSettings, ReadingRequest, evaluate_reading
    from signgen.reporting.reading_report import write_reading_report

    check_folder(out)
    kept, learning = out / READER_FILE, ReaderSettings(processes=os.cpu_count() or 1)
    request = ReadingRequest(model, pairs, split, reader, kept, learning, sampling, seed, device, threads)
    result = evaluate_reading(request, Bars())
    title = f"Signs read in {model} on the {split} pairs of {pairs}"
    write_result(result, out, lambda path, links: write_reading_report(result, path, links, title))
