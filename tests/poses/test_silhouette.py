"""Where a person may be: what the masks hold, and what they leave out."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.poses.parts import visible
from signgen.poses.silhouette import delicate_mask, person_mask
from signgen.synthetic import Identity, Motion, render_clip
from tests.worlds import figure_poses


@pytest.fixture(scope="module")
def drawn():
    """A drawn signer: frames and true keypoints."""
    clip = render_clip(Identity.random(3, "a"), Motion.random(3, 12), name="a")
    return clip


def test_a_drawn_person_lies_within_the_mask_and_the_background_mostly_does_not(drawn):
    frames = np.stack([*drawn.frames])
    empty = np.median(frames[:, :, :6], axis=(0, 2))  # its colour, row by row, at the left border
    for number in (0, 5, 11):
        frame = frames[number].astype(int)
        height, width = frame.shape[:2]
        mask = person_mask(drawn.poses.keypoints[number], width, height)
        person = np.abs(frame - empty[:, None]).max(2) > 40
        assert mask[person].min() > 0.5
        assert (mask < 0.01).mean() > 0.2


def test_keypoints_lie_within_it_at_any_size():
    for scale in (1, 4):
        poses = figure_poses(3).resized(64 * scale, 64 * scale)
        points = poses.keypoints[1]
        mask = person_mask(points, poses.width, poses.height)
        x, y = np.round(points[visible(points), :2]).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < poses.width) & (y < poses.height)
        assert mask[y[inside], x[inside]].min() > 0.6


def test_without_shoulders_nothing_is_known_to_be_background():
    points = figure_poses(1).keypoints[0].copy()
    points[5] = (np.nan, np.nan, 0)
    assert person_mask(points, 64, 64) is None
    assert delicate_mask(points, 64, 64).min() == 1


def test_hands_and_mouth_are_delicate_and_corners_are_not():
    poses = figure_poses(1).resized(256, 256)
    points = poses.keypoints[0]
    mask = delicate_mask(points, 256, 256)
    for part in (range(91, 112), range(112, 133), range(71, 91)):
        x, y = np.round(points[list(part), :2].mean(0)).astype(int)
        assert mask[y, x] > 0.95
    assert mask[:20, :20].max() == 0
