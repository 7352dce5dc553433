"""Poses at another frame rate: the same movement, as long as before."""

import numpy as np
import pytest

from signgen.poses.resample import resampled
from signgen.poses.sequence import PoseSequence
from tests.line import Command


def moving(frames: int, fps: float | None, speed: float = 100.0) -> PoseSequence:
    """Every point goes right by `speed` px a second."""
    keypoints = np.ones((frames, 133, 3), np.float32)
    keypoints[..., 0] = (np.arange(frames) * speed / (fps or 1))[:, None]
    return PoseSequence(keypoints, 640, 480, fps)


@pytest.mark.parametrize(("have", "want", "frames"), [(50, 25, 50), (25, 50, 200), (30, 25, 83), (25, 29.97, 120)])
def test_the_movement_keeps_its_speed(have: float, want: float, frames: int) -> None:
    found = resampled(moving(100, have), want)
    assert (len(found), found.fps) == (frames, want)
    expected = np.minimum(np.arange(frames) / want, 99 / have) * 100
    np.testing.assert_allclose(found.keypoints[:, 0, 0], expected, atol=1e-3)
    np.testing.assert_array_equal(found.keypoints[..., 1:], 1)
    assert f"100 frames to {frames}" in found.notes[-1]


def test_missing_points_are_not_invented() -> None:
    poses = moving(4, 25)
    poses.keypoints[1, 7] = (np.nan, np.nan, 0)
    found = resampled(poses, 100)
    there = found.present[:, 7]
    # frames 2 to 5 of 16 are nearest to the frame that lacks it; 0.5 counts as the later one
    assert [frame for frame in range(16) if not there[frame]] == [2, 3, 4, 5]
    assert (found.keypoints[~there, 7, 2] == 0).all()
    assert found.present[:, 8].all()
    assert found.is_clean


def test_a_rounded_rate_is_only_put_right() -> None:
    poses = moving(10, 29)
    found = resampled(poses, 29.97)
    np.testing.assert_array_equal(found.keypoints, poses.keypoints)
    assert found.fps == 29.97


def test_a_rate_that_is_not_known_is_the_given_one(command: Command, tmp_path) -> None:
    poses = moving(3, None)
    poses.save(tmp_path / "own.poses.npz")
    command.works("poses", "convert", tmp_path / "own.poses.npz", tmp_path / "out.poses.npz", "--fps", "25")
    found = PoseSequence.load(tmp_path / "out.poses.npz")
    np.testing.assert_array_equal(found.keypoints, poses.keypoints)
    assert found.fps == 25


def test_fps_on_the_command_line_resamples_what_has_another_rate(command: Command, tmp_path) -> None:
    moving(10, 50).save(tmp_path / "fast.poses.npz")
    called = command("poses", "convert", tmp_path / "fast.poses.npz", tmp_path / "slow.poses.npz", "--fps", "25")
    assert called.code == 0
    assert "resampled from 50 to 25 frames per second, 10 frames to 5" in " ".join(called.out.split())
    slow = PoseSequence.load(tmp_path / "slow.poses.npz")
    np.testing.assert_allclose(slow.keypoints[:, 0, 0], [0, 4, 8, 12, 16])
    assert slow.fps == 25


def test_info_tells_what_a_resampled_file_would_hold(command: Command, tmp_path) -> None:
    moving(10, 50).save(tmp_path / "fast.poses.npz")
    told = " ".join(command.works("poses", "info", tmp_path / "fast.poses.npz", "--fps", "25").split())
    assert "5 frames" in told or "frames 5" in told, told
