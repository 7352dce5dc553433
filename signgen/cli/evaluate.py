"""`signgen evaluate GENERATED TRUTH --out REPORT`: two clips in; a report to look at, its numbers and a table out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signgen.cli.clip_scoring import Compared, FurtherRequest, further_metrics
from signgen.cli.common import console, frame_range, rate_progress
from signgen.cli.model_options import (
    MACHINE,
    Device,
    FusionGuidance,
    NoiseScale,
    PoseGuidance,
    Precision,
    Seed,
    Solver,
    Steps,
    Threads,
)
from signgen.cli.model_scoring import ModelRequest
from signgen.cli.pose_scoring import PoseRequest
from signgen.cli.protocol_scoring import ImageSetRequest
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.files import check_folder

if TYPE_CHECKING:
    import numpy as np

    from signgen.metrics.clip.scorer import FrameScorer
    from signgen.video.reader import FrameSource

CHUNK = 16
_KEYPOINTS_PANEL = "Keypoints: hand and face scores"
_POSE_PANEL = "Keypoints seen in GENERATED: PCK, joint errors, DTW-MJE"
_BASELINES_PANEL = "Baselines"
_MODEL_PANEL = "A model on a pair set, in one pass"
_WITH_MODEL = "does not go with --model"
_PROTOCOL_PANEL = "Sets of images, under a published tool's rules"


def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.", show_default=False)],
    generated: Annotated[
        Path | None,
        typer.Argument(
            metavar="GENERATED", help="Generated video, GIF, or folder of frames or images.", show_default=False
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Argument(metavar="TRUTH", help="The real one, of the same size.", show_default=False)
    ] = None,
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
            help="Instead: estimate those of both clips, or of all that --model renders, as signgen poses extract does "
            "(mediapipe).",
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
            help="What the model was given: its first frame, repeated, is copy-source (default: frame 0 of TRUTH); of "
            "folders of images, the folder with the source images (default: TRUTH).",
            rich_help_panel=_BASELINES_PANEL,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            help="Pair set the model was trained on: its training frames are nearest-pose (needs --poses). With "
            "--model: the pair set that is rendered.",
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
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Instead of GENERATED and TRUTH: render and score every pair of --pairs with this model folder.",
            rich_help_panel=_MODEL_PANEL,
        ),
    ] = None,
    split: Annotated[
        Literal["test", "val", "train"] | None,
        typer.Option(help="Whose pairs.", show_default="test", rich_help_panel=_MODEL_PANEL),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write what is rendered there, SOURCE_to_TARGET.png.",
            rich_help_panel=_MODEL_PANEL,
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
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            help="Share --protocol's images, or --model's pairs, among so many processes; the numbers stay the same.",
            rich_help_panel=MACHINE,
        ),
    ] = 1,
) -> None:
    """Score a generated clip against the real one, whole frame and hands, beside what copying the source scores.

    With --protocol, score a set of generated images by the rules of a published tool (docs/metrics.md). With --model
    and --pairs, render a split of a pair set and score it in one pass; frames are kept only with --keep.
    Writes REPORT/report.html, one file to look at (docs/report.md); REPORT/metrics.json, with the definition of every
    number; REPORT/per_frame.csv and .parquet.
    """
    check_folder(out)
    of_clips = {"frames": frames, "poses": poses, "clip": clip}
    of_sets = {"size": size, "train-images": train_images}
    of_poses = {"generated-poses": generated_poses, "estimator": estimator, "onnx": onnx}
    chosen = {"steps": steps, "solver": solver, "w_c": w_c, "w_f": w_f, "noise_scale": noise_scale, "precision": dtype}
    asked = distribution or None
    if model is not None:
        _refuse({**of_clips, "generated-poses": generated_poses}, _WITH_MODEL)
        _refuse({"source": source, "pair-list": pair_list}, _WITH_MODEL)
        _refuse({"GENERATED": generated}, _WITH_MODEL, dashes="")
        if protocol is None:
            _refuse(of_sets, "needs --protocol")
        else:
            _refuse({**of_poses, "distribution": asked}, "does not go with --protocol")
        if pairs is None:
            raise typer.BadParameter("--model needs --pairs, the pair set to render")
        request = ModelRequest(
            model, pairs, split or "test", protocol, size, train_images, weights, lpips_weights, keep, distribution
        )
        request = replace(request, poses=PoseRequest(None, estimator, onnx), sampling=chosen, seed=seed)
        _evaluate_model(replace(request, device=device, threads=threads, processes=processes), out)
        return
    chosen["dtype"] = chosen.pop("precision")
    of_machine = {"seed": seed or None, "device": None if device == "auto" else device, "threads": threads}
    of_model = {"split": split, "keep": keep, **chosen, **of_machine}
    _refuse({name.replace("_", "-"): value for name, value in of_model.items()}, "needs --model")
    if generated is None or truth is None:
        raise typer.BadParameter("GENERATED and TRUTH are needed, or --model and --pairs")
    if protocol is not None:
        others: dict[str, object] = {"pairs": pairs, "lpips-weights": lpips_weights, "distribution": asked}
        _refuse({**of_clips, **of_poses, **others}, "does not go with --protocol")
        _evaluate_set(
            ImageSetRequest(generated, truth, protocol, size, pair_list, train_images, source, weights, processes),
            out,
        )
    else:
        _refuse({**of_sets, "pair-list": pair_list}, "needs --protocol")
        _refuse({"processes": processes if processes > 1 else None}, "needs --protocol or --model")
        wanted = FurtherRequest(PoseRequest(generated_poses, estimator, onnx), distribution, weights)
        wanted.poses.check(truth_known=poses is not None)
        _evaluate_clip(generated, truth, out, frames, poses, clip, source, pairs, lpips_weights, wanted)


def _refuse(options: Mapping[str, object], reason: str, dashes: str = "--") -> None:
    """Raises typer.BadParameter for the first that is given."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{dashes}{name} {reason}")


def _evaluate_model(request: ModelRequest, out: Path) -> None:
    """A split of a pair set, rendered and scored in one pass."""
    from signgen.cli.model_scoring import score_model
    from signgen.cli.scoring import write_result
    from signgen.reporting.provenance import provenance
    from signgen.reporting.set_report import write_set_report

    result, worst = score_model(request)
    chosen = {name: value for name, value in request.sampling.items() if value is not None}
    result["render"] = {"split": request.split, "seed": request.seed, **chosen}
    result["provenance"] = provenance(
        {
            "model": request.model,
            "pairs": request.pairs,
            "train images": request.train_images,
            "weights": request.weights,
            "LPIPS weights": request.lpips_weights,
        }
    )
    title = f"{request.model} on the {request.split} pairs of {request.pairs}"
    write_result(
        result, out, lambda path, links: write_set_report(result, worst.read, path, links, title, worst.metric)
    )


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
            "sources": request.sources,
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
    from signgen.reporting.clip_report import ClipFrames, write_clip_report
    from signgen.reporting.provenance import provenance
    from signgen.video.reader import open_frames

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
    from signgen.video.reader import open_frames

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
