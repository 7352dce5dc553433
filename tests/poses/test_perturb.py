"""Poses made worse: what moves, what is lost, what replaces it; nothing else, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from signgen.poses.perturb import add_noise, drop_frames, drop_hands
from signgen.poses.sequence import PoseSequence
from tests.worlds import figure_poses


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(one: PoseSequence, other: PoseSequence) -> np.ndarray:
    """bool (T,): frames that are equal."""
    return np.array([np.array_equal(a, b, equal_nan=True) for a, b in zip(one.keypoints, other.keypoints, strict=True)])


def test_noise_has_the_deviation_asked_for_and_one_field() -> None:
    poses = figure_poses(40)
    poses.keypoints[3, 5] = (np.nan, np.nan, 0)
    moved = add_noise(poses, 2, rng()).keypoints - poses.keypoints
    assert np.nanstd(moved[..., :2]) == pytest.approx(2, rel=0.03)
    assert np.isnan(moved[3, 5, :2]).all()
    assert not moved[..., 2].any()
    twice = add_noise(poses, 4, rng()).keypoints - poses.keypoints
    assert np.allclose(twice[..., :2], 2 * moved[..., :2], atol=1e-4, equal_nan=True)
    assert same(add_noise(poses, 0, rng()), poses).all()
    assert not same(add_noise(poses, 2, rng(1)), add_noise(poses, 2, rng())).any()


def test_hands_are_lost_in_the_share_and_nothing_else_is() -> None:
    poses = figure_poses(20)
    frames = range(4, 14)
    lost = {share: drop_hands(poses, frames, share, rng()) for share in (0, 0.5, 1)}
    hands = [*poses.layout.left_hand, *poses.layout.right_hand]
    for share, found in lost.items():
        there = found.present[:, hands]
        assert set(np.flatnonzero(~there.all(1))) <= set(frames)
        assert (~there.any(1)).sum() == round(10 * share) == (~there.all(1)).sum()
        others = np.setdiff1d(np.arange(133), hands)
        assert np.array_equal(found.keypoints[:, others], poses.keypoints[:, others])
        assert found.is_clean
    assert set(np.flatnonzero(same(lost[1], poses))) < set(np.flatnonzero(same(lost[0.5], poses)))
    assert same(lost[0], poses).all()


def test_lost_frames_are_held_by_the_last_pose() -> None:
    poses = figure_poses(11)
    poses.keypoints[..., 0] += np.arange(11)[:, None]  # no two poses are the same
    held = drop_frames(poses, range(11), 1, rng(), interpolated=False)
    assert all(np.array_equal(frame, poses.keypoints[0]) for frame in held.keypoints)  # frame 0 is never lost
    half = drop_frames(poses, range(1, 11), 0.5, rng(), interpolated=False)
    kept = np.flatnonzero(same(half, poses))
    assert len(kept) == 6
    for frame in range(11):
        assert np.array_equal(half.keypoints[frame], poses.keypoints[kept[kept <= frame][-1]])
    assert same(drop_frames(poses, range(11), 0, rng(), interpolated=False), poses).all()


def test_lost_frames_of_a_straight_movement_are_interpolated_exactly() -> None:
    poses = figure_poses(9)
    line = np.arange(9, dtype=np.float32)[:, None, None] * np.array([3, -2, 0], np.float32)
    poses = replace(poses, keypoints=np.broadcast_to(poses.keypoints[:1], poses.keypoints.shape) + line)
    poses.keypoints[4, 7] = (np.nan, np.nan, 0)
    found = drop_frames(poses, [1, 2, 3, 5, 6], 1, rng(), interpolated=True)
    expected = poses.keypoints.copy()
    expected[[1, 2, 3, 5, 6], 7] = (np.nan, np.nan, 0)  # missing in a neighbour
    assert np.allclose(found.keypoints, expected, atol=1e-4, equal_nan=True)
    end = drop_frames(poses, [7, 8], 1, rng(), interpolated=True)
    assert all(np.array_equal(end.keypoints[frame], poses.keypoints[6]) for frame in (7, 8))
    assert found.is_clean


def test_noise_that_lasts_is_a_stationary_autoregressive_series() -> None:
    poses = figure_poses(400)
    moved = (add_noise(poses, 3, rng(), correlation=0.9).keypoints - poses.keypoints)[..., :2]
    assert np.nanstd(moved[0]) == pytest.approx(3, rel=0.12)  # from the first frame on
    assert np.nanstd(moved) == pytest.approx(3, rel=0.05)
    series = moved.reshape(len(moved), -1)
    for lag in (1, 5):
        found = np.nanmean(series[lag:] * series[:-lag]) / np.nanmean(series**2)
        assert found == pytest.approx(0.9**lag, abs=0.03)
    alone = add_noise(poses, 3, rng()).keypoints
    assert np.array_equal(add_noise(poses, 3, rng(), correlation=0.0).keypoints, alone, equal_nan=True)
