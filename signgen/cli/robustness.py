"""`signgen robustness MODEL PAIRS` or `MODEL VIDEO POSES`: what worse keypoints and other sources cost; a page out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from signgen.cli.common import console, frame_range, quiet_libraries
from signgen.cli.model_options import (
    MACHINE,
    Device,
    FusionGuidance,
    ModelFolder,
    NoiseScale,
    PoseGuidance,
    Precision,
    Solver,
    Steps,
    Threads,
    check_pairs,
    sampling_of,
)
from signgen.cli.processes import Tick, in_processes
from signgen.errors import PoseError
from signgen.files import check_folder

if TYPE_CHECKING:
    from signgen.models.card import ModelCard
    from signgen.rendering.robustness import StudyClip, Trial

JSON_FILE, PAGE_FILE = "robustness.json", "robustness.html"
NOISE, SHARES, SOURCES = "0,1,2,4,8", "0,25,50,75", 4


@dataclass(frozen=True)
class StudyRequest:
    """What the command line asks for. data: a pair set, or a video whose keypoints are `poses`."""

    model: Path
    data: Path
    poses: Path | None
    split: str
    frames: str | None
    clips: int | None
    seed: int
    sampling: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int | None = None


def robustness(
    model: ModelFolder,
    data: Annotated[
        Path, typer.Argument(metavar="PAIRS|VIDEO", help="Pair set, or a video with its POSES.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page and its numbers.", show_default=False)],
    poses: Annotated[
        Path | None, typer.Argument(metavar="POSES", help="Keypoints of VIDEO, any format.", show_default=False)
    ] = None,
    split: Annotated[Literal["val", "test", "train"], typer.Option(help="Of a pair set: whose pairs.")] = "val",
    frames: Annotated[
        str | None, typer.Option(metavar="A:B", help="Of a video: only these frames (0-based, B exclusive).")
    ] = None,
    clips: Annotated[int | None, typer.Option(min=1, help="Of a pair set: its first so many clips only.")] = None,
    noise: Annotated[str, typer.Option(metavar="PX,...", help="Standard deviations of keypoint noise.")] = NOISE,
    shares: Annotated[str, typer.Option(metavar="%,...", help="Per cent of hands, and of frames, lost.")] = SHARES,
    sources: Annotated[
        int, typer.Option(min=0, help="Other source frames: the middle one, then random ones.")
    ] = SOURCES,
    steps: Steps = None,
    solver: Solver = None,
    w_c: PoseGuidance = None,
    w_f: FusionGuidance = None,
    noise_scale: NoiseScale = None,
    seed: Annotated[int, typer.Option(help="Of the noise that rendering starts from, and of all that is drawn.")] = 0,
    device: Device = "auto",
    dtype: Precision = None,
    threads: Threads = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Share the renderings among so many processes.", rich_help_panel=MACHINE)
    ] = 1,
) -> None:
    """Measure how a model bears bad input: noisy keypoints, lost hands, lost frames, and another source frame.

    Every setting is one rendering of all frames, scored on whole frames, hands and face beside copy-source and
    nearest-pose. Writes robustness.html, a page with the plot, and robustness.json.
    """
    from signgen.files import write_json
    from signgen.models.card import read_card
    from signgen.rendering.robustness import trials
    from signgen.reporting.provenance import provenance
    from signgen.reporting.robustness_report import write_robustness_report

    check_folder(out)
    quiet_libraries()
    chosen = {"steps": steps, "solver": solver, "w_c": w_c, "w_f": w_f, "noise_scale": noise_scale, "precision": dtype}
    request = StudyRequest(model, data, poses, split, frames, clips, seed, chosen, device, threads)
    planned = trials(_levels("noise", noise), _levels("shares", shares, most=100), sources)
    found = study_clips(request, read_card(model))
    total = sum(len(clip.targets) for clip in found)
    console.print(f"{total:,} frames of {len(found):,} clips, rendered {len(planned)} times")
    result = _result(request, found, planned, _run(request, planned, total, processes))
    result["provenance"] = provenance({"model": model, "data": data, "keypoints": poses})
    write_json(out / JSON_FILE, result)
    page = write_robustness_report(result, out / PAGE_FILE, {JSON_FILE: JSON_FILE}, f"{model} on {data}")
    _print(result)
    console.print(f"wrote {out / JSON_FILE}, {page}", markup=False)


def _levels(name: str, text: str, most: float | None = None) -> list[float]:
    """`0,1,2` -> ascending numbers, 0 among them. Raises typer.BadParameter."""
    try:
        levels = sorted({0.0, *(float(word) for word in text.split(","))})
    except ValueError:
        raise typer.BadParameter(f"--{name} {text!r}; expected numbers, e.g. 0,1,2") from None
    if not (levels[0] == 0 and levels[-1] <= (most or 1e4)):
        raise typer.BadParameter(f"--{name} {text!r}; expected 0 to {most or 10000:g}")
    return levels


def study_clips(request: StudyRequest, card: ModelCard) -> list[StudyClip]:
    """What is rendered. Raises PairSetError or PoseError for what does not fit the model."""
    from signgen.rendering.pairs import jobs_of
    from signgen.rendering.robustness import StudyClip

    if request.data.is_dir() and request.poses is None:
        from signgen.evaluation.baselines import nearest_pose
        from signgen.pairs.pairset import PairSet

        pairs = PairSet.load(request.data)
        check_pairs(pairs, card, request.split)
        if pairs.listed:
            raise PoseError(f"{request.data}: made of lists of pairs", expected="a pair set of clips, or a video")
        found = []
        for job in jobs_of(pairs.triples(request.split))[: request.clips]:
            clip = pairs.clips[job.clip]
            nearest = nearest_pose(pairs, clip.name, (clip.width, clip.height))
            source, baselines = pairs.frames(clip.name), {"nearest-pose": nearest}
            found.append(StudyClip(clip.name, source, pairs.poses(clip.name), job.source, job.targets, baselines))
        return found
    return [_video_clip(request, card)]


def _video_clip(request: StudyRequest, card: ModelCard) -> StudyClip:
    """A video, its frame 0 as the source, as `signgen render` takes it."""
    from signgen.poses.convert import to_skeleton
    from signgen.poses.readers import read_poses
    from signgen.rendering.robustness import StudyClip
    from signgen.video.reader import open_frames

    if request.poses is None:
        raise typer.BadParameter(f"{request.data} is no pair set; give the video's keypoints as POSES")
    video = open_frames(request.data)
    size = (video.width, video.height)
    sequence = to_skeleton(read_poses(request.poses, size=size, fps=video.fps), card.skeleton).resized(*size)
    if len(sequence) != video.num_frames:
        raise PoseError(
            f"{request.poses}: {len(sequence)} poses", expected=f"one for each of {video.num_frames} frames"
        )
    part = frame_range(request.frames, len(sequence))
    return StudyClip(video.path.stem, video, sequence, 0, tuple(range(part.start, part.stop)), {})


def _run(request: StudyRequest, planned: list[Trial], frames: int, processes: int) -> list[dict[str, Any]]:
    """What every trial scored, in order."""
    count = min(processes, len(planned))
    if count > 1 and request.threads is None:
        request = replace(request, threads=max(1, (os.cpu_count() or 1) // count))
    parts = [(request, planned[part::count]) for part in range(count)]
    done = in_processes(run_part, parts, frames * len(planned), "rendering and scoring")
    return [done[number % count][number // count] for number in range(len(planned))]


def run_part(part: tuple[StudyRequest, list[Trial]], tick: Tick) -> list[dict[str, Any]]:
    """The trials of one process."""
    from signgen.models.card import load_model
    from signgen.models.device import prepare_device
    from signgen.rendering.renderer import Renderer
    from signgen.rendering.robustness import run_trial

    request, planned = part
    pipeline, card = load_model(request.model)
    device = prepare_device(request.device, request.threads)
    renderer = Renderer(pipeline, card, sampling_of(card, **request.sampling), request.seed, device)
    clips = study_clips(request, card)
    return [run_trial(renderer, clips, trial, request.seed, tick) for trial in planned]


def _result(
    request: StudyRequest, clips: list[StudyClip], planned: list[Trial], scores: list[dict[str, Any]]
) -> dict[str, Any]:
    """What robustness.json holds. studies: name -> levels and, for each, the means of model and baselines."""
    from signgen.metrics.definitions import BASELINE_DEFINITIONS, DEFINITIONS, ScoringProtocol
    from signgen.metrics.robustness import verdict
    from signgen.rendering.robustness import METRICS, STUDIES, source_frames

    studies: dict[str, Any] = {}
    for name, definition in STUDIES.items():
        chosen = [
            (trial.level, found)
            for trial, found in zip(planned, scores, strict=True)
            if trial.kind == name or not trial.level
        ]
        if len(chosen) > 1:
            studies[name] = {
                "definition": definition,
                "levels": [level for level, _ in chosen],
                "means": {who: [found[who] for _, found in chosen] for who in scores[0]},
            }
    if "source" in studies:
        last = int(studies["source"]["levels"][-1])
        studies["source"]["frames"] = {clip.name: source_frames(clip, request.seed, last) for clip in clips}
    baselines = [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in scores[0] if name in BASELINE_DEFINITIONS]
    frames = sum(len(clip.targets) for clip in clips)
    size = clips[0].frames.width, clips[0].frames.height
    return {
        "verdict": verdict(studies, scores[0]),
        "protocol": ScoringProtocol().text(*size),
        "definitions": {name: DEFINITIONS[name] for name in METRICS},
        "frames": frames,
        "clips": [clip.name for clip in clips],
        "unharmed": scores[0],
        "studies": studies,
        "notes": [
            *baselines,
            "Keypoints of the truth, unharmed, say where hands and face are, and choose for nearest-pose; the pose of "
            "the source is unharmed, too.",
        ],
        "render": {"seed": request.seed, **{k: v for k, v in request.sampling.items() if v is not None}},
    }


def _print(result: dict[str, Any]) -> None:
    """The verdict, and a table for each study."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from signgen.metrics.results import number_text

    console.print(escape(result["verdict"]))
    for name, study in result["studies"].items():
        table = Table(name, *(f"{level:g}" for level in study["levels"]), box=box.SIMPLE_HEAD)
        for metric in ("hand_ssim", "ssim", "face_ssim"):
            for who, means in study["means"].items():
                table.add_row(f"{metric}, {who}", *(number_text(metric, mean.get(metric)) for mean in means))
        console.print(table)
    for note in result["notes"]:
        console.print(escape(f"note: {note}"))
