"""A model and a pair set in; every clip of a split rendered into a folder, and a table of their scores, out.

It goes on where it was interrupted, and any number of processes share the clips."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import ModelError, OptionError, PairSetError, PoseError, VideoError
from signgen.evaluation.model_work import ModelRequest, Shard, Work, batch_of
from signgen.evaluation.provenance import provenance
from signgen.evaluation.set_files import (
    Item,
    Record,
    items_of,
    read_problem,
    read_record,
    remove_unfinished,
    write_problem,
    write_record,
    written,
)
from signgen.evaluation.set_table import rows_of, scores_of, write_table
from signgen.files import alone_in, digest_of, read_json, write_json
from signgen.metrics.clip.scorer import SLOW_METRICS, FrameScorer
from signgen.metrics.definitions import CEILING
from signgen.metrics.results import write_metrics
from signgen.models.card import ModelCard, read_card
from signgen.models.device import precision_note, prepare_device, usable_precision
from signgen.pairs.pairset import PairSet
from signgen.parallel import Tick, dealt, from_first, in_first, in_processes, processes, threads_of
from signgen.progress import SILENT, Notes, Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.guide import chosen_settings, named_settings, open_guide
from signgen.rendering.inputs import read_source
from signgen.rendering.pairs import check_pairs, check_steady, jobs_of, posed_as, render_targets, source_of
from signgen.rendering.source import Source
from signgen.requests import Request

SETTINGS_FILE, TABLE_FILE = "settings.json", "clips.csv"
_LEFT_OUT = "left out by render-set; signgen evaluate-model computes it"


@dataclass(frozen=True)
class RenderSetRequest(Request):
    """What is rendered, by which model, and how it is kept.

    clips: names of the clips that are meant, all where empty; limit: their first so many only. source: a signer for all
    clips, a video, frame folder or image, instead of each clip's own; source_poses: keypoints of it; retarget: "auto"
    fits the poses to it. layout: of clips, mp4, phoenix or frames; names: of lists, pidm, cfld, pcdms or fpdm.
    sampling: values that replace the recipe's.
    """

    pairs: Path
    model: Path
    out: Path
    split: str = "test"
    clips: tuple[str, ...] = ()
    limit: int | None = None
    source: Path | None = None
    source_poses: Path | None = None
    retarget: str = "none"
    layout: str | None = None
    names: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


def names_of_clips(given: str | None) -> tuple[str, ...]:
    """`NAME,NAME`, or a text file with a name a line; empty for None. Raises OptionError for a file without names."""
    if given is None:
        return ()
    if not Path(given).is_file():
        return tuple(filter(None, given.split(",")))
    names = tuple(line.strip() for line in Path(given).read_text(encoding="utf-8").splitlines() if line.strip())
    if not names:
        raise OptionError(f"--clips {given}: an empty file", expected="a name a line")
    return names


@dataclass(frozen=True)
class RenderSetResult:
    """rows: of the table, one a clip. scores: the metrics dictionary, None with another signer. put_aside: clip -> why
    it could not be rendered. files: what was written of the whole set. notes: what was decided on the way."""

    rows: list[dict[str, Any]]
    scores: dict[str, Any] | None
    put_aside: dict[str, str]
    files: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What every process knows. todo: numbers of the items that are not whole yet, the longest first. settings:
    what makes it another set, of the first process. chosen: sampling, as results say it."""

    request: RenderSetRequest
    card: ModelCard
    work: Shard
    items: list[Item]
    todo: list[int]
    signer: Source | None
    settings: dict[str, Any]
    chosen: dict[str, Any]


def render_set(request: RenderSetRequest, progress: Progress = SILENT) -> RenderSetResult:
    """Render every clip of a split that is not yet whole in the request's folder, and score it where its truth is.

    Under `torchrun` or `accelerate launch` every process calls it and takes the next clip when it is free; the first
    one returns, the others end (signgen.parallel.NotTheFirst). Raises PairSetError, PoseError, ModelError or
    OptionError for what does not fit, and for a folder that was rendered with other settings; SigngenError where
    another call is at work in it.
    """
    with ExitStack() as stack:
        return _render_set(request, progress, stack)


def _render_set(request: RenderSetRequest, progress: Progress, stack: ExitStack) -> RenderSetResult:
    """`render_set`; stack: holds the folder for this call."""
    notes = Notes(progress)
    # what is rendered
    plan = _plan(request, notes, stack)
    whole = len(plan.items) - len(plan.todo)
    went = f"; {whole:,} of them are there already" if whole else ""
    notes.add(f"{len(plan.items):,} {'sources' if plan.work.batch else 'clips'} of {request.split}{went}", "set")
    # render, clip by clip
    frames = sum(len(plan.items[number].job.targets) for number in plan.todo)
    in_first(in_processes(_render_items, [plan] * processes(), frames, "rendering", progress))
    # the table, and scores of the whole set
    found = [(item, read_record(request.out, item)) for item in plan.items]
    records = [(item, record) for item, record in found if record is not None]
    aside = {item.name: read_problem(request.out, item) for item, record in found if record is None}
    rows, work = rows_of(records), Work(plan.work)
    files = [write_table(rows, request.out / TABLE_FILE)]
    about = work.pair_set.crop_notes(request.split)
    if (scores := scores_of(records, work.pair_set, work.points, about)) is not None:
        scores["render"] = {"split": request.split, "seed": request.seed, **plan.chosen}
        scores["provenance"] = provenance({"model": request.model, "pairs": request.pairs})
        files.append(write_metrics(scores, request.out))
    return RenderSetResult(rows, scores, aside, tuple(files), notes.kept)


def _plan(request: RenderSetRequest, notes: Notes, stack: ExitStack) -> _Plan:
    pair_set, card = PairSet.load(request.pairs), read_card(request.model)
    check_pairs(pair_set, card, request.split)
    check_steady(pair_set, card.sampling(request.sampling))
    jobs = jobs_of(pair_set.triples(request.split))
    items = items_of(pair_set, jobs, request.layout, request.names, request.split)
    batch = batch_of(pair_set, jobs, card.sampling(request.sampling))
    chosen = _chosen(request, pair_set, items)
    signer = None
    if request.source is not None:
        signer = read_source(request.source, request.source_poses, card.skeleton, notes)
        posed_as(signer, pair_set, pair_set.clips[chosen[0].job.clip_index].name, request.retarget)
    elif request.source_poses is not None or request.retarget != "none":
        option = "--source-poses" if request.source_poses is not None else "--retarget"
        raise OptionError(f"{option} without --source", expected="one signer for all clips")
    of_model = ModelRequest(
        request.model,
        request.pairs,
        sampling=request.sampling,
        seed=request.seed,
        device=request.device,
        threads=threads_of(processes(), request.threads),
    )
    work = Shard(of_model, [item.job for item in chosen], Path(), 0, batch)
    # what makes it another set
    sampling = card.sampling(request.sampling, micro_batch=batch)
    guide = open_guide(sampling)
    device = prepare_device(request.device)
    if note := precision_note(sampling.precision, device, sampling.backend):
        notes.add(note, "precision")
    settings = {
        "split": request.split,
        "layout": request.names or ("pcdms" if pair_set.listed else request.layout or "mp4"),
        "seed": request.seed,
        "retarget": request.retarget,
        "pairs": pair_set.fingerprint,
        "source": None if signer is None else _digest_of(signer),
        **named_settings(sampling, guide).model_dump(mode="json"),
        "precision": usable_precision(sampling.precision, device, sampling.backend),
    }
    if any(clip.pasted for clip in pair_set.clips):
        settings["picture"] = "whole frame"  # of a cropped clip; sets of before have the crop alone

    def begin() -> str:
        stack.enter_context(alone_in(request.out))
        return json.dumps(_begin(request, settings, chosen, pair_set.listed))

    todo, settings = json.loads(from_first(begin))
    return _Plan(request, card, work, chosen, todo, signer, settings, chosen_settings(request.sampling, guide))


def _chosen(request: RenderSetRequest, pair_set: PairSet, items: list[Item]) -> list[Item]:
    """The items that are asked for. Raises PairSetError for a clip that has no pair in the split."""
    if request.clips:
        of_clip = {pair_set.clips[item.job.clip_index].name for item in items} | {item.name for item in items}
        if missing := [name for name in request.clips if name not in of_clip]:
            found = f"{request.pairs}: no {request.split} pair of the clip {missing[0]}"
            raise PairSetError(found, expected=f"one of {', '.join(sorted(of_clip)[:5])}")
        items = [i for i in items if {i.name, pair_set.clips[i.job.clip_index].name} & set(request.clips)]
    return items[: request.limit]


def _begin(
    request: RenderSetRequest, settings: dict[str, Any], items: list[Item], listed: bool
) -> tuple[list[int], dict[str, Any]]:
    """Numbers of the items that are to be rendered, of clips the longest first, and all settings, which are kept.
    Raises OptionError where what is there was rendered with others."""
    settings = {**settings, "model": digest_of(request.model)}
    path = request.out / SETTINGS_FILE
    try:
        before = read_json(path) if path.is_file() else settings
    except ValueError as error:
        raise OptionError(f"{path}: damaged ({error})", fix="choose another --out") from error
    if other := [name for name in settings if before.get(name) != settings[name]]:
        found = f"{request.out} was rendered with another {other[0].replace('_', ' ')}"
        if other[0] not in ("model", "pairs", "source"):
            found += f" ({before.get(other[0])}, not {settings[other[0]]})"
        raise OptionError(found, fix="choose another --out")
    write_json(path, settings)
    todo = [number for number, item in enumerate(items) if read_record(request.out, item) is None]
    for number in todo:
        remove_unfinished(request.out, items[number])
    if not listed:  # sources of a list have one or two pairs, and neighbours share a file of poses
        todo.sort(key=lambda number: -len(items[number].job.targets))
    return todo, settings


def _digest_of(signer: Source) -> str:
    """sha256 of the picture and the pose."""
    pose = b"" if signer.pose is None else signer.pose.keypoints.tobytes()
    return hashlib.sha256(f"{signer.name} {signer.frame.shape}".encode() + signer.frame.tobytes() + pose).hexdigest()


# ---- rendering


def _render_items(plan: _Plan, tick: Tick) -> None:
    """Those items that this process gets, one after the other. One whose video or poses are damaged is put aside."""
    work = Work(plan.work)
    for number in dealt(len(plan.todo)):
        if (own := work.renderer.sampling.precision) != plan.settings["precision"]:
            found = f"this machine computes in {own}, that of the first process in {plan.settings['precision']}"
            raise ModelError(found, fix="give --dtype fp32")
        item = plan.items[plan.todo[number]]
        try:
            _render_item(plan, item, work, tick)
        except (VideoError, PoseError, PairSetError) as error:
            write_problem(plan.request.out, item, str(error))


def _render_item(plan: _Plan, item: Item, work: Work, tick: Tick) -> None:
    """One item, scored as it is rendered where its truth is known; its record is written last."""
    began = time.monotonic()
    request, job = plan.request, item.job
    clip = work.pair_set.clips[job.clip_index]
    own = None
    if plan.signer is None:
        poses = work.poses(clip.name)
        own = work.pair_set.frames(clip.name)
        source = source_of(work.pair_set, job.clip_index, job.source, poses)
    else:
        source, poses = posed_as(plan.signer, work.pair_set, clip.name, request.retarget)
    scorer = None if own is None else _scorer(item, work)
    # a crop is laid back into the source's whole frame, as `render` does; what is scored is the crop
    crop, whole = None if own is None else clip.pasted, source.frame
    if crop is not None:
        whole = work.pair_set.whole_frames(clip.name).read(job.source, job.source + 1)[0]
    height, width = whole.shape[:2]

    # what is done with each frame, in the worker
    def finish(write: Callable[[int, np.ndarray], None], target: int, frame: np.ndarray) -> None:
        write(target, frame if crop is None else crop.paste(frame, whole))
        if scorer is not None and own is not None:
            scorer.update(target, frame, own.read(target, target + 1)[0])

    about = work.renderer.origin(plan.settings["model"], source.name).text()
    with written(request.out, item, (width, height), own, clip.fps, about) as write, FrameWorker() as worker:
        frames = render_targets(work.renderer, source, poses, job.targets)
        for target, frame in zip(job.targets, frames, strict=True):
            worker.submit(finish, write, target, frame)
            tick()
    held = int((~poses.has_person[list(job.targets)]).sum())
    scores = None if scorer is None else scorer.result()
    record = Record(job.source, job.targets, time.monotonic() - began, held, scores)
    write_record(request.out, item, record)


def _scorer(item: Item, work: Work) -> FrameScorer:
    """Beside the baselines, but what a VAE makes of the truth, which costs as much as a step of rendering."""
    clip = work.pair_set.clips[item.job.clip_index]
    baselines = {name: baseline for name, baseline in work.baselines(item.job).items() if name != CEILING}
    keypoints = work.poses(clip.name).resized(clip.width, clip.height).keypoints
    left_out = dict.fromkeys((*SLOW_METRICS, "lpips", "lpips_vgg"), _LEFT_OUT)
    return FrameScorer(keypoints=keypoints, baselines=baselines, quick=True, not_computed=left_out)
