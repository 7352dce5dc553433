"""Re-identification: distances between images, and who is on them seen by which camera, in; mAP and CMC out.

The rules are those of Market-1501's evaluation program (Zheng et al. 2015): an image of the query's person by the
query's own camera, and a junk image (person -1), are taken out of the ranking; distractors (person 0) stay in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signgen.errors import MetricsError

JUNK = -1
RANKS = (1, 5, 10)
DEFINITION = (
    "mAP: mean over the queries of the area under precision over recall, by trapezoids, as Market-1501's program has "
    "it (precision before the first image counts as 1; the plain mean of precisions at the hits is another number); "
    "CMC: share of queries with the person among the first k. One query at a time; images of the same person by the "
    "same camera and junk are taken out, distractors stay."
)


@dataclass(frozen=True)
class Seen:
    """Who is on N images: person (N,) int, -1 junk, 0 a distractor; camera (N,) int."""

    person: np.ndarray
    camera: np.ndarray


@dataclass(frozen=True)
class ReidScores:
    """mean_ap: 0..1. cmc: rank -> share of queries, 0..1. queries: how many count; unmatched: how many have no image of
    their person by another camera, and do not."""

    mean_ap: float
    cmc: dict[int, float]
    queries: int
    unmatched: int


def reid_scores(distances: np.ndarray, query: Seen, gallery: Seen, ranks: Sequence[int] = RANKS) -> ReidScores:
    """distances (Q, G), smaller is more alike. Raises MetricsError where no query has a match by another camera."""
    precisions, firsts = [], []
    for number, row in enumerate(distances):
        hits = hits_of(row, int(query.person[number]), int(query.camera[number]), gallery)
        if len(hits):
            precisions.append(average_precision(hits))
            firsts.append(int(hits[0]))
    if not precisions:
        raise MetricsError("no query has an image of its person by another camera", expected="one in the gallery")
    first = np.array(firsts)
    cmc = {rank: float((first < rank).mean()) for rank in ranks}
    return ReidScores(float(np.mean(precisions)), cmc, len(first), len(distances) - len(first))


def hits_of(distances: np.ndarray, person: int, camera: int, gallery: Seen) -> np.ndarray:
    """distances (G,) of one query -> int (n,): places (0-based) of the person's images in the ranking that counts."""
    order = np.argsort(distances, kind="stable")
    same = gallery.person[order] == person
    left_out = (same & (gallery.camera[order] == camera)) | (gallery.person[order] == JUNK)
    return np.flatnonzero(same[~left_out])


def average_precision(hits: np.ndarray) -> float:
    """int (n,) places of all n hits, ascending -> the area under precision over recall, by trapezoids.

    >>> average_precision(np.array([0, 2]))  # ((1 + 1) / 2 + (1/2 + 2/3) / 2) / 2
    0.7916666666666666
    """
    found = np.arange(1, len(hits) + 1)
    at = found / (hits + 1)
    before = np.where(hits > 0, (found - 1) / np.maximum(hits, 1), 1.0)
    return float(((before + at) / 2).mean())


def distances_between(one: np.ndarray, other: np.ndarray, kind: str) -> np.ndarray:
    """Features (Q, D), (G, D) -> (Q, G), `cosine` (1 - cosine) or `euclidean`."""
    if kind == "cosine":
        a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (one, other))
        return 1 - a @ b.T
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0))
