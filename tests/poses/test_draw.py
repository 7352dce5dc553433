"""Pose pictures: where lines are and are not, and that a palette's fingerprint covers what it draws."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from signgen.poses.draw import PALETTES, SIGNGEN_133, Stroke, draw_pose


def person() -> np.ndarray:
    """(133, 3) on a 100x100 frame: every point at its own place, score 1."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(10, 90, (133, 2)), np.ones((133, 1))], 1).astype(np.float32)


def only(*points: int) -> np.ndarray:
    keypoints = person()
    keypoints[[i for i in range(133) if i not in points]] = (np.nan, np.nan, 0)
    return keypoints


def test_nobody_is_black() -> None:
    image = draw_pose(only(), 64, 48)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert not image.any()


def test_a_limb_lies_between_its_points() -> None:
    keypoints = only(5, 7)
    keypoints[5, :2], keypoints[7, :2] = (20, 50), (80, 50)
    lit = draw_pose(keypoints, 100, 100).any(-1)
    assert lit[50, 25:75].all()
    rows, columns = np.nonzero(lit)
    assert rows.min() >= 47
    assert rows.max() <= 53
    assert columns.min() >= 17
    assert columns.max() <= 83


def test_source_size_scales_both_axes() -> None:
    keypoints = only(5, 7)
    keypoints[5, :2], keypoints[7, :2] = (40, 200), (160, 200)
    small = draw_pose(keypoints, 100, 100, source_size=(200, 400))
    keypoints[5, :2], keypoints[7, :2] = (20, 50), (80, 50)
    np.testing.assert_array_equal(small, draw_pose(keypoints, 100, 100))


@pytest.mark.parametrize("missing", [(np.nan, np.nan, 0), (50, 50, 0.29), (np.inf, 3, 1)])
def test_a_missing_or_doubtful_point_draws_nothing(missing: tuple) -> None:
    keypoints = only(5, 7)
    keypoints[7] = missing
    assert not draw_pose(keypoints, 100, 100).any()


def test_legs_and_feet_are_not_drawn() -> None:
    assert not draw_pose(only(*range(13, 23)), 100, 100).any()
    drawn = {point for stroke in SIGNGEN_133.strokes for point in stroke.points}
    assert not drawn & set(range(13, 23))
    assert drawn >= set(range(23, 133)) | set(range(5, 13))


def test_hands_differ_by_side_and_finger() -> None:
    colours = [stroke.colour for stroke in SIGNGEN_133.strokes if stroke.points[0] in (91, 112)]
    assert len(set(colours)) == 10


@pytest.mark.parametrize("size", [128, 256])
def test_fingers_stay_visible(size: int) -> None:
    """One finger of four thin segments lights at least as many pixels as it is long."""
    keypoints = only(91, 92, 93, 94, 95)
    keypoints[91:96, :2] = [(50, 60 - 3 * i) for i in range(5)]
    assert (
        draw_pose(keypoints, size, size, source_size=(100, 100)).max(-1).astype(int).__gt__(60).sum() >= 12 * size / 100
    )


def test_points_far_outside_are_cut() -> None:
    keypoints = person()
    keypoints[7, :2] = (1e12, -1e12)
    assert draw_pose(keypoints, 100, 100).any()


def test_the_name_says_what_is_drawn() -> None:
    assert {name: palette.fingerprint() for name, palette in PALETTES.items()} == {"signgen-133-v1": "70cb85b40312"}, (
        "drawing changed: model folders made before refuse to load; give the palette a new name"
    )


@pytest.mark.parametrize(
    "changed",
    [
        replace(SIGNGEN_133, score_threshold=0.2),
        replace(SIGNGEN_133, strokes=SIGNGEN_133.strokes[::-1]),
        replace(SIGNGEN_133, strokes=(*SIGNGEN_133.strokes, Stroke((0, 1), (1, 2, 3), 0.01))),
    ],
)
def test_fingerprint_covers(changed: object) -> None:
    assert changed.fingerprint() != SIGNGEN_133.fingerprint()


def test_speed() -> None:
    keypoints = person() * (2.5, 2.5, 1)
    draw_pose(keypoints, 256, 256)
    started = time.process_time()
    for _ in range(50):
        draw_pose(keypoints, 256, 256)
    assert 50 / (time.process_time() - started) > 400
