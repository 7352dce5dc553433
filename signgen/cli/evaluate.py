"""`signgen evaluate GENERATED TRUTH --out REPORT`: two clips in; a report to look at, its numbers and a table out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signgen.cli.clip_scoring import Compared, FurtherRequest, further_metrics
from signgen.cli.common import console, frame_range, rate_progress
from signgen.cli.pose_scoring import PoseRequest
from signgen.cli.protocol_scoring import ImageSetRequest
from signgen.errors import PairSetError, PoseError, VideoError

if TYPE_CHECKING:
    import numpy as np

    from signgen.data.video import FrameSource
    from signgen.metrics.scoring import FrameScorer

CHUNK = 16
_KEYPOINTS_PANEL = "Keypoints: hand and face scores"
_POSE_PANEL = "Keypoints seen in GENERATED: PCK, joint errors, DTW-MJE"
_BASELINES_PANEL = "Baselines"
_PROTOCOL_PANEL = "Sets of images, under a published tool's rules"


def evaluate(
    generated: Annotated[
        Path,
        typer.Argument(
            metavar="GENERATED", help="Generated video, GIF, or folder of frames or images.", show_default=False
        ),
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The real one, of the same size.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.", show_default=False)],
    frames: Annotated[
        str | None,
        typer.Option(
            "--frames",
            metavar="A:B",
            help="Score these frames of the truth (0-based, B exclusive); GENERATED may hold just those B-A frames.",
        ),
    ] = None,
    poses: Annotated[
        Path | None,
        typer.Option("--poses", help="Keypoints of the truth, any format.", rich_help_panel=_KEYPOINTS_PANEL),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option("--clip", help="The clip's name in a split pickle.", rich_help_panel=_KEYPOINTS_PANEL),
    ] = None,
    generated_poses: Annotated[
        Path | None,
        typer.Option("--generated-poses", help="Keypoints of GENERATED, any format.", rich_help_panel=_POSE_PANEL),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead: estimate those of both clips, as signgen poses extract does (mediapipe).",
            rich_help_panel=_POSE_PANEL,
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead: with a whole-body ONNX model of the RTMPose family.",
            rich_help_panel=_POSE_PANEL,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="What the model was given: its first frame, repeated, is copy-source. Default: frame 0 of TRUTH.",
            rich_help_panel=_BASELINES_PANEL,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="Pair set the model was trained on: its training frames are nearest-pose (needs --poses).",
            rich_help_panel=_BASELINES_PANEL,
        ),
    ] = None,
    lpips_weights: Annotated[
        Path | None,
        typer.Option("--lpips-weights", help="AlexNet weights (file or folder), instead of the usual places."),
    ] = None,
    distribution: Annotated[
        bool, typer.Option("--distribution", help="FID over frames and FVD over 16-frame windows, too: slow.")
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="strict, gfla, dptn, pidm, pcdms, cfld or fpdm: score images (folders, matched by name) or frames.",
            rich_help_panel=_PROTOCOL_PANEL,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Compare at this size. Default: the truth's own (strict), 176x256 (pcdms, cfld, fpdm).",
            rich_help_panel=_PROTOCOL_PANEL,
        ),
    ] = None,
    pair_list: Annotated[
        Path | None,
        typer.Option(
            "--pair-list",
            help="The pairs that there must be (JSON, CSV or text). Default: every image of TRUTH is a target.",
            rich_help_panel=_PROTOCOL_PANEL,
        ),
    ] = None,
    train_images: Annotated[
        Path | None,
        typer.Option(
            "--train-images",
            help="Folder of the train images that FID and KID are taken against.",
            rich_help_panel=_PROTOCOL_PANEL,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="Folder with the weights of AlexNet, VGG, Inception, I3D and R3D, instead of the usual places.",
        ),
    ] = None,
) -> None:
    """Score a generated clip against the real one, whole frame and hands, beside what copying the source scores.

    With --protocol, score a set of generated images by the rules of a published tool (docs/metrics.md).
    Writes REPORT/report.html, one file to look at (docs/report.md); REPORT/metrics.json, with the definition of every
    number; REPORT/per_frame.csv and .parquet.
    """
    of_clips = {"frames": frames, "poses": poses, "clip": clip, "source": source, "pairs": pairs}
    of_sets = {"size": size, "pair-list": pair_list, "train-images": train_images}
    if protocol is not None:
        of_poses = {"generated-poses": generated_poses, "estimator": estimator, "onnx": onnx}
        others: dict[str, object] = {"lpips-weights": lpips_weights, "distribution": distribution or None}
        _refuse({**of_clips, **of_poses, **others}, "does not go with --protocol")
        _evaluate_set(ImageSetRequest(generated, truth, protocol, size, pair_list, train_images, weights), out)
    else:
        _refuse(of_sets, "needs --protocol")
        wanted = FurtherRequest(PoseRequest(generated_poses, estimator, onnx), distribution, weights)
        wanted.poses.check(truth_known=poses is not None)
        _evaluate_clip(generated, truth, out, frames, poses, clip, source, pairs, lpips_weights, wanted)


def _refuse(options: Mapping[str, object], reason: str) -> None:
    """Raises typer.BadParameter for the first that is given."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} {reason}")


def _evaluate_set(request: ImageSetRequest, out: Path) -> None:
    """A set of images, under a named protocol."""
    from signgen.cli.protocol_scoring import score_image_set
    from signgen.cli.scoring import write_result
    from signgen.reporting.provenance import provenance
    from signgen.reporting.set_report import write_set_report

    result, pairs = score_image_set(request)
    result["provenance"] = provenance(
        {
            "generated": request.generated,
            "truth": request.truth,
            "pair list": request.pair_list,
            "train images": request.train_images,
            "weights": request.weights,
        }
    )
    title = f"{request.generated} against {request.truth}"
    write_result(
        result, out, lambda path, links: write_set_report(result, lambda i: pairs[i].read(), path, links, title)
    )


def _evaluate_clip(
    generated: Path,
    truth: Path,
    out: Path,
    frames: str | None,
    poses: Path | None,
    clip: str | None,
    source: Path | None,
    pairs: Path | None,
    lpips_weights: Path | None,
    wanted: FurtherRequest,
) -> None:
    """A clip, by signgen's own rules for signing."""
    from signgen.cli.scoring import make_scorer, write_result
    from signgen.data.video import open_frames
    from signgen.reporting.clip_report import ClipFrames, write_clip_report
    from signgen.reporting.provenance import provenance

    if pairs is not None and poses is None:
        raise PairSetError("--pairs without --poses", fix="give the truth's keypoints with --poses")
    generated_frames, truth_frames = open_frames(generated), open_frames(truth)
    _same_size(generated_frames, truth_frames)
    first_generated, selection, notes = align(generated_frames, truth_frames, frames)
    keypoints = None if poses is None else _keypoints(poses, clip, truth_frames, notes)
    source_frame = _source_frame(source, truth_frames, notes)
    compared = Compared(
        generated_frames, first_generated, truth_frames, selection, keypoints, source_frame, own_source=source is None
    )
    further = further_metrics(compared, wanted)
    scorer = make_scorer(
        truth_frames,
        keypoints,
        source_frame,
        pairs,
        clip or (truth.name if truth.is_dir() else truth.stem),
        lpips_weights=lpips_weights,
        weights=wanted.weights,
        notes=(*notes, *further.notes),
        metrics=further.metrics,
        clip_metrics=further.clip_metrics,
        not_computed=further.not_computed,
    )
    _score(scorer, generated_frames, first_generated, truth_frames, selection)
    result = scorer.result()
    files = {"generated": generated, "truth": truth, "keypoints": poses, "source": source, "pairs": pairs}
    result["provenance"] = provenance({**files, "LPIPS weights": lpips_weights})
    shown = ClipFrames(generated_frames, truth_frames, first_generated - selection.start, keypoints)
    write_result(result, out, lambda path, links: write_clip_report(result, shown, path, links))


def _same_size(generated: FrameSource, truth: FrameSource) -> None:
    if (generated.width, generated.height) != (truth.width, truth.height):
        raise VideoError(
            f"{generated.path} is {generated.width}x{generated.height}, {truth.path} is {truth.width}x{truth.height}",
            expected="equal sizes",
            fix="render at the source's native size",
        )


def align(generated: FrameSource, truth: FrameSource, frames: str | None) -> tuple[int, slice, list[str]]:
    """First frame of `generated`, the frames of `truth` it is compared with, and notes for the report.

    Raises VideoError when the counts do not fit, typer.BadParameter when A:B lies outside the truth.
    """
    selection = frame_range(frames, truth.num_frames)
    wanted = selection.stop - selection.start
    counts = f"{generated.path} has {generated.num_frames} frames, {truth.path} has {truth.num_frames}"
    if generated.num_frames == truth.num_frames:
        notes = [] if frames is None else [f"frames {frames} of both clips"]
        return selection.start, selection, notes
    if frames is None:
        raise VideoError(counts, expected="equal counts", fix="choose the frames of the truth with --frames A:B")
    if generated.num_frames == wanted:
        return 0, selection, [f"all {wanted} generated frames against frames {frames} of the truth ({counts})"]
    raise VideoError(f"{counts}, --frames {frames} are {wanted}", expected=f"{wanted} or {truth.num_frames} generated")


def _keypoints(path: Path, clip: str | None, truth: FrameSource, notes: list[str]) -> np.ndarray:
    """(T, K, 3) in pixels of the truth. Raises PoseError when there are fewer than the truth has frames."""
    from signgen.poses import read_poses

    sequence = read_poses(path, clip=clip, size=(truth.width, truth.height), fps=truth.fps)
    notes.extend(sequence.notes)
    if len(sequence) < truth.num_frames:
        raise PoseError(
            f"{path}: keypoints for {len(sequence)} frames, {truth.path} has {truth.num_frames}",
            expected="one pose per frame of the truth",
        )
    if len(sequence) > truth.num_frames:
        notes.append(f"keypoints for {len(sequence)} frames, the truth has {truth.num_frames}: the rest is not used")
    if (sequence.width, sequence.height) != (truth.width, truth.height):
        notes.append(f"keypoints scaled from {sequence.width}x{sequence.height} to {truth.width}x{truth.height}")
        sequence = sequence.resized(truth.width, truth.height)
    return sequence.keypoints


def _source_frame(path: Path | None, truth: FrameSource, notes: list[str]) -> np.ndarray:
    """uint8 (H, W, 3): what copy-source repeats. Raises VideoError when it has another size than the truth."""
    from signgen.data.video import open_frames

    if path is None:
        notes.append("copy-source repeats frame 0 of the truth; --source names another")
        return truth.read(0, 1)[0]
    frames = open_frames(path)
    _same_size(frames, truth)
    notes.append(f"copy-source repeats the first frame of {path}")
    return frames.read(0, 1)[0]


def _score(
    scorer: FrameScorer, generated: FrameSource, first_generated: int, truth: FrameSource, selection: slice
) -> None:
    """Feed the frames, a few at a time, under a progress bar (on a terminal; a log would get an empty line of it)."""
    shift = first_generated - selection.start
    with rate_progress(transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("scoring", total=selection.stop - selection.start)
        for start in range(selection.start, selection.stop, CHUNK):
            stop = min(start + CHUNK, selection.stop)
            ours, theirs = generated.read(start + shift, stop + shift), truth.read(start, stop)
            for index in range(stop - start):
                scorer.update(start + index, ours[index], theirs[index])
                progress.advance(task)
