"""Several frames of one person in; for every target pose the frame whose body, and whose hand, is nearest, out.

A first frame often lacks hands, or shows them from one side. Body and hands are chosen apart, and for a whole sequence
at once: a change from one frame to another has a price, so that pictures do not flicker between two that fit alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from signgen.warp.anatomy import SIDES, Anatomy, anatomy
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.compose import Warped, part_warp

BANKS = 48  # kept at hand
_CHANGE = {"body": 0.25, "hand": 0.6}  # the price of a change, in the units of the distances
_ABSENT = 1.0  # distance to a frame that does not show an arm, or the hand, that the target has


@dataclass(frozen=True)
class Choice:
    """Numbers of the frames that body, left and right hand are taken from."""

    body: int
    left: int
    right: int


class References:
    """Frames of one person, on one canvas.

    keypoints: (133, 3) of each, in its pixels. frame: number -> uint8 (H, W, 3), called for the chosen ones. Frames
    without both shoulders are never chosen; there has to be one with them.
    """

    def __init__(self, keypoints: Sequence[np.ndarray], frame: Callable[[int], np.ndarray]) -> None:
        bodies = [anatomy(points) for points in keypoints]
        self._numbers = [number for number, body in enumerate(bodies) if body is not None]
        self._bodies = [body for body in bodies if body is not None]
        if not self._bodies:
            raise ValueError("no frame with both shoulders")
        self._bank = lru_cache(BANKS)(lambda number: source_bank(frame(number), keypoints[number]))

    def choose(self, keypoints: np.ndarray) -> list[Choice]:
        """(T, 133, 3) of a sequence -> one choice for each of its poses."""
        targets = [anatomy(points) for points in keypoints]
        body = np.array([[_body_gap(target, body) for body in self._bodies] for target in targets])
        chosen = [cheapest_path(body, _CHANGE["body"])]
        for side in SIDES:
            gaps = np.array([[_hand_gap(target, body, side) for body in self._bodies] for target in targets])
            chosen.append(cheapest_path(gaps, _CHANGE["hand"]))
        return [Choice(*(self._numbers[place] for place in places)) for places in zip(*chosen, strict=True)]

    def warp(self, keypoints: np.ndarray, choice: Choice) -> Warped:
        """The person in the pose of (133, 3) keypoints, body and hands from the frames chosen."""
        body = self._known(choice.body)
        hands = {"left": self._known(choice.left), "right": self._known(choice.right)}
        return part_warp(body, keypoints, hands)

    def _known(self, number: int) -> SourceBank:
        bank = self._bank(number)
        assert bank is not None  # it has both shoulders
        return bank


def cheapest_path(costs: np.ndarray, change: float) -> np.ndarray:
    """costs (T, N) -> int (T,): for each row a column, least in sum of costs and of `change` for each that differs from
    the one before (Viterbi)."""
    total = costs[0].astype(np.float64)
    before = np.zeros(costs.shape, int)
    for row in range(1, len(costs)):
        best = int(total.argmin())
        stays = total <= total[best] + change
        before[row] = np.where(stays, np.arange(len(total)), best)
        total = np.where(stays, total, total[best] + change) + costs[row]
    path = np.empty(len(costs), int)
    path[-1] = total.argmin()
    for row in range(len(costs) - 1, 0, -1):
        path[row - 1] = before[row, path[row]]
    return path


def _body_gap(target: Anatomy | None, body: Anatomy) -> float:
    """Mean distance of head, elbows and wrists, in shoulder widths from the middle of the shoulders."""
    if target is None:
        return 0.0
    head = np.intersect1d(target.head, body.head)
    gaps = [np.linalg.norm(_placed(target, head) - _placed(body, head), axis=1).mean()] if len(head) else []
    for side in SIDES:
        here, there = target.arms[side], body.arms[side]
        if here is not None and there is None:
            gaps.append(_ABSENT)
        elif here is not None and there is not None:
            apart = (here - target.neck) / target.width - (there - body.neck) / body.width
            gaps.append(np.linalg.norm(apart, axis=1).mean())
    return float(np.mean(gaps)) if gaps else 0.0


def _placed(body: Anatomy, points: np.ndarray) -> np.ndarray:
    return (body.points[points] - body.neck) / body.width


def _hand_gap(target: Anatomy | None, body: Anatomy, side: str) -> float:
    """Mean distance of the hand's points in palm sizes, from the wrist: its shape and how it is turned."""
    here = None if target is None else target.hands[side]
    there = body.hands[side]
    if target is None or here is None:
        return 0.0
    if there is None:
        return 3 * _ABSENT
    both = np.isfinite(here).all(1) & np.isfinite(there).all(1)
    apart = (here - here[0]) / target.palm_size(side) - (there - there[0]) / body.palm_size(side)
    return float(np.linalg.norm(apart[both], axis=1).mean()) + 3 * _ABSENT * (1 - both.mean())
