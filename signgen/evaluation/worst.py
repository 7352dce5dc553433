"""Pictures of the worst frames, kept while others stream by: rows and frames in; the few that a report shows out."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signgen.metrics.directions import direction_of


@dataclass(order=True)
class _Kept:
    rank: tuple[float, int]
    pictures: tuple[np.ndarray, np.ndarray] = field(compare=False)


class WorstPictures:
    """The `count` pairs of frames that are worst by `metric`; of equals the first. Memory does not grow."""

    def __init__(self, metric: str, count: int) -> None:
        self.metric, self._count = metric, count
        self._kept: list[_Kept] = []

    def add(self, row: Mapping[str, Any], generated: np.ndarray, truth: np.ndarray) -> None:
        """Take in a scored pair, uint8 (H, W, 3) each; its number is the row's `frame`."""
        direction = direction_of(self.metric)
        loss = None if direction is None else direction.loss(self.metric, row)
        if loss is not None and (len(self._kept) < self._count or (-loss, row["frame"]) < self._kept[-1].rank):
            self._insert(_Kept((-loss, row["frame"]), (generated.copy(), truth.copy())))

    def merge(self, other: WorstPictures) -> None:
        """Take in what another process kept."""
        for kept in other._kept:
            self._insert(kept)

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair of that number, which must be one of the worst."""
        return next(kept.pictures for kept in self._kept if kept.rank[1] == number)

    def _insert(self, kept: _Kept) -> None:
        insort(self._kept, kept)
        del self._kept[self._count :]
