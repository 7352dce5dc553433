"""Keypoints of one person in; which parts of the body are there, where they are and how large, out.

Points of COCO-WholeBody-133, in pixels. A part without evidence is None and is left out, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.poses.parts import SCORE_THRESHOLD
from signgen.poses.skeletons import COCO_WHOLEBODY_133

_ARMS = {"left": (5, 7, 9), "right": (6, 8, 10)}  # shoulder, elbow, wrist
_HIPS = (11, 12)
FACE = tuple(COCO_WHOLEBODY_133.face)
HEAD = (*range(5), *FACE)
_HANDS = {"left": COCO_WHOLEBODY_133.left_hand, "right": COCO_WHOLEBODY_133.right_hand}
_LEAST_HEAD_POINTS = 3
_LEAST_FINGER_POINTS = 8

SIDES = ("left", "right")
# Half a limb's thickness in shoulder widths, sleeve included; fingers and the palm's margin in palm sizes.
UPPER_ARM, FOREARM = 0.17, 0.14
FINGER, PALM_MARGIN = 0.34, 0.4
_LEAST_PALM = 0.1  # shoulder widths; a palm seen edge-on is still as thick as its fingers

PALM = (0, 1, 5, 9, 13, 17)  # wrist, thumb's first point and the knuckles
PHALANGES = tuple((point, point + 1) for finger in range(5) for point in range(4 * finger + 1, 4 * finger + 4))


@dataclass(frozen=True)
class Anatomy:
    """One person, float32 pixels.

    points (133, 2), NaN where not seen. shoulders (2, 2): left, right. hips (2, 2) or None. head: indices into `points`
    of what is seen of the head, maybe none. arms[side] (3, 2): shoulder, elbow, wrist, or None. hands[side] (21, 2),
    NaN where a finger's point is not seen, or None where the wrist or most points are not.
    """

    points: np.ndarray
    shoulders: np.ndarray
    hips: np.ndarray | None
    head: np.ndarray
    arms: dict[str, np.ndarray | None]
    hands: dict[str, np.ndarray | None]

    @property
    def width(self) -> float:
        """From shoulder to shoulder."""
        return float(np.linalg.norm(self.shoulders[0] - self.shoulders[1]))

    @property
    def neck(self) -> np.ndarray:
        """Middle of the shoulders, (2,)."""
        return self.shoulders.mean(0)

    def head_centre(self) -> np.ndarray:
        """(2,); where nothing of a head is seen, above the shoulders."""
        if len(self.head) < _LEAST_HEAD_POINTS:
            return self.neck - np.array([0, 0.7 * self.width], np.float32)
        return self.points[self.head].mean(0)

    def palm_size(self, side: str) -> float:
        """Root mean square distance of the palm's seen points from their middle, in pixels; of a palm that is turned
        away, that of a small one. Raises KeyError for a hand that is not seen.
        """
        hand = self.hands[side]
        if hand is None:
            raise KeyError(side)
        palm = hand[list(PALM)]
        palm = palm[np.isfinite(palm).all(1)]
        return max(1.0, _LEAST_PALM * self.width, float(np.sqrt(((palm - palm.mean(0)) ** 2).sum(1).mean())))


def anatomy(keypoints: np.ndarray) -> Anatomy | None:
    """(133, 3) keypoints of one frame -> what is seen of the person; None without both shoulders."""
    seen = np.isfinite(keypoints[:, :2]).all(1) & (keypoints[:, 2] >= SCORE_THRESHOLD)
    points = np.where(seen[:, None], keypoints[:, :2], np.nan).astype(np.float32)
    shoulders = points[[5, 6]]
    if not np.isfinite(shoulders).all() or np.linalg.norm(shoulders[0] - shoulders[1]) < 1:
        return None
    head = np.array([point for point in HEAD if seen[point]], int)
    return Anatomy(
        points=points,
        shoulders=shoulders,
        hips=points[list(_HIPS)] if seen[list(_HIPS)].all() else None,
        head=head if len(head) >= _LEAST_HEAD_POINTS else head[:0],
        arms={side: points[list(arm)] if seen[list(arm)].all() else None for side, arm in _ARMS.items()},
        hands={side: _hand(points[list(hand)]) for side, hand in _HANDS.items()},
    )


def _hand(points: np.ndarray) -> np.ndarray | None:
    seen = np.isfinite(points).all(1)
    return points if seen[0] and seen.sum() >= _LEAST_FINGER_POINTS and seen[list(PALM)].sum() >= 3 else None
