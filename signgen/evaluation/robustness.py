"""Robustness: a model, clips, and ways of making the input worse in; what each costs, beside baselines, out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from signgen.errors import OptionError
from signgen.evaluation.all_sources import Scores, all_sources_jobs, rows_of_targets, spread_over_sources
from signgen.evaluation.baselines import CopySource
from signgen.evaluation.perturbations import (
    STUDIES,
    Perturbation,
    check_levels,
    harmed_source,
    perturbations,
    perturbed,
    studies_of,
    usual_levels,
)
from signgen.evaluation.provenance import provenance
from signgen.evaluation.robustness_clips import (
    ClipUnderTest,
    RobustnessRequest,
    clips_of,
    listed_clips,
    open_pair_set,
)
from signgen.metrics.clip.join import ClipSet
from signgen.metrics.clip.scorer import FrameScorer
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
from signgen.parallel import Tick, in_first, in_processes, processes, threads_of
from signgen.progress import SILENT, Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.guide import chosen_settings, open_guide
from signgen.rendering.pairs import micro_batch_of, render_targets
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.seeds import keyed_rng
from signgen.video.reader import FrameSource

METRICS = (*HAND_METRICS, *WHOLE_METRICS, *FACE_METRICS)


def measure_robustness(request: RobustnessRequest, progress: Progress = SILENT) -> dict[str, Any]:
    """What robustness.json holds: every perturbation rendered and scored, beside copy-source and nearest-pose.

    Of a group of processes the first one returns, the others end (signgen.parallel.NotTheFirst).
    Raises PairSetError, PoseError or OptionError for what does not fit the model.
    """
    # what is rendered, and how often
    card = read_card(request.model)
    guide = open_guide(card.sampling(request.sampling))
    clips = clips_of(request, card)
    names = studies_of(request.studies, clips[0].listed)
    if unused := [name for name in request.levels if name not in names]:
        raise OptionError(f"levels of {unused[0]}", expected=f"a study that is made: {', '.join(names)}")
    usual = usual_levels(request.noise, request.shares, request.sources)
    planned = perturbations({name: check_levels(name, request.levels.get(name, usual[name])) for name in names})
    views = _views(request, card)
    total = sum(len(clip.targets) for clip in clips)
    what = "images" if clips[0].listed else "frames"
    of = "sources" if clips[0].listed else "clips"
    progress.note(f"{total:,} {what} of {len(clips):,} {of}, rendered {len(planned)} times")
    # render, score: all processes take part in both
    scores = _run(request, planned, total, progress)
    tracks = _run_views(request, len(views), sum(len(v.targets) for v in views), progress) if views else {}
    # of the whole
    result = _result(request, clips, planned, in_first(scores))
    result["render"] = {"seed": request.seed, **chosen_settings(request.sampling, guide)}
    if views:
        result["all_sources"] = spread_over_sources(tracks, METRICS)
    result["provenance"] = provenance({"model": request.model, "data": request.data, "keypoints": request.poses})
    return result


def run_perturbation(
    renderer: Renderer, clips: Sequence[ClipUnderTest], perturbation: Perturbation, seed: int, tick: Callable[[], None]
) -> dict[str, Any]:
    """Means over all frames of all clips: {"model": {metric: mean}, "copy-source": ..., ...}."""
    scored, start = ClipSet(sum(len(clip.targets) for clip in clips), METRICS), 0
    for clip in clips:
        numbers = range(start, start + len(clip.targets))
        scored.add(score_clip(renderer, clip, perturbation, seed, tick), numbers)
        start = numbers.stop
    return {name or "model": mean_row(rows, METRICS) for name, rows in scored.rows().items()}


def score_clip(
    renderer: Renderer, clip: ClipUnderTest, perturbation: Perturbation, seed: int, tick: Callable[[], None]
) -> dict[str, Any]:
    """What `FrameScorer` says of the clip's targets. copy-source repeats the source that the model has."""
    # the source and the poses, made worse
    number = source_frames(clip, seed, int(perturbation.level))[-1] if perturbation.kind == "source" else clip.source
    pose = clip.poses[number : number + 1]
    image = clip.frames.read(number, number + 1)[0]
    frame = harmed_source(image, pose.keypoints[0], perturbation, seed, clip.name)
    source = Source(frame, pose if pose.has_person[0] else None, clip.name)
    poses = perturbed(clip.poses, clip.targets, perturbation, seed, clip.name)
    # rendered, and scored beside
    scorer = FrameScorer(
        keypoints=clip.poses.keypoints,
        baselines={"copy-source": CopySource(frame, number), **clip.baselines},
        quick=True,
    )
    with FrameWorker() as worker:
        for target, output in zip(clip.targets, render_targets(renderer, source, poses, clip.targets), strict=True):
            worker.submit(_score, scorer, clip.frames, target, output)
            tick()
    return scorer.result()


def _score(scorer: FrameScorer, truth: FrameSource, target: int, output: np.ndarray) -> None:
    scorer.update(target, output, truth.read(target, target + 1)[0])


def source_frames(clip: ClipUnderTest, seed: int, count: int) -> list[int]:
    """Source frames number 0 to `count` of the study: own, middle, and frames drawn at random (again, if few)."""
    able = np.flatnonzero(clip.poses.has_person)
    free = np.setdiff1d(able, clip.targets)
    candidates = free if len(free) else able
    drawn = keyed_rng(seed, "source", clip.name).permutation(candidates)
    others = [int(candidates[len(candidates) // 2]), *(int(drawn[n % len(drawn)]) for n in range(count))]
    return [clip.source, *others][: count + 1]


def _run(
    request: RobustnessRequest, planned: list[Perturbation], frames: int, progress: Progress
) -> list[dict[str, Any]]:
    """What every perturbation scored, in order; empty in all processes but the first."""
    count = min(processes(), len(planned))
    request = replace(request, threads=threads_of(count, request.threads))
    shards = [(request, planned[number::count]) for number in range(count)]
    done = in_processes(run_shard, shards, frames * len(planned), "rendering and scoring", progress)
    return [done[number % count][number // count] for number in range(len(planned))] if done else []


def run_shard(shard: tuple[RobustnessRequest, list[Perturbation]], tick: Tick) -> list[dict[str, Any]]:
    """The perturbations of one process."""
    request, planned = shard
    card = read_card(request.model)
    clips = clips_of(request, card)
    renderer = _renderer(request, clips)
    return [run_perturbation(renderer, clips, perturbation, request.seed, tick) for perturbation in planned]


def _renderer(request: RobustnessRequest, clips: Sequence[ClipUnderTest]) -> Renderer:
    pipeline, card = load_model(request.model)
    recipe = card.sampling(request.sampling)
    batch = micro_batch_of([clip.targets for clip in clips], recipe.micro_batch) if clips[0].listed else None
    device = prepare_device(request.device, request.threads)
    return Renderer(pipeline, card, card.sampling(request.sampling, micro_batch=batch), request.seed, device)


def _views(request: RobustnessRequest, card: ModelCard) -> list[ClipUnderTest]:
    """What --all-sources renders; empty where it is not asked for."""
    if not request.all_sources:
        return []
    pair_set = open_pair_set(request, card)
    if pair_set is None:
        raise OptionError(f"--all-sources with the video {request.data}", expected="a pair set of lists")
    return listed_clips(pair_set, all_sources_jobs(pair_set, request.split, request.clips))


def _run_views(request: RobustnessRequest, sources: int, frames: int, progress: Progress) -> dict[str, list[Scores]]:
    """Rows of every target from every source, the sources divided among processes; empty in all but the first."""
    count = min(processes(), sources)
    request = replace(request, threads=threads_of(count, request.threads))
    shards = [(request, number, count) for number in range(count)]
    parts = in_processes(run_views, shards, frames, "rendering from all sources", progress)
    return {who: [row for part in parts for row in part[who]] for who in (parts[0] if parts else ())}


def run_views(shard: tuple[RobustnessRequest, int, int], tick: Tick) -> dict[str, list[Scores]]:
    """Rows of every count-th source, unharmed, with the key "target"."""
    request, number, count = shard
    views = _views(request, read_card(request.model))
    renderer = _renderer(request, views)
    tracks: dict[str, list[Scores]] = {}
    for view in views[number::count]:
        result = score_clip(renderer, view, Perturbation("noise"), request.seed, tick)
        for who, rows in rows_of_targets(view.clip, result).items():
            tracks.setdefault(who, []).extend(rows)
    return tracks


def _result(
    request: RobustnessRequest, clips: list[ClipUnderTest], planned: list[Perturbation], scores: list[dict[str, Any]]
) -> dict[str, Any]:
    """What robustness.json holds. studies: name -> levels and, for each, the means of model and baselines."""
    # a curve for each kind of perturbation
    studies: dict[str, Any] = {}
    for name, study in STUDIES.items():
        chosen = [
            (perturbation.level, found)
            for perturbation, found in zip(planned, scores, strict=True)
            if perturbation.kind == name or not perturbation.level
        ]
        if len(chosen) > 1:
            studies[name] = {
                "title": study.title,
                "unit": study.unit,
                "definition": study.definition,
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
            "the source is unharmed, too. copy-source repeats the source that the model has, harmed as it is.",
        ],
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
