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
    """Frames of one clip that may be used: sorted indices into the clip's frames."""

    clip: int
    frames: np.ndarray


def holdout_start(frames: int, tail: float) -> int:
    """First frame of the held-out tail, floor((1 - tail) * frames)."""
    return math.floor((1 - tail) * frames + 1e-9)


def count_pairs(frames: np.ndarray, min_gap: int) -> int:
    """How many ordered pairs of different frames are at least `min_gap` apart."""
    after = len(frames) - np.searchsorted(frames, frames + max(1, min_gap), side="left")
    return int(2 * after.sum())


def sample_pairs(spans: Sequence[Span], count: int, min_gap: int, rng: np.random.Generator) -> np.ndarray:
    """`count` different training triples (fewer where there are no more), sorted; clips weigh as many as their frames.

    Source and target are different frames of one clip, at least `min_gap` frames apart. Returns TRIPLE records.
    """
    spans = [span for span in spans if count_pairs(span.frames, min_gap)]
    totals = np.array([count_pairs(span.frames, min_gap) for span in spans], np.int64)
    if totals.sum() <= count:
        return _sorted(np.concatenate([_all_pairs(span, min_gap) for span in spans] or [np.empty(0, TRIPLE)]))
    if totals.sum() <= max(_LIST_UP_TO, 4 * count):
        return _draw_from_all(spans, totals, count, min_gap, rng)
    return _draw_until(spans, count, min_gap, rng)


def _all_pairs(span: Span, min_gap: int) -> np.ndarray:
    source, target = np.meshgrid(span.frames, span.frames, indexing="ij")
    apart = np.abs(source - target) >= max(1, min_gap)
    return _records(span.clip, source[apart], target[apart])


def _records(clip: int | np.ndarray, source: np.ndarray | int, target: np.ndarray) -> np.ndarray:
    out = np.empty(len(target), TRIPLE)
    out["clip"], out["source"], out["target"] = clip, source, target
    return out


def _sorted(triples: np.ndarray) -> np.ndarray:
    return triples[np.lexsort((triples["target"], triples["source"], triples["clip"]))]


def _draw_from_all(
    spans: Sequence[Span], totals: np.ndarray, count: int, min_gap: int, rng: np.random.Generator
) -> np.ndarray:
    """Weighted drawing without putting back, as the largest Gumbel-perturbed log weights."""
    pairs = np.concatenate([_all_pairs(span, min_gap) for span in spans])
    weights = [np.log(len(span.frames) / total) for span, total in zip(spans, totals, strict=True)]
    keys = np.repeat(weights, totals) + rng.gumbel(size=len(pairs))
    return _sorted(pairs[np.argpartition(-keys, count - 1)[:count]])


def _draw_until(spans: Sequence[Span], count: int, min_gap: int, rng: np.random.Generator) -> np.ndarray:
    """Draw batches of pairs, drop those too close or drawn before, until there are `count`."""
    lengths = np.array([len(span.frames) for span in spans])
    frames = np.concatenate([span.frames for span in spans])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    clips = np.array([span.clip for span in spans], np.int32)
    kept = np.empty(0, TRIPLE)
    while len(kept) < count:
        which = rng.choice(len(spans), 2 * count, p=lengths / lengths.sum())
        source, target = (frames[starts[which] + rng.integers(0, lengths[which])] for _ in range(2))
        apart = np.abs(source - target) >= max(1, min_gap)
        drawn = np.concatenate([kept, _records(clips[which[apart]], source[apart], target[apart])])
        _, first = np.unique(drawn, return_index=True)
        kept = drawn[np.sort(first)[:count]]
    return _sorted(kept)


def first_to_all(clip: int, source: int, targets: np.ndarray) -> np.ndarray:
    """The evaluation rows of a clip: one source frame with every target."""
    return _records(clip, source, targets)
