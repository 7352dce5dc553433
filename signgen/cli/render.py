"""`signgen render`: reads a source, poses and a model; writes the video and, where the truth is known, its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signgen.cli.common import console, frame_range, quiet_libraries, rate_progress
from signgen.cli.model_options import (
    Device,
    FusionGuidance,
    NoiseScale,
    PoseGuidance,
    Precision,
    Seed,
    Solver,
    Steps,
    Threads,
    sampling_of,
)
from signgen.cli.references import TRAINING, ReferenceRequest, Rendered, with_references
from signgen.errors import Interrupted, PairSetError, PoseError, VideoError
from signgen.interrupts import deferred_interrupt

if TYPE_CHECKING:
    from signgen.models.card import ModelCard
    from signgen.poses.sequence import PoseSequence
    from signgen.rendering.output import Truth
    from signgen.rendering.renderer import Source
    from signgen.reporting.clip_report import ClipFrames
    from signgen.video.reader import FrameSource

TRUTHS = ("auto", "none")
INPUT, OUTPUT = "Input", "Output"


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
    source_poses: Annotated[
        Path | None,
        typer.Option(
            help="Keypoints of the source, whose first frame is used (of a split pickle, the clip of the source's"
            " name). Default: POSES, if their count, fps and size agree with the source; else the model is told that"
            " the source's pose is not known.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            metavar="CLIP|training",
            help="Further frames of the person: the part warp takes body and hands from the nearest of them. A video or"
            " frame folder; training: the frames of SOURCE that the model was trained on.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    reference_poses: Annotated[
        Path | None, typer.Option(help="Keypoints of the clip that --references names.", rich_help_panel=INPUT)
    ] = None,
    reference_frames: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Only these frames of --references: leave out what is scored.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    truth: Annotated[
        str,
        typer.Option(
            metavar="auto|none|PATH",
            help="Real frames to score against; auto: the source video's, if count, fps and size agree.",
            rich_help_panel=OUTPUT,
        ),
    ] = "auto",
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pair set for the nearest-pose baseline.",
            show_default="the one the model was trained on, if it is still there",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option(
            "--side-by-side", help="Also OUT.side-by-side.mp4: source | pose | output | truth.", rich_help_panel=OUTPUT
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Also OUT.report.html, a page to look at: needs the truth.", rich_help_panel=OUTPUT
        ),
    ] = False,
    save_frames: Annotated[
        Path | None, typer.Option(help="Also write every frame as PNG into this folder.", rich_help_panel=OUTPUT)
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Frames per second.", show_default="the poses', else the source's", rich_help_panel=OUTPUT
        ),
    ] = None,
    steps: Steps = None,
    solver: Solver = None,
    w_c: PoseGuidance = None,
    w_f: FusionGuidance = None,
    noise_scale: NoiseScale = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Precision = None,
    threads: Threads = None,
) -> None:
    """Render a signer frame by frame: one image of the person, one output frame per pose.

    With the truth at hand, OUT.metrics.json and OUT.per_frame.csv are written too.
    """
    from signgen.models.card import load_model, read_card
    from signgen.models.device import prepare_device
    from signgen.rendering.output import Outputs, write_rendering
    from signgen.rendering.renderer import Renderer
    from signgen.reporting.provenance import provenance
    from signgen.video.reader import open_frames

    card = read_card(model)
    video = open_frames(source)
    sequence = _read_poses(poses, clip, video, card.skeleton, clean)
    if card.data.get("cleaned") and not clean:
        console.print("poses: the model was trained on cleaned keypoints; --clean cleans these, too")
    part = frame_range(frames, len(sequence))
    filled = _filled(sequence, poses)
    wanted = filled[part]
    outputs = Outputs(out, fps or sequence.fps or video.fps or 25.0, side_by_side, save_frames)
    outputs.check(len(wanted), [source, poses, *([] if truth in TRUTHS else [Path(truth)])])
    differences = _differences(video, sequence)
    real = _truth_frames(truth, video, sequence, differences)
    person = _source(video, sequence, source_poses, not differences, clean)
    sampling = sampling_of(card, steps=steps, solver=solver, w_c=w_c, w_f=w_f, noise_scale=noise_scale, precision=dtype)
    if report and real is None:
        raise VideoError("--report without the truth", fix="name the real frames with --truth")
    known = pairs or (_trained_on(model, card) if real is not None or references == TRAINING else None)
    person, notes = with_references(
        person,
        ReferenceRequest(references, reference_poses, reference_frames),
        card,
        clean,
        Rendered(clip or source.stem, source, known),
    )
    scored = _scored(real, sequence, person, known, clip, notes) if real is not None else None

    quiet_libraries()
    pipeline, card = load_model(model)
    renderer = Renderer(pipeline, card, sampling, seed, prepare_device(device, threads))
    with deferred_interrupt() as interrupt, rate_progress() as progress:
        task = progress.add_task("rendering", total=len(wanted))

        def frame_done() -> None:
            progress.advance(task)
            if interrupt.is_set():
                raise Interrupted("Ctrl-C; nothing that was already written is lost")

        written = write_rendering(
            renderer.frames(person, filled, range(part.start, part.stop)),
            person,
            wanted,
            part.start,
            renderer.palette,
            outputs,
            scored,
            frame_done,
        )
    console.print("wrote " + ", ".join(map(str, written)))
    if scored is not None:
        settings = {"seed": seed, "frames": [part.start, part.stop], **sampling.model_dump()}
        files = {
            "references": Path(references) if references not in (None, TRAINING) else None,
            "source": source,
            "keypoints": poses,
            "model": model,
            "pairs": pairs,
            "truth": scored.frames.path,
        }
        result = {**scored.scorer.result(), "render": settings, "provenance": provenance(files)}
        _write_scores(result, written[0], _pictures(scored, sequence, written[0], part.start) if report else None)


def _read_poses(path: Path, clip: str | None, video: FrameSource, skeleton: str, clean: bool) -> PoseSequence:
    """The whole sequence on the model's skeleton; says what the reader noted.

    Raises PoseError for points of a frame of another size.
    """
    from signgen.poses.clean import clean as cleaned
    from signgen.poses.convert import to_skeleton
    from signgen.poses.readers import read_poses
    from signgen.rendering.renderer import share_inside

    sequence = to_skeleton(read_poses(path, clip=clip, size=(video.width, video.height), fps=video.fps), skeleton)
    sequence = cleaned(sequence) if clean else sequence
    for note in sequence.notes:
        console.print(f"poses: {note}", markup=False)
    if share_inside(sequence) < 0.5:
        raise PoseError(
            f"{path}: most points lie outside {sequence.width}x{sequence.height}",
            expected="keypoints in pixels of a clip of the source's size",
            fix="scale the source, or the keypoints, to one size",
        )
    return sequence


def _filled(sequence: PoseSequence, path: Path) -> PoseSequence:
    """Frames without a person filled, each such frame named."""
    from signgen.rendering.renderer import hold_missing

    filled, missing = hold_missing(sequence)
    if missing:
        console.print(f"no person in {_ranges(missing)} of {path}: the pose before is held there", markup=False)
    return filled


def _ranges(frames: list[int]) -> str:
    """`frame 3` or `frames 3, 7-9`."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"frame{'s' if len(frames) > 1 else ''} {text}"


def _differences(video: FrameSource, poses: PoseSequence) -> str:
    """Why the poses cannot be the source's own clip; empty when count, fps and size agree."""
    if video.num_frames == 1:
        return "it is a single image"
    pairs = (
        ("frames", len(poses), video.num_frames),
        ("fps", poses.fps, video.fps),
        ("size", f"{poses.width}x{poses.height}", f"{video.width}x{video.height}"),
    )
    return "; ".join(
        f"{name} {ours} and {theirs}"
        for name, ours, theirs in pairs
        if ours is not None and theirs is not None and ours != theirs and not _close(ours, theirs)
    )


def _truth_frames(truth: str, video: FrameSource, poses: PoseSequence, differences: str) -> FrameSource | None:
    """The frames to score against, or None; says which and why."""
    from signgen.video.reader import open_frames

    if truth == "none":
        return None
    if truth == "auto" and differences:
        console.print(f"truth: none; {video.path} is not the poses' own clip ({differences})", markup=False)
        return None
    if truth == "auto":
        agree = "count, fps and size agree with the poses"
        console.print(f"truth: the frames of {video.path} ({agree}); --truth none disables", markup=False)
        return video
    frames = open_frames(Path(truth))
    if frames.num_frames < len(poses):
        raise VideoError(f"{truth}: {frames.num_frames} frames", expected=f"one for each of {len(poses)} poses")
    if (frames.width, frames.height) != (video.width, video.height):
        raise VideoError(
            f"{truth} is {frames.width}x{frames.height}", expected=f"{video.width}x{video.height}, as the source"
        )
    return frames


def _close(ours: Any, theirs: Any) -> bool:
    return isinstance(ours, float) and isinstance(theirs, float) and abs(ours - theirs) < 0.01


def _source(video: FrameSource, poses: PoseSequence, source_poses: Path | None, own: bool, clean: bool) -> Source:
    """The first frame and, where known, its pose: from source_poses, or from `poses` if they are its own.

    Of a file with several clips, source_poses is the one with the source's name.
    """
    from signgen.poses.clean import clean as cleaned
    from signgen.poses.convert import to_skeleton
    from signgen.poses.readers import identify, read_poses
    from signgen.rendering.renderer import Source

    frame, name = video.read(0, 1)[0], video.path.stem
    if source_poses is not None:
        found = identify(source_poses)
        clip = name if found is not None and len(found.clips) > 1 else None
        skeleton = poses.skeleton
        poses = read_poses(source_poses, clip=clip, size=(video.width, video.height), fps=video.fps)
        poses = cleaned(to_skeleton(poses, skeleton)) if clean else to_skeleton(poses, skeleton)
    if (own or source_poses is not None) and poses.has_person[0]:
        return Source(frame, poses[0:1], name)
    console.print("the source's own pose is not known to the model; --source-poses gives it")
    return Source(frame, None, name)


def _scored(
    real: FrameSource,
    poses: PoseSequence,
    source: Source,
    pairs: Path | None,
    clip: str | None,
    notes: list[str],
) -> Truth:
    """Truth and scorer, with copy-source always and nearest-pose where the training frames are at hand."""
    from signgen.cli.scoring import make_scorer
    from signgen.rendering.output import Truth

    keypoints = poses.resized(real.width, real.height).keypoints
    named = clip or real.path.stem
    scorer = make_scorer(real, keypoints, source.frame, pairs, named, notes=tuple(notes), quick=True)
    return Truth(real, scorer)


def _trained_on(model: Path, card: ModelCard) -> Path | None:
    """The pair set of the run that the model folder lies in, if it is still the one the model was trained on."""
    import json

    from signgen.pairs.pairset import PairSet

    try:
        folder = Path(json.loads((model / ".." / "run.json").read_text(encoding="utf-8"))["pairs"])
        pairs = PairSet.load(folder)
    except (OSError, ValueError, KeyError, PairSetError):
        return None
    if pairs.fingerprint != card.data["fingerprint"]:
        return None
    gone = [clip.path for clip in pairs.clips if not clip.path.exists()]
    if gone:
        console.print(f"nearest-pose is left out: {gone[0]} of {folder} is not there any more", markup=False)
        return None
    return folder


def _pictures(truth: Truth, poses: PoseSequence, video: Path, first: int) -> ClipFrames:
    """The frames of the written file, which begins with frame `first` of the truth, beside the truth's."""
    from signgen.reporting.clip_report import ClipFrames
    from signgen.video.reader import open_frames

    keypoints = poses.resized(truth.frames.width, truth.frames.height).keypoints
    note = f"Generated pictures are those of {video.name}; scores were taken before it was encoded."
    return ClipFrames(open_frames(video), truth.frames, -first, keypoints, note)


def _write_scores(result: dict[str, Any], main: Path, pictures: ClipFrames | None) -> None:
    """OUT.metrics.json and OUT.per_frame.csv, the table, and OUT.report.html where pictures are given."""
    from signgen.cli.scoring import print_result
    from signgen.metrics.results import write_metrics, write_per_frame_csv

    stem = main.with_suffix("")
    written = [
        write_metrics(result, stem.with_name(f"{stem.name}.metrics.json")),
        write_per_frame_csv(result, stem.with_name(f"{stem.name}.per_frame.csv")),
    ]
    if pictures is not None:
        from signgen.reporting.clip_report import write_clip_report

        links = {path.name: path.name for path in (main, *written)}
        written.append(write_clip_report(result, pictures, stem.with_name(f"{stem.name}.report.html"), links))
    print_result(result)
    console.print(f"wrote {', '.join(map(str, written))}", markup=False)
