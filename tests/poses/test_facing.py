"""Facing by a body that is turned in space, and the distance of pairs against a few lines of its definition."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.poses.facing import facing, pair_distance
from tests.worlds import figure_poses

# x across, y down, z towards the camera; a person who looks at it. Nose, shoulders, hips, in shoulder widths.
BODY = {
    "nose": (0, -0.4, 0.3),
    "left": (0.5, 0, 0),
    "right": (-0.5, 0, 0),
    "hip": (0.35, 1.1, 0),
    "other": (-0.35, 1.1, 0),
}
PLACES = {
    133: {"nose": 0, "left": 5, "right": 6, "hip": 11, "other": 12},
    18: {"nose": 0, "left": 5, "right": 2, "hip": 11, "other": 8},
}


def turned(degrees: float, points: int, hips: bool = True) -> np.ndarray:
    """The body turned to its own right, which is the left of the image, and projected."""
    angle = np.radians(degrees)
    pose = np.full((points, 3), np.nan)
    for name, place in PLACES[points].items():
        x, y, z = BODY[name]
        if hips or name not in ("hip", "other"):
            pose[place] = (200 + 80 * (x * np.cos(angle) - z * np.sin(angle)), 100 + 80 * y, 1)
    return pose


@pytest.mark.parametrize("points", [18, 133])
@pytest.mark.parametrize("hips", [True, False])
def test_a_turned_body_faces_where_it_looks(points: int, hips: bool) -> None:
    found = {degrees: facing(turned(degrees, points, hips)) for degrees in (0, 40, -40, 90, -90, 140, -140, 180)}
    assert found == {
        0: "front",
        40: "front",
        -40: "front",
        90: "left",
        -90: "right",
        140: "back",
        -140: "back",
        180: "back",
    }
    assert facing(turned(70, points, hips)) == "left"


def test_what_is_not_seen_is_unknown() -> None:
    pose = turned(0, 133)
    pose[5, 2] = 0
    assert facing(pose) == "unknown"
    side = turned(90, 133)
    side[0, 2] = 0
    assert facing(side) == "unknown"
    assert pair_distance(pose, np.full((133, 3), np.nan)) is None


def test_the_distance_of_a_pair_is_in_units_of_the_body() -> None:
    """Moved by 12 px: 12 over the torso of 28, which is longer than the shoulders' 16; scale changes nothing."""
    one = figure_poses(1).keypoints[0]
    other = one.copy()
    other[:, 0] += 12
    assert pair_distance(one, other) == pytest.approx(12 / 28, rel=1e-6)
    assert pair_distance(other, one) == pair_distance(one, other)
    near, far = one.copy(), other.copy()
    near[:, :2], far[:, :2] = 3 * near[:, :2], 3 * far[:, :2]
    assert pair_distance(near, far) == pytest.approx(12 / 28, rel=1e-6)
    arms = one.copy()
    arms[5:11, 1] += 14  # six points of weight 2
    weight = 2 * 6 + (13 - 6) + 42 * 0.5 + 68 * 0.05
    torso = np.hypot(0, 54 - 26)
    assert pair_distance(one, arms) == pytest.approx(12 * (14 / torso) / weight, rel=1e-5)
    handless = one.copy()
    handless[91:112, 2] = 0
    rest = weight - 21 * 0.5
    assert pair_distance(one, handless) == pytest.approx(0.5 * 21 * 0.5 / (rest + 21 * 0.5), rel=1e-6)


def test_a_side_view_does_not_enlarge_the_distance() -> None:
    """Both poses from the side: shoulder widths of 0, so that the torso is the unit."""
    side, moved = turned(90, 18), turned(90, 18)
    moved[:, 1] += 8
    assert pair_distance(side, moved) == pytest.approx(8 / (1.1 * 80), rel=1e-6)
