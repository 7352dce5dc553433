"""The torch dataset's augmentation: what it leaves out is left out, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.data.dataset import drop_hands
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_hands_are_dropped_one_by_one_and_wrists_stay(probability: float) -> None:
    points = np.random.default_rng(0).uniform(1, 100, (133, 3)).astype(np.float32)
    rng, dropped = np.random.default_rng(1), []
    for _ in range(400):
        result = drop_hands(points, probability, rng)
        for hand in (LAYOUT.left_hand, LAYOUT.right_hand):
            gone = np.isnan(result[list(hand), :2])
            assert gone.all() or not gone.any()
            assert gone.all() == bool((result[list(hand), 2] == 0).all())
            dropped.append(bool(gone.all()))
        assert np.array_equal(result[: LAYOUT.left_hand.start], points[: LAYOUT.left_hand.start])
    assert np.mean(dropped) == pytest.approx(probability, abs=0.05)
    assert np.isfinite(points).all()  # the caller's are not touched
