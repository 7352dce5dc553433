"""Which triples make the batch of an optimiser step: a function of the seed and the step alone."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler

LANES = 8  # with a number of loader processes that divides it or is a multiple, no clip is decoded by two of them
OPEN = 32  # clips of a lane whose triples are mixed at a time: at least this many, and a quarter more than a batch
FEW = 64  # clips that every loader process can keep in memory


class Sample(NamedTuple):
    """Which triple, in which pass over the data; together with the seed it keys every random number of a sample."""

    epoch: int
    row: int


class SampleDataset(Dataset):
    """What a Trainer reads: a dataset whose items are asked for by Sample; they have `epoch` and `index`."""

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def order_by(self) -> np.ndarray | int:
        """What StepBatches orders by: each item's clip, where frames are decoded in runs; else how many there are."""
        raise NotImplementedError


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

    clips (N,): each triple's clip. Clips are distributed at random over LANES lanes of about equal length. A batch is
    from one lane, the lanes take turns. A lane has some clips open; a batch has one triple of as many different ones of
    them as it can, and a clip that is used up gives its place to the next. With FEW clips it is a plain
    permutation.
    """
    present, clip_of, counts = np.unique(clips, return_inverse=True, return_counts=True)
    open_clips = max(OPEN, batch_size + batch_size // 4)
    if len(present) <= FEW:
        return rng.permutation(len(clips))

    # the triples of each clip, in random order
    by_clip = np.lexsort((rng.random(len(clips)), clip_of))
    first = np.cumsum(counts) - counts

    # clips to lanes, each to the shortest one
    lanes: list[list[int]] = [[] for _ in range(LANES)]
    lengths = [(0, lane) for lane in range(LANES)]
    for clip in rng.permutation(len(present)):
        triples, lane = lengths[0]
        lanes[lane].append(int(clip))
        heapq.heapreplace(lengths, (triples + int(counts[clip]), lane))

    # each lane's batches, then batches from the lanes in turn
    batches = [_lane_batches(np.array(lane), counts, batch_size, open_clips, rng) for lane in lanes]
    used = np.zeros(len(present), int)
    order = np.empty(len(clips), int)
    done = 0
    for turn in range(max(map(len, batches))):
        for batch in (lane[turn] for lane in batches if turn < len(lane)):
            places = first[batch] + used[batch] + _occurrence(batch)
            order[done : done + len(batch)] = by_clip[places]
            np.add.at(used, batch, 1)
            done += len(batch)
    return order


def _lane_batches(
    lane: np.ndarray, counts: np.ndarray, batch_size: int, open_clips: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The clips (batch_size,) of each batch of a lane, the last of which may be shorter; each counts[clip] times."""
    left = counts[lane].copy()
    at, waiting = np.arange(min(open_clips, len(lane))), min(open_clips, len(lane))  # open ones, by their place
    batches = []
    while len(at):
        chosen: list[np.ndarray] = []
        missing = batch_size
        while missing and len(at):
            # any of them, so that none stays open long
            likely = rng.permutation(len(at))[:missing]
            chosen.append(at[likely])
            left[at[likely]] -= 1
            missing -= len(likely)
            at = at[left[at] > 0]
            if fresh := min(open_clips - len(at), len(lane) - waiting):
                at = np.concatenate([at, np.arange(waiting, waiting + fresh)])
                waiting += fresh
        batches.append(lane[np.concatenate(chosen)])
    return batches


def _occurrence(values: np.ndarray) -> np.ndarray:
    """How many equal values come before each.

    >>> _occurrence(np.array([7, 3, 7, 7, 3]))
    array([0, 0, 1, 2, 1])
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    found = np.empty(len(values), int)
    found[order] = np.arange(len(values)) - np.searchsorted(ranked, ranked)
    return found
