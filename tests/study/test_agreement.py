"""Agreement and intervals against published worked examples and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.metrics.intervals import wilson
from signgen.study.agreement import fleiss_kappa, krippendorff_alpha
from signgen.study.intervals import resampled_shares, two_way_interval

# 14 raters, 10 subjects, 5 categories: the worked example of Wikipedia's "Fleiss' kappa", .210
FLEISS = [
    *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
    *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
]
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", examples B and C; 0: no answer
TWO_OBSERVERS = [[1, 2, 1, 1, 1, 1, 1, 1, 2, 1], [2, 2, 2, 1, 1, 2, 1, 1, 1, 1]]
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]


def counted(observers: list[list[int]]) -> np.ndarray:
    """(items, categories) of (observers, items)."""
    table = np.array(observers)
    return np.stack([(table == category).sum(0) for category in range(1, table.max() + 1)], 1)


def test_fleiss_kappa_of_the_worked_example() -> None:
    assert fleiss_kappa(np.array(FLEISS)) == pytest.approx(0.210, abs=5e-4)


def test_krippendorffs_alpha_of_his_own_examples() -> None:
    assert krippendorff_alpha(counted(TWO_OBSERVERS)) == pytest.approx(0.095, abs=5e-4)
    assert krippendorff_alpha(counted(FOUR_OBSERVERS)) == pytest.approx(0.743, abs=5e-4)


def test_agreement_at_its_ends() -> None:
    perfect, alike, split = np.array([[3, 0], [0, 3]]), np.array([[3, 0], [3, 0]]), np.array([[1, 1]] * 500)
    assert fleiss_kappa(perfect) == krippendorff_alpha(perfect) == 1
    assert fleiss_kappa(alike) is krippendorff_alpha(alike) is None
    assert fleiss_kappa(split) == pytest.approx(-1)
    assert krippendorff_alpha(split) == pytest.approx(-1, abs=0.01)
    assert krippendorff_alpha(np.array([[1, 0], [0, 1]])) is None  # nothing to pair


def test_kappa_needs_as_many_answers_for_every_item() -> None:
    with pytest.raises(ValueError, match="same number of answers"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe 1998, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_as_published(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_where_only_raters_differ_the_spread_is_that_of_raters() -> None:
    """Every rater gives one and the same answer throughout: the mean of 40 such has variance p (1 - p) / 40."""
    hits = np.repeat((np.arange(40) < 16).astype(int)[:, None], 25, 1)
    spread = resampled_shares(hits, np.ones_like(hits)).std()
    assert spread == pytest.approx(np.sqrt(0.4 * 0.6 / 40), rel=0.05)
    low, high = two_way_interval(hits, np.ones_like(hits)) or (0, 0)
    assert (low, high) == pytest.approx((0.4 - 1.96 * spread, 0.4 + 1.96 * spread), abs=0.02)
    assert high - low > 2 * np.subtract(*wilson(400, 1000)[::-1])  # which takes 40 opinions for 1000


def test_where_only_targets_differ_the_spread_is_that_of_targets() -> None:
    hits = np.repeat((np.arange(50) < 10).astype(int)[None], 30, 0)
    assert resampled_shares(hits, np.ones_like(hits)).std() == pytest.approx(np.sqrt(0.2 * 0.8 / 50), rel=0.05)


def test_too_few_or_too_alike_have_no_bootstrap() -> None:
    ones = np.ones((5, 5), int)
    assert two_way_interval(ones, ones) is None
    assert two_way_interval(np.eye(2, 5), np.ones((2, 5))) is None
    assert two_way_interval(np.eye(5), ones) is not None
