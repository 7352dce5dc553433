"""A survey in; the clips with their splits and the triples of every split out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from signgen.corpora.survey import Clip, Survey
from signgen.errors import PairSetError
from signgen.pairs.pairset import ClipRecord
from signgen.pairs.triples import (
    DEFAULT_HOLDOUT,
    TRIPLE,
    Span,
    bound_sources,
    count_pairs,
    first_to_all,
    holdout_start,
    sample_pairs,
)

_SPLIT_OF = {"train": "train", "dev": "val", "test": "test"}


@dataclass(frozen=True)
class Rule:
    """How triples are chosen. holdout_tail None: a quarter where the data set has no dev clips, else nothing.

    sources_per_clip: at most so many different source frames of a training clip; None for any number. clean: whether
    the keypoints were cleaned. crop: auto, signer, follow or none.
    """

    count: int
    seed: int
    min_gap: int
    holdout_tail: float | None
    clips: tuple[str, ...] = ()  # named on the command line; empty means all
    sources_per_clip: int | None = None
    clean: bool = False
    crop: str = "none"


@dataclass
class PairPlan:
    """What is written. notes: sentences to print. absent: clip name -> its frames without a person."""

    clips: list[ClipRecord]
    triples: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    absent: dict[str, int] = field(default_factory=dict)
    holdout_tail: float = 0.0


def plan_pairs(survey: Survey, usable: dict[str, np.ndarray], rule: Rule) -> PairPlan:
    """Assign splits and sample triples. usable: clip name -> its frames that triples may use, sorted.

    Raises PairSetError when there is nothing to train on.
    """
    plan = PairPlan([])
    plan.holdout_tail = _holdout(survey.clips, rule, plan.notes)
    plan.clips = [_record(clip, survey, plan.holdout_tail, rule, plan.notes) for clip in survey.clips]
    plan.triples = {"train": _train(plan, usable, rule), "val": _rows(plan, usable, "val")}
    plan.triples["test"] = _rows(plan, usable, "test")
    if not len(plan.triples["val"]):
        plan.notes.append("no validation rows: training will report no validation scores")
    return plan


def _holdout(clips: list[Clip], rule: Rule, notes: list[str]) -> float:
    if rule.holdout_tail is not None:
        return rule.holdout_tail
    if any(clip.split == "dev" for clip in clips):
        return 0.0
    notes.append(
        f"no dev clips: the last {DEFAULT_HOLDOUT:.0%} of every training clip is held out for validation"
        f" (--holdout-tail {DEFAULT_HOLDOUT})"
    )
    return DEFAULT_HOLDOUT


def _record(clip: Clip, survey: Survey, tail: float, rule: Rule, notes: list[str]) -> ClipRecord:
    """Clips named together with --holdout-tail are a study of their own: they are trained on whatever their split."""
    split = _SPLIT_OF[clip.split]
    if split != "train" and rule.clips and rule.holdout_tail is not None:
        notes.append(
            f"{clip.name} is of the corpus's {clip.split} split: trained on up to the held-out tail,"
            " because it was named with --clips together with --holdout-tail"
        )
        split = "train"
    start = holdout_start(clip.num_frames, tail) if split == "train" else 0
    source = clip.keypoints.file.path
    name = source.relative_to(survey.root).as_posix() if source.is_relative_to(survey.root) else str(source)
    size = (clip.num_frames, clip.width, clip.height)
    return ClipRecord(
        clip.name,
        split,
        clip.signer,
        clip.video,
        *size,
        clip.fps,
        start,
        keypoints=name,
        sample_aspect=clip.sample_aspect,
        times=clip.times,
        background=clip.background,
        start=clip.start,
        video_frames=clip.whole.num_frames if clip.whole else None,
        crop=clip.crop,
    )


def _what_trains(plan: PairPlan, rule: Rule) -> str:
    """What can help where no clip has a training triple."""
    ways = ["choose longer clips" if not rule.clips else "choose other --clips"]
    if rule.min_gap > 1:
        ways.append("a smaller --min-gap")
    if plan.holdout_tail:
        ways.append("a smaller --holdout-tail")
    if rule.clips and any(clip.split != "train" for clip in plan.clips):
        return f"{' or '.join(ways)}; to train on dev or test clips add --holdout-tail 0.25"
    return " or ".join(ways)


def _train(plan: PairPlan, usable: dict[str, np.ndarray], rule: Rule) -> np.ndarray:
    rng = np.random.default_rng(rule.seed)
    spans = []
    for number, clip in enumerate(plan.clips):
        frames = usable[clip.name]
        spans.append(Span(number, frames[frames < len(clip.train_frames)]))
    alone = [plan.clips[s.clip].name for s in spans if not count_pairs(s, 0) and plan.clips[s.clip].split == "train"]
    if alone:
        named = ", ".join(alone[:10]) + (" ..." if len(alone) > 10 else "")
        plan.notes.append(f"clips with fewer than two frames to train on, so in no training triple: {named}")
    if rule.sources_per_clip is not None:
        spans = [bound_sources(span, rule.sources_per_clip, rule.min_gap, rng) for span in spans]
    available = sum(count_pairs(span, rule.min_gap) for span in spans)
    if not available:
        raise PairSetError(
            f"nothing to train on: no training clip has two frames with a person, {max(1, rule.min_gap)} frames apart",
            fix=_what_trains(plan, rule),
        )
    if available < rule.count:
        plan.notes.append(f"{rule.count} training triples asked for; all {available} that exist are taken")
    return sample_pairs(spans, rule.count, rule.min_gap, rng)


def _rows(plan: PairPlan, usable: dict[str, np.ndarray], split: str) -> np.ndarray:
    """First frame with a person x every frame of the clip; x every held-out frame of a training clip for val."""
    rows = [np.empty(0, TRIPLE)]
    for number, clip in enumerate(plan.clips):
        frames = usable[clip.name]
        held_out = frames[frames >= clip.held_out.start]
        wanted = clip.split == split or (split == "val" and clip.split == "train")
        if wanted and len(held_out) and (clip.split != "train" or frames[0] < clip.held_out.start):
            rows.append(first_to_all(number, int(frames[0]), held_out))
    return np.concatenate(rows)
