"""Options that several commands share: where results go, how a model samples, where it runs. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.cli.sampling import NAMES, PANEL

MACHINE = "Machine"
PROTOCOL_PANEL = "A published tool's rules"
POSE_PANEL = "Keypoints seen in what is generated: PCK, joint errors, DTW-MJE"
WEIGHTS_PANEL = "Networks of metrics"

# ---- arguments and results

ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, e.g. RUN/model.", show_default=False)]
PairsFolder = Annotated[Path, typer.Argument(metavar="PAIRS", help="Pair set.", show_default=False)]
ReportFolder = Annotated[Path, typer.Option("--out", help="Folder for the report.", show_default=False)]


def _known_table(name: str | None) -> str | None:
    """Raises MetricsError for an unknown table, before anything is scored."""
    if name is not None:
        from signgen.metrics.published import published_table

        published_table(name)
    return name


Published = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        callback=_known_table,
        help="Show a paper's figures beside, e.g. deepfashion-256x176 or phoenix (all: docs/report.md).",
        show_default=False,
    ),
]

BackgroundColour = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="COLOUR|border",
        help="What transparent pixels lie over: a colour (white, #RRGGBB), or the median of the opaque border. In "
        "render also keep: the source's, as --steady background.",
        show_default="border",
        rich_help_panel="Input",
    ),
]

Crop = Annotated[
    Literal["auto", "signer", "follow", "none"],
    typer.Option(
        metavar="RULE",
        help="auto, none, signer: the model sees only one rectangle that head and hands reach in all poses, or follow: "
        "one that moves with the signer. auto: signer, where that is less than 60 % of the frame; in render, the rule "
        "that the model was trained by.",
        rich_help_panel="Input",
    ),
]

# ---- keypoints

Person = Annotated[
    str | None,
    typer.Option(
        metavar="N|x,y|x0,y0,x1,y1",
        help="Who of several people: a number as info and draw --people give it, a point on the person, or a box.",
        show_default="the largest, longest and most central in view",
        rich_help_panel="Input",
    ),
]

# ---- sampling

Seed = Annotated[
    int, typer.Option(help="Seed of the noise; with --noise-scale 0 there is none.", rich_help_panel=PANEL)
]
MODEL_OPTIONS = (*NAMES, "--seed", "--device", "--threads")

# ---- machine

Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to render.", rich_help_panel=MACHINE)]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores", rich_help_panel=MACHINE)
]
Processes = Annotated[
    int,
    typer.Option(
        min=1, help="Divide the work among so many processes; the numbers stay the same.", rich_help_panel=MACHINE
    ),
]

# ---- metrics

Estimator = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Estimate keypoints of what is generated and of the truth, as poses extract does: mediapipe, or own.",
        rich_help_panel=POSE_PANEL,
    ),
]
Onnx = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Instead: with a whole-body ONNX model of the RTMPose family.", rich_help_panel=POSE_PANEL
    ),
]
PoseNet = Annotated[
    Path | None,
    typer.Option(
        "--posenet",
        metavar="PATH",
        help="Instead: with a pose network: a folder of train-posenet; with --joints HRNet weights, TorchScript, ONNX.",
        rich_help_panel=POSE_PANEL,
    ),
]
Joints = Annotated[
    str | None,
    typer.Option(
        "--joints",
        metavar="MAP",
        help="Of a --posenet FILE: its heat maps' joints: coco17, openpose18, wholebody133 or a .json list.",
        rich_help_panel=POSE_PANEL,
    ),
]
Distribution = Annotated[
    bool, typer.Option("--distribution", help="FID over frames and FVD over 16-frame windows, too: slow.")
]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="And as a paper on signing scores clips: signrefine or signvip."),
]
LpipsWeights = Annotated[
    Path | None,
    typer.Option(
        "--lpips-weights",
        help="AlexNet weights (file or folder), instead of the usual places.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Folder with the weights of AlexNet, VGG, Inception, I3D and R3D, instead of the usual places.",
        rich_help_panel=WEIGHTS_PANEL,
    ),
]
ProtocolSize = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Compare at this size.",
        show_default="strict: the truth's own; pcdms, cfld, fpdm, reposedm: 176x256",
        rich_help_panel=PROTOCOL_PANEL,
    ),
]
TrainImages = Annotated[
    Path | None,
    typer.Option(
        "--train-images",
        help="Folder of the train images that FID and KID are taken against.",
        rich_help_panel=PROTOCOL_PANEL,
    ),
]
