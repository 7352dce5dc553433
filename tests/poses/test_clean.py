"""Cleaning: what is filled and what is not, and the filter against SciPy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from signgen.errors import PoseError
from signgen.poses import PoseSequence
from signgen.poses.clean import clean_poses, drop_doubtful, fill_gaps, mask, repeats, smooth

LEFT_HAND, ELBOW, FINGER = slice(91, 112), 7, 99
MISSING = (np.nan, np.nan, 0)


def sequence(frames: int = 30, seed: int = 0) -> PoseSequence:
    """Random walks on 200x200, every point there, every score 1."""
    rng = np.random.default_rng(seed)
    points = np.ones((frames, 133, 3), np.float32)
    points[..., :2] = rng.uniform(50, 150, (1, 133, 2)) + rng.normal(0, 2, (frames, 133, 2)).cumsum(0)
    return PoseSequence(points, 200, 200, 25.0)


def without(poses: PoseSequence, frames: slice, points: object) -> PoseSequence:
    keypoints = poses.keypoints.copy()
    keypoints[frames, points] = MISSING
    return replace(poses, keypoints=keypoints)


def on_curve(curve: np.ndarray) -> PoseSequence:
    """Every point along the same curve (T, 2)."""
    points = np.ones((len(curve), 133, 3), np.float32)
    points[..., :2] = curve[:, None]
    return PoseSequence(points, 200, 200)


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_short_gap_lies_on_the_line_between_its_ends(length: int) -> None:
    poses = sequence()
    poses.keypoints[9, ELBOW, 2], poses.keypoints[10 + length, ELBOW, 2] = 0.9, 0.4
    filled = fill_gaps(without(poses, slice(10, 10 + length), ELBOW)).keypoints
    ends = poses.keypoints[[9, 10 + length], ELBOW, :2]
    line = np.linspace(*ends, length + 2)[1:-1]
    np.testing.assert_allclose(filled[10 : 10 + length, ELBOW, :2], line, rtol=1e-6)
    np.testing.assert_array_equal(filled[10 : 10 + length, ELBOW, 2], np.float32(0.4))
    others = np.arange(133) != ELBOW
    np.testing.assert_array_equal(filled[:, others], poses.keypoints[:, others])


@pytest.mark.parametrize("frames", [slice(10, 16), slice(0, 3), slice(27, 30), slice(0, 30)])
def test_a_long_gap_and_one_without_both_ends_stays(frames: slice) -> None:
    """A whole hand is never invented, not in part either."""
    broken = without(sequence(), frames, LEFT_HAND)
    np.testing.assert_array_equal(clean_poses(broken).present, broken.present)
    assert not clean_poses(broken).present[frames, LEFT_HAND].any()
    assert not clean_poses(broken).keypoints[frames, LEFT_HAND, 2].any()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 6))
def test_only_gaps_of_the_length_are_filled(there: list[bool], longest: int) -> None:
    """Against a plain loop over the frames of one point."""
    poses = sequence(len(there))
    broken = poses
    for frame, is_there in enumerate(there):
        if not is_there:
            broken = without(broken, slice(frame, frame + 1), ELBOW)
    expected, frame = list(there), 0
    while frame < len(there):
        end = frame
        while end < len(there) and not there[end]:
            end += 1
        if 0 < frame < end < len(there) and end - frame <= longest:
            expected[frame:end] = [True] * (end - frame)
        frame = max(end, frame + 1)
    filled = fill_gaps(broken, longest)
    assert filled.present[:, ELBOW].tolist() == expected
    np.testing.assert_array_equal(filled.keypoints[there], broken.keypoints[there])


@pytest.mark.parametrize(("point", "window"), [(ELBOW, 7), (FINGER, 5), (30, 7)])
def test_equal_scores_give_scipys_filter(point: int, window: int) -> None:
    poses = sequence()
    expected = savgol_filter(poses.keypoints[:, point, :2].astype(float), window, 2, axis=0, mode="interp")
    np.testing.assert_allclose(smooth(poses).keypoints[:, point, :2], expected, atol=1e-4)
    np.testing.assert_array_equal(smooth(poses).keypoints[..., 2], poses.keypoints[..., 2])


def test_runs_between_missing_frames_are_filtered_by_themselves() -> None:
    poses = without(sequence(40), slice(15, 25), ELBOW)
    found = smooth(poses).keypoints[:, ELBOW, :2]
    for run in (slice(0, 15), slice(25, 40)):
        expected = savgol_filter(poses.keypoints[run, ELBOW, :2].astype(float), 7, 2, axis=0)
        np.testing.assert_allclose(found[run], expected, atol=1e-4)
    assert np.isnan(found[15:25]).all()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_run_too_short_for_a_parabola_is_unchanged(frames: int) -> None:
    poses = sequence(frames)
    np.testing.assert_array_equal(smooth(poses).keypoints, poses.keypoints)


@pytest.mark.parametrize("frames", [4, 5, 6])
def test_a_run_shorter_than_the_window_is_one_parabola(frames: int) -> None:
    poses = sequence(frames)
    time = np.arange(frames)
    expected = np.polyval(np.polyfit(time, poses.keypoints[:, ELBOW, 0].astype(float), 2), time)
    np.testing.assert_allclose(smooth(poses).keypoints[:, ELBOW, 0], expected, atol=1e-4)


@pytest.mark.parametrize("power", [1, 2])
def test_lines_and_parabolas_are_unchanged_whatever_the_scores(power: int) -> None:
    time = np.linspace(-1, 1, 30)[:, None]
    poses = on_curve(100 + 50 * time**power * (1, -0.5))
    scores = np.random.default_rng(0).uniform(0.05, 1.8, poses.keypoints.shape[:2])
    poses.keypoints[..., 2] = scores
    np.testing.assert_allclose(smooth(poses).keypoints, poses.keypoints, atol=1e-3)


def test_a_doubtful_frame_counts_less() -> None:
    poses = on_curve(np.full((21, 2), 100.0))
    poses.keypoints[10, ELBOW, 0] += 20
    sure = abs(smooth(poses).keypoints[:, ELBOW, 0] - 100)
    poses.keypoints[10, ELBOW, 2] = 0.05
    doubtful = abs(smooth(poses).keypoints[:, ELBOW, 0] - 100)
    assert doubtful.max() < 0.15 * sure.max()


def test_scores_of_zero_do_not_break_the_fit() -> None:
    poses = sequence()
    poses.keypoints[5:20, ELBOW, 2] = 0
    assert np.isfinite(smooth(poses).keypoints).all()


def test_jitter_is_reduced_without_lag() -> None:
    time = np.arange(100)
    truth = 100 + 30 * np.stack([np.sin(time / 12), np.cos(time / 12)], 1)
    poses = on_curve(truth)
    poses.keypoints[..., :2] += np.random.default_rng(1).normal(0, 1, (100, 133, 2))
    smoothed = smooth(poses).keypoints

    def error(points: np.ndarray, shift: int = 0) -> float:
        return float(np.sqrt(np.mean((points[10:90, :, :2] - truth[10 + shift : 90 + shift, None]) ** 2)))

    assert error(smoothed[:, :91]) < 0.62 * error(poses.keypoints[:, :91])
    assert error(smoothed[:, 91:]) < 0.75 * error(poses.keypoints[:, 91:])
    assert error(smoothed) < min(error(smoothed, -1), error(smoothed, 1))


def test_a_change_of_the_handshape_is_kept() -> None:
    """A finger that opens within four frames: fingers follow it more closely than the body would."""
    opening = np.clip((np.arange(40) - 18) / 4, 0, 1)
    poses = on_curve(np.stack([100 + 20 * opening, np.full(40, 100.0)], 1))
    smoothed = smooth(poses).keypoints[..., 0]
    error = abs(smoothed - poses.keypoints[..., 0]).max(0)
    assert error[FINGER] < 1.5
    assert error[FINGER] < error[ELBOW]
    np.testing.assert_allclose(smoothed[[15, 26], FINGER], [100, 120], atol=0.1)


def pulldown(poses: PoseSequence, noise: float) -> tuple[PoseSequence, np.ndarray]:
    """Every fifth frame is the one before once more, estimated anew; and the frames of `poses` that are shown."""
    shown = np.array([4 * (frame // 5) + min(frame % 5, 3) for frame in range(len(poses) * 5 // 4)])
    keypoints = poses.keypoints[shown]
    again = np.flatnonzero(np.diff(shown) == 0) + 1
    keypoints[again, :, :2] += np.random.default_rng(2).normal(0, noise, (len(again), 133, 2))
    return replace(poses, keypoints=keypoints), shown


def test_a_picture_that_is_shown_twice_has_one_pose() -> None:
    poses = sequence(40)
    played, shown = pulldown(poses, noise=0.1)
    np.testing.assert_array_equal(repeats(played), np.r_[False, np.diff(shown) == 0])
    cleaned = clean_poses(played).keypoints
    assert not np.diff(cleaned, axis=0)[repeats(played)[1:]].any()
    # As if nothing had been shown twice; smoothed frame by frame, the hands would be elsewhere.
    np.testing.assert_allclose(
        clean_poses(pulldown(poses, noise=0)[0]).keypoints, clean_poses(poses).keypoints[shown], atol=1e-4
    )
    apart = abs(smooth(played).keypoints - clean_poses(poses).keypoints[shown])[:, 91:, :2]
    assert apart.mean() > 5 * abs(cleaned - clean_poses(poses).keypoints[shown])[:, 91:, :2].mean()


def test_a_point_seen_in_one_of_two_equal_pictures_is_seen() -> None:
    played, _ = pulldown(sequence(40), noise=0.1)
    lacking = without(played, slice(8, 9), FINGER)  # 9 shows it again
    np.testing.assert_array_equal(clean_poses(lacking).present, played.present)
    lacking.keypoints[9, FINGER, 2] = 0.7
    assert clean_poses(lacking).keypoints[8, FINGER, 2] == np.float32(0.7)


@pytest.mark.parametrize("frames", [1, 2, 3, 200])
def test_who_moves_evenly_or_holds_still_is_not_repeated(frames: int) -> None:
    still = on_curve(np.full((frames, 2), 100.0))
    still.keypoints[..., :2] += np.random.default_rng(3).normal(0, 0.3, (frames, 133, 2))
    assert not repeats(still).any()
    assert not repeats(sequence(frames)).any()
    np.testing.assert_array_equal(clean_poses(still).keypoints, smooth(still).keypoints)


def test_parts_are_masked() -> None:
    poses = sequence()
    assert mask(poses, ["legs", "feet"]).present.sum(1).tolist() == [133 - 4 - 6] * 30
    assert not mask(poses, ["hands"]).present[:, 91:].any()
    assert mask(poses, ["hands"]).present[:, :91].all()
    np.testing.assert_array_equal(mask(poses, []).keypoints, poses.keypoints)
    with pytest.raises(PoseError, match="did you mean face"):
        mask(poses, ["faces"])


def test_doubtful_points_are_missing_before_gaps_are_filled() -> None:
    poses = sequence()
    poses.keypoints[10:13, ELBOW] = (5000, 5000, 0.1)
    assert not drop_doubtful(poses, 0.3).present[10:13, ELBOW].any()
    cleaned = clean_poses(poses, min_score=0.3)
    assert cleaned.present.all()
    assert cleaned.keypoints[..., :2].max() < 300
    np.testing.assert_array_equal(poses.keypoints[11, ELBOW], np.float32((5000, 5000, 0.1)))


def test_nothing_else_changes() -> None:
    cleaned = clean_poses(sequence())
    assert (cleaned.width, cleaned.height, cleaned.fps, cleaned.skeleton) == (200, 200, 25.0, "coco-wholebody-133")
    assert cleaned.keypoints.dtype == np.float32


@pytest.mark.parametrize("window", [0, 4, -1])
def test_a_window_without_a_middle(window: int) -> None:
    with pytest.raises(PoseError, match="odd"):
        smooth(sequence(), window)


def with_joined_wrists(frames: int = 40, guessed: slice = slice(0, 0)) -> PoseSequence:
    """Wrists taken from the hands' roots, but for the frames `guessed`: no left hand there, its wrist 12 px off."""
    poses = sequence(frames, seed=4)
    points = poses.keypoints
    points[:, 9], points[:, 10] = points[:, 91], points[:, 112]
    points[guessed, 9, :2] = points[guessed, 91, :2] + 12
    return without(poses, guessed, LEFT_HAND)


@pytest.mark.parametrize("twice", [False, True])
def test_a_wrist_and_its_hand_that_are_one_point_stay_one(twice: bool) -> None:
    poses = with_joined_wrists()
    if twice:  # film played faster: pictures are shown twice, and each point taken where it scores most
        poses = pulldown(poses, noise=0)[0]
        poses.keypoints[::2, 9, 2] = 0.7
    cleaned = clean_poses(poses).keypoints
    np.testing.assert_array_equal(cleaned[:, 9, :2], cleaned[:, 91, :2])
    np.testing.assert_array_equal(cleaned[:, 10, :2], cleaned[:, 112, :2])
    assert not np.array_equal(cleaned, poses.keypoints)


def test_smoothing_does_not_run_across_a_jump_to_the_bodys_guess() -> None:
    """Ten frames without the hand: before and after, the wrist is the hand's; within, smoothed by itself."""
    gap = slice(15, 25)
    poses = with_joined_wrists(guessed=gap)
    cleaned = clean_poses(poses).keypoints
    np.testing.assert_array_equal(cleaned[:15, 9, :2], cleaned[:15, 91, :2])
    np.testing.assert_array_equal(cleaned[25:, 9, :2], cleaned[25:, 91, :2])
    alone = replace(poses, keypoints=poses.keypoints[gap])
    np.testing.assert_allclose(cleaned[gap, 9], smooth(alone).keypoints[:, 9], atol=1e-4)
    shoulder = cleaned[:, 5, :2]
    np.testing.assert_array_equal(shoulder, smooth(poses).keypoints[:, 5, :2])


def test_a_wrist_of_its_own_is_left_to_itself() -> None:
    """Of estimators that see hand and body apart, as HRNet: nothing is pulled together."""
    poses = sequence()
    cleaned = clean_poses(poses).keypoints
    assert np.linalg.norm(cleaned[:, 9, :2] - cleaned[:, 91, :2], axis=-1).min() > 1
