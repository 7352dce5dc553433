"""Triples: different, apart, weighted, the same for the same seed, and never across the held-out tail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signgen.pairs import triples
from signgen.pairs.triples import Span, bound_sources, count_pairs, holdout_start, sample_pairs

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
        assert count_pairs(Span(0, frames), min_gap) == expected


@settings(deadline=None)
@given(frame_sets, st.integers(1, 300), st.integers(1, 6), st.integers(0, 5))
def test_sampled_pairs(sets: list[np.ndarray], count: int, min_gap: int, seed: int) -> None:
    spans = spans_of(sets)
    drawn = sample_pairs(spans, count, min_gap, np.random.default_rng(seed))
    assert len(drawn) == min(count, sum(count_pairs(span, min_gap) for span in spans))
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.abs(drawn["source"] - drawn["target"]) >= min_gap).all()
    for row in drawn:
        assert row["source"] in sets[row["clip"]]
        assert row["target"] in sets[row["clip"]]
    np.testing.assert_array_equal(drawn, sample_pairs(spans, count, min_gap, np.random.default_rng(seed)))


def listed(sets: list[np.ndarray], min_gap: int) -> set[tuple[int, int, int]]:
    """Every pair there is, one by one."""
    return {
        (clip, int(s), int(t))
        for clip, frames in enumerate(sets)
        for s in frames
        for t in frames
        if s != t and abs(s - t) >= min_gap
    }


@settings(deadline=None)
@given(frame_sets, st.integers(0, 12), st.integers(1, 6), st.integers(0, 5))
def test_bounded_sources(sets: list[np.ndarray], min_gap: int, most: int, seed: int) -> None:
    """Whatever the bounds: the count is exact, all that exist can be had, and every pair is one of the allowed."""
    rng = np.random.default_rng(seed)
    allowed = listed(sets, min_gap)
    spans = [bound_sources(span, most, min_gap, rng) for span in spans_of(sets)]
    bounded = {(c, s, t) for c, s, t in allowed if s in spans[c].first}
    for number, span in enumerate(spans):
        able = {s for c, s, _ in allowed if c == number}
        assert len(span.first) == min(most, len(able))
        assert set(span.first.tolist()) <= able
        assert count_pairs(span, min_gap) == sum(c == number for c, _, _ in bounded)
    everything = sample_pairs(spans, 10**6, min_gap, rng)
    assert {tuple(row) for row in everything.tolist()} == bounded
    half = sample_pairs(spans, max(1, len(bounded) // 2), min_gap, rng)
    assert {tuple(row) for row in half.tolist()} <= bounded
    assert len(np.unique(half)) == len(half)


@pytest.mark.usefixtures("either_way")
def test_every_pair_of_a_clip_is_equally_likely() -> None:
    """Chi-squared over 400 draws of 4 of the 19 pairs that a gap, a hole and two sources leave: within 3.5 of its
    standard deviations."""
    span = Span(0, np.array([0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14]), np.array([3, 9]))
    pairs = sorted({(s, t) for s in (3, 9) for t in span.frames.tolist() if abs(s - t) >= 2})
    assert count_pairs(span, 2) == len(pairs) == 9 + 10
    seen = dict.fromkeys(pairs, 0)
    rng = np.random.default_rng(0)
    for _ in range(400):
        for _, s, t in sample_pairs([span], 4, 2, rng).tolist():
            seen[s, t] += 1
    expected = 400 * 4 / len(pairs)
    # Without putting back, a draw's counts vary less than a multinomial's, by (1 - 4/19).
    chi2 = sum((count - expected) ** 2 for count in seen.values()) / expected / (1 - 4 / 19)
    free = len(pairs) - 1
    assert free - 3.5 * (2 * free) ** 0.5 < chi2 < free + 3.5 * (2 * free) ** 0.5


def test_bounded_sources_are_drawn_from_the_whole_clip() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([bound_sources(Span(0, np.arange(50)), 2, 1, rng).first for _ in range(1000)])
    counts = np.bincount(drawn, minlength=50)
    assert counts.sum() == 2000
    assert counts.min() > 15
    assert counts.max() < 70


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
