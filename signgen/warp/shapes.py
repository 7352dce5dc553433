"""How people hold themselves, wherever they stand and however large they are: shapes in, distances between them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from signgen.warp.anatomy import HEAD, SIDES, Anatomy

ABSENT = 1.0  # distance to a body that does not show an arm that the target has
HAND_ABSENT = 3.0  # and to one without the hand, or without so many of its points


@dataclass(frozen=True)
class Shapes:
    """Of N people. head (N, 73, 2), arms (N, 2, 3, 2): in shoulder widths from the middle of the shoulders.
    hands (N, 2, 21, 2): in palm sizes from the wrist. NaN where not seen.
    """

    head: np.ndarray
    arms: np.ndarray
    hands: np.ndarray

    @classmethod
    def of(cls, bodies: Sequence[Anatomy | None]) -> Shapes:
        """None: nothing is seen."""
        head = np.full((len(bodies), len(HEAD), 2), np.nan)
        arms, hands = np.full((len(bodies), 2, 3, 2), np.nan), np.full((len(bodies), 2, 21, 2), np.nan)
        for number, body in enumerate(bodies):
            if body is None:
                continue
            if len(body.head):
                head[number] = (body.points[list(HEAD)] - body.neck) / body.width
            for place, side in enumerate(SIDES):
                arm, hand = body.arms[side], body.hands[side]
                if arm is not None:
                    arms[number, place] = (arm - body.neck) / body.width
                if hand is not None:
                    hands[number, place] = (hand - hand[0]) / body.palm_size(side)
        return cls(head, arms, hands)

    def gaps(self, target: int, others: Shapes) -> np.ndarray:
        """(N, 3): distances of person `target` of these to each of the others in body, left and right hand.

        Body: the mean of head and arms, each its points' mean distance. A part that the target does not show is 0.
        """
        parts = [_mean_distance(self.head[target], others.head)]
        for arm, theirs in zip(self.arms[target], others.arms.swapaxes(0, 1), strict=True):
            apart = _mean_distance(arm, theirs)
            parts.append(np.where(np.isnan(apart), ABSENT if _seen(arm).any() else np.nan, apart))
        there = ~np.isnan(parts)
        body = np.where(there, parts, 0).sum(0) / np.maximum(there.sum(0), 1)
        hands = [
            _hand_gap(hand, theirs)
            for hand, theirs in zip(self.hands[target], others.hands.swapaxes(0, 1), strict=True)
        ]
        return np.stack([body, *hands], 1)


def _hand_gap(hand: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(21, 2), (N, 21, 2) -> (N,): the points' mean distance, and a price for those that are not seen in both."""
    if not _seen(hand).any():
        return np.zeros(len(others))
    apart = np.nan_to_num(_mean_distance(hand, others))
    return apart + HAND_ABSENT * (1 - (_seen(hand) & _seen(others)).mean(-1))


def _mean_distance(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(K, 2), (N, K, 2) -> (N,) over the points seen in both; NaN where there are none."""
    both = _seen(points) & _seen(others)
    distance = np.where(both, np.linalg.norm(np.nan_to_num(others - points), axis=-1), 0)
    count = both.sum(-1)
    return np.where(count, distance.sum(-1) / np.maximum(count, 1), np.nan)


def _seen(points: np.ndarray) -> np.ndarray:
    return np.isfinite(points[..., 0])
