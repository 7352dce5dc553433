"""What training keeps: in memory within a bound (BoundedCache), and source banks beside the pair set (BankCache).

A bank is kept on disk so that none is built a second time:
PAIRS/cache/banks/<width>x<height>-<fit>[-<resample>]/<clip>/<frame>.npz (signgen.warp.bank_file). A file says of which
pixels and keypoints it is, so one that no longer fits is replaced; the folder may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from torch.utils.data import get_worker_info

from signgen.models.canvas import Canvas
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.bank_file import bank_key, read_bank, write_bank

FOLDER = "cache"
Value = TypeVar("Value")


class BankCache:
    """Frames of a pair set in, their source banks out, from disk where they are there.

    pairs: the pair set's folder. writable: whether banks that are not there yet are kept there."""

    def __init__(self, pairs: Path, canvas: Canvas) -> None:
        kind = canvas.fit if canvas.resample == "area" else f"{canvas.fit}-{canvas.resample}"
        self.folder = pairs / FOLDER / "banks" / f"{canvas.width}x{canvas.height}-{kind}"
        self.writable = _can_write(self.folder)

    def bank(self, clip: str, number: int, frame: np.ndarray, keypoints: np.ndarray) -> SourceBank | None:
        """As `source_bank` of uint8 (H, W, 3), the clip's frame `number` on the canvas, and its (133, 3) keypoints."""
        path, key = self.folder / clip / f"{number}.npz", bank_key(frame, keypoints)
        bank = read_bank(path, key, keypoints)
        if bank is None:
            bank = source_bank(frame, keypoints)
            if bank is not None and self.writable:
                self._keep(path, bank, key)
        return bank

    def _keep(self, path: Path, bank: SourceBank, key: str) -> None:
        try:
            write_bank(path, bank, key)
        except OSError as error:  # a full disk is no reason to stop: the bank itself is built
            self.writable = False
            logging.getLogger(__name__).warning("%s: source banks are kept in memory only (%s)", self.folder, error)


def _can_write(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


class BoundedCache(Generic[Value]):
    """What was used last, by key; what was used longest ago goes first. The last value is always kept.

    limit: of the sizes of all values, in all loader processes together where `shared`: each then has its part of it.
    size: of a value, e.g. `nbytes`; by default each counts 1.
    """

    def __init__(self, limit: int, size: Callable[[Value], int] | None = None, shared: bool = False) -> None:
        self.limit, self.shared = limit, shared
        self._size = size
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._held = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, load: Callable[[], Value]) -> Value:
        """The value of `key`, loaded if it is not in memory."""
        if key not in self._values:
            self._values[key] = load()
            self._held += self._size_of(self._values[key])
        self._values.move_to_end(key)
        worker = get_worker_info() if self.shared else None
        while self._held > self.limit // (worker.num_workers if worker else 1) and len(self._values) > 1:
            self._held -= self._size_of(self._values.popitem(last=False)[1])
        return self._values[key]

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value that is not in the cache yet."""
        self.get(key, lambda: value)

    def _size_of(self, value: Value) -> int:
        return 1 if self._size is None else self._size(value)


def array_cache(limit: int) -> BoundedCache[np.ndarray]:
    """A cache of arrays. limit: bytes, of all loader processes together."""
    return BoundedCache(limit, attrgetter("nbytes"), shared=True)
