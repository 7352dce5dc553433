"""`signgen evaluate-model MODEL PAIRS --out REPORT`: a split of a pair set rendered and scored in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from signgen.cli.options import (
    PROTOCOL_PANEL,
    Device,
    Distribution,
    Estimator,
    Joints,
    LpipsWeights,
    ModelFolder,
    Onnx,
    PairsFolder,
    PoseNet,
    Preset,
    Processes,
    ProtocolSize,
    Published,
    ReportFolder,
    Seed,
    Threads,
    TrainImages,
    Weights,
)
from signgen.cli.results import write_result
from signgen.cli.sampling import with_sampling
from signgen.launch import begin


@with_sampling("--sampling")
def evaluate_model(
    model: ModelFolder,
    pairs: PairsFolder,
    out: ReportFolder,
    split: Annotated[Literal["test", "val", "train"], typer.Option(help="Whose pairs.")] = "test",
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write what is rendered there, SOURCE_to_TARGET.png."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="By a published tool's rules: strict, gfla, dptn, dptn-market, pidm, pcdms, cfld, fpdm or reposedm.",
            show_default="signgen's own scores of clips",
            rich_help_panel=PROTOCOL_PANEL,
        ),
    ] = None,
    size: ProtocolSize = None,
    train_images: TrainImages = None,
    estimator: Estimator = None,
    onnx: Onnx = None,
    posenet: PoseNet = None,
    joints: Joints = None,
    distribution: Distribution = False,
    preset: Preset = None,
    lpips_weights: LpipsWeights = None,
    weights: Weights = None,
    published: Published = None,
    *,
    sampling: dict[str, Any],
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    processes: Processes = 1,
) -> None:
    """Render every pair of a split and score it in one pass; frames are kept only with --keep.

    Writes REPORT/report.html, metrics.json, per_frame.csv and .parquet. The numbers do not depend on --processes.
    """
    from signgen.evaluation.clip_poses import PoseRequest
    from signgen.evaluation.model import ModelRequest, evaluate_model
    from signgen.reporting.set_report import write_set_report

    bars = begin(processes, out)
    result = evaluate_model(
        ModelRequest(
            model,
            pairs,
            split=split,
            protocol=protocol,
            size=size,
            train_images=train_images,
            weights=weights,
            lpips_weights=lpips_weights,
            keep=keep,
            distribution=distribution,
            preset=preset,
            poses=PoseRequest(None, estimator, onnx, posenet=posenet, joints=joints),
            sampling=sampling,
            seed=seed,
            device=device,
            threads=threads,
        ),
        bars,
    )
    title, worst = f"{model} on the {split} pairs of {pairs}", result.worst

    def write_page(path: Path, links: dict[str, str]) -> Path:
        return write_set_report(result.scores, worst.read, path, links, title, worst.metric)

    write_result(result.scores, out, write_page, published)
