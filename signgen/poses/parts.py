"""Keypoints in; boxes of the hands and the face, and distances between poses, out."""

from __future__ import annotations

import numpy as np

from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

Box = tuple[int, int, int, int]

PARTS = {"left_hand": LAYOUT.left_hand, "right_hand": LAYOUT.right_hand, "face": LAYOUT.face}
SCORE_THRESHOLD = 0.3
_ARMS = range(5, 11)  # shoulders, elbows, wrists
_LEAST_SIDE = 4  # px; smaller boxes say nothing about a hand


def part_boxes(keypoints: np.ndarray, width: int, height: int, margin: float = 0.15) -> dict[str, Box | None]:
    """Boxes (x0, y0, x1, y1), x1 and y1 exclusive, within the frame, of "left_hand", "right_hand" and "face".

    keypoints: (133, 3) in pixels of a `width` x `height` frame. The margin is a fraction of the box's longer side, on
    every side. None where fewer than half of a part's points are seen or nothing of it lies within the frame.
    """
    return {name: _box(keypoints[list(part)], width, height, margin) for name, part in PARTS.items()}


def _box(points: np.ndarray, width: int, height: int, margin: float) -> Box | None:
    seen = points[_visible(points), :2]
    if 2 * len(seen) < len(points):
        return None
    low, high = seen.min(0), seen.max(0)
    reach = margin * float((high - low).max())
    x0, y0 = np.maximum(np.floor(low - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + reach) + 1, (width, height)).astype(int)
    return (int(x0), int(y0), int(x1), int(y1)) if min(x1 - x0, y1 - y0) >= _LEAST_SIDE else None


def seen_frames(poses: PoseSequence) -> dict[str, np.ndarray]:
    """bool (T,) per part that the skeleton has: both shoulders, or half of the points of a hand or face, are seen."""
    layout, seen = poses.layout, _visible(poses.keypoints)
    found = {"shoulders": seen[:, layout.left_shoulder] & seen[:, layout.right_shoulder]}
    for name, part in (("left_hand", layout.left_hand), ("right_hand", layout.right_hand), ("face", layout.face)):
        if len(part):
            found[name] = seen[:, list(part)].mean(1) >= 0.5
    return found


def _visible(keypoints: np.ndarray) -> np.ndarray:
    """bool (..., K): there, and not below the score at which poses are drawn."""
    return np.isfinite(keypoints[..., :2]).all(-1) & (keypoints[..., 2] >= SCORE_THRESHOLD)


def _weights() -> np.ndarray:
    """float (133,): arms 2, other upper body 1, fingers .5 each, face .05 each; legs and feet nothing."""
    weights = np.zeros(LAYOUT.points)
    weights[:13] = 1
    weights[list(_ARMS)] = 2
    weights[list(LAYOUT.face)] = 0.05
    weights[list(LAYOUT.left_hand)] = weights[list(LAYOUT.right_hand)] = 0.5
    return weights


def pose_distance(pose: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Weighted mean distance between the points seen in both, in shoulder widths of `pose` (pixels without shoulders).

    pose: (133, 3); others: (N, 133, 3), same frame size. Returns float64 (N,); inf where no point is shared. A hand
    seen in only one of the two counts as half a shoulder width off, so that it is not better to see nothing.
    """
    weights = _weights()
    seen, there = _visible(pose), _visible(others)
    shared = (seen & there) * weights
    gaps = np.linalg.norm(others[..., :2] - pose[:, :2], axis=-1)
    total = np.where(shared > 0, gaps, 0) * shared
    unit = _shoulder_width(pose)
    alone = np.zeros(LAYOUT.points)
    for hand in (LAYOUT.left_hand, LAYOUT.right_hand):
        alone[list(hand)] = weights[list(hand)]
    only_one = ((seen ^ there) * alone).sum(-1)
    weight = shared.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total.sum(-1) / unit + 0.5 * only_one) / (weight + only_one)
    return np.where(weight > 0, mean, np.inf)


def _shoulder_width(pose: np.ndarray) -> float:
    left, right = pose[LAYOUT.left_shoulder], pose[LAYOUT.right_shoulder]
    width = float(np.linalg.norm(left[:2] - right[:2]))
    return width if np.isfinite(width) and width > 0 else 1.0
