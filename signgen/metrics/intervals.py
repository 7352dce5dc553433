"""Intervals for a mean: values in the order of their frames, or of a set, in; the 95 % interval out.

Consecutive frames are alike, so that 100 of them say less than 100 independent values would, and a resampling of blocks
is too narrow where few blocks remain (.80 in place of .95 for phi = .9 and 100 frames). The long-run variance of a
series is taken from its lowest cosine transforms instead, equally weighted, and Student's t for as many (Mueller 2004;
Lazarus, Lewis, Stock and Watson 2018): few cosines, few degrees of freedom, a wide interval. Where there are several
clips, each is left out in turn (the jackknife), since frames of one clip share what is hard or easy about it; images of
a set likewise, which gives Student's interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

CONFIDENCE = 0.95
LEAST_VALUES = 10  # fewer say too little about their own spread for an interval
LEAST_EFFECTIVE = 4.0  # frames, for a series; clips, for several
FEWEST_COSINES = 2
# Below so many effective frames two cosines are taken: one more would lie where the spectrum of such series has fallen.
_FEW_EFFECTIVE, _COSINES_PER_FRAME = 40.0, 0.3


@dataclass(frozen=True)
class Interval:
    """A mean and its interval, None where there is none, and then why.

    count: values. effective: how many independent ones they are worth. units: what was taken for independent: frames
    (of a series), images or clips.
    """

    mean: float
    low: float | None
    high: float | None
    count: int
    effective: float
    units: str
    why: str = ""

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below 0; else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def series_interval(values: np.ndarray) -> Interval:
    """The mean of `values` (n,), n >= 1, of consecutive frames of one clip, and its 95 % interval."""
    values = np.asarray(values, np.float64)
    count, mean = len(values), float(np.mean(values))
    effective = count / integrated_time(values)
    if count < LEAST_VALUES:
        return Interval(mean, None, None, count, effective, "frames", f"{count} frames")
    if effective < LEAST_EFFECTIVE:
        why = f"{count} frames so alike that they are worth {effective:.1f} independent ones"
        return Interval(mean, None, None, count, effective, "frames", why)
    cosines = cosine_count(values)
    reach = _student(cosines) * sqrt(long_run_variance(values, cosines) / count)
    return Interval(mean, mean - reach, mean + reach, count, effective, "frames")


def set_interval(values: np.ndarray) -> Interval:
    """The mean of `values` (n,), n >= 1, of a set of images, and its 95 % interval for other images like these."""
    values = np.asarray(values, np.float64)
    return _jackknife(values, np.ones(len(values)), "images", LEAST_VALUES)


def clips_interval(values: np.ndarray, clips: Sequence[str]) -> Interval:
    """The mean of `values` (n,) of frames of several clips, and its 95 % interval for other clips like these.

    clips: of each value, its clip. Of one clip, as `series_interval`.
    """
    values = np.asarray(values, np.float64)
    _, place = np.unique(np.asarray(clips), return_inverse=True)
    counts = np.bincount(place)
    if len(counts) == 1:
        return series_interval(values)
    return _jackknife(np.bincount(place, values), counts, "clips", int(LEAST_EFFECTIVE))


def mean_interval(values: np.ndarray, clips: Sequence[str | None], images: bool) -> Interval:
    """By clips where they are all known; else of images, or of one clip's frames."""
    if all(clip is not None for clip in clips):
        return clips_interval(values, [str(clip) for clip in clips])
    return set_interval(values) if images else series_interval(values)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of hits / count, count >= 1: takes all answers for independent of each other."""
    from scipy.stats import norm

    z = norm.ppf((1 + CONFIDENCE) / 2)
    share, scale = hits / count, 1 + z**2 / count
    middle = (share + z**2 / (2 * count)) / scale
    reach = z / scale * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def _jackknife(sums: np.ndarray, counts: np.ndarray, units: str, least: int) -> Interval:
    """Of units with these sums of values (u,) and numbers of values (u,), each left out in turn."""
    total, size = int(counts.sum()), len(sums)
    mean = float(sums.sum() / total)
    if size < least:
        return Interval(mean, None, None, total, size, units, f"{size} {units}")
    without = (sums.sum() - sums) / (total - counts)
    spread = float(np.square(without - without.mean()).sum()) * (size - 1) / size
    reach = _student(size - 1) * sqrt(spread)
    return Interval(mean, mean - reach, mean + reach, total, size, units)


def _student(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def long_run_variance(values: np.ndarray, cosines: int) -> float:
    """n times the variance of the mean of a series (n,): the mean of its first squared cosine transforms.

    Lambda_j = sqrt(2 / n) sum_t x_t cos(pi j (t - 1/2) / n), j = 1, ..., cosines (Lazarus et al. 2018, equation 10);
    all n - 1 of them are the sample variance.
    """
    from scipy.fft import dct

    transforms = dct(np.asarray(values, np.float64), type=2, norm="ortho")[1 : cosines + 1]
    return float(np.mean(transforms**2))


def cosine_count(values: np.ndarray) -> int:
    """How many cosines the long-run variance is taken from: .3 a frame's worth, 2 where the series is worth under 40.

    The spectrum (1 - phi)^2 / (1 - 2 phi cos w + phi^2) of such a series has fallen by a tenth, on average, at .35
    n_eff cosines.
    """
    count = len(values)
    effective = count / max(integrated_time(values), _autoregressive_time(values))
    if effective < _FEW_EFFECTIVE:
        return min(FEWEST_COSINES, count - 1)
    return min(int(_COSINES_PER_FRAME * effective), count - 1)


def integrated_time(values: np.ndarray) -> float:
    """1 + 2 sum of autocorrelations, at least 1: how many frames are worth one. Summed in pairs of lags while these are
    positive (Geyer 1992)."""
    correlation = _autocorrelation(values)
    pairs = correlation[: len(correlation) // 2 * 2].reshape(-1, 2).sum(1)
    ends = np.flatnonzero(pairs <= 0)
    return max(2 * float(pairs[: ends[0] if len(ends) else None].sum()) - 1, 1.0)


def _autoregressive_time(values: np.ndarray) -> float:
    """The same of x(t) = phi x(t-1) + e(t), phi from the first lag, its bias in short series put right."""
    count = len(values)
    first = float(_autocorrelation(values)[1]) if count > 1 else 0.0
    phi = min(first + (1 + 3 * first) / count, 1 - 1 / count)
    return max((1 + phi) / (1 - phi), 1.0)


def _autocorrelation(values: np.ndarray) -> np.ndarray:
    """(n,) of lags 0 to n - 1; of a constant series, that of independent values."""
    count = len(values)
    spectrum = np.fft.rfft(values - np.mean(values), 2 * count)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[:count]
    if covariance[0] <= 1e-12 * (1 + np.mean(values) ** 2) * count:
        return np.eye(1, count)[0]
    return covariance / covariance[0]
