"""Hands that read as hands, and what faces do: closed forms on made keypoints, and real faces of the test data."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.pose.hands import HandReading, hand_size
from signgen.metrics.pose.non_manual import blink_f1, blinks, correlation, courses, non_manual
from signgen.poses import read_poses

LEFT, RIGHT = range(91, 112), range(112, 133)
SIZE = (200, 240)


def body(frames: int, seed: int = 0) -> np.ndarray:
    """(frames, 133, 3): seen points; hands 20 px long, each about its own place."""
    rng = np.random.default_rng(seed)
    points = np.full((frames, 133, 3), 0.9, np.float32)
    points[..., :2] = rng.uniform(60, 120, (133, 2))
    for hand, middle in ((LEFT, (150, 150)), (RIGHT, (40, 150))):
        shape = rng.uniform(0, 20, (21, 2))
        shape[[0, 1]] = (0, 0), (20, 20)
        points[:, list(hand), :2] = shape + middle
    return points


def read_hands(reading: HandReading, index: int = 0, track: str = "") -> dict[str, float]:
    blank = np.zeros((8, 8, 3), np.uint8)
    return reading(FramePair(TruthFrame(index, blank), blank, track=track))


def test_an_estimate_that_is_the_truth_reads_as_well_as_it() -> None:
    truth = body(2)
    found = read_hands(HandReading(truth, truth, {"": truth}))
    names = ("finger_pck", "finger_pck_truth", "finger_pck_share", "hands_found", "hands_found_truth")
    assert [found[name] for name in names] == [1] * 5


def test_fingers_count_within_a_tenth_of_the_hand_and_what_is_not_seen_is_missed() -> None:
    truth = body(1)
    size = hand_size(truth[0, list(LEFT)])
    assert size == pytest.approx(20)
    seen = truth.copy()
    seen[0, [95, 96], 0] += 0.09 * size  # near enough
    seen[0, [97, 98, 99], 0] += 0.11 * size  # too far
    seen[0, [120, 121], 2] = 0.1  # not seen
    seen[0, 91, 0] += 100  # a wrist is no finger
    found = read_hands(HandReading(truth, truth, {"": seen}))
    assert found["finger_pck"] == pytest.approx((40 - 3 - 2) / 40)
    assert found["hands_found"] == 1


def test_it_is_a_share_of_what_is_found_on_the_truth() -> None:
    """The estimator misses a hand of the truth too: the model is not charged for it."""
    reference = body(1)
    on_truth, on_model = reference.copy(), reference.copy()
    on_truth[0, list(LEFT), 2] = 0
    on_model[0, list(LEFT), 2] = 0
    on_model[0, list(RIGHT)[1:11], 0] += 50
    found = read_hands(HandReading(reference, on_truth, {"": on_model}))
    assert (found["finger_pck"], found["finger_pck_truth"]) == (0.25, 0.5)
    assert found["finger_pck_share"] == 0.5
    assert (found["finger_hits"], found["finger_hits_truth"]) == (10, 20)
    assert (found["hands_found"], found["hands_found_truth"]) == (0.5, 0.5)


def test_a_hand_elsewhere_is_not_the_hand() -> None:
    truth = body(1)
    seen = truth.copy()
    seen[0, list(LEFT), :2] += 60
    found = read_hands(HandReading(truth, truth, {"": seen}))
    assert (found["hands_found"], found["finger_pck"]) == (0.5, 0.5)


def test_an_estimator_that_sees_no_hands_judges_none() -> None:
    reference = body(10)
    blind = reference.copy()
    blind[1:, 91:, 2] = 0  # hands in one of ten frames
    reading = HandReading(reference, blind, {"": blind})
    assert read_hands(reading) == {}
    assert "finds 10% of the truth's own hands" in reading.why_missing("finger_pck", 10, np.zeros((8, 8, 3)))
    without = reference.copy()
    without[:, 91:, 2] = 0
    assert "no frame of the truth's keypoints has a hand" in HandReading(without, blind, {"": blind}).why_missing(
        "finger_pck", 10, np.zeros((8, 8, 3))
    )


def face(frames: int, **changes: np.ndarray) -> np.ndarray:
    """(frames, 133, 3): a level face; mouth, width, eyes and brows move by the given courses, in px."""
    points = np.full((frames, 133, 3), 0.9, np.float32)
    points[..., :2] = (100, 120)
    place = {36: (80, 100), 39: (90, 100), 42: (110, 100), 45: (120, 100), 30: (100, 118), 8: (100, 150)}
    place |= {37: (83, 97), 38: (87, 97), 40: (87, 103), 41: (83, 103)}
    place |= {43: (113, 97), 44: (117, 97), 46: (117, 103), 47: (113, 103)}
    place |= {48: (90, 133), 54: (110, 133), 62: (100, 132), 66: (100, 134)}
    place |= {n: (80 + 4 * (n - 17), 88) for n in range(17, 27)}
    for number, at in place.items():
        points[:, 23 + number, :2] = at
    zero = np.zeros(frames)
    points[:, 23 + 66, 1] += changes.get("mouth", zero)
    points[:, 23 + 54, 0] += changes.get("width", zero)
    points[:, [23 + n for n in range(17, 27)], 1] -= changes.get("brows", zero)[:, None]
    points[:, [23 + n for n in (40, 41, 46, 47)], 1] -= changes.get("eyes", zero)[:, None]
    return points


def test_measures_are_in_units_of_the_face() -> None:
    raised = face(3, mouth=np.array([0.0, 3, 6]), width=np.array([0.0, 3, 6]), brows=np.array([0.0, 3, 6]))
    found = courses(raised, SIZE)
    assert found["mouth_opening"] == pytest.approx([2 / 30, 5 / 30, 8 / 30], rel=1e-4)
    assert found["mouth_width"] == pytest.approx([20 / 30, 23 / 30, 26 / 30], rel=1e-4)
    assert found["brow_height"] == pytest.approx([12 / 30, 15 / 30, 18 / 30], rel=1e-4)
    assert found["eye_opening"] == pytest.approx([0.6] * 3, rel=1e-4)
    turned = raised.copy()  # by 30 degrees in the picture, twice as large
    angle = np.radians(30)
    turn = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned[..., :2] = (raised[..., :2] - 100) @ turn.T + 100
    again = courses(turned, SIZE)
    for name in ("mouth_opening", "mouth_width", "brow_height", "eye_opening"):
        np.testing.assert_allclose(again[name], found[name], rtol=1e-4)
    assert again["head_roll"] - found["head_roll"] == pytest.approx([30] * 3, abs=2)


def test_a_turned_head_is_seen_as_turned() -> None:
    """The rigid face itself, turned about the vertical and the horizontal and seen by the camera that is assumed."""
    from signgen.metrics.pose.non_manual import _RIGID, _RIGID_3D

    camera = np.array([[SIZE[0], 0, SIZE[0] / 2], [0, SIZE[0], SIZE[1] / 2], [0, 0, 1]], float)
    for pitch, yaw, roll in ((0, 0, 0), (0, 25, 0), (15, 0, 0), (-10, -20, 5)):
        turns = [cv2.Rodrigues(np.radians(v) * axis)[0] for v, axis in zip((pitch, yaw, roll), np.eye(3), strict=True)]
        whole = cv2.Rodrigues(turns[2] @ turns[1] @ turns[0])[0]
        pixels, _ = cv2.projectPoints(_RIGID_3D, whole, np.array([0.0, 0, 2500]), camera, None)
        points = np.full((1, 133, 3), 0.9)
        points[0, [23 + n for n in _RIGID], :2] = pixels[:, 0]
        found = courses(points, SIZE)
        assert found["head_yaw"][0] == pytest.approx(yaw, abs=0.5)
        assert found["head_pitch"][0] == pytest.approx(pitch, abs=0.5)
        assert found["head_roll"][0] == pytest.approx(roll, abs=0.5)


def test_mouths_that_move_alike_correlate_whatever_their_size() -> None:
    time = np.arange(40)
    truth = face(40, mouth=4 + 3 * np.sin(time / 3), width=2 * np.cos(time / 5), brows=2 + np.sin(time / 4))
    alike = face(40, mouth=2 + 1.5 * np.sin(time / 3), width=np.cos(time / 5), brows=2 - np.sin(time / 4))
    found, reasons = non_manual(alike, truth, SIZE, 25)
    assert found["mouth_opening_r"] == pytest.approx(1, abs=1e-3)
    assert found["mouth_width_r"] == pytest.approx(1, abs=1e-3)
    assert found["brow_height_r"] == pytest.approx(-1, abs=1e-3)
    assert "never changes" in reasons["eye_opening_r"]
    assert reasons["blink_f1"] == "the truth does not blink"
    assert found["head_yaw_error"] < 5  # the mouth's corners move, the head does not
    assert correlation(np.arange(9.0), np.arange(9.0)) is None


def test_blinks_are_short_and_matched_one_to_one() -> None:
    opening = np.full(60, 0.3)
    opening[[10, 11, 12]] = 0.05
    opening[30:50] = 0.1  # 20 frames: a look down
    assert blinks(opening, 12) == [(10, 13)]
    assert blink_f1([(10, 13)], [(10, 13)]) == 1
    assert blink_f1([(15, 17)], [(10, 13)]) == 1  # two frames later
    assert blink_f1([(16, 18)], [(10, 13)]) == 0
    assert blink_f1([(10, 13), (30, 32)], [(11, 12)]) == pytest.approx(2 / 3)
    assert blink_f1([(10, 13)], [(9, 11), (12, 14)]) == pytest.approx(2 / 3)
    assert blink_f1([(1, 2)], []) is None


def test_a_face_in_one_point_has_no_angles() -> None:
    point = face(12)
    point[..., :2] = 50
    assert np.isnan(courses(point, SIZE)["head_yaw"]).all()
    _, reasons = non_manual(point, point, SIZE, 25)
    assert "head_yaw_error" in reasons


def test_missing_faces_have_reasons_and_no_numbers() -> None:
    unseen = face(20)
    unseen[..., 2] = 0
    found, reasons = non_manual(unseen, face(20), SIZE, 25)
    assert found == {}
    assert len(reasons) == 8


def test_boxes_of_mouth_eyes_and_brows() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 255, (2, SIZE[1], SIZE[0], 3), dtype=np.uint8)
    points = face(2)
    points[:, 23 + 48 : 23 + 68, :2] = rng.uniform((90, 130), (110, 138), (20, 2))
    shown = truth.copy()
    shown[:, 128:142, 86:114] = cv2.blur(shown[0, 128:142, 86:114], (9, 9))
    scorer = FrameScorer(keypoints=points)
    for index in range(2):
        scorer.update(index, shown[index], truth[index])
    mean = scorer.result()["mean"]
    assert mean["mouth_ssim"] < 0.6
    assert mean["mouth_sharpness"] < 0.3
    assert mean["brows_sharpness"] == pytest.approx(1)
    assert mean["eyes_ssim"] > 0.99


def test_a_real_signers_face(testdata) -> None:
    """Football's signer looks at the camera; a copy of the first frame has no correlation with what she does."""
    poses = read_poses(testdata / "signers/football.mmpose133.json", size=(640, 360))
    found = courses(poses.keypoints, (640, 360))
    assert abs(np.nanmedian(found["head_yaw"])) < 30  # turned a little to her right
    assert abs(np.nanmedian(found["head_roll"])) < 15
    assert 0.1 < np.nanmedian(found["eye_opening"]) < 0.6
    still = np.repeat(poses.keypoints[:1], len(poses), 0)
    same, _ = non_manual(poses.keypoints, poses.keypoints, (640, 360), 30)
    copied, reasons = non_manual(still, poses.keypoints, (640, 360), 30)
    assert same["mouth_opening_r"] == pytest.approx(1)
    assert same["head_yaw_error"] == 0
    assert "mouth_opening_r" in reasons
    assert copied["head_yaw_error"] > 0.5
