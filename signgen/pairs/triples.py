"""Clips and their usable frames in; (clip, source, target) triples per split out, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TRIPLE = np.dtype([("clip", np.int32), ("source", np.int32), ("target", np.int32)])
DEFAULT_HOLDOUT = 0.25
# Up to this many pairs all are listed and drawn from; beyond, pairs are drawn until there are enough different ones.
_LIST_UP_TO = 4_000_000


@dataclass(frozen=True)
class Span:
    """Frames of one clip that may be used: sorted indices into the clip's frames.

    sources: those of them that may be a source, sorted; None for all.
    """

    clip: int
    frames: np.ndarray
    sources: np.ndarray | None = None

    @property
    def first(self) -> np.ndarray:
        """The frames that may be a source."""
        return self.frames if self.sources is None else self.sources


def holdout_start(frames: int, tail: float) -> int:
    """First frame of the held-out tail, floor((1 - tail) * frames)."""
    return math.floor((1 - tail) * frames + 1e-9)


def count_pairs(span: Span, min_gap: int) -> int:
    """How many ordered pairs of a source and another frame are at least `min_gap` apart."""
    before, after = _partners(span, min_gap)
    return int((before + len(span.frames) - after).sum())


def _partners(span: Span, min_gap: int) -> tuple[np.ndarray, np.ndarray]:
    """For every source: its targets are the first `before` frames, and those from place `after` on."""
    gap = max(1, min_gap)
    before = np.searchsorted(span.frames, span.first - gap, side="right")
    return before, np.searchsorted(span.frames, span.first + gap, side="left")


def bound_sources(span: Span, most: int, min_gap: int, rng: np.random.Generator) -> Span:
    """The span with at most `most` sources, drawn from the frames that have a target at least `min_gap` away."""
    before, after = _partners(span, min_gap)
    able = span.first[before + len(span.frames) - after > 0]
    if len(able) <= most:
        return Span(span.clip, span.frames, able)
    return Span(span.clip, span.frames, np.sort(rng.choice(able, most, replace=False)))


class _Pairs:
    """All pairs of some spans by number: 0, 1, ... in the order of clip, source, target."""

    def __init__(self, spans: Sequence[Span], min_gap: int) -> None:
        places = [_partners(span, min_gap) for span in spans]
        self._frames = np.concatenate([span.frames for span in spans])
        self._sources = np.concatenate([span.first for span in spans])
        self._before = np.concatenate([before for before, _ in places])
        self._after = np.concatenate([after for _, after in places])
        per_span, lengths = [len(span.first) for span in spans], [len(span.frames) for span in spans]
        self._clip = np.repeat([span.clip for span in spans], per_span)
        self._start = np.repeat(np.cumsum([0, *lengths[:-1]]), per_span)
        counts = self._before + np.repeat(lengths, per_span) - self._after
        self._first = np.cumsum(np.concatenate([[0], counts]))  # of every source, and the number of pairs at the end
        self.bounds = self._first[np.cumsum([0, *per_span])]  # of every span, likewise

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """TRIPLE records."""
        row = np.searchsorted(self._first, numbers, side="right") - 1
        place = numbers - self._first[row]
        place = np.where(place < self._before[row], place, place - self._before[row] + self._after[row])
        return _records(self._clip[row], self._sources[row], self._frames[self._start[row] + place])


def sample_pairs(spans: Sequence[Span], count: int, min_gap: int, rng: np.random.Generator) -> np.ndarray:
    """`count` different training triples (fewer where there are no more), sorted; clips weigh as many as their frames.

    Source and target are different frames of one clip, at least `min_gap` frames apart; within a clip all such pairs
    are equally likely. Returns TRIPLE records.
    """
    spans = [span for span in spans if count_pairs(span, min_gap)]
    if not spans:
        return np.empty(0, TRIPLE)
    pairs = _Pairs(spans, min_gap)
    total = int(pairs.bounds[-1])
    weights = np.array([len(span.frames) for span in spans], float)
    if total <= count:
        numbers = np.arange(total)
    elif total <= max(_LIST_UP_TO, 4 * count):
        numbers = _draw_from_all(pairs.bounds, weights, count, rng)
    else:
        numbers = _draw_until(pairs.bounds, weights, count, rng)
    return pairs(np.sort(numbers))


def _records(clip: int | np.ndarray, source: np.ndarray | int, target: np.ndarray) -> np.ndarray:
    out = np.empty(len(target), TRIPLE)
    out["clip"], out["source"], out["target"] = clip, source, target
    return out


def _draw_from_all(bounds: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weighted drawing without putting back, as the largest Gumbel-perturbed log weights."""
    totals = np.diff(bounds)
    keys = np.repeat(np.log(weights / totals), totals) + rng.gumbel(size=bounds[-1])
    return np.argpartition(-keys, count - 1)[:count]


def _draw_until(bounds: np.ndarray, weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a clip, then one of its pairs; drop pairs drawn before, until there are `count`."""
    kept = np.empty(0, np.int64)
    while len(kept) < count:
        which = rng.choice(len(weights), 2 * count, p=weights / weights.sum())
        drawn = np.concatenate([kept, rng.integers(bounds[which], bounds[which + 1])])
        _, first = np.unique(drawn, return_index=True)
        kept = drawn[np.sort(first)[:count]]
    return kept


def first_to_all(clip: int, source: int, targets: np.ndarray) -> np.ndarray:
    """The evaluation rows of a clip: one source frame with every target."""
    return _records(clip, source, targets)
