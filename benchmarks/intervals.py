"""How often the 95 % intervals of `signgen compare` hold the true mean, for series that are more and less alike.

    python benchmarks/intervals.py

Autoregressive Gaussian series, x(t) = phi x(t-1) + e(t): of phi = .8, values 10 frames apart still correlate by .1.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from signgen.metrics.bootstrap import mean_interval

SERIES, FORGOTTEN = 400, 200


def coverage(phi: float, frames: int, *, independent: bool) -> tuple[float, float]:
    """The share of intervals that hold 0, the true mean, and the mean block length."""
    rng, held, blocks = np.random.default_rng(0), 0, 0
    for _ in range(SERIES):
        values = lfilter([1], [1, -phi], rng.normal(size=frames + FORGOTTEN))[FORGOTTEN:]
        found = mean_interval(values, independent=independent)
        held += found.sign == 0
        blocks += found.block
    return held / SERIES, blocks / SERIES


def main() -> None:
    print("| phi | frames | held, blocks | mean block | held, single frames |\n|---|---|---|---|---|")
    for phi in (0.0, 0.5, 0.8):
        for frames in (50, 100, 400):
            blocks, length = coverage(phi, frames, independent=False)
            single, _ = coverage(phi, frames, independent=True)
            print(f"| {phi:g} | {frames} | {blocks:.0%} | {length:.1f} | {single:.0%} |")


if __name__ == "__main__":
    main()
