"""Intervals for the mean of a series: values in the order of their frames in, a block bootstrap's interval out.

Consecutive frames are alike, so that 100 of them say less than 100 independent values would. Blocks of consecutive
values are drawn instead of single ones (Politis and Romano 1992); their length follows from how far the series'
autocorrelation reaches (Politis and White 2004, corrected by Patton, Politis and White 2009). Percentile intervals of
few values are too narrow; they are expanded as Student's t is wider than the normal (Hesterberg 2015), with blocks for
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10, sqrt

import numpy as np

RESAMPLES = 5000
CONFIDENCE = 0.95
LEAST_VALUES = 10  # fewer say too little about their own spread for an interval
_DRAWN_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Interval:
    """The mean of a series, its interval (None for fewer than LEAST_VALUES values), and how it was found."""

    mean: float
    low: float | None
    high: float | None
    count: int
    block: int

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below 0; else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def mean_interval(values: np.ndarray, *, independent: bool = False, seed: int = 0) -> Interval:
    """The mean of `values` (n,), n >= 1, and its 95 % interval, expanded percentiles of the resampled means.

    independent: they are no series (a set of images), and are drawn one by one.
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    block = 1 if independent else block_length(values)
    mean = float(values.mean())
    if count < LEAST_VALUES:
        return Interval(mean, None, None, count, block)
    means = resampled_means(values, block, RESAMPLES, seed)
    tail = expanded_tail(count / block)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), count, block)


def expanded_tail(blocks: float) -> float:
    """The share of resampled means left out on either side: below (1 - CONFIDENCE) / 2, the fewer blocks the more."""
    from scipy.stats import norm, t

    reach = sqrt(blocks / (blocks - 1)) * t.ppf((1 + CONFIDENCE) / 2, blocks - 1)
    return float(norm.cdf(-reach))


def resampled_means(values: np.ndarray, block: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples,) means of n values put together from blocks that begin anywhere and run on from the end to the start.

    The last block is cut, so that every resample has n values.
    """
    count = len(values)
    blocks = ceil(count / block)
    last = count - (blocks - 1) * block
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])
    whole, cut = sums[block : block + count] - sums[:count], sums[last : last + count] - sums[:count]
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _DRAWN_AT_ONCE // blocks)
    for start in range(0, resamples, step):
        starts = rng.integers(0, count, (min(step, resamples - start), blocks))
        means[start : start + step] = (whole[starts[:, 1:]].sum(1) + cut[starts[:, 0]]) / count
    return means


def block_length(values: np.ndarray) -> int:
    """How many consecutive values to draw together: 1 for independent ones, at most ceil(min(3 sqrt n, n / 3)).

    b = (2 G^2 / D)^(1/3) n^(1/3), with G the sum of |k| R(k), D = 4/3 (sum of R(k))^2, R the autocovariance under a
    flat-top window as wide as the autocorrelation stands out (Politis and White 2004, equations 9 and 11).
    """
    count = len(values)
    longest = max(1, ceil(min(3 * sqrt(count), count / 3)))
    centred = values - values.mean()
    variance = float(centred @ centred) / count
    if count < LEAST_VALUES or variance == 0:
        return 1
    reach = max(5, ceil(sqrt(log10(count))))
    lags = min(count - 1, 2 * (ceil(sqrt(count)) + reach))
    covariance = np.array([centred[: count - lag] @ centred[lag:] for lag in range(lags + 1)]) / count
    width = min(2 * _insignificant_from(np.abs(covariance[1:]) / variance, count, reach), lags)
    lag = np.arange(1, width + 1)
    weighted = np.minimum(1, 2 * (1 - lag / width)) * covariance[1 : width + 1]
    spectrum = variance + 2 * weighted.sum()
    slope = 2 * (lag * weighted).sum()
    if spectrum <= 0:
        return longest
    return int(np.clip(round((2 * slope**2 / (4 / 3 * spectrum**2) * count) ** (1 / 3)), 1, longest))


def _insignificant_from(correlation: np.ndarray, count: int, reach: int) -> int:
    """The lag m after which `reach` correlations (of lags 1, 2, ...) are all below 2 sqrt(log10 n / n), at least 1.

    Where none such are, the last lag whose correlation stands out.
    """
    significant = correlation > 2 * sqrt(log10(count) / count)
    for lag in range(len(significant) - reach + 1):
        if not significant[lag : lag + reach].any():
            return max(lag, 1)
    return int(np.flatnonzero(significant)[-1]) + 1
