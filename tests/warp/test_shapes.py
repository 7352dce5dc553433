"""Distances between shapes: against a slow sum, part by part, and what does not change them."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.warp.anatomy import HEAD, SIDES, Anatomy, anatomy
from signgen.warp.shapes import ABSENT, HAND_ABSENT, Shapes
from tests.warp.signers import clip


def people(hidden: int = 0) -> list[np.ndarray]:
    """(133, 3) keypoints of eight poses; some parts of some are not seen."""
    points = [each.copy() for each in clip(0)[2][::5]]
    rng = np.random.default_rng(hidden)
    for each in points[1:] if hidden else []:
        each[rng.choice(133, 30, replace=False), 2] = 0
        each[[5, 6], 2] = 1
        for part in (slice(91, 112), slice(112, 133), [7], [10], list(HEAD)):
            if rng.random() < 0.3:
                each[part, 2] = 0
    return points


def slow_gaps(target: Anatomy, body: Anatomy) -> list[float]:
    def mean(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([np.hypot(*(a - b)) for a, b in zip(one, other, strict=True)]))

    def placed(of: Anatomy, points: np.ndarray) -> np.ndarray:
        return (points - of.neck) / of.width

    head = np.intersect1d(target.head, body.head)
    parts = [mean(placed(target, target.points[head]), placed(body, body.points[head]))] if len(head) else []
    hands = []
    for side in SIDES:
        here, there = target.arms[side], body.arms[side]
        if here is not None:
            parts.append(ABSENT if there is None else mean(placed(target, here), placed(body, there)))
        ours, theirs = target.hands[side], body.hands[side]
        if ours is None:
            hands.append(0.0)
        elif theirs is None:
            hands.append(HAND_ABSENT)
        else:
            both = np.isfinite(ours).all(1) & np.isfinite(theirs).all(1)
            one, other = (ours - ours[0]) / target.palm_size(side), (theirs - theirs[0]) / body.palm_size(side)
            hands.append(mean(one[both], other[both]) + HAND_ABSENT * (1 - both.mean()))
    return [float(np.mean(parts)) if parts else 0.0, *hands]


@pytest.mark.parametrize("hidden", range(4))
def test_distances_are_those_of_a_slow_sum(hidden):
    bodies = [body for body in map(anatomy, people(hidden)) if body is not None]
    shapes = Shapes.of(bodies)
    for number, target in enumerate(bodies):
        expected = [slow_gaps(target, body) for body in bodies]
        np.testing.assert_allclose(shapes.gaps(number, shapes), expected, atol=1e-4)
        assert not shapes.gaps(number, shapes)[number, 0]


def test_place_and_size_do_not_matter():
    points = people()
    moved = [each * (1.7, 1.7, 1) + (30, -12, 0) for each in points]
    here, there = (Shapes.of([anatomy(each.astype(np.float32)) for each in some]) for some in (points, moved))
    np.testing.assert_allclose(here.gaps(2, here), there.gaps(2, here), atol=1e-3)


def test_somebody_who_is_not_seen_is_near_to_all():
    shapes = Shapes.of([None, *map(anatomy, people())])
    assert not shapes.gaps(0, shapes).any()
