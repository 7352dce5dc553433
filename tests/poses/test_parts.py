"""Boxes of hands and face, and distances between poses."""

from __future__ import annotations

import numpy as np

from signgen.poses import read_poses
from signgen.poses.parts import part_boxes, pose_distance


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
