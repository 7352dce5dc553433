"""Keypoints in; boxes of the hands and the face, and distances between poses, out.

Openpose-18 has neither hands nor a face: its hands have no box, since whatever would be guessed from the wrist could
not be compared with boxes around fingers; its face is where eyes, ears and nose are.
"""

from __future__ import annotations

import numpy as np

from signgen.errors import PoseError
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133, OPENPOSE_18, SKELETONS, Skeleton

Box = tuple[int, int, int, int]

SCORE_THRESHOLD = 0.3
_HEAD_18 = (0, 14, 15, 16, 17)  # nose, eyes, ears
_HEAD_HEIGHT = 1.4  # from the chin to the top of the forehead, in widths from ear to ear
_LEAST_SIDE = 4  # px; smaller boxes say nothing about a hand


def part_boxes(keypoints: np.ndarray, width: int, height: int, margin: float = 0.15) -> dict[str, Box | None]:
    """Boxes (x0, y0, x1, y1), x1 and y1 exclusive, within the frame, of "left_hand", "right_hand" and "face".

    keypoints: (133, 3) or (18, 3) in pixels of a `width` x `height` frame. The margin is a fraction of the box's longer
    side, on every side. None where fewer than half of a part's points are seen or nothing of it lies within the frame,
    and for hands that the skeleton does not have. Raises PoseError for another number of points.
    """
    layout = layout_of(len(keypoints))
    if layout is OPENPOSE_18:
        return {"left_hand": None, "right_hand": None, "face": _head_box(keypoints, width, height, margin)}
    parts = {"left_hand": layout.left_hand, "right_hand": layout.right_hand, "face": layout.face}
    return {name: _box(_extent(keypoints[list(part)]), width, height, margin) for name, part in parts.items()}


_FACE_PARTS = {"brows": range(40, 50), "eyes": range(59, 71), "mouth": range(71, 91)}


def face_part_boxes(keypoints: np.ndarray, width: int, height: int, margin: float = 0.15) -> dict[str, Box | None]:
    """As `part_boxes`, of "brows", "eyes" and "mouth"; empty for a skeleton without a face."""
    if layout_of(len(keypoints)) is not COCO_WHOLEBODY_133:
        return {}
    return {
        name: _box(_extent(keypoints[part.start : part.stop]), width, height, margin)
        for name, part in _FACE_PARTS.items()
    }


def layout_of(points: int) -> Skeleton:
    """The skeleton of so many points. Raises PoseError for another number."""
    for skeleton in SKELETONS.values():
        if skeleton.points == points:
            return skeleton
    raise PoseError(f"{points} points", expected=f"{' or '.join(str(s.points) for s in SKELETONS.values())}")


def _extent(points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and greatest x, y of those seen; None where it is fewer than half."""
    seen = points[visible(points), :2]
    return (seen.min(0), seen.max(0)) if 2 * len(seen) >= len(points) else None


def _head_box(keypoints: np.ndarray, width: int, height: int, margin: float) -> Box | None:
    """As wide as eyes, ears and nose are apart, and as high as a head of that width; none of a head seen from behind,
    of which the ears alone are there.
    """
    found = _extent(keypoints[list(_HEAD_18)])
    if found is None:
        return None
    low, high = found
    half = np.array([(high - low).max() / 2] * 2) * (1, _HEAD_HEIGHT)
    middle = (low + high) / 2
    return _box((np.minimum(low, middle - half), np.maximum(high, middle + half)), width, height, margin)


def _box(extent: tuple[np.ndarray, np.ndarray] | None, width: int, height: int, margin: float) -> Box | None:
    if extent is None:
        return None
    low, high = extent
    reach = margin * float((high - low).max())
    x0, y0 = np.maximum(np.floor(low - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + reach) + 1, (width, height)).astype(int)
    return (int(x0), int(y0), int(x1), int(y1)) if min(x1 - x0, y1 - y0) >= _LEAST_SIDE else None


def seen_frames(poses: PoseSequence) -> dict[str, np.ndarray]:
    """bool (T,) per part that the skeleton has: both shoulders, or half of the points of a hand or face, are seen."""
    layout, seen = poses.layout, visible(poses.keypoints)
    found = {"shoulders": seen[:, layout.left_shoulder] & seen[:, layout.right_shoulder]}
    for name, part in (("left_hand", layout.left_hand), ("right_hand", layout.right_hand), ("face", layout.face)):
        if len(part):
            found[name] = seen[:, list(part)].mean(1) >= 0.5
    return found


def optional_seen(poses: PoseSequence) -> dict[str, np.ndarray]:
    """bool (T,) per kind of optional points: all of them are seen."""
    return {name: np.asarray(visible(points).all(1)) for name, points in poses.extra.items()}


def visible(keypoints: np.ndarray) -> np.ndarray:
    """bool (..., K): there, and not below the score at which poses are drawn."""
    return np.isfinite(keypoints[..., :2]).all(-1) & (keypoints[..., 2] >= SCORE_THRESHOLD)


def _weights(layout: Skeleton) -> np.ndarray:
    """float (K,): arms 2, other body 1, fingers .5 each, face .05 each.

    Feet count nothing, and of 133 points neither do the legs, which are estimated even out of the frame.
    """
    weights = np.zeros(layout.points)
    weights[list(layout.body)] = 1
    weights[list(layout.arms)] = 2
    weights[list(layout.face)] = 0.05
    weights[list(layout.left_hand)] = weights[list(layout.right_hand)] = 0.5
    if layout is COCO_WHOLEBODY_133:
        weights[list(layout.legs)] = 0
    return weights


def pose_distance(pose: np.ndarray, others: np.ndarray, unit: float | None = None) -> np.ndarray:
    """Weighted mean distance between the points seen in both, in units of so many pixels: where None, in shoulder
    widths of `pose` (pixels without shoulders).

    pose: (K, 3); others: (N, K, 3), same skeleton and frame size. Returns float64 (N,); inf where no point is shared.
    A hand seen in only one of the two counts as half a shoulder width off, so that it is not better to see nothing.
    Raises PoseError for poses of two skeletons.
    """
    layout = layout_of(len(pose))
    if others.shape[1] != layout.points:
        raise PoseError(
            f"poses of {others.shape[1]} points", expected=f"{layout.points}, as in the pose they are compared with"
        )
    weights = _weights(layout)
    seen, there = visible(pose), visible(others)
    shared = (seen & there) * weights
    gaps = np.linalg.norm(others[..., :2] - pose[:, :2], axis=-1)
    total = np.where(shared > 0, gaps, 0) * shared
    unit = _shoulder_width(pose, layout) if unit is None else unit
    alone = np.zeros(layout.points)
    for hand in (layout.left_hand, layout.right_hand):
        alone[list(hand)] = weights[list(hand)]
    only_one = ((seen ^ there) * alone).sum(-1)
    weight = shared.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total.sum(-1) / unit + 0.5 * only_one) / (weight + only_one)
    return np.where(weight > 0, mean, np.inf)


def part_distances(poses: PoseSequence, reference: PoseSequence) -> dict[str, float]:
    """Mean distance of "body" (legs left out), "hands" and "face" between two estimates of one clip's 133 points.

    In shoulder widths of the reference, frame by frame, over the points seen in both; NaN where there is none. Raises
    PoseError for sequences of two clips.
    """
    clips = [(len(each), each.width, each.height, each.skeleton) for each in (poses, reference)]
    if clips[0] != clips[1] or reference.layout is not COCO_WHOLEBODY_133:
        described = [f"{frames} frames of {width}x{height}, {name}" for frames, width, height, name in clips]
        raise PoseError(" and ".join(described), expected=f"one clip, {COCO_WHOLEBODY_133.name}")
    places = reference.keypoints[..., :2].astype(np.float64)
    gaps = np.linalg.norm(poses.keypoints[..., :2] - places, axis=-1) / shoulder_widths(reference.keypoints)[:, None]
    gaps[~(visible(poses.keypoints) & visible(reference.keypoints))] = np.nan
    parts = joint_parts(reference.layout.points)
    found = {name: gaps[:, points][np.isfinite(gaps[:, points])] for name, points in parts.items()}
    return {name: float(values.mean()) if len(values) else float("nan") for name, values in found.items()}


def joint_parts(points: int) -> dict[str, list[int]]:
    """The points of "body" (legs left out), "hands" and "face", of a skeleton with so many; feet are in none."""
    layout = layout_of(points)
    return {
        "body": [point for point in layout.body if point not in layout.legs],
        "hands": [*layout.left_hand, *layout.right_hand],
        "face": list(layout.face),
    }


def shoulder_widths(keypoints: np.ndarray) -> np.ndarray:
    """float64 (T,) px of (T, K, 3), whatever the scores; NaN where a shoulder is missing."""
    layout, places = layout_of(keypoints.shape[1]), keypoints[..., :2].astype(np.float64)
    return np.linalg.norm(places[:, layout.left_shoulder] - places[:, layout.right_shoulder], axis=-1)


def _shoulder_width(pose: np.ndarray, layout: Skeleton) -> float:
    left, right = pose[layout.left_shoulder], pose[layout.right_shoulder]
    width = float(np.linalg.norm(left[:2] - right[:2]))
    return width if np.isfinite(width) and width > 0 else 1.0
