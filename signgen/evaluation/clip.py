"""Two clips in; scores of every frame, hands, face, time and the pose that is seen, by signgen's own rules, out.

Departs from the tools of the field: scores are taken at the clip's own size, hands and face in boxes of their own, and
beside them stands what copying the source frame, or taking the nearest training frame, would score.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from signgen.errors import OptionError, PairSetError
from signgen.evaluation.clip_pair import ClipPair, open_pair
from signgen.evaluation.clip_poses import NEEDS_HANDS, NOT_ASKED, PoseRequest, pose_metrics
from signgen.evaluation.pair_traits import add_splits, traits_of_clip
from signgen.evaluation.provenance import provenance
from signgen.evaluation.scorer import distributions, make_scorer
from signgen.metrics.clip.frame_pair import ClipMetric, FrameMetric
from signgen.metrics.clip.presets import ClipPreset, CropErrors, preset_named, with_preset
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.definitions import FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.progress import SILENT, Progress
from signgen.requests import Request
from signgen.video.background import parse_background
from signgen.video.origin import origin_of

_UNKNOWN_ORIGIN = (
    "does not say which pose networks trained or guided the model that made it: if this estimator is one of them, "
    "PCK and joint errors count for nothing"
)
CHUNK = 16  # frames read at once


@dataclass(frozen=True)
class ClipRequest(Request):
    """Two clips (videos, GIFs or frame folders of one size) and what is to be scored.

    frames: A:B of the truth, all where None. poses: the truth's keypoints, any format; clip: its name in a split
    pickle. seen: where the generated clip's keypoints come from. source: what the model was given, frame 0 of the
    truth where None. pairs: pair set whose training frames are nearest-pose. distribution: FID and FVD, too.
    background: what transparent pixels lie over, as the command line takes it.
    preset: of signgen.metrics.clip.presets, a paper's scores as well.
    lpips_weights: AlexNet's, weights: a folder of networks' weights, instead of the usual places.
    """

    generated: Path
    truth: Path
    frames: str | None = None
    poses: Path | None = None
    clip: str | None = None
    seen: PoseRequest = field(default_factory=PoseRequest)
    source: Path | None = None
    pairs: Path | None = None
    distribution: bool = False
    lpips_weights: Path | None = None
    weights: Path | None = None
    background: str | None = None
    preset: str | None = None


@dataclass(frozen=True)
class ClipResult:
    """scores: the metrics dictionary (docs/metrics.md). pair: the clips, for who wants to show them."""

    scores: dict[str, Any]
    pair: ClipPair

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided on the way: which frames, keypoints and baselines."""
        return tuple(self.scores["notes"])


@dataclass
class ExtraMetrics:
    """Metrics beside those of every frame; name -> why one is not computed; and notes for the report."""

    metrics: list[FrameMetric] = field(default_factory=list)
    clip_metrics: list[ClipMetric] = field(default_factory=list)
    not_computed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def evaluate_clip(request: ClipRequest, progress: Progress = SILENT) -> ClipResult:
    """Score a generated clip against the real one, frame by frame, beside baselines.

    Raises VideoError, PoseError, PairSetError, WeightsError or OptionError for what does not fit together.
    """
    request.seen.check(truth_known=request.poses is not None)
    preset = None if request.preset is None else preset_named(request.preset)
    if preset is not None and request.poses is None:
        raise OptionError(f"--preset {preset.name} needs --poses, the truth's keypoints")
    if request.pairs is not None and request.poses is None:
        raise PairSetError("--pairs without --poses", fix="give the truth's keypoints with --poses")
    # what is compared
    notes: list[str] = []
    pair = open_pair(
        request.generated,
        request.truth,
        request.frames,
        request.poses,
        request.clip,
        request.source,
        notes,
        parse_background(request.background),
    )
    # by which metrics
    origin = origin_of(request.generated)
    networks = () if origin is None else origin.pose_networks
    seen = request.seen.judging(f"the model that rendered {request.generated}", networks)
    if seen.wanted and origin is None:
        notes.append(f"{request.generated} {_UNKNOWN_ORIGIN}")
    extra = extra_metrics(pair, replace(request, seen=seen), preset, progress)
    truth = request.truth
    scorer = make_scorer(
        pair.truth,
        pair.keypoints,
        pair.source,
        request.pairs,
        request.clip or (truth.name if truth.is_dir() else truth.stem),
        lpips_weights=request.lpips_weights,
        weights=request.weights,
        notes=(*notes, *extra.notes),
        metrics=extra.metrics,
        clip_metrics=extra.clip_metrics,
        not_computed=extra.not_computed,
        own=0 if pair.own_source else None,
        preset=preset,
    )
    _score(scorer, pair, progress)
    # the numbers, and where they come from
    scores = with_preset(scorer.result(), preset)
    frames = range(pair.selection.start, pair.selection.stop)
    traits = traits_of_clip(pair.keypoints, 0 if pair.own_source else None, frames)
    scores = add_splits(scores, traits, images=False)
    files = {"generated": request.generated, "truth": truth, "keypoints": request.poses, "source": request.source}
    scores["provenance"] = provenance({**files, "pairs": request.pairs, "LPIPS weights": request.lpips_weights})
    return ClipResult(scores, pair)


def extra_metrics(
    pair: ClipPair, request: ClipRequest, preset: ClipPreset | None = None, progress: Progress = SILENT
) -> ExtraMetrics:
    """Pose metrics, FID and FVD where they are asked for; the reason for those that are not."""
    extra = ExtraMetrics()
    crops = preset is not None and preset.crops
    of_poses = (*POSE_METRICS, *FINGER_METRICS, *SEQUENCE_METRICS, *(CropErrors.names if crops else ()))
    if request.seen.wanted:
        extra.metrics, extra.clip_metrics, extra.notes = pose_metrics(request.seen, pair, progress, crops=crops)
        computed = {name for metric in extra.metrics for name in metric.names}
        computed |= {name for of_clip in extra.clip_metrics for name in of_clip.names}
        extra.not_computed |= dict.fromkeys((name for name in of_poses if name not in computed), NEEDS_HANDS)
    else:
        extra.not_computed |= dict.fromkeys(of_poses, request.seen.refused or NOT_ASKED)
    also = () if preset is None else preset.distributions
    gathered, reasons = distributions(request.distribution, request.weights, also)
    extra.clip_metrics += gathered
    extra.not_computed |= reasons
    return extra


def _score(scorer: FrameScorer, pair: ClipPair, progress: Progress) -> None:
    """Feed the frames, a few at a time."""
    selection = pair.selection
    with progress.bar("scoring", selection.stop - selection.start) as bar:
        for start in range(selection.start, selection.stop, CHUNK):
            stop = min(start + CHUNK, selection.stop)
            generated = pair.generated.read(start + pair.shift, stop + pair.shift)
            truth = pair.truth.read(start, stop)
            for index in range(stop - start):
                scorer.update(start + index, generated[index], truth[index])
                bar.advance()
