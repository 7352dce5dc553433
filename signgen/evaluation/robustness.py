"""Robustness: a model, clips, and ways of making the input worse in; what each costs, beside baselines, out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from signgen.errors import OptionError, PoseError
from signgen.evaluation.baselines import CopySource, nearest_pose
from signgen.evaluation.provenance import provenance
from signgen.metrics.clip.join import ClipSet
from signgen.metrics.clip.scorer import Baseline, FrameScorer
from signgen.metrics.definitions import (
    BASELINE_DEFINITIONS,
    DEFINITIONS,
    FACE_METRICS,
    HAND_METRICS,
    WHOLE_METRICS,
    ScoringProtocol,
)
from signgen.metrics.means import mean_row
from signgen.metrics.results import number_text
from signgen.models.card import ModelCard, load_model, read_card
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.parallel import Tick, in_processes, threads_of
from signgen.poses.convert import to_skeleton
from signgen.poses.perturb import add_noise, drop_frames, drop_hands
from signgen.poses.readers import read_beside
from signgen.poses.sequence import PoseSequence
from signgen.progress import SILENT, Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.pairs import check_pairs, jobs_of, render_targets
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.requests import Request
from signgen.seeds import keyed_rng
from signgen.video.reader import FrameSource, frame_range, open_frames

METRICS = (*HAND_METRICS, *WHOLE_METRICS, *FACE_METRICS)
Kind = Literal["noise", "hands", "held", "interpolated", "source"]
STUDIES: dict[str, str] = {
    "noise": "Every keypoint coordinate moved by an independent normal draw with this standard deviation, in pixels of "
    "the clip's own frames.",
    "hands": "Per cent of the frames, drawn at random, in which all points of both hands are missing.",
    "held": "Per cent of the frames, drawn at random, whose pose is lost; the last pose before is held.",
    "interpolated": "Per cent of the frames, drawn at random, whose pose is lost; points are taken from the line "
    "between the last pose before and the next.",
    "source": "Which frame is the source: number 0 is the pair's own (of a video its first), 1 the middle one, the "
    "others are drawn at random, of the frames with a person that are not scored (of all, where all are scored).",
}


@dataclass(frozen=True)
class RobustnessRequest(Request):
    """data: a pair set, or a video whose keypoints are `poses`. split: of a pair set; clips: its first so many only.

    frames: A:B of a video. noise: standard deviations in pixels; shares: per cent of hands, and of frames, lost;
    sources: how many other source frames. sampling: values that replace the recipe's.
    """

    model: Path
    data: Path
    poses: Path | None = None
    split: str = "val"
    frames: str | None = None
    clips: int | None = None
    noise: Sequence[float] = (0, 1, 2, 4, 8)
    shares: Sequence[float] = (0, 25, 50, 75)
    sources: int = 4
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    processes: int = 1


@dataclass(frozen=True)
class Perturbation:
    """A way to make the input worse. level: pixels, per cent of frames, or the number of the source; 0: not at all."""

    kind: Kind
    level: float = 0.0


@dataclass(frozen=True)
class ClipUnderTest:
    """A clip to render. source: its source frame; targets: frames that are rendered and scored, ascending.

    poses: of every frame, in pixels of the frames. baselines: beside copy-source.
    """

    name: str
    frames: FrameSource
    poses: PoseSequence
    source: int
    targets: tuple[int, ...]
    baselines: Mapping[str, Baseline]


def measure_robustness(request: RobustnessRequest, progress: Progress = SILENT) -> dict[str, Any]:
    """What robustness.json holds: every perturbation rendered and scored, beside copy-source and nearest-pose.

    Raises PairSetError, PoseError or OptionError for what does not fit the model.
    """
    planned = perturbations(request.noise, request.shares, request.sources)
    clips = clips_of(request, read_card(request.model))
    total = sum(len(clip.targets) for clip in clips)
    progress.note(f"{total:,} frames of {len(clips):,} clips, rendered {len(planned)} times")
    result = _result(request, clips, planned, _run(request, planned, total, progress))
    result["provenance"] = provenance({"model": request.model, "data": request.data, "keypoints": request.poses})
    return result


def perturbations(noise: Sequence[float], shares: Sequence[float], sources: int) -> list[Perturbation]:
    """The unharmed rendering, then every perturbation of every study.

    shares: per cent. sources: how many beside the own.
    """
    kinds: tuple[Kind, ...] = ("hands", "held", "interpolated")
    return [
        Perturbation("noise"),
        *(Perturbation("noise", level) for level in noise if level),
        *(Perturbation(kind, level) for kind in kinds for level in shares if level),
        *(Perturbation("source", float(number)) for number in range(1, sources + 1)),
    ]


def run_perturbation(
    renderer: Renderer, clips: Sequence[ClipUnderTest], perturbation: Perturbation, seed: int, tick: Callable[[], None]
) -> dict[str, Any]:
    """Means over all frames of all clips: {"model": {metric: mean}, "copy-source": ..., ...}."""
    scored, start = ClipSet(sum(len(clip.targets) for clip in clips), METRICS), 0
    for clip in clips:
        number = (
            source_frames(clip, seed, int(perturbation.level))[-1] if perturbation.kind == "source" else clip.source
        )
        frame = clip.frames.read(number, number + 1)[0]
        pose = clip.poses[number : number + 1]
        source = Source(frame, pose if pose.has_person[0] else None, clip.name)
        scorer = FrameScorer(
            keypoints=clip.poses.keypoints,
            baselines={"copy-source": CopySource(frame, number), **clip.baselines},
            quick=True,
        )
        poses = perturbed(clip, perturbation, seed)
        with FrameWorker() as worker:
            for target, output in zip(clip.targets, render_targets(renderer, source, poses, clip.targets), strict=True):
                worker.submit(_score, scorer, clip.frames, target, output)
                tick()
        numbers = range(start, start + len(clip.targets))
        scored.add(scorer.result(), numbers)
        start = numbers.stop
    return {name or "model": mean_row(rows, METRICS) for name, rows in scored.rows().items()}


def _score(scorer: FrameScorer, truth: FrameSource, target: int, output: np.ndarray) -> None:
    scorer.update(target, output, truth.read(target, target + 1)[0])


def perturbed(clip: ClipUnderTest, perturbation: Perturbation, seed: int) -> PoseSequence:
    """The poses that the model is given; draws are keyed by the seed, what is done, and the clip's name."""
    if not perturbation.level or perturbation.kind == "source":
        return clip.poses
    # What is lost is the same whether it is held or interpolated.
    rng = keyed_rng(seed, "frames" if perturbation.kind in ("held", "interpolated") else perturbation.kind, clip.name)
    if perturbation.kind == "noise":
        return add_noise(clip.poses, perturbation.level, rng)
    if perturbation.kind == "hands":
        return drop_hands(clip.poses, clip.targets, perturbation.level / 100, rng)
    interpolated = perturbation.kind == "interpolated"
    return drop_frames(clip.poses, clip.targets, perturbation.level / 100, rng, interpolated=interpolated)


def source_frames(clip: ClipUnderTest, seed: int, count: int) -> list[int]:
    """Source frames number 0 to `count` of the study: own, middle, and frames drawn at random (again, if few)."""
    able = np.flatnonzero(clip.poses.has_person)
    free = np.setdiff1d(able, clip.targets)
    candidates = free if len(free) else able
    drawn = keyed_rng(seed, "source", clip.name).permutation(candidates)
    others = [int(candidates[len(candidates) // 2]), *(int(drawn[n % len(drawn)]) for n in range(count))]
    return [clip.source, *others][: count + 1]


def clips_of(request: RobustnessRequest, card: ModelCard) -> list[ClipUnderTest]:
    """What is rendered. Raises PairSetError or PoseError for what does not fit the model."""
    if request.data.is_dir() and request.poses is None:
        pair_set = PairSet.load(request.data)
        check_pairs(pair_set, card, request.split)
        if pair_set.listed:
            raise PoseError(f"{request.data}: made of lists of pairs", expected="a pair set of clips, or a video")
        found = []
        for job in jobs_of(pair_set.triples(request.split))[: request.clips]:
            clip = pair_set.clips[job.clip_index]
            nearest = nearest_pose(pair_set, clip.name, (clip.width, clip.height))
            source, baselines = pair_set.frames(clip.name), {"nearest-pose": nearest}
            found.append(
                ClipUnderTest(clip.name, source, pair_set.poses(clip.name), job.source, job.targets, baselines)
            )
        return found
    return [_video_clip(request, card)]


def _video_clip(request: RobustnessRequest, card: ModelCard) -> ClipUnderTest:
    """A video, its frame 0 as the source, as `signgen render` takes it."""
    if request.poses is None:
        raise OptionError(f"{request.data} is no pair set", fix="give the video's keypoints as POSES")
    video = open_frames(request.data)
    sequence = to_skeleton(read_beside(request.poses, video), card.skeleton)
    if len(sequence) != video.num_frames:
        raise PoseError(
            f"{request.poses}: {len(sequence)} poses", expected=f"one for each of {video.num_frames} frames"
        )
    part = frame_range(request.frames, len(sequence))
    video.check(0, 1)
    video.check(part.start, part.stop)
    return ClipUnderTest(video.path.stem, video, sequence, 0, tuple(range(part.start, part.stop)), {})


def _run(
    request: RobustnessRequest, planned: list[Perturbation], frames: int, progress: Progress
) -> list[dict[str, Any]]:
    """What every perturbation scored, in order."""
    count = min(request.processes, len(planned))
    request = replace(request, threads=threads_of(count, request.threads))
    shards = [(request, planned[number::count]) for number in range(count)]
    done = in_processes(run_shard, shards, frames * len(planned), "rendering and scoring", progress)
    return [done[number % count][number // count] for number in range(len(planned))]


def run_shard(shard: tuple[RobustnessRequest, list[Perturbation]], tick: Tick) -> list[dict[str, Any]]:
    """The perturbations of one process."""
    request, planned = shard
    pipeline, card = load_model(request.model)
    device = prepare_device(request.device, request.threads)
    renderer = Renderer(pipeline, card, card.sampling(**request.sampling), request.seed, device)
    clips = clips_of(request, card)
    return [run_perturbation(renderer, clips, perturbation, request.seed, tick) for perturbation in planned]


def _result(
    request: RobustnessRequest, clips: list[ClipUnderTest], planned: list[Perturbation], scores: list[dict[str, Any]]
) -> dict[str, Any]:
    """What robustness.json holds. studies: name -> levels and, for each, the means of model and baselines."""
    # a curve for each kind of perturbation
    studies: dict[str, Any] = {}
    for name, definition in STUDIES.items():
        chosen = [
            (perturbation.level, found)
            for perturbation, found in zip(planned, scores, strict=True)
            if perturbation.kind == name or not perturbation.level
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
    # what the reader has to know
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


COPIED = "copy-source"


def headline_metric(means: Mapping[str, Mapping[str, float | None]]) -> str:
    """hand_ssim where hands were scored, else ssim."""
    return "hand_ssim" if means["model"].get("hand_ssim") is not None else "ssim"


def verdict(studies: Mapping[str, Any], unharmed: Mapping[str, Mapping[str, float | None]]) -> str:
    """Does the model beat copy-source unharmed, and up to what noise?"""
    metric = headline_metric(unharmed)
    model, copied = unharmed["model"][metric], unharmed[COPIED][metric]
    assert model is not None
    assert copied is not None
    scored = f"{metric} {number_text(metric, model)} against {number_text(metric, copied)}"
    if model <= copied:
        return f"The model does NOT beat copy-source even with unharmed input: {scored}."
    line = f"The model beats copy-source with unharmed input: {scored}"
    if "noise" not in studies:
        return f"{line}."
    levels, rows = studies["noise"]["levels"], studies["noise"]["means"]
    loses = [
        level
        for level, model_mean, copied_mean in zip(levels, rows["model"], rows[COPIED], strict=True)
        if model_mean[metric] <= copied_mean[metric]
    ]
    last = number_text(metric, rows["model"][-1][metric])
    falls = f"no longer from {loses[0]:g} px of keypoint noise on" if loses else f"still at {levels[-1]:g} px of noise"
    return f"{line}; {falls} ({last} at {levels[-1]:g} px)."


def spread(means: Sequence[Mapping[str, float | None]], metric: str) -> tuple[float, float, float] | None:
    """(mean, standard deviation over n - 1, range) of a metric over source frames; None below two."""
    values = [value for row in means if (value := row.get(metric)) is not None]
    if len(values) < 2:
        return None
    return float(np.mean(values)), float(np.std(values, ddof=1)), max(values) - min(values)
