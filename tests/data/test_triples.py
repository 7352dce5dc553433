"""Triples: different, apart, weighted, the same for the same seed, and never across the held-out tail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signgen.data import triples
from signgen.data.triples import Span, count_pairs, holdout_start, sample_pairs

frame_sets = st.lists(
    st.sets(st.integers(0, 40), max_size=25).map(lambda s: np.array(sorted(s), np.int64)), min_size=1, max_size=5
)


def spans_of(sets: list[np.ndarray]) -> list[Span]:
    return [Span(number, frames) for number, frames in enumerate(sets)]


@pytest.fixture(params=[4_000_000, 0], ids=["listed", "drawn"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triples, "_LIST_UP_TO", request.param)


@given(frame_sets, st.integers(1, 6))
def test_count_is_exact(sets: list[np.ndarray], min_gap: int) -> None:
    for frames in sets:
        expected = sum(abs(int(s) - int(t)) >= min_gap for s in frames for t in frames)
        assert count_pairs(frames, min_gap) == expected


@settings(deadline=None)
@given(frame_sets, st.integers(1, 300), st.integers(1, 6), st.integers(0, 5))
def test_sampled_pairs(sets: list[np.ndarray], count: int, min_gap: int, seed: int) -> None:
    spans = spans_of(sets)
    drawn = sample_pairs(spans, count, min_gap, np.random.default_rng(seed))
    assert len(drawn) == min(count, sum(count_pairs(frames, min_gap) for frames in sets))
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.abs(drawn["source"] - drawn["target"]) >= min_gap).all()
    for row in drawn:
        assert row["source"] in sets[row["clip"]]
        assert row["target"] in sets[row["clip"]]
    np.testing.assert_array_equal(drawn, sample_pairs(spans, count, min_gap, np.random.default_rng(seed)))


@pytest.mark.usefixtures("either_way")
def test_clips_weigh_as_many_as_their_frames() -> None:
    spans = [Span(0, np.arange(300)), Span(1, np.arange(100))]
    drawn = sample_pairs(spans, 4000, 1, np.random.default_rng(0))
    assert len(np.unique(drawn)) == 4000
    assert 0.72 < (drawn["clip"] == 0).mean() < 0.78


@pytest.mark.usefixtures("either_way")
def test_another_seed_draws_others() -> None:
    spans = [Span(0, np.arange(200))]
    one, two = (sample_pairs(spans, 1000, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(one, two)
    assert (np.abs(one["source"] - one["target"]) >= 3).all()


@pytest.mark.parametrize(
    ("frames", "tail", "start"), [(97, 0.25, 72), (62, 0.25, 46), (49, 0.25, 36), (10, 0.1, 9), (10, 0.3, 7), (5, 0, 5)]
)
def test_holdout_start(frames: int, tail: float, start: int) -> None:
    assert holdout_start(frames, tail) == start
