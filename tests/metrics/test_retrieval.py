"""Ranks, recalls and similarity histograms: closed forms, ties, and blocks against the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from signgen.metrics import retrieval
from signgen.metrics.histogram import BINS, Histogram
from signgen.metrics.retrieval import ranks_nearby, ranks_within, recalls, similarity, true_ranks


def test_ranks_that_are_known() -> None:
    gallery = torch.eye(20)
    queries = gallery[[0, 1, 2, 3]].clone()
    queries[3] = gallery[4] + gallery[5] + 0.5 * gallery[3]  # two others are nearer than the truth
    ranks = true_ranks(queries, gallery, torch.tensor([0, 1, 2, 3]))
    assert ranks.tolist() == [1, 1, 1, 3]
    assert recalls(ranks) == {"recall@1": 0.75, "recall@5": 1.0, "recall@10": 1.0, "median_rank": 1.0}


def test_a_collapsed_embedding_has_the_worst_rank() -> None:
    same = torch.ones(6, 4)
    noise = 1e-7 * torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert true_ranks(same + noise, same - noise, torch.arange(6)).tolist() == [6] * 6


def test_blocks_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    queries, gallery = torch.randn(37, 8, generator=generator), torch.randn(23, 8, generator=generator)
    truth = torch.randint(0, 23, (37,), generator=generator)
    whole = F.normalize(queries.double(), dim=-1) @ F.normalize(gallery.double(), dim=-1).T
    own = whole.gather(1, truth[:, None])
    expected = (whole >= own - 1e-6).sum(1).tolist()
    outside = whole[~F.one_hot(truth, 23).bool()]
    for rows, entries in ((1024, 8192), (5, 4), (1, 23), (37, 1)):
        monkeypatch.setattr(retrieval, "QUERIES", rows)
        monkeypatch.setattr(retrieval, "ENTRIES", entries)
        others = Histogram()
        assert true_ranks(queries, gallery, truth, others.update).tolist() == expected
        counts, mean = others.compute()
        assert counts == np.histogram(outside.numpy(), BINS, (-1, 1))[0].tolist()
        assert mean == pytest.approx(float(outside.mean()))
        assert similarity(queries, gallery[truth]).tolist() == pytest.approx(own[:, 0].tolist())


def test_within_a_group_others_do_not_count() -> None:
    gallery = torch.eye(4)
    queries = gallery + 2 * gallery.roll(2, 0)  # the nearest is always of the other group
    groups, entries = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    assert true_ranks(queries, gallery, torch.arange(4)).tolist() == [2] * 4
    assert ranks_within(queries, gallery, torch.arange(4), groups, entries).tolist() == [1] * 4
    same = torch.ones(4, 3)
    assert ranks_within(same, same, torch.arange(4), groups, entries).tolist() == [2] * 4


def test_a_neighbour_of_the_target_counts_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three clips of ten frames whose embeddings turn slowly; each query lies a frame beside its target."""
    angles = np.concatenate([0.05 * np.arange(10) + start for start in (0, 2, 4)])
    gallery = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], 1))
    places = np.array([(clip, frame) for clip in range(3) for frame in range(10)])
    truth = torch.arange(30)
    beside = truth.clone()
    beside[:] = torch.tensor([10 * c + min(f + 1, 9) for c, f in places])
    assert (true_ranks(gallery[beside], gallery, truth) > 1).sum() == 27
    assert ranks_nearby(gallery[beside], gallery, places, places).tolist() == [1] * 30
    # three frames beside it is one too far, for queries that look exactly there
    far = torch.tensor([10 * c + min(f + 3, 9) for c, f in places])
    expected = [2 if f + 3 <= 9 else 1 for _, f in places]
    assert (np.array(ranks_nearby(gallery[far], gallery, places, places)) > 1).tolist() == [e > 1 for e in expected]
    # the same frame number of another clip is not near
    other = torch.tensor([10 * ((c + 1) % 3) + f for c, f in places])
    assert (ranks_nearby(gallery[other], gallery, places, places) > 5).all()
    whole = ranks_nearby(gallery[far], gallery, places, places)
    monkeypatch.setattr(retrieval, "QUERIES", 7)
    monkeypatch.setattr(retrieval, "ENTRIES", 4)
    assert ranks_nearby(gallery[far], gallery, places, places).tolist() == whole.tolist()
    same = torch.ones(30, 2)  # a collapsed embedding: all that is not near comes first
    near = (places[:, None, 0] == places[None, :, 0]) & (abs(places[:, None, 1] - places[None, :, 1]) <= 2)
    assert ranks_nearby(same, same, places, places).tolist() == (31 - near.sum(1)).tolist()


def test_a_histogram_holds_the_ends_and_may_be_empty() -> None:
    histogram = Histogram()
    assert histogram.compute()[1] is None
    histogram.update(torch.tensor([-1.0, 1.0, 1.0 + 1e-12, 0.0], dtype=torch.float64))
    counts, mean = histogram.compute()
    assert sum(counts) == 4
    assert [counts[0], counts[-1]] == [1, 2]
    assert mean == pytest.approx(0.25)
