"""Embeddings of queries and of a gallery in; the rank of every query's own entry out, recalls and the median rank.

The similarity matrix is made a block at a time, so that memory does not grow with it: 64,627 queries in as many entries
would take 33 GB at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

RECALLS = (1, 5, 10)
NEARBY = 2  # frames: what lies so near to the target counts as found
QUERIES, ENTRIES = 1024, 8192  # sides of a block: 67 MB in float64
TIE = 1e-6  # float32 embeddings of one and the same image differ by less
_NOWHERE = -9.0  # below every similarity: such a place neither counts nor falls into a bin


def similarity(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Cosine of each row of (N, D) with the same row of the other, float64 (N,) in [-1, 1]."""
    return torch.cat(
        [
            (_unit(a) * _unit(b)).sum(1).clamp(-1, 1)
            for a, b in zip(one.split(QUERIES), other.split(QUERIES), strict=True)
        ]
    )


def true_ranks(
    queries: torch.Tensor,
    gallery: torch.Tensor,
    truth: torch.Tensor,
    others: Callable[[torch.Tensor], None] = lambda similarities: None,
) -> np.ndarray:
    """The rank, from 1, of each query's own entry by cosine similarity: int64 (N,).

    queries (N, D), gallery (M, D), truth (N,) index into the gallery. Ties count against the query: an entry at most
    TIE less similar than its own stands before it. others: given every similarity but those with the own entries, which
    are far below -1 there.
    """
    found = []
    for start in range(0, len(queries), QUERIES):
        rows, own = _unit(queries[start : start + QUERIES]), truth[start : start + QUERIES]
        bound = (rows * _unit(gallery[own])).sum(1, keepdim=True) - TIE
        rank = torch.ones(len(rows), dtype=torch.int64, device=rows.device)
        for first in range(0, len(gallery), ENTRIES):
            block = rows @ _unit(gallery[first : first + ENTRIES]).T
            place = own - first
            inside = torch.nonzero((place >= 0) & (place < block.shape[1]))[:, 0]
            block[inside, place[inside]] = _NOWHERE
            rank += (block >= bound).sum(1)
            others(block)
        found.append(rank.cpu())
    return torch.cat(found).numpy()


def ranks_within(
    queries: torch.Tensor,
    gallery: torch.Tensor,
    truth: torch.Tensor,
    query_groups: np.ndarray,
    entry_groups: np.ndarray,
) -> np.ndarray:
    """As `true_ranks`, each query among the entries of its own group only: (N,) and (M,) name the groups."""
    found = np.empty(len(queries), np.int64)
    place = np.empty(len(gallery), np.int64)
    for group in np.unique(query_groups):
        rows, entries = np.flatnonzero(query_groups == group), np.flatnonzero(entry_groups == group)
        place[entries] = np.arange(len(entries))
        own = torch.from_numpy(place[truth.cpu().numpy()[rows]]).to(truth.device)
        found[rows] = true_ranks(queries[torch.from_numpy(rows)], gallery[torch.from_numpy(entries)], own)
    return found


def ranks_nearby(
    queries: torch.Tensor,
    gallery: torch.Tensor,
    query_places: np.ndarray,
    entry_places: np.ndarray,
    reach: int = NEARBY,
) -> np.ndarray:
    """The rank, from 1, of the best entry within `reach` frames of each query's own target in its clip: int64 (N,).

    query_places (N, 2), entry_places (M, 2): clip and frame of the target looked for, and of each entry. Neighbouring
    frames are near duplicates, so that which of them comes first says little. Ties count against the query.
    """
    wanted, there = (torch.from_numpy(np.asarray(p, np.int64)).to(gallery.device) for p in (query_places, entry_places))
    found = []
    for start in range(0, len(queries), QUERIES):
        rows, own = _unit(queries[start : start + QUERIES]), wanted[start : start + QUERIES]

        def blocks(rows: torch.Tensor = rows, own: torch.Tensor = own) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            for first in range(0, len(gallery), ENTRIES):
                places = there[first : first + ENTRIES]
                near = (own[:, None, 0] == places[None, :, 0]) & ((own[:, None, 1] - places[None, :, 1]).abs() <= reach)
                yield rows @ _unit(gallery[first : first + ENTRIES]).T, near

        best = torch.full((len(rows), 1), _NOWHERE, dtype=torch.float64, device=rows.device)
        for block, near in blocks():
            best = torch.maximum(best, torch.where(near, block, _NOWHERE).amax(1, keepdim=True))
        rank = torch.ones(len(rows), dtype=torch.int64, device=rows.device)
        for block, near in blocks():
            rank += ((block >= best - TIE) & ~near).sum(1)
        found.append(rank.cpu())
    return torch.cat(found).numpy()


def recalls(ranks: np.ndarray, prefix: str = "") -> dict[str, float]:
    """recall@1/5/10 in [0, 1] and median_rank, of ranks from 1 (N,)."""
    shares = {f"{prefix}recall@{k}": float((ranks <= k).mean()) for k in RECALLS}
    return {**shares, f"{prefix}median_rank": float(np.median(ranks))}


def _unit(embeddings: torch.Tensor) -> torch.Tensor:
    """Float64, so that what the size of a block does to the last bits does not decide a rank."""
    return F.normalize(embeddings.double(), dim=-1)
