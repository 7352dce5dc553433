"""Intervals against closed forms: Student's, autoregressive series, cosines, clips with levels of their own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import ttest_1samp

from signgen.metrics.intervals import (
    LEAST_VALUES,
    clips_interval,
    cosine_count,
    integrated_time,
    long_run_variance,
    series_interval,
    set_interval,
)


def autoregressive(rng: np.random.Generator, phi: float, count: int) -> np.ndarray:
    """x(t) = phi x(t-1) + e(t), long enough in progress to have forgotten its start; its mean is 0."""
    return lfilter([1], [1, -phi], rng.normal(size=count + 400))[400:]


@pytest.mark.parametrize("count", [12, 2000])
def test_images_of_a_set_have_students_interval(count: int) -> None:
    values = np.random.default_rng(1).normal(3, 2, count)
    found = set_interval(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.count, found.effective, found.units) == (values.mean(), count, count, "images")


def test_all_cosines_of_a_series_are_its_sample_variance() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert long_run_variance(values, 49) == pytest.approx(values.var(ddof=1))
    time = (np.arange(50) + 0.5) / 50
    by_hand = [np.sqrt(2 / 50) * (values * np.cos(np.pi * j * time)).sum() for j in (1, 2, 3)]
    assert long_run_variance(values, 3) == pytest.approx(np.mean(np.square(by_hand)))


def test_the_long_run_variance_of_an_autoregressive_series() -> None:
    """1 / (1 - phi)^2 for unit noise; the sample variance, 1 / (1 - phi^2), is far less."""
    values = autoregressive(np.random.default_rng(3), 0.7, 200_000)
    assert long_run_variance(values, cosine_count(values)) == pytest.approx(1 / 0.3**2, rel=0.1)
    assert integrated_time(values) == pytest.approx(1.7 / 0.3, rel=0.1)
    independent = np.random.default_rng(4).normal(size=20_000)
    assert integrated_time(independent) == pytest.approx(1, abs=0.1)
    assert cosine_count(independent) == pytest.approx(0.3 * 20_000, rel=0.1)


@pytest.mark.parametrize(("phi", "frames"), [(0.0, 100), (0.7, 100), (0.9, 100), (0.97, 300)])
def test_intervals_hold_the_mean_as_often_as_they_promise(phi: float, frames: int) -> None:
    """95 %, and no fewer than 92 (benchmarks/intervals.py takes 2,000 series); frame by frame it is far less."""
    rng = np.random.default_rng(5)
    series = [autoregressive(rng, phi, frames) for _ in range(500)]
    found = [interval for values in series if (interval := series_interval(values)).low is not None]
    assert len(found) > 0.93 * len(series)
    assert np.mean([interval.sign == 0 for interval in found]) > 0.90
    if phi:
        assert np.mean([set_interval(values).sign == 0 for values in series]) < 0.7


def test_clips_that_differ_in_level_are_the_units() -> None:
    rng, held = np.random.default_rng(6), []
    for _ in range(300):
        lengths = rng.integers(20, 60, 8)
        values = np.concatenate([rng.normal() + rng.normal(size=n) for n in lengths])
        found = clips_interval(values, [f"clip{k}" for k, n in enumerate(lengths) for _ in range(n)])
        assert found.mean == pytest.approx(values.mean())
        held.append(found.sign == 0)
    assert 0.91 <= np.mean(held) <= 0.98
    assert (found.units, found.effective, found.count) == ("clips", 8, lengths.sum())


def test_equal_clips_are_students_interval_of_their_means() -> None:
    values = np.random.default_rng(7).normal(size=(6, 10))
    found = clips_interval(values.ravel(), np.repeat(list("abcdef"), 10).tolist())
    expected = ttest_1samp(values.mean(1), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_clip_is_a_series() -> None:
    values = autoregressive(np.random.default_rng(8), 0.5, 60)
    assert clips_interval(values, ["a"] * 60) == series_interval(values)


def test_where_there_is_too_little_there_is_none_and_a_reason() -> None:
    few = series_interval(np.arange(LEAST_VALUES - 1.0))
    assert (few.low, few.high, few.sign, few.mean, few.why) == (None, None, 0, 4.0, "9 frames")
    alike = series_interval(autoregressive(np.random.default_rng(9), 0.999, 60))
    assert alike.low is None
    assert alike.why.startswith("60 frames so alike that they are worth ")
    assert alike.effective < 4
    three = clips_interval(np.arange(60.0), np.repeat(list("abc"), 20).tolist())
    assert (three.low, three.why) == (None, "3 clips")


def test_a_difference_that_is_the_same_in_every_frame_is_certain() -> None:
    found = series_interval(np.full(20, 0.5))
    assert (found.sign, found.low, found.high) == (1, 0.5, 0.5)
