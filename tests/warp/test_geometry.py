"""Transforms against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.warp.geometry import Carried, affine, blended, carry, distance, follow_bones, scale_of, similarity, spread

RNG = np.random.default_rng(0)


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


@pytest.mark.parametrize("count", [2, 3, 20])
def test_a_similarity_is_found_again(count):
    angle, scale, shift = 0.7, 1.8, np.array([3.0, -8])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = RNG.normal(size=(count, 2)) * 20
    found = similarity(points, points @ turn.T + shift, RNG.uniform(0.1, 2, count))
    assert np.allclose(found, np.hstack([turn, shift[:, None]]), atol=1e-4)
    assert scale_of(found) == pytest.approx(scale, rel=1e-5)


def test_the_best_similarity_against_a_search():
    here, there = RNG.normal(size=(6, 2)) * 10, RNG.normal(size=(6, 2)) * 10
    weights = RNG.uniform(0.1, 1, 6)
    found = similarity(here, there, weights)

    def error(transform):
        return float(weights @ ((apply(transform, here) - there) ** 2).sum(1))

    for _ in range(200):
        a, b = RNG.normal(size=2) * 0.1
        other = found + np.array([[a, -b, RNG.normal()], [b, a, RNG.normal()]])
        assert error(found) <= error(other) + 1e-3


def test_one_place_gives_a_shift():
    found = similarity(np.array([[3.0, 4], [3, 4]]), np.array([[5.0, 9], [5, 9]]))
    assert np.allclose(found, [[1, 0, 2], [0, 1, 5]])


def test_an_affine_map_is_found_again_and_a_line_gives_the_similarity():
    matrix, shift = np.array([[1.5, 0.4], [-0.2, 0.8]]), np.array([4.0, -2])
    points = RNG.normal(size=(6, 2)) * 20
    found = affine(points, points @ matrix.T + shift, ridge=1e-9)
    assert np.allclose(found, np.hstack([matrix, shift[:, None]]), atol=1e-3)
    line = np.arange(6)[:, None] * np.array([2.0, 1])
    assert np.allclose(affine(line, 3 * line + 1), similarity(line, 3 * line + 1), atol=1e-3)
    assert np.isfinite(affine(points[:1].repeat(3, 0), points[:3])).all()


def test_carried_pixels_are_those_of_the_transform():
    transform = RNG.normal(size=(2, 3)).astype(np.float32)
    x, y = np.arange(3, 7, dtype=np.float32), np.arange(5, 8, dtype=np.float32)
    places = carry(transform, x, y)
    assert places.shape == (2, 3, 4)
    pixels = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    assert np.allclose(places.reshape(2, -1).T, apply(transform, pixels), atol=1e-5)


def places(carried: Carried, x: list[float], y: list[float]) -> np.ndarray:
    """(n, h, w, 2): where pixels come from, as the docstring of Carried says."""
    plain = np.stack([carry(transform, np.float32(x), np.float32(y)) for transform in carried.transforms])
    return (plain + carried.along[:, None] * carried.stretch[..., None, None]).transpose(0, 2, 3, 1)


def test_a_bone_carries_its_ends_its_sides_and_what_lies_beyond():
    target, source = np.array([[10, 10], [30, 10]], np.float32), np.array([[50, 50], [50, 60]], np.float32)
    x, y = np.float32([10, 30, 20, 32, 6]), np.float32([10, 12])
    # Half as long, turned by a quarter, and as thick as 1.5 source pixels for one of the target.
    expected = np.array([[50, 50], [50, 60], [50, 55], [50, 63], [50, 44]])
    carried = follow_bones(x, y, target[None], source[None], 1.5)
    assert np.allclose(places(carried, x, y)[0], [expected, expected - [3, 0]], atol=1e-4)
    assert np.allclose(carried.gaps[0], np.square([[0, 0, 0, 2, 4], np.hypot(2, [0, 0, 0, 2, 4])]), atol=1e-4)
    grid = np.stack(np.meshgrid(x, y), -1)
    assert np.allclose(np.sqrt(carried.gaps[0]), distance(grid, *target), atol=1e-5)
    assert np.allclose(carried.along[0], [[0, 20, 10, 20, 0]] * 2)


def test_bones_that_move_as_one():
    target, source = RNG.normal(size=(2, 4, 2, 2)).astype(np.float32) * 20
    x, y = np.arange(6, dtype=np.float32), np.arange(4, dtype=np.float32)
    apart = follow_bones(x, y, target, source, 1.2)
    transform = RNG.normal(size=(2, 3)).astype(np.float32)
    joint = follow_bones(x, y, target, source, 1.2).first_as_one(3, transform)
    assert np.array_equal(joint.gaps, [apart.gaps[:3].min(0), apart.gaps[3]])
    found, before = places(joint, x, y), places(apart, x, y)
    assert np.allclose(found[0], carry(transform, x, y).transpose(1, 2, 0), atol=1e-4)
    assert np.array_equal(found[1], before[3])


def test_blended_places_are_the_mean_weighted_by_the_fourth_power_of_the_distance():
    target, source = RNG.normal(size=(2, 5, 2, 2)).astype(np.float32) * 20
    x, y = np.arange(-9, 9, dtype=np.float32), np.arange(12, dtype=np.float32)
    carried = follow_bones(x, y, target, source, 0.8)
    weights = 1 / (carried.gaps.astype(np.float64) + 1) ** 2
    expected = (weights[..., None] * places(carried, x, y)).sum(0) / weights.sum(0)[..., None]
    found = blended(carried, x, y)
    assert found.dtype == np.float32
    assert np.allclose(found.transpose(1, 2, 0), expected, atol=1e-3)


def folded() -> tuple[Carried, np.ndarray, np.ndarray]:
    """A straight limb along x that is folded back upon itself, its two bones eight pixels apart at their ends."""
    source = np.array([[[10, 20], [30, 20]], [[30, 20], [50, 20]]], np.float32)
    target = np.array([[[10, 20], [30, 24]], [[30, 24], [10, 28]]], np.float32)
    x, y = np.arange(5, 40, dtype=np.float32), np.arange(15, 34, dtype=np.float32)
    return follow_bones(x, y, target, source, 1.0), x, y


def test_a_folded_limb_is_torn_and_not_averaged():
    carried, x, y = folded()
    own = places(carried, x, y)
    for tear, expected in ((4.0, True), (None, False)):
        found = blended(carried, x, y, tear).transpose(1, 2, 0)
        nearest = np.linalg.norm(found - own, axis=-1).min(0)
        assert (nearest.max() <= 2.0) == expected  # half of the tear, where both have a say
    straight = follow_bones(x, y, *[np.array([[[10, 20], [30, 20]], [[30, 20], [50, 20]]], np.float32)] * 2, 1.0)
    assert np.array_equal(blended(straight, x, y, 4.0), blended(straight, x, y))


def test_outside_of_a_bend_the_first_bone_has_the_say():
    """All is as near to one bone as to the other there; a frayed edge would come of choosing by rounding errors."""
    carried, x, y = folded()
    beyond = slice(int(36 - x[0]), None)
    assert np.allclose(carried.gaps[0, :, beyond], carried.gaps[1, :, beyond], rtol=1e-3)
    own = places(carried, x, y)[0, :, beyond]
    assert np.allclose(blended(carried, x, y, 4.0).transpose(1, 2, 0)[:, beyond], own, atol=1e-3)


def test_shifts_are_felt_around_their_points():
    points, shifts = RNG.normal(size=(2, 7, 2)).astype(np.float32) * 5
    x, y = np.arange(-4, 6, dtype=np.float32), np.arange(-3, 4, dtype=np.float32)
    felt = spread(x, y, points, shifts, 2.5, 0.3)
    for row, column in ((0, 0), (3, 4), (6, 9)):
        away = np.linalg.norm(points - (x[column], y[row]), axis=1)
        weights = np.exp(-0.5 * (away / 2.5) ** 2)
        assert np.allclose(felt[:, row, column], weights @ shifts / (weights.sum() + 0.3), atol=1e-4)


def test_a_bone_that_points_at_the_camera_keeps_its_place():
    short, source = np.array([[10, 10], [10.5, 10]], np.float32), np.array([[40, 40], [60, 40]], np.float32)
    carried = follow_bones(np.float32([12]), np.float32([14]), short[None], source[None], 2.0)
    assert np.allclose(places(carried, [12], [14]), [[[[44, 48]]]])


def test_distance_from_a_segment():
    grid = np.array([[0, 3], [5, -2], [14, 3], [-3, -4]], np.float32)
    assert np.allclose(distance(grid, np.array([0.0, 0]), np.array([10.0, 0])), [3, 2, 5, 5])
    assert np.allclose(distance(grid, np.zeros(2), np.zeros(2)), np.linalg.norm(grid, axis=1), atol=1e-5)
