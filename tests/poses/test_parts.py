"""Boxes of hands and face, and distances between poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, read_poses
from signgen.poses.parts import part_boxes, part_distances, pose_distance


def pose(seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(20, 80, (133, 2))
    points[5], points[6] = (70, 30), (30, 30)
    return np.concatenate([points, np.ones((133, 1))], 1).astype(np.float32)


def test_box_has_the_margin_and_stays_inside() -> None:
    keypoints = pose()
    keypoints[91:112, :2] = (40, 50)
    keypoints[91, :2], keypoints[92, :2] = (30, 50), (50, 60)
    keypoints[112:133, :2] = (95, 95)
    keypoints[113, :2] = (70, 80)
    boxes = part_boxes(keypoints, 100, 100)
    assert boxes["left_hand"] == (27, 47, 54, 64)
    assert boxes["right_hand"][2:] == (100, 100)
    assert list(boxes) == ["left_hand", "right_hand", "face"]


def test_no_box_without_half_of_the_points_or_outside() -> None:
    keypoints = pose()
    keypoints[91:103] = (np.nan, np.nan, 0)
    keypoints[112:133, :2] += 500
    keypoints[23:91, 2] = 0.1
    assert part_boxes(keypoints, 100, 100) == {"left_hand": None, "right_hand": None, "face": None}


def test_distance_is_zero_for_itself_and_grows() -> None:
    moved = np.stack([pose() + np.array([shift, 0, 0]) for shift in (0, 4, 8)])
    np.testing.assert_allclose(pose_distance(pose(), moved), [0, 0.1, 0.2], atol=1e-6)


def test_distance_does_not_depend_on_scale() -> None:
    big = (2, 2, 1)
    np.testing.assert_allclose(
        pose_distance(pose() * big, np.stack([pose(1) * big])), pose_distance(pose(), pose(1)[None]), rtol=1e-6
    )


def test_nothing_shared_is_infinitely_far() -> None:
    nobody = pose()
    nobody[:] = (np.nan, np.nan, 0)
    assert pose_distance(pose(), nobody[None]).tolist() == [np.inf]
    assert pose_distance(nobody, pose()[None]).tolist() == [np.inf]


def test_a_pose_without_the_hand_is_not_nearer_than_one_with_it() -> None:
    with_hand, without = pose(), pose()
    with_hand[91:112, :2] += 5
    without[91:112] = (np.nan, np.nan, 0)
    near, far = pose_distance(pose(), np.stack([with_hand, without]))
    assert near < far


def test_legs_do_not_count() -> None:
    other = pose()
    other[13:23, :2] += 1000
    assert pose_distance(pose(), other[None])[0] == 0


def test_real_neighbours_are_near(testdata) -> None:
    keypoints = read_poses(testdata / "signers/human_signer_dwpose", size=(480, 480)).keypoints[:96]
    distances = pose_distance(keypoints[50], keypoints)
    assert distances.argmin() == 50
    assert distances[[49, 51]].max() < distances[[20, 70]].min()


def body(**places: tuple[float, float]) -> np.ndarray:
    """(18, 3) of openpose-18: the points named, all others missing."""
    names = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle"
    order = [*names.split(), "r_eye", "l_eye", "r_ear", "l_ear"]
    points = np.full((18, 3), (np.nan, np.nan, 0), np.float32)
    for name, place in places.items():
        points[order.index(name)] = (*place, 1)
    return points


def test_the_head_of_18_points_has_a_box_and_the_hands_have_none() -> None:
    head = {"nose": (50, 40), "r_eye": (45, 35), "l_eye": (55, 35), "r_ear": (40, 37), "l_ear": (60, 37)}
    boxes = part_boxes(body(**head, r_wrist=(20, 90), l_wrist=(80, 90)), 100, 100, margin=0)
    assert boxes["left_hand"] is None
    assert boxes["right_hand"] is None
    assert boxes["face"] == (40, 23, 61, 53)  # 20 wide, 1.4 times as high about 37.5, the last pixel included
    assert part_boxes(body(r_ear=(40, 37), l_ear=(60, 37)), 100, 100)["face"] is None  # seen from behind


def test_distance_of_18_points_is_in_shoulder_widths_and_sees_legs() -> None:
    pose = body(l_shoulder=(70, 30), r_shoulder=(30, 30), l_knee=(60, 80))
    moved = body(l_shoulder=(70, 30), r_shoulder=(30, 30), l_knee=(60, 100))
    np.testing.assert_allclose(pose_distance(pose, moved[None]), [20 / 40 * 1 / 5])  # weights 2, 2, 1
    with pytest.raises(PoseError, match="poses of 133 points; expected 18"):
        pose_distance(pose, np.zeros((1, 133, 3)))
    with pytest.raises(PoseError, match="25 points"):
        part_boxes(np.zeros((25, 3)), 10, 10)


class TestPartDistances:
    def test_known_shifts(self) -> None:
        """Shoulders 40 px apart; the second frame's are not seen, so it says nothing."""
        reference = figure(3)
        reference.keypoints[1, 5] = (np.nan, np.nan, 0)
        moved = replace(reference, keypoints=reference.keypoints.copy())
        moved.keypoints[:, :13, 0] += 4
        moved.keypoints[:, 13:17, 0] += 400  # legs
        moved.keypoints[:, 23:91, 1] += 2
        moved.keypoints[0, 91:112, :2] += (6, 8)
        moved.keypoints[:, 112:, 2] = 0.1  # not seen
        found = part_distances(moved, reference)
        assert found == pytest.approx({"body": 0.1, "hands": 0.125, "face": 0.05})

    def test_nothing_shared(self) -> None:
        blind = figure(2)
        blind.keypoints[:, 91:] = (np.nan, np.nan, 0)
        found = part_distances(figure(2), blind)
        assert np.isnan(found["hands"])
        assert found["body"] == 0

    @pytest.mark.parametrize("changed", [{"width": 99}, {"keypoints": np.ones((1, 133, 3), np.float32)}])
    def test_two_clips(self, changed: dict) -> None:
        with pytest.raises(PoseError, match="one clip"):
            part_distances(replace(figure(2), **changed), figure(2))


def figure(frames: int) -> PoseSequence:
    return PoseSequence(np.stack([pose()] * frames), 100, 100)
