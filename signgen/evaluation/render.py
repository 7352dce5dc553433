"""The library's render: prepare → render → write. A RenderRequest in; the video, and its scores where the truth is
known, out.

It lies here, above rendering, because it scores what it renders while it renders.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from signgen.config import SamplingSettings
from signgen.errors import Interrupted, Terminated
from signgen.evaluation.provenance import provenance
from signgen.evaluation.scorer import make_scorer
from signgen.files import digest_of
from signgen.interrupts import deferred_interrupt, deferred_termination
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.results import write_metrics, write_per_frame_csv
from signgen.models.card import load_model, read_card
from signgen.models.device import precision_note, prepare_device
from signgen.models.guidance import branch_weights
from signgen.models.lora import load_lora
from signgen.parallel import STOPPED
from signgen.progress import SILENT, Notes, Progress
from signgen.rendering.guide import named_settings
from signgen.rendering.inputs import RenderJob, RenderRequest, prepare
from signgen.rendering.on_disk import DiskArrays
from signgen.rendering.output import Truth, write_rendering
from signgen.rendering.parts import SEGMENT, Parts, parts_folder
from signgen.rendering.plan import ABOUT, plan_lines, sampling_line, time_line
from signgen.rendering.references import TRAINING
from signgen.rendering.renderer import Renderer
from signgen.rendering.request import record_of

__all__ = ["RenderJob", "RenderRequest", "RenderResult", "render"]


@dataclass(frozen=True)
class RenderResult:
    """written: video (or image), side-by-side and skeleton video and frame folder; nothing of a dry run. scores: the
    metrics dictionary, rows as views, None without truth; score_files: OUT.metrics.json and OUT.per_frame.csv. notes:
    what was decided on the way."""

    job: RenderJob
    written: tuple[Path, ...]
    scores: dict[str, Any] | None
    score_files: tuple[Path, ...]
    notes: tuple[str, ...]


def render(request: RenderRequest, progress: Progress = SILENT) -> RenderResult:
    """Render a signer frame by frame: one image of the person, one output frame per pose.

    Frames are written and scored as they are rendered, in segments, so that an interrupt loses none of them, and
    `resume` goes on. Raises PoseError, VideoError, ModelError, PairSetError or OptionError for what does not fit,
    Interrupted at Ctrl-C, Terminated at SIGTERM.
    """
    # prepare
    notes = Notes(progress)
    stored = DiskArrays(request.out.parent)
    job = _stored(prepare(request, notes), stored)
    card = read_card(request.model)
    canvas = card.parsed_recipe().canvas
    for line in plan_lines(job, (canvas.width, canvas.height)):
        progress.note(line, ABOUT)
    truth = None if job.truth is None or request.dry_run else Truth(job.truth, scorer_of(job, stored))
    stored.release()
    renderer = _renderer(request, job, notes)
    progress.note(_sampling(renderer), ABOUT)
    weights = digest_of(request.model)
    adapter = "" if request.lora is None else digest_of(request.lora)
    # what is there of it already
    parts = Parts(parts_folder(job.outputs.video), len(job.frames))
    if len(job.frames) > 1 and not request.dry_run:
        named = replace(job, sampling=named_settings(job.sampling, renderer.guide))
        parts.begin(record_of(request, named, weights + adapter, torch.get_num_threads()), request.resume)
        if request.resume:
            notes.add(f"{parts.frames} of {parts.total} frames are there already", "resume")
        if truth is not None and parts.finished:
            _restore(truth, parts, job.part.start + parts.frames - 1)
    stored.release()
    # render and write
    frames = renderer.frames(job.source, job.poses, job.frames[parts.frames :])
    left = parts.total - parts.frames
    if left:
        frames, line = _timed(frames, min(renderer.sampling.micro_batch, left), left)
        progress.note(line, ABOUT)
    if request.dry_run:
        return RenderResult(job, (), None, (), notes.kept)
    origin = renderer.origin(weights, _shown(request), adapter)
    job = replace(job, outputs=replace(job.outputs, description=origin.text()))
    written = _write(frames, job, renderer, truth, parts, stored, progress)
    for note in renderer.notes:
        notes.add(note, "memory")
    # scores
    if truth is None:
        return RenderResult(job, tuple(written), None, (), notes.kept)
    stored.release()
    scores = _scores(request, job, truth, renderer.sampling)
    return RenderResult(job, tuple(written), scores, _write_scores(scores, written[0]), notes.kept)


def _shown(request: RenderRequest) -> str:
    """What shows the person, for what files say of their making."""
    worn = "" if request.garment is None else f", clothes of {request.garment.name}"
    return f"{request.source.name}{worn}"


def _renderer(request: RenderRequest, job: RenderJob, notes: Notes) -> Renderer:
    """The model, loaded onto its device."""
    pipeline, card = load_model(request.model)
    if request.lora is not None:
        load_lora(pipeline.unet, request.lora)
    device = prepare_device(request.device, request.threads)
    if note := precision_note(job.sampling.precision, device, job.sampling.backend):
        notes.add(note, "precision")
    return Renderer(pipeline, card, job.sampling, request.seed, device)


def _write(
    frames: Iterable[np.ndarray],
    job: RenderJob,
    renderer: Renderer,
    truth: Truth | None,
    parts: Parts,
    stored: DiskArrays,
    progress: Progress,
) -> list[Path]:
    """Frames to files, one after the other, until all are there or a signal ends it."""
    count = itertools.count(1)
    with (
        deferred_interrupt() as interrupt,
        deferred_termination() as termination,
        progress.bar("rendering", len(job.frames), keep=True) as bar,
    ):
        bar.advance(parts.frames)

        def frame_done() -> None:
            bar.advance()
            if next(count) % SEGMENT == 0:
                stored.release()
            if termination.is_set():
                raise Terminated(STOPPED.replace("Ctrl-C", "SIGTERM"))
            if interrupt.is_set():
                raise Interrupted(STOPPED)

        first, palette = job.part.start, renderer.palette
        try:
            return write_rendering(
                frames, job.source, job.rendered, first, palette, job.outputs, truth, frame_done, parts
            )
        except Interrupted as error:
            if not parts.finished:
                raise
            found = f"{error.found}; {parts.frames} of {parts.total} frames are finished"
            raise type(error)(found, fix="the same command with --resume goes on") from None


def _timed(frames: Iterator[np.ndarray], batch: int, left: int) -> tuple[Iterator[np.ndarray], str]:
    """The same frames, the first of which is rendered now, and how long all of them will take."""
    start = time.perf_counter()
    first = next(frames)
    return itertools.chain([first], frames), time_line(time.perf_counter() - start, batch, left)


def _sampling(renderer: Renderer) -> str:
    """The plan's line on it."""
    sampling, device = renderer.sampling, renderer.device
    branches = branch_weights(sampling.w_c, sampling.w_f, renderer.pipeline.fusion is not None)
    count = torch.get_num_threads()
    threads = f", {count} thread{'s' if count > 1 else ''}" if device.type == "cpu" else ""
    return sampling_line(sampling, len(branches), f"{device.type}{threads}, {sampling.precision}")


def _restore(truth: Truth, parts: Parts, last: int) -> None:
    """The scores of what is there already. last: the number of its last frame."""
    truth.scorer.restore(parts.rows(), parts.last_frame(), truth.frames.read(last, last + 1)[0])


def _stored(job: RenderJob, stored: DiskArrays) -> RenderJob:
    """The job with the poses of a long clip on the disk."""
    poses = stored.keep_poses(job.poses)
    keypoints = poses if job.keypoints is job.poses else stored.keep_poses(job.keypoints)
    stored.release()
    return replace(job, poses=poses, keypoints=keypoints)


def scorer_of(job: RenderJob, stored: DiskArrays) -> FrameScorer:
    """Copy-source always, and nearest-pose where the training frames are at hand; without the slow metrics."""
    assert job.truth is not None
    keypoints = stored.keep(job.keypoints.resized(job.truth.width, job.truth.height).keypoints)
    own = 0 if job.own_source else None
    return make_scorer(
        job.truth, keypoints, job.source.plain, job.pairs, job.clip, notes=job.notes, quick=True, own=own
    )


def _scores(request: RenderRequest, job: RenderJob, truth: Truth, sampling: SamplingSettings) -> dict[str, Any]:
    """The metrics dictionary, with how the frames were rendered and from what."""
    references = request.references
    files = {
        "references": Path(references) if references not in (None, TRAINING) else None,
        "source": request.source,
        "garment": request.garment,
        "keypoints": request.poses,
        "model": request.model,
        "pairs": request.pairs,
        "truth": truth.frames.path,
    }
    settings = {"seed": request.seed, "frames": [job.part.start, job.part.stop], **sampling.model_dump()}
    return {**truth.scorer.result(views=True), "render": settings, "provenance": provenance(files)}


def _write_scores(scores: dict[str, Any], video: Path) -> tuple[Path, ...]:
    """OUT.metrics.json and OUT.per_frame.csv beside the video."""
    stem = video.with_suffix("")
    return (
        write_metrics(scores, stem.with_name(f"{stem.name}.metrics.json")),
        write_per_frame_csv(scores, stem.with_name(f"{stem.name}.per_frame.csv")),
    )
