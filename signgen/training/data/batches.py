"""Which triples make the batch of an optimiser step: a function of the seed and the step alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

LANES = 8  # with a number of loader processes that divides it or is a multiple, no clip is decoded by two of them
TOGETHER = 8  # clips of a lane whose triples are shuffled with each other


class Sample(NamedTuple):
    """Which triple, in which pass over the data; together with the seed it keys every random number of a sample."""

    epoch: int
    row: int


class StepBatches(Sampler[list[Sample]]):
    """Batches number `first` to `last` of a training, without state: what a batch holds depends on the seed alone.

    A batch is one micro-batch of all processes together; it may span two epochs, so every batch is full.
    clips: each triple's clip, if frames are decoded in runs; then an epoch keeps a clip's triples together (see
    `in_lanes`). Otherwise an int, the number of triples: each epoch is a permutation keyed by (seed, epoch).
    """

    def __init__(self, clips: np.ndarray | int, batch_size: int, seed: int, first: int, last: int) -> None:
        self.clips, self.batch_size, self.seed, self.first, self.last = clips, batch_size, seed, first, last
        self.length = clips if isinstance(clips, int) else len(clips)

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[Sample]]:
        orders: dict[int, np.ndarray] = {}
        for step in range(self.first, self.last):
            start = step * self.batch_size
            batch = []
            for position in range(start, start + self.batch_size):
                epoch, place = divmod(position, self.length)
                if epoch not in orders:
                    orders = {epoch: self._order(epoch)}
                batch.append(Sample(epoch, int(orders[epoch][place])))
            yield batch

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        if isinstance(self.clips, int):
            return rng.permutation(self.clips)
        return in_lanes(self.clips, self.batch_size, rng)


def in_lanes(clips: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """A shuffled order of all triples (N,) in which each clip is decoded once, by one loader process.

    clips (N,): each triple's clip. Clips are distributed at random over LANES lanes of about equal length; a lane
    shuffles the triples of TOGETHER clips at a time; batches are taken from the lanes in turn. With at most
    LANES * TOGETHER clips it is a plain permutation.
    """
    present, clip_of, counts = np.unique(clips, return_inverse=True, return_counts=True)
    if len(present) <= LANES * TOGETHER:
        return rng.permutation(len(clips))

    # clips to lanes, each to the shortest one
    lane_of, group_of = np.empty(len(present), int), np.empty(len(present), int)
    lanes = [(0, lane, 0) for lane in range(LANES)]  # triples, lane, clips
    for clip in rng.permutation(len(present)):
        triples, lane, count = lanes[0]
        lane_of[clip], group_of[clip] = lane, count // TOGETHER
        heapq.heapreplace(lanes, (triples + int(counts[clip]), lane, count + 1))

    # triples of a group shuffled, then batches from the lanes in turn
    order = np.lexsort((rng.random(len(clips)), group_of[clip_of], lane_of[clip_of]))
    lane_at = lane_of[clip_of][order]
    place = np.arange(len(clips)) - np.searchsorted(lane_at, lane_at)  # within the lane
    return order[np.lexsort((place, lane_at, place // batch_size))]
