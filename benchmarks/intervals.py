"""How often the 95 % intervals of `signgen compare` hold the true mean, for series that are more and less alike.

    python benchmarks/intervals.py [--series 2000]

Series of one clip: x(t) = phi x(t-1) + e(t), Gaussian; the same with as much white noise on top; e exponential.
Several clips: each its own level, and frames around it. Exit code 1 where an interval that is promised (autoregressive,
phi <= .9 from 100 frames, .97 from 300; clips) holds the mean in fewer than 92 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from signgen.metrics.intervals import Interval, clips_interval, series_interval, set_interval

FORGOTTEN = 500
PROMISED = 0.92


def autoregressive(rng: np.random.Generator, phi: float, frames: int) -> np.ndarray:
    return lfilter([1], [1, -phi], rng.normal(size=frames + FORGOTTEN))[FORGOTTEN:]


def noisy(rng: np.random.Generator, phi: float, frames: int) -> np.ndarray:
    return autoregressive(rng, phi, frames) + rng.normal(size=frames) / np.sqrt(1 - phi**2)


def skewed(rng: np.random.Generator, phi: float, frames: int) -> np.ndarray:
    return lfilter([1], [1, -phi], rng.exponential(size=frames + FORGOTTEN) - 1)[FORGOTTEN:]


def clips(rng: np.random.Generator, number: int, frames: int) -> tuple[np.ndarray, list[str]]:
    """Clips of half to one and a half times `frames`, with levels as far apart as their frames."""
    lengths = rng.integers(frames // 2, 3 * frames // 2, number)
    values = [rng.normal() + autoregressive(rng, 0.8, length) for length in lengths]
    return np.concatenate(values), [str(n) for n, length in enumerate(lengths) for _ in range(length)]


def coverage(draw: Callable[[np.random.Generator], Interval], series: int) -> tuple[float, float, float]:
    """Shares of the intervals that hold 0, and of series that have one; mean width."""
    rng = np.random.default_rng(0)
    found = [draw(rng) for _ in range(series)]
    printed = [i for i in found if i.low is not None and i.high is not None]
    held = np.mean([i.sign == 0 for i in printed])
    return float(held), len(printed) / series, float(np.mean([i.high - i.low for i in printed]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--series", type=int, default=2000)
    series = parser.parse_args().series
    short = []
    print("| series | phi | frames | held | printed | width | held, frame by frame |\n|---|---|---|---|---|---|---|")
    rows = [(autoregressive, phi, frames) for phi in (0.0, 0.5, 0.8, 0.9) for frames in (50, 100, 400)]
    rows += [(autoregressive, 0.97, 300), (noisy, 0.9, 100), (noisy, 0.97, 300), (skewed, 0.8, 100)]
    for make, phi, frames in rows:
        held, printed, width = coverage(lambda rng, m=make, p=phi, f=frames: series_interval(m(rng, p, f)), series)
        single, *_ = coverage(lambda rng, m=make, p=phi, f=frames: set_interval(m(rng, p, f)), series // 10)
        print(f"| {make.__name__} | {phi:g} | {frames} | {held:.3f} | {printed:.2f} | {width:.2f} | {single:.2f} |")
        if make is autoregressive and frames >= 100 and held < PROMISED:
            short.append(f"phi {phi:g}, {frames} frames: {held:.3f}")
    print("\n| clips of about 60 frames | held | printed | width | held, as one series |\n|---|---|---|---|---|")
    for number in (4, 8, 30):
        held, printed, width = coverage(lambda rng, n=number: clips_interval(*clips(rng, n, 60)), series // 4)
        whole, *_ = coverage(lambda rng, n=number: series_interval(clips(rng, n, 60)[0]), series // 4)
        print(f"| {number} | {held:.3f} | {printed:.2f} | {width:.2f} | {whole:.2f} |")
        if held < PROMISED:
            short.append(f"{number} clips: {held:.3f}")
    for line in short:
        print(f"too narrow: {line}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
