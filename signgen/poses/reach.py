"""Where a signer is in all frames of a clip: keypoints in, one rectangle that holds head and hands out.

Build-pairs and rendering crop by the same rule, so that a model sees every signer at one scale.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from signgen.errors import PoseError
from signgen.poses.parts import visible
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133

Rectangle = tuple[int, int, int, int]  # x, y, width, height

# In shoulder widths.
_MARGIN, _HAIR, _CHEST = 0.3, 0.5, 1.2
_FARTHEST = 3.5  # from the neck; a hand that is farther away is a wrong keypoint
_HEADS = {133: (*range(5), *COCO_WHOLEBODY_133.face), 18: (0, 14, 15, 16, 17)}


def signer_rectangle(sequences: Iterable[PoseSequence]) -> Rectangle:
    """One rectangle for all poses of the sequences, which are on frames of one size: head, shoulders, chest and both
    hands in every frame, with a margin; square where the frame has room, even sides, within the frame.

    Raises PoseError where no frame shows both shoulders.
    """
    lows, highs, size = [], [], (0, 0)
    for poses in sequences:
        size = (poses.width, poses.height)
        found = _extent(poses)
        if found is not None:
            lows.append(found[0])
            highs.append(found[1])
    if not lows:
        raise PoseError("no frame shows both shoulders, so that the signer's size is not known", fix="use --crop none")
    return _squared(np.min(lows, 0), np.max(highs, 0), size)


def _extent(poses: PoseSequence) -> tuple[np.ndarray, np.ndarray] | None:
    """Least and greatest x, y of what has to be in view, margin included."""
    layout, seen = poses.layout, visible(poses.keypoints)
    both = seen[:, layout.left_shoulder] & seen[:, layout.right_shoulder]
    if not both.any():
        return None
    points = np.where(seen[..., None], poses.keypoints[..., :2], np.nan).astype(np.float64)
    left, right = points[both, layout.left_shoulder], points[both, layout.right_shoulder]
    unit = float(np.median(np.linalg.norm(left - right, axis=1)))  # of the clip: a turn makes single frames narrow
    neck = np.nanmedian((left + right) / 2, 0)

    def near(part: np.ndarray, above: float = 0.0, below: float = 0.0) -> list[np.ndarray]:
        kept = part.reshape(-1, 2)
        kept = kept[np.linalg.norm(kept - neck, axis=1) < _FARTHEST * unit]
        return [kept - np.array([0, above * unit]), kept + np.array([0, below * unit])]

    heads = near(points[:, list(_HEADS[layout.points])], above=_HAIR)
    hands = near(points[:, [*layout.wrists, *layout.left_hand, *layout.right_hand]])
    shoulders = near(points[:, [layout.left_shoulder, layout.right_shoulder]], below=_CHEST)
    there = np.concatenate([*heads, *hands, *shoulders])
    return there.min(0) - _MARGIN * unit, there.max(0) + _MARGIN * unit


def _squared(low: np.ndarray, high: np.ndarray, size: tuple[int, int]) -> Rectangle:
    """Grown to a square where the frame has room, moved inside of it, on even pixels."""
    limits = np.array(size)
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    side = np.minimum(float((high - low).max()), limits)
    middle = (low + high) / 2
    start = np.clip(middle - side / 2, 0, limits - side)
    x, y = (2 * np.floor(start / 2)).astype(int)
    width, height = np.minimum(2 * np.ceil((start + side - (x, y)) / 2), limits - (x, y)).astype(int)
    return int(x), int(y), int(width), int(height)
