"""The library's render: prepare → render → write. A RenderRequest in; the video, and its scores where the truth is
known, out.

It lies here, above rendering, because it scores what it renders while it renders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.config import SamplingSettings
from signgen.errors import Interrupted
from signgen.evaluation.provenance import provenance
from signgen.evaluation.scorer import make_scorer
from signgen.interrupts import deferred_interrupt
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.results import write_metrics, write_per_frame_csv
from signgen.models.card import load_model
from signgen.models.device import precision_note, prepare_device
from signgen.models.lora import load_lora
from signgen.parallel import STOPPED
from signgen.progress import SILENT, Notes, Progress
from signgen.rendering.inputs import RenderJob, RenderRequest, prepare
from signgen.rendering.output import Truth, write_rendering
from signgen.rendering.references import TRAINING
from signgen.rendering.renderer import Renderer

__all__ = ["RenderJob", "RenderRequest", "RenderResult", "render"]


@dataclass(frozen=True)
class RenderResult:
    """written: video (or PNG), side-by-side video and frame folder. scores: the metrics dictionary, None without truth;
    score_files: OUT.metrics.json and OUT.per_frame.csv. notes: what was decided on the way."""

    job: RenderJob
    written: tuple[Path, ...]
    scores: dict[str, Any] | None
    score_files: tuple[Path, ...]
    notes: tuple[str, ...]


def render(request: RenderRequest, progress: Progress = SILENT) -> RenderResult:
    """Render a signer frame by frame: one image of the person, one output frame per pose.

    Frames are written and scored as they are rendered, so that an interrupt loses none of them. Raises PoseError,
    VideoError, ModelError, PairSetError or OptionError for what does not fit, Interrupted at Ctrl-C.
    """
    # prepare
    notes = Notes(progress)
    job = prepare(request, notes)
    truth = None if job.truth is None else Truth(job.truth, scorer_of(job))
    # render and write
    pipeline, card = load_model(request.model)
    if request.lora is not None:
        load_lora(pipeline.unet, request.lora)
    device = prepare_device(request.device, request.threads)
    renderer = Renderer(pipeline, card, job.sampling, request.seed, device)
    if note := precision_note(job.sampling.precision, device):
        notes.add(note, "precision")
    with deferred_interrupt() as interrupt, progress.bar("rendering", len(job.frames), keep=True) as bar:

        def frame_done() -> None:
            bar.advance()
            if interrupt.is_set():
                raise Interrupted(STOPPED)

        frames = renderer.frames(job.source, job.poses, job.frames)
        written = write_rendering(
            frames, job.source, job.rendered, job.part.start, renderer.palette, job.outputs, truth, frame_done
        )
    # scores
    if truth is None:
        return RenderResult(job, tuple(written), None, (), notes.kept)
    scores = _scores(request, job, truth, renderer.sampling)
    return RenderResult(job, tuple(written), scores, _write_scores(scores, written[0]), notes.kept)


def scorer_of(job: RenderJob) -> FrameScorer:
    """Copy-source always, and nearest-pose where the training frames are at hand; without the slow metrics."""
    assert job.truth is not None
    keypoints = job.keypoints.resized(job.truth.width, job.truth.height).keypoints
    own = 0 if job.own_source else None
    return make_scorer(
        job.truth, keypoints, job.source.frame, job.pairs, job.clip, notes=job.notes, quick=True, own=own
    )


def _scores(request: RenderRequest, job: RenderJob, truth: Truth, sampling: SamplingSettings) -> dict[str, Any]:
    """The metrics dictionary, with how the frames were rendered and from what."""
    references = request.references
    files = {
        "references": Path(references) if references not in (None, TRAINING) else None,
        "source": request.source,
        "keypoints": request.poses,
        "model": request.model,
        "pairs": request.pairs,
        "truth": truth.frames.path,
    }
    settings = {"seed": request.seed, "frames": [job.part.start, job.part.stop], **sampling.model_dump()}
    return {**truth.scorer.result(), "render": settings, "provenance": provenance(files)}


def _write_scores(scores: dict[str, Any], video: Path) -> tuple[Path, ...]:
    """OUT.metrics.json and OUT.per_frame.csv beside the video."""
    stem = video.with_suffix("")
    return (
        write_metrics(scores, stem.with_name(f"{stem.name}.metrics.json")),
        write_per_frame_csv(scores, stem.with_name(f"{stem.name}.per_frame.csv")),
    )
