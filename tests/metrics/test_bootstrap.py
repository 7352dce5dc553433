"""The block bootstrap against closed forms: Gaussian means, autoregressive series, blocks drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from signgen.metrics.bootstrap import LEAST_VALUES, block_length, expanded_tail, mean_interval, resampled_means


def autoregressive(rng: np.random.Generator, phi: float, count: int) -> np.ndarray:
    """x(t) = phi x(t-1) + e(t), long enough in progress to have forgotten its start; its mean is 0."""
    return lfilter([1], [1, -phi], rng.normal(size=count + 200))[200:]


def test_independent_gaussians_have_the_textbook_interval() -> None:
    values = np.random.default_rng(1).normal(3, 2, 2000)
    found = mean_interval(values, independent=True)
    reach = 1.959964 * values.std(ddof=1) / np.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    assert (found.block, found.count) == (1, 2000)
    assert found.high - found.mean == pytest.approx(reach, rel=0.05)
    assert found.mean - found.low == pytest.approx(reach, rel=0.05)
    assert found == mean_interval(values, independent=True)


def test_few_independent_gaussians_have_students_interval() -> None:
    """Averaged over draws: percentiles alone would be 12 % too narrow for twelve values."""
    rng, ratios = np.random.default_rng(2), []
    for _ in range(100):
        values = rng.normal(size=12)
        found = mean_interval(values, independent=True)
        ratios.append((found.high - found.low) / (2 * 2.200985 * values.std(ddof=1) / np.sqrt(12)))
    assert np.mean(ratios) == pytest.approx(1, abs=0.04)
    assert expanded_tail(1e9) == pytest.approx(0.025, rel=1e-4)


def test_the_spread_of_a_correlated_mean_is_the_long_run_one() -> None:
    """The variance of an AR(1) mean is 1 / (n (1 - phi)^2); single draws would give 1 / (n (1 - phi^2))."""
    values = autoregressive(np.random.default_rng(3), 0.7, 20_000)
    length = block_length(values)
    expected = 1 / (0.3 * np.sqrt(20_000))
    assert resampled_means(values, length, 2000, 0).std() == pytest.approx(expected, rel=0.1)
    assert resampled_means(values, 1, 2000, 0).std() < 0.5 * expected


def test_blocks_are_as_long_as_the_correlation_asks_for() -> None:
    """Theory for AR(1), circular blocks: (2 (phi / (1 - phi^2))^2 * 3/2 * n)^(1/3), up to its estimate's noise."""
    rng, count = np.random.default_rng(4), 4000
    for phi in (0.5, 0.8):
        theory = (6 * (phi / (1 - phi**2)) ** 2 * count) ** (1 / 3)
        lengths = [block_length(autoregressive(rng, phi, count)) for _ in range(20)]
        assert np.mean(lengths) == pytest.approx(theory, rel=0.25)
    assert np.mean([block_length(rng.normal(size=count)) for _ in range(20)]) < 4
    assert block_length(np.ones(50)) == 1


def test_intervals_cover_what_they_promise() -> None:
    """95 % of them should hold the truth. Those of single draws, which take frames for independent, do so far less."""
    rng, held, held_singly = np.random.default_rng(5), 0, 0
    for _ in range(150):
        values = autoregressive(rng, 0.7, 400)
        found, singly = mean_interval(values), mean_interval(values, independent=True)
        held += found.low <= 0 <= found.high
        held_singly += singly.low <= 0 <= singly.high
    assert 0.87 <= held / 150 <= 0.99
    assert held_singly / 150 < 0.7


def test_every_resample_is_made_of_whole_blocks_that_may_run_over_the_end() -> None:
    values = np.array([1.0, 10.0, 100.0, 1000.0, 10_000.0])
    pairs = values + np.roll(values, -1)
    possible = {round((a + b + c) / 5, 6) for a in pairs for b in pairs for c in values}
    drawn = {round(mean, 6) for mean in resampled_means(values, 2, 3000, 0)}
    assert drawn == possible


def test_too_few_values_have_no_interval() -> None:
    found = mean_interval(np.arange(LEAST_VALUES - 1.0))
    assert (found.low, found.high, found.sign, found.mean) == (None, None, 0, 4.0)
    assert mean_interval(np.full(20, 0.5)).sign == 1
