"""Poses of one person and those of another in; the first one's movement on the second one's body and frame out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.parts import SCORE_THRESHOLD
from signgen.poses.sequence import PoseSequence

_WHOLE_BODY = "coco-wholebody-133"
_HEAD = (*range(5), *range(23, 91))  # nose, eyes and ears of the body, and the face
_EYES = (range(59, 65), range(65, 71))
_BODY_EYES = (2, 1)
_HANDS = ((9, range(91, 112)), (10, range(112, 133)))  # the body's wrist, and the hand, whose first point is its own
_KNUCKLES = (5, 9, 13, 17)  # of a hand


@dataclass(frozen=True)
class Proportions:
    """Of a person over a clip, in pixels; NaN where the clip never shows it.

    shoulders, palm, eyes: lengths, medians but for the palm, its upper quartile. anchor: (2,), the median middle of
    the shoulders.
    """

    shoulders: float
    palm: float
    eyes: float
    anchor: np.ndarray


@dataclass(frozen=True)
class Scales:
    """Target over driving person, 1 where they are alike; shift: how far the middle of the shoulders moves, in px."""

    body: float
    hands: float
    face: float
    shift: tuple[float, float]

    def __str__(self) -> str:
        shift = f"{self.shift[0]:+.1f}, {self.shift[1]:+.1f} px"
        return f"body x{self.body:.3f}, hands x{self.hands:.3f}, face x{self.face:.3f}, shoulders moved by {shift}"


def measure(poses: PoseSequence) -> Proportions:
    """Lengths and places of a person: medians over all frames, so that a few broken frames change nothing.

    A palm is the longest line from the wrist to a knuckle, both hands taken together. Its upper quartile counts:
    hands that point at the camera look short, in some clips more often than not. Raises PoseError when both
    shoulders are never seen in one frame, or the skeleton is not the whole body.
    """
    if poses.skeleton != _WHOLE_BODY:
        raise PoseError(f"poses of skeleton {poses.skeleton}", expected=f"{_WHOLE_BODY} to retarget")
    points = poses.keypoints[..., :2].astype(np.float64)
    points[~(poses.present & (poses.keypoints[..., 2] >= SCORE_THRESHOLD))] = np.nan
    left, right = points[:, poses.layout.left_shoulder], points[:, poses.layout.right_shoulder]
    shoulders = _median(np.linalg.norm(left - right, axis=-1))
    if not shoulders > 0:
        raise PoseError("no frame shows both shoulders", expected="poses whose shoulders are seen, to retarget")
    palms = [
        np.linalg.norm(points[:, [hand[knuckle] for knuckle in _KNUCKLES]] - points[:, hand[:1]], axis=-1).max(1)
        for _, hand in _HANDS
    ]
    one, other = _eyes(points)
    return Proportions(
        shoulders,
        _quantile(np.concatenate(palms), 0.75),
        _median(np.linalg.norm(one - other, axis=-1)),
        _median((left + right) / 2),
    )


def scales(poses: PoseSequence, target: PoseSequence) -> Scales:
    """How `poses` are scaled and moved to fit the person of `target`.

    Where either of them never shows a hand or the eyes, these are scaled as the body is.
    """
    return _scales(measure(poses), measure(target))


def retarget(poses: PoseSequence, target: PoseSequence) -> PoseSequence:
    """`poses` performed by the person of `target`, on the target's frame; pixels are taken to be square in both.

    The body is scaled about the middle of the shoulders, whose usual place comes to lie where the target's does. A
    hand then gets its own size about its wrist, the head about the middle of its eyes. Scores, missing points and fps
    stay those of `poses`.
    """
    ours, theirs = measure(poses), measure(target)
    scale = _scales(ours, theirs)
    points = poses.keypoints[..., :2].astype(np.float64)
    moved = (points - ours.anchor) * scale.body + theirs.anchor
    one, other = _eyes(points)
    parts = [(_or_middle((one + other) / 2, points, _HEAD), _HEAD, scale.face)]
    for wrist, hand in _HANDS:
        own = points[:, hand[0]]
        root = np.where(np.isfinite(own), own, points[:, wrist])
        parts.append((_or_middle(root, points, hand), tuple(hand), scale.hands))
    for anchor, part, size in parts:
        place = (anchor - ours.anchor) * scale.body + theirs.anchor
        moved[:, list(part)] = place[:, None] + (points[:, list(part)] - anchor[:, None]) * size
    keypoints = poses.keypoints.copy()
    keypoints[..., :2] = moved
    return replace(poses, keypoints=keypoints, width=target.width, height=target.height)


def _scales(ours: Proportions, theirs: Proportions) -> Scales:
    body = theirs.shoulders / ours.shoulders

    def ratio(target: float, driving: float) -> float:
        return target / driving if target > 0 and driving > 0 else body

    shift = theirs.anchor - ours.anchor
    hands, face = ratio(theirs.palm, ours.palm), ratio(theirs.eyes, ours.eyes)
    return Scales(body, hands, face, (float(shift[0]), float(shift[1])))


def _eyes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the two eyes, (T, 2) each: the face's, where both are there, else the body's."""
    first, second = (_mean(points[:, list(eye)], whole=True) for eye in _EYES)
    there = np.isfinite(first + second)
    one, other = (points[:, eye] for eye in _BODY_EYES)
    return np.where(there, first, one), np.where(there, second, other)


def _or_middle(anchor: np.ndarray, points: np.ndarray, part: Iterable[int]) -> np.ndarray:
    """(T, 2): the anchor, or where it is missing the middle of what is there of the part."""
    return np.where(np.isfinite(anchor), anchor, _mean(points[:, list(part)]))


def _mean(points: np.ndarray, whole: bool = False) -> np.ndarray:
    """Mean over axis 1 of (T, n, 2) without missing points, or only where none is missing; NaN where there is none."""
    there = np.isfinite(points)
    count = there.sum(1)
    enough = count == points.shape[1] if whole else count > 0
    return np.where(enough, np.where(there, points, 0).sum(1) / np.maximum(count, 1), np.nan)


def _median(values: np.ndarray) -> Any:
    return _quantile(values, 0.5)


def _quantile(values: np.ndarray, share: float) -> Any:
    """Over the first axis, without NaN: a number for (T,), else an array; NaN where nothing is left."""
    there = values[np.isfinite(values).reshape(len(values), -1).all(1)]
    return np.quantile(there, share, axis=0) if len(there) else np.full(values.shape[1:], np.nan)
