"""`signgen render`: reads a source, poses and a model; writes the video and, where the truth is known, its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from signgen.cli.options import (
    BackgroundColour,
    Device,
    Person,
    Seed,
    Threads,
)
from signgen.cli.results import print_result
from signgen.cli.sampling import with_sampling
from signgen.console import Bars, console

if TYPE_CHECKING:
    from signgen.evaluation.render import RenderResult

INPUT, OUTPUT = "Input", "Output"

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
SaveFrames = Annotated[
    Path | None, typer.Option(help="Also write every frame as PNG into this folder.", rich_help_panel=OUTPUT)
]
Fps = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Frames per second.", show_default="the poses', else the source's", rich_help_panel=OUTPUT
    ),
]


@with_sampling()
def render(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Who: a video or frame folder (its first frame), or an image.", show_default=False
        ),
    ],
    poses: Annotated[
        Path,
        typer.Argument(
            metavar="POSES",
            help="What: keypoints in any format, of one clip or of a split (--clip).",
            show_default=False,
        ),
    ],
    model: Annotated[Path, typer.Option(help="Model folder, e.g. RUN/model.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="mp4 to write (a single pose gives a PNG of that name).", show_default=False)
    ],
    lora: Annotated[Path | None, typer.Option(help="An adapter of the model: RUN/lora of `train --lora`.")] = None,
    clip: Annotated[str | None, typer.Option(help="The clip's name in a split pickle.", rich_help_panel=INPUT)] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="A:B", help="Only poses A to B-1 (0-based); the source stays frame 0.", rich_help_panel=INPUT
        ),
    ] = None,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            help="Fill short gaps of all keypoints and smooth them, as build-pairs --clean.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    person: Person = None,
    source_poses: SourcePoses = None,
    references: References = None,
    reference_poses: ReferencePoses = None,
    reference_frames: ReferenceFrames = None,
    retarget: Retarget = "none",
    truth: Truth = "auto",
    pairs: Pairs = None,
    side_by_side: SideBySide = False,
    report: Report = False,
    save_frames: SaveFrames = None,
    fps: Fps = None,
    background: BackgroundColour = None,
    *,
    sampling: dict[str, Any],
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Render a signer frame by frame: one image of the person, one output frame per pose.

    With the truth at hand, OUT.metrics.json and OUT.per_frame.csv are written too.
    """
    from signgen.evaluation.render import RenderRequest, render

    result = render(
        RenderRequest(
            source,
            poses,
            model,
            out,
            clip=clip,
            frames=frames,
            clean=clean,
            source_poses=source_poses,
            references=references,
            reference_poses=reference_poses,
            reference_frames=reference_frames,
            retarget=retarget,
            truth=truth,
            needs_truth=report,
            pairs=pairs,
            side_by_side=side_by_side,
            save_frames=save_frames,
            fps=fps,
            background=background,
            sampling=sampling,
            seed=seed,
            device=device,
            threads=threads,
            person=person,
            lora=lora,
        ),
        Bars(),
    )
    console.print("wrote " + ", ".join(map(str, result.written)), markup=False)
    if result.scores is not None:
        written = [*result.score_files, *([_write_report(result)] if report else [])]
        print_result(result.scores)
        console.print(f"wrote {', '.join(map(str, written))}", markup=False)


def _write_report(result: RenderResult) -> Path:
    """OUT.report.html: the frames of the written file beside the truth's."""
    from signgen.reporting.clip_report import ClipFrames, write_clip_report
    from signgen.video.reader import open_frames

    assert result.scores is not None
    assert result.job.truth is not None
    video, job, truth = result.written[0], result.job, result.job.truth
    note = f"Generated pictures are those of {video.name}; scores were taken before it was encoded."
    keypoints = job.keypoints.resized(truth.width, truth.height).keypoints
    shown = ClipFrames(open_frames(video), truth, -job.part.start, keypoints, note)
    page = video.with_suffix("").with_name(f"{video.with_suffix('').name}.report.html")
    links = {path.name: path.name for path in (video, *result.score_files)}
    return write_clip_report(result.scores, shown, page, links)
