"""Options of `signgen render` alone: what goes in, and what comes out. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signgen.video.codecs import CODECS

INPUT, OUTPUT = "Input", "Output"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE", help="Who: a video or frame folder (its first frame), or an image.", show_default=False
    ),
]
Poses = Annotated[
    Path,
    typer.Argument(
        metavar="POSES",
        help="What: keypoints in any format, of one clip or of a split (--clip).",
        show_default=False,
    ),
]
Model = Annotated[Path, typer.Option(help="Model folder, e.g. RUN/model.", show_default=False)]
Out = Annotated[
    Path,
    typer.Option(help="Video to write: .mp4, .mov or .webm (of one pose an image: .png or .webp).", show_default=False),
]
Lora = Annotated[Path | None, typer.Option(help="An adapter of the model: RUN/lora of `train --lora`.")]
Clip = Annotated[str | None, typer.Option(help="The clip's name in a split pickle.", rich_help_panel=INPUT)]
Frames = Annotated[
    str | None,
    typer.Option(metavar="A:B", help="Only poses A to B-1 (0-based); the source stays frame 0.", rich_help_panel=INPUT),
]
Clean = Annotated[
    bool,
    typer.Option(
        "--clean",
        help="Fill short gaps of all keypoints and smooth them, as build-pairs --clean.",
        rich_help_panel=INPUT,
    ),
]

SourcePoses = Annotated[
    Path | None,
    typer.Option(
        help="Keypoints of the source, whose first frame is used (of a split pickle, the clip of the source's"
        " name). Default: POSES, if their count, fps and size agree with the source; else the model gets no"
        " source pose.",
        rich_help_panel=INPUT,
    ),
]
References = Annotated[
    str | None,
    typer.Option(
        metavar="CLIP|training",
        help="Further frames of the person: the part warp takes body and hands from the nearest of them. A video or"
        " frame folder; training: the frames of SOURCE that the model was trained on.",
        rich_help_panel=INPUT,
    ),
]
ReferencePoses = Annotated[
    Path | None, typer.Option(help="Keypoints of the clip that --references names.", rich_help_panel=INPUT)
]
ReferenceFrames = Annotated[
    str | None,
    typer.Option(
        metavar="A:B",
        help="Only these frames of --references: leave out what is scored.",
        rich_help_panel=INPUT,
    ),
]
Garment = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGE",
        help="Clothes of another person: trunk and arms come from this image, the rest from SOURCE.",
        rich_help_panel=INPUT,
    ),
]
GarmentPoses = Annotated[
    Path | None,
    typer.Option(
        help="Keypoints of the image that --garment names.",
        show_default="those beside it, or estimated where an estimator is installed",
        rich_help_panel=INPUT,
    ),
]
Retarget = Annotated[
    Literal["auto", "none"],
    typer.Option(
        help="auto: poses of another clip are fitted to the source's person, as poses retarget does.",
        rich_help_panel=INPUT,
    ),
]
Truth = Annotated[
    str,
    typer.Option(
        metavar="auto|none|PATH",
        help="Real frames to score against; auto: the source video's, if count, fps and size agree.",
        rich_help_panel=OUTPUT,
    ),
]
Pairs = Annotated[
    Path | None,
    typer.Option(
        help="Pair set for the nearest-pose baseline.",
        show_default="the one the model was trained on, if it is still there",
        rich_help_panel=OUTPUT,
    ),
]
SideBySide = Annotated[
    bool,
    typer.Option(
        "--side-by-side", help="Also OUT.side-by-side.mp4: source | pose | output | truth.", rich_help_panel=OUTPUT
    ),
]
Report = Annotated[
    bool,
    typer.Option("--report", help="Also OUT.report.html, a page to look at: needs the truth.", rich_help_panel=OUTPUT),
]
Skeleton = Annotated[
    bool,
    typer.Option(
        "--skeleton-overlay",
        help="Also OUT.skeleton.mp4: the output with its poses half-transparent over it.",
        rich_help_panel=OUTPUT,
    ),
]
SaveFrames = Annotated[
    Path | None, typer.Option(help="Also write every frame as an image into this folder.", rich_help_panel=OUTPUT)
]
FramesFormat = Annotated[
    Literal["png", "webp"], typer.Option(help="Of these images; neither loses anything.", rich_help_panel=OUTPUT)
]
if TYPE_CHECKING:
    _CodecName = str
else:
    _CodecName = Literal[tuple(CODECS)]
Codec = Annotated[
    _CodecName,
    typer.Option(
        metavar="NAME",
        help="h264, h265, av1, vp9 or nvenc in an .mp4; vp9 or av1 in a .webm; prores in a .mov.",
        rich_help_panel=OUTPUT,
    ),
]
Audio = Annotated[
    str | None,
    typer.Option(
        metavar="keep|PATH",
        help="Sound of the clip that the poses belong to, or of a file, for the frames rendered.",
        show_default="none",
        rich_help_panel=OUTPUT,
    ),
]
Credentials = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--credentials",
        metavar="CERT KEY",
        help="Sign as Content Credentials with these PEM files (needs the extra c2pa).",
        rich_help_panel=OUTPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with what an interrupted call left in OUT.parts.", rich_help_panel=OUTPUT),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and stop.", rich_help_panel=OUTPUT)]
Fps = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Frames per second.", show_default="the poses', else the source's", rich_help_panel=OUTPUT
    ),
]
