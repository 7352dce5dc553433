"""95 % intervals of a share by a bootstrap over raters and items; Wilson's is with the metrics."""

from __future__ import annotations

import numpy as np

from signgen.metrics.intervals import CONFIDENCE

RESAMPLES = 5000
LEAST_CLUSTERS = 3  # fewer raters or items say nothing about how much raters or items differ


def two_way_interval(hits: np.ndarray, counts: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """Percentile interval of the share when raters and items are drawn anew; see `resampled_shares`.

    None with fewer than LEAST_CLUSTERS raters or items that have answers, or where all answers are alike: what was
    never seen is drawn by no bootstrap, and the interval would have no width.
    """
    hits, counts = np.asarray(hits, np.float64), np.asarray(counts, np.float64)
    answered = min((counts.sum(1) > 0).sum(), (counts.sum(0) > 0).sum())
    if answered < LEAST_CLUSTERS or hits.sum() in (0, counts.sum()):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled_shares(hits, counts, seed), [tail, 1 - tail])
    return float(low), float(high)


def resampled_shares(hits: np.ndarray, counts: np.ndarray, seed: int = 0) -> np.ndarray:
    """Shares of up to RESAMPLES draws: raters and items are drawn with replacement, independently of each other, and an
    answer counts as often as its rater times its item (the pigeonhole bootstrap, Owen 2007).

    hits, counts: (raters, items), answers that are a hit, and all answers. Draws without any answer are left out.
    """
    rng = np.random.default_rng(seed)
    (raters, items), draws = counts.shape, RESAMPLES
    of_raters = rng.multinomial(raters, np.full(raters, 1 / raters), draws)
    of_items = rng.multinomial(items, np.full(items, 1 / items), draws)
    hit, all_ = (((of_raters @ table) * of_items).sum(1) for table in (hits, counts))
    return hit[all_ > 0] / all_[all_ > 0]
