"""Poses in; which way the person faces the camera, and how far two poses are apart in one unit for all pairs."""

from __future__ import annotations

import numpy as np

from signgen.poses.parts import layout_of, pose_distance, visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133, Skeleton

FRONT, BACK, LEFT, RIGHT, UNKNOWN = "front", "back", "left", "right", "unknown"
# Seen from the front the shoulder joints are about .9 of the torso apart, and 2.6 times the nose's height above them:
# half of that is a turn of 60 degrees.
_SIDE_OF_TORSO, _SIDE_OF_NOSE = 0.45, 1.3
FACING = (
    "Which way the person faces, from the shoulders: front where the signer's right one is on the left of the image, "
    "back where it is on the right; left or right (of the image, by the nose) where they are less than "
    f"{_SIDE_OF_TORSO:g} of the torso apart, or, without hips, {_SIDE_OF_NOSE:g} times the nose's height above them; "
    "unknown without shoulders"
)
PAIR_DISTANCE = (
    "Distance of source and target pose: the weighted mean distance of the points seen in both, as nearest-pose takes "
    "it (arms 2, other body 1, fingers .5, face .05; a hand seen in one only counts as half a unit off), in units of "
    "the larger of shoulder width and torso length of the two poses, so that a side view does not enlarge it"
)


def facing(pose: np.ndarray) -> str:
    """FRONT, BACK, LEFT, RIGHT or UNKNOWN, as FACING says, of keypoints (K, 3) in pixels.

    >>> import numpy as np
    >>> pose = np.zeros((18, 3))
    >>> pose[[2, 5, 8, 11, 0]] = (40, 50, 1), (60, 50, 1), (43, 75, 1), (57, 75, 1), (50, 40, 1)
    >>> facing(pose), facing(pose * (-1, 1, 1))
    ('front', 'back')
    """
    layout, seen = layout_of(len(pose)), visible(pose)
    left, right, nose = layout.left_shoulder, layout.right_shoulder, layout.body[0]
    if not (seen[left] and seen[right]):
        return UNKNOWN
    across, middle = pose[left, 0] - pose[right, 0], (pose[left, :2] + pose[right, :2]) / 2
    torso = _torso(pose, layout, seen)
    side = 0.0
    if torso is not None:
        side = _SIDE_OF_TORSO * torso
    elif seen[nose]:
        side = _SIDE_OF_NOSE * abs(float(middle[1] - pose[nose, 1]))
    if abs(across) >= side and across != 0:
        return FRONT if across > 0 else BACK
    if not seen[nose] or pose[nose, 0] == middle[0]:
        return UNKNOWN
    return LEFT if pose[nose, 0] < middle[0] else RIGHT


def pair_distance(source: np.ndarray, target: np.ndarray) -> float | None:
    """The distance that PAIR_DISTANCE describes, of two poses (K, 3) in pixels of one size; None where no point is
    shared, or neither has shoulders or a torso to measure by. Raises PoseError for two skeletons."""
    sizes = [size for pose in (source, target) for size in _sizes(pose)]
    if not sizes:
        return None
    found = float(pose_distance(target, source[None], unit=max(sizes))[0])
    return found if np.isfinite(found) else None


def _sizes(pose: np.ndarray) -> list[float]:
    """Shoulder width and torso length in pixels, those that are seen and not 0."""
    layout, seen = layout_of(len(pose)), visible(pose)
    left, right = layout.left_shoulder, layout.right_shoulder
    width = float(np.linalg.norm(pose[left, :2] - pose[right, :2])) if seen[left] and seen[right] else 0.0
    return [size for size in (width, _torso(pose, layout, seen) or 0.0) if size > 0]


def _torso(pose: np.ndarray, layout: Skeleton, seen: np.ndarray) -> float | None:
    """From the middle of the shoulders to that of the hips, in pixels; None where one of the four is not seen."""
    hips = (11, 12) if layout is COCO_WHOLEBODY_133 else (8, 11)
    corners = [(layout.left_shoulder, layout.right_shoulder), hips]
    if not all(seen[point] for pair in corners for point in pair):
        return None
    upper, lower = (pose[list(pair), :2].mean(0) for pair in corners)
    return float(np.linalg.norm(upper - lower))
