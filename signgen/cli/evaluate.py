"""`signgen evaluate GENERATED TRUTH --out REPORT`: two clips in; a report to look at, its numbers and a table out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signgen.cli.options import (
    MODEL_OPTIONS,
    POSE_PANEL,
    BackgroundColour,
    Distribution,
    Estimator,
    Joints,
    LpipsWeights,
    Onnx,
    PoseNet,
    Preset,
    Published,
    ReportFolder,
    Weights,
)
from signgen.cli.results import write_result
from signgen.console import Bars
from signgen.files import check_folder

# Options that `evaluate` had in 0.1, and the command that has them now.
_SETS = "signgen evaluate-images GENERATED TRUTH --protocol NAME --out REPORT"
_MODEL = "signgen evaluate-model MODEL PAIRS --out REPORT"
MOVED = {
    **dict.fromkeys(("--protocol", "--size", "--pair-list", "--train-images"), _SETS),
    **dict.fromkeys(("--model", "--split", "--keep", *MODEL_OPTIONS), _MODEL),
    "--processes": f"{_SETS}, or {_MODEL}",
}

_KEYPOINTS = "Keypoints: hand and face scores"
_BASELINES = "Baselines"


def evaluate(
    generated: Annotated[
        Path,
        typer.Argument(metavar="GENERATED", help="Generated video, GIF, or folder of frames.", show_default=False),
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The real one, of the same size.", show_default=False)],
    out: ReportFolder,
    frames: Annotated[
        str | None,
        typer.Option(
            "--frames",
            metavar="A:B",
            help="Score these frames of the truth (0-based, B exclusive); GENERATED may hold just those B-A frames.",
        ),
    ] = None,
    poses: Annotated[
        Path | None, typer.Option("--poses", help="Keypoints of the truth, any format.", rich_help_panel=_KEYPOINTS)
    ] = None,
    clip: Annotated[
        str | None, typer.Option("--clip", help="The clip's name in a split pickle.", rich_help_panel=_KEYPOINTS)
    ] = None,
    generated_poses: Annotated[
        Path | None,
        typer.Option("--generated-poses", help="Keypoints of GENERATED, any format.", rich_help_panel=POSE_PANEL),
    ] = None,
    estimator: Estimator = None,
    onnx: Onnx = None,
    posenet: PoseNet = None,
    joints: Joints = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="What the model was given: its first frame, repeated, is copy-source.",
            show_default="frame 0 of TRUTH",
            rich_help_panel=_BASELINES,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="Pair set the model was trained on: its training frames are nearest-pose (needs --poses).",
            rich_help_panel=_BASELINES,
        ),
    ] = None,
    distribution: Distribution = False,
    preset: Preset = None,
    lpips_weights: LpipsWeights = None,
    weights: Weights = None,
    published: Published = None,
    background: BackgroundColour = None,
) -> None:
    """Score a generated clip against the real one, whole frame and hands, beside what copying the source scores.

    Writes REPORT/report.html, one file to look at (docs/report.md); REPORT/metrics.json, with the definition of every
    number; REPORT/per_frame.csv and .parquet. Two folders of images, by the rules of a published tool: evaluate-images.
    A model on a split: evaluate-model.
    """
    from signgen.evaluation.clip import ClipRequest, evaluate_clip
    from signgen.evaluation.clip_poses import PoseRequest
    from signgen.reporting.clip_report import ClipFrames, write_clip_report

    check_folder(out)
    result = evaluate_clip(
        ClipRequest(
            generated,
            truth,
            frames=frames,
            poses=poses,
            clip=clip,
            seen=PoseRequest(generated_poses, estimator, onnx, posenet=posenet, joints=joints),
            source=source,
            pairs=pairs,
            distribution=distribution,
            preset=preset,
            lpips_weights=lpips_weights,
            weights=weights,
            background=background,
        ),
        Bars(),
    )
    pair = result.pair
    shown = ClipFrames(pair.generated, pair.truth, pair.shift, pair.keypoints)

    def write_page(path: Path, links: dict[str, str]) -> Path:
        return write_clip_report(result.scores, shown, path, links)

    write_result(result.scores, out, write_page, published)
