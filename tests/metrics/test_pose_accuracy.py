"""Pose metrics on known cases: a hand moved by known pixels, missing points, a stretched sequence; DTW by recursion."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signgen.errors import PoseError
from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.pose.accuracy import (
    PoseAccuracy,
    SequenceAccuracy,
    dtw_mje,
    joint_errors,
    pairwise_errors,
    warping_path,
)
from tests.metrics.test_scoring import scored, still_clip

SHOULDERS = 40  # px apart
LEFT, RIGHT, FACE = slice(91, 112), slice(112, 133), slice(23, 91)
BODY_JOINTS, HAND_JOINTS = 13, 42


def clip(frames: int = 6) -> np.ndarray:
    """(T, 133, 3), every point seen, hands that move; shoulders 40 px apart."""
    rng = np.random.default_rng(0)
    points = np.full((frames, 133, 3), 0.9, np.float32)
    points[..., :2] = rng.uniform(20, 80, (133, 2))
    points[:, LEFT, 0] += 3 * np.arange(frames)[:, None]
    points[:, RIGHT, 1] -= 2 * np.arange(frames)[:, None] ** 2
    points[:, 5, :2], points[:, 6, :2] = (70, 40), (70 - SHOULDERS, 40)
    return points


def row(points: np.ndarray, truth: np.ndarray, index: int = 0) -> dict[str, float]:
    frame = np.zeros((20, 20, 3), np.uint8)
    return PoseAccuracy(truth, {"": points})(FramePair(TruthFrame(index, frame), frame))


def test_identical_keypoints_are_perfect() -> None:
    found = row(clip(), clip())
    assert set(found) == set(PoseAccuracy.names)
    assert all(value == (1 if "pck" in name else 0) for name, value in found.items())
    assert dtw_mje(clip(), clip()) == 0


@pytest.mark.parametrize(("pixels", "within_10", "within_20"), [(3, 1, 1), (6, 0, 1), (9, 0, 0)])
def test_a_hand_moved_by_known_pixels(pixels: int, within_10: int, within_20: int) -> None:
    """21 of 42 hand points, and of 55 of body and hands, are off by `pixels` of 40."""
    moved = clip()
    moved[:, LEFT, :2] += np.array([0.6, 0.8]) * pixels
    found = row(moved, clip())
    assert found["hand_joint_error"] == pytest.approx(pixels / SHOULDERS / 2, rel=1e-5)
    assert found["body_joint_error"] == found["face_joint_error"] == 0
    for name, within in (("pck_10", within_10), ("pck_20", within_20)):
        assert found[f"hand_{name}"] == pytest.approx((21 + 21 * within) / HAND_JOINTS)
        assert found[name] == pytest.approx(1 - 21 * (1 - within) / (BODY_JOINTS + HAND_JOINTS))


def test_points_unseen_in_either_do_not_count() -> None:
    """Neither a missing point, nor one with a low score, nor legs and feet; nothing takes their place."""
    points, truth = clip(), clip()
    points[:, 91:100] = np.nan
    points[:, 100:105, :2] += 500
    points[:, 100:105, 2] = 0.1
    truth[:, 105:108] = (np.nan, np.nan, 0)
    points[:, 13:23, :2] += 500
    points[:, 110, :2] += (8, 0)
    found = row(points, truth)
    compared = 21 + 21 - 9 - 5 - 3
    assert found["hand_joint_error"] == pytest.approx(8 / SHOULDERS / compared)
    assert found["body_joint_error"] == 0
    assert np.isnan(joint_errors(points, truth)[:, 91:108]).all()


def test_frames_without_hands_have_no_hand_numbers_and_the_mean_leaves_them_out() -> None:
    points, truth = clip(3), clip(3)
    points[1, 91:133] = np.nan
    points[:, 91:133, 0] += 4
    frames = still_clip(3)
    options = {"metrics": [PoseAccuracy(truth, {"": points})], "clip_metrics": [SequenceAccuracy(truth, {"": points})]}
    result = scored(frames, frames, **options)
    assert [frame["hand_joint_error"] for frame in result["per_frame"]] == pytest.approx([0.1, None, 0.1])
    assert result["mean"]["hand_joint_error"] == pytest.approx(0.1)
    assert "dtw_mje" in result["mean"]
    assert "dtw_mje" not in result["per_frame"][0]
    told = "of the points seen in the truth, seen in the generated clip too: body 100.0%, hands 66.7%, face 100.0%"
    assert told in result["notes"]


def test_a_clip_in_which_nobody_is_seen_has_no_numbers_but_reasons() -> None:
    truth, frames = clip(2), still_clip(2)
    nobody = np.full_like(truth, np.nan)
    options = {"metrics": [PoseAccuracy(truth, {"": nobody})], "clip_metrics": [SequenceAccuracy(truth, {"": nobody})]}
    result = scored(frames, frames, **options)
    assert all(result["mean"][name] is None for name in (*PoseAccuracy.names, "dtw_mje"))
    assert "no frame has a hand point" in result["not_computed"]["hand_pck_10"]
    assert "no frame has a body or hand point" in result["not_computed"]["dtw_mje"]


def test_copy_source_is_scored_where_its_pose_is_known() -> None:
    """A frozen pose against moving hands: body and face are right, hands are not."""
    truth, frames = clip(4), still_clip(4)
    seen = {"": truth, "copy-source": np.repeat(truth[:1], 4, 0)}
    options = {"metrics": [PoseAccuracy(truth, seen)], "clip_metrics": [SequenceAccuracy(truth, seen)]}
    baselines = {"copy-source": lambda index, points: frames[0], "nearest-pose": lambda index, points: frames[1]}
    result = scored(frames, frames, baselines=baselines, **options)
    left, right = 3 * np.arange(4) / SHOULDERS, 2 * np.arange(4) ** 2 / SHOULDERS
    expected = float(np.mean((left + right) / 2))
    assert result["mean"]["hand_joint_error"] == 0
    assert result["baselines"]["copy-source"]["hand_joint_error"] == pytest.approx(expected, rel=1e-5)
    assert result["baselines"]["copy-source"]["body_joint_error"] == 0
    assert result["baselines"]["copy-source"]["dtw_mje"] > 0
    assert result["baselines"]["nearest-pose"]["hand_joint_error"] is None


def test_means_over_different_frames_are_told() -> None:
    truth, frames = clip(3), still_clip(3)
    first = truth.copy()
    first[1:, 91:133] = np.nan
    baselines = {"copy-source": lambda index, points: frames[0]}
    result = scored(
        frames, frames, baselines=baselines, metrics=[PoseAccuracy(truth, {"": truth, "copy-source": first})]
    )
    found = [note for note in result["notes"] if "joint_error" in note]
    assert len(found) == 1
    assert found[0].startswith("hand_joint_error of the model is the mean of 3 of 3 frames, of copy-source of 1: they")


def test_the_unit_is_the_median_shoulder_width_and_must_exist() -> None:
    turned = clip(6)
    turned[2, 6, :2] = turned[2, 5, :2]  # seen from the side
    turned[1, 6, :2] = turned[1, 5, :2]
    turned[3, 5] = np.nan
    moved = turned.copy()
    moved[:, LEFT, 0] += SHOULDERS / 2
    np.testing.assert_allclose(joint_errors(moved, turned)[:, LEFT], 0.5, rtol=1e-5)
    turned[:, 5] = np.nan
    with pytest.raises(PoseError, match="without shoulders"):
        joint_errors(moved, turned)
    with pytest.raises(PoseError, match="as the truth's"):
        joint_errors(moved[:2], moved)


@pytest.mark.parametrize("stretch", [(2, 2, 2, 2, 2, 2), (1, 3, 1, 4, 1, 2)])
def test_a_time_stretched_sequence_has_no_dtw_mje(stretch: tuple[int, ...]) -> None:
    truth = clip()
    slow = np.repeat(truth, stretch, 0)
    assert dtw_mje(slow, truth) == dtw_mje(truth, slow) == 0
    assert dtw_mje(slow[::-1], truth) > 0.1


def test_a_displaced_sequence_has_its_displacement() -> None:
    truth = clip()
    moved = np.repeat(truth, 2, 0)
    moved[..., 0] += 10
    still = truth.copy()
    still[:] = truth[0]
    off = still.copy()
    off[..., 0] += 10
    assert dtw_mje(off, still) == pytest.approx(10 / SHOULDERS)
    assert 0 < dtw_mje(moved, truth) <= 10 / SHOULDERS  # warping may do better than the straight path


def test_frames_without_points_are_left_out_of_the_path() -> None:
    truth = clip()
    holes = np.insert(truth, 3, np.nan, axis=0)
    assert dtw_mje(holes, truth) == 0
    assert dtw_mje(np.full_like(truth, np.nan), truth) is None
    apart = truth.copy(), truth.copy()
    apart[0][:, :17] = np.nan
    apart[1][:, 91:] = np.nan
    assert dtw_mje(*apart) is None  # hands in one, body in the other


def test_pairwise_errors_by_hand() -> None:
    points, truth = clip(3)[:, :20], clip(4)[:, :20]
    points[1, 4] = np.nan
    truth[2, 7, 2] = 0
    points[..., 1] += np.arange(20)
    found = list(pairwise_errors(points, truth))
    for i in range(3):
        for j in range(4):
            joints = [k for k in range(20) if not (i == 1 and k == 4) and not (j == 2 and k == 7)]
            gaps = [np.hypot(*(points[i, k, :2] - truth[j, k, :2])) for k in joints]
            assert found[i][j] == pytest.approx(np.mean(gaps), rel=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 10_000),
)
def test_the_warping_path_is_the_best_of_all(rows: int, columns: int, seed: int) -> None:
    costs = np.random.default_rng(seed).integers(0, 5, (rows, columns)).astype(float)

    @lru_cache(None)
    def best(i: int, j: int) -> tuple[float, int]:
        """Over every path from (i, j) to the last corner, forwards, where the tested code goes backwards."""
        if (i, j) == (rows - 1, columns - 1):
            return costs[i, j], 1
        ways = [best(a, b) for a, b in ((i + 1, j), (i, j + 1), (i + 1, j + 1)) if a < rows and b < columns]
        total, steps = min(ways)
        return total + costs[i, j], steps + 1

    assert warping_path(costs) == best(0, 0)
