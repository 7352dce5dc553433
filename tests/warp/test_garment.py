"""Another person's clothes, on drawn signers whose truth is known: what stays to the byte, and what is theirs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.models.canvas import Canvas
from signgen.pairs.crops import crop_for
from signgen.poses.parts import part_boxes
from signgen.poses.sequence import PoseSequence
from signgen.rendering.garment import banks_of, compose
from signgen.rendering.source import Garment, Source, fitted
from signgen.synthetic.clip import render_frames
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.warp.compose import part_warp
from tests.rendering.test_renderer import renderer

SIZE = (210, 260)
RED, GREEN = (150.0, 40.0, 46.0), (70.0, 120.0, 96.0)
PERSON = replace(Identity.random(3), cloth=RED, stripe=None, sleeve=0.9)
OTHER = replace(Identity.random(5), cloth=GREEN, stripe=None, sleeve=0.9)
TRUE = replace(PERSON, cloth=GREEN, neckline=OTHER.neckline, buttons=OTHER.buttons)


@lru_cache
def drawn(who: str, number: int) -> tuple[np.ndarray, PoseSequence]:
    identity = {"person": PERSON, "other": OTHER, "true": TRUE}[who]
    motion = Motion.random(5 if who == "other" else 4, 30)
    frames, points = render_frames(identity, motion, [number], SIZE)
    return frames[0], PoseSequence(points, *SIZE)


@pytest.fixture(scope="module")
def composed() -> np.ndarray:
    return compose(*drawn("person", 8), *drawn("other", 12))[0]


def trunk(pose: PoseSequence) -> np.ndarray:
    """bool (H, W): a box between shoulders and hips, without hands and arms."""
    points = pose.all_points[0][:, :2]
    mask = np.zeros(SIZE[::-1], np.uint8)
    left, top, bottom = points[[5, 6], 0].min() + 18, points[[5, 6], 1].min() + 16, points[[11, 12], 1].min()
    mask[int(top) : int(min(bottom, SIZE[1])), int(left) : int(points[[5, 6], 0].max() - 18)] = 1
    for points_of in (range(91, 112), range(112, 133), (7, 9), (8, 10)):
        hull = cv2.convexHull(np.rint(points[list(points_of)]).astype(np.int32))
        cv2.drawContours(mask, [hull], -1, 0, 24)
        cv2.fillConvexPoly(mask, hull, 0)
    return mask.astype(bool)


def away(image: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    return float(np.abs(image.astype(int) - other)[mask].mean())


def test_face_hands_and_background_are_the_sources_own_bytes(composed: np.ndarray) -> None:
    frame, pose = drawn("person", 8)
    boxes = part_boxes(pose.all_points[0], *SIZE, margin=0.0)
    x0, y0, x1, y1 = boxes["face"]
    np.testing.assert_array_equal(composed[y0 : y1 - 4, x0 + 3 : x1 - 3], frame[y0 : y1 - 4, x0 + 3 : x1 - 3])
    for column, row in np.rint(pose.all_points[0][91:, :2]).astype(int):
        if 0 <= column < SIZE[0] and 0 <= row < SIZE[1]:
            np.testing.assert_array_equal(composed[row, column], frame[row, column])
    above = int(pose.all_points[0][[5, 6], 1].min() - 0.5 * np.ptp(pose.all_points[0][[5, 6], 0]))
    assert above > pose.all_points[0][0, 1]  # down to below the nose: hair, eyes, and all beside them
    np.testing.assert_array_equal(composed[:above], frame[:above])
    np.testing.assert_array_equal(composed[:, :8], frame[:, :8])


def test_the_trunk_is_the_garments(composed: np.ndarray) -> None:
    frame, pose = drawn("person", 8)
    truth, _ = drawn("true", 8)
    mask = trunk(pose)
    assert mask.sum() > 500
    assert away(composed, truth, mask) < 0.2 * away(frame, truth, mask)
    red, green, _ = composed[mask].mean(0)
    assert green > red + 20


def test_a_person_in_their_own_clothes_stays_as_they_are() -> None:
    frame, pose = drawn("person", 8)
    again, missing = compose(frame, pose, frame, pose)
    assert missing == ()
    assert np.abs(again.astype(int) - frame).mean() < 2


def test_an_arm_that_the_garment_lacks_stays_the_persons() -> None:
    frame, pose = drawn("person", 8)
    garment, theirs = drawn("other", 12)
    points = theirs.all_points.copy()
    points[:, 7] = np.nan
    shown, missing = compose(frame, pose, garment, theirs.with_points(points))
    assert missing == ("left",)
    elbow = np.rint(pose.all_points[0, 7, :2]).astype(int)
    red, green, _ = shown[elbow[1] - 2 : elbow[1] + 3, elbow[0] - 2 : elbow[0] + 3].reshape(-1, 3).mean(0)
    assert red > green + 20


def test_moved_to_another_pose_the_clothes_come_along() -> None:
    pose, theirs = drawn("person", 8)[1], drawn("other", 12)[1]
    bank, worn = banks_of(drawn("person", 8)[0], pose.all_points[0], drawn("other", 12)[0], theirs.all_points[0])
    truth, target = drawn("true", 20)
    own, _ = drawn("person", 20)
    moved = part_warp(bank, target.all_points[0], worn=worn).image
    mask = trunk(target)
    assert away(moved, truth, mask) < 0.25 * away(own, truth, mask)


def test_a_garment_of_another_size_and_shape_is_fitted_without_squashing() -> None:
    picture, pose = drawn("other", 12)
    wide = cv2.copyMakeBorder(cv2.resize(picture, None, fx=2, fy=2), 0, 0, 300, 100, cv2.BORDER_REPLICATE)
    points = pose.all_points * np.array([2, 2, 1], np.float32) + np.array([300, 0, 0], np.float32)
    frame, found = fitted(wide, PoseSequence(points, wide.shape[1], wide.shape[0]), SIZE)
    assert frame.shape == (260, 210, 3)
    assert (found.width, found.height) == SIZE
    before, after = (np.ptp(each.all_points[0, [5, 6, 11], :2], axis=0) for each in (pose, found))
    assert after[0] / before[0] == pytest.approx(after[1] / before[1], rel=0.02)
    middle = np.rint(found.all_points[0, [5, 6, 11, 12], :2].mean(0)).astype(int)
    there = np.rint(pose.all_points[0, [5, 6, 11, 12], :2].mean(0)).astype(int)
    assert np.abs(frame[middle[1], middle[0]].astype(int) - picture[there[1], there[0]]).max() < 12


def test_a_cropped_source_squashes_no_clothes() -> None:
    """A studio's wide frame, of which the model sees a narrow part: the garment keeps its proportions."""
    (frame, pose), (garment, theirs) = drawn("person", 8), drawn("other", 12)
    wide = cv2.copyMakeBorder(frame, 0, 0, 200, 300, cv2.BORDER_REPLICATE)
    points = pose.all_points + np.array([200, 0, 0], np.float32)
    pose = PoseSequence(points, wide.shape[1], wide.shape[0])
    found = Garment(*fitted(garment, theirs, (wide.shape[1], wide.shape[0])), wide)
    crop = crop_for([pose], "signer")
    assert crop is not None
    cropped = Source(wide, pose, "me", crop=crop, garment=found).cropped().garment
    assert cropped is not None
    assert cropped.frame.shape == cropped.plain.shape == (crop.height, crop.width, 3)
    before, after = (np.ptp(each.all_points[0, [5, 6, 11], :2], axis=0) for each in (theirs, cropped.pose))
    assert after[0] / before[0] == pytest.approx(after[1] / before[1], rel=0.02)


def test_both_have_to_show_their_shoulders() -> None:
    frame, pose = drawn("person", 8)
    points = pose.all_points.copy()
    points[:, 5] = np.nan
    with pytest.raises(PoseError, match="without both shoulders"):
        compose(frame, pose, frame, pose.with_points(points))


def test_the_renderer_warps_the_garments_own_picture() -> None:
    """A tiny model with the part warp: what it is given of the trunk is the garment's, cropped or not."""
    (frame, pose), (garment, theirs) = drawn("person", 8), drawn("other", 12)
    shown, _ = compose(frame, pose, garment, theirs)
    plain = Source(frame, pose, "me")
    dressed = replace(plain, frame=shown, garment=Garment(garment, theirs, frame))
    assert dressed.plain is frame
    ours, (_, target) = renderer(window=0), drawn("person", 20)
    ours.canvas = Canvas(*SIZE)
    mask = trunk(target)
    colours = [ours.part_warps(source, target)([0])[0][..., :3][mask].mean(0) for source in (plain, dressed)]
    assert colours[0][0] > colours[0][1] + 20
    assert colours[1][1] > colours[1][0] + 20
