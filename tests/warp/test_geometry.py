"""Transforms against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.warp.geometry import affine, distance, follow_bones, scale_of, similarity

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


def test_a_bone_carries_its_ends_its_sides_and_what_lies_beyond():
    target, source = np.array([[10, 10], [30, 10]], np.float32), np.array([[50, 50], [50, 60]], np.float32)
    grid = np.array([[[10, 10], [30, 10], [20, 10], [20, 12], [32, 10], [6, 10]]], np.float32)
    # Half as long, turned by a quarter, and as thick as 1.5 source pixels for one of the target.
    expected = [[50, 50], [50, 60], [50, 55], [47, 55], [50, 63], [50, 44]]
    gaps, places = follow_bones(grid, target[None], source[None], 1.5)
    assert np.allclose(places, [[expected]], atol=1e-4)
    assert np.allclose(gaps, [[[0, 0, 0, 2, 2, 4]]])
    assert np.allclose(gaps[0], distance(grid, *target), atol=1e-5)


def test_a_bone_that_points_at_the_camera_keeps_its_place():
    short, source = np.array([[10, 10], [10.5, 10]], np.float32), np.array([[40, 40], [60, 40]], np.float32)
    _, places = follow_bones(np.array([[[12.0, 14]]], np.float32), short[None], source[None], 2.0)
    assert np.allclose(places, [[[[44, 48]]]])


def test_distance_from_a_segment():
    grid = np.array([[0, 3], [5, -2], [14, 3], [-3, -4]], np.float32)
    assert np.allclose(distance(grid, np.array([0.0, 0]), np.array([10.0, 0])), [3, 2, 5, 5])
    assert np.allclose(distance(grid, np.zeros(2), np.zeros(2)), np.linalg.norm(grid, axis=1), atol=1e-5)
