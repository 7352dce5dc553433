"""Several frames of one person in; for every target pose the frame whose body, and whose hand, is nearest, out.

A first frame often lacks hands, or shows them from one side. Body and hands are chosen apart, and for a whole sequence
at once: a change from one frame to another has a price, so that pictures do not flicker between two that fit alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from signgen.warp.anatomy import anatomy
from signgen.warp.bank import SourceBank
from signgen.warp.compose import Warped, part_warp
from signgen.warp.shapes import Shapes

_CHANGE = {"body": 0.25, "hand": 0.6}  # the price of a change, in the units of the distances


@dataclass(frozen=True)
class Choice:
    """Numbers of the frames that body, left and right hand are taken from."""

    body: int
    left: int
    right: int


class References:
    """Frames of one person, on one canvas.

    keypoints: (133, 3) of each, in its pixels. bank: number -> what source_bank makes of that frame, called for the
    chosen ones whenever they are needed. Frames without both shoulders are never chosen; there has to be one with them.
    """

    def __init__(self, keypoints: Sequence[np.ndarray], bank: Callable[[int], SourceBank | None]) -> None:
        bodies = [anatomy(points) for points in keypoints]
        self._numbers = [number for number, body in enumerate(bodies) if body is not None]
        if not self._numbers:
            raise ValueError("no frame with both shoulders")
        self._shapes = Shapes.of([body for body in bodies if body is not None])
        self._bank = bank

    def choose(self, keypoints: np.ndarray) -> list[Choice]:
        """(T, 133, 3) of a sequence -> one choice for each of its poses."""
        targets = Shapes.of([anatomy(points) for points in keypoints])
        costs = np.array([targets.gaps(number, self._shapes) for number in range(len(keypoints))])  # T, N, 3
        body, left, right = costs.transpose(2, 0, 1)
        paths = (
            cheapest_path(body, _CHANGE["body"]),
            cheapest_path(left, _CHANGE["hand"]),
            cheapest_path(right, _CHANGE["hand"]),
        )
        return [Choice(*(self._numbers[place] for place in places)) for places in zip(*paths, strict=True)]

    def nearest(self, keypoints: np.ndarray, allowed: np.ndarray) -> Choice | None:
        """(133, 3) of one pose, bool for each frame -> the nearest among those allowed; None where there are none."""
        barred = ~allowed[self._numbers]
        if barred.all():
            return None
        gaps = Shapes.of([anatomy(keypoints)]).gaps(0, self._shapes)
        best = np.where(barred[:, None], np.inf, gaps).argmin(0)
        return Choice(*(self._numbers[place] for place in best))

    def warp(self, keypoints: np.ndarray, choice: Choice) -> Warped:
        """The person in the pose of (133, 3) keypoints, body and hands from the frames chosen."""
        body, left, right = (self._known(number) for number in (choice.body, choice.left, choice.right))
        return part_warp(body, keypoints, {"left": left, "right": right})

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
