"""Frames of a pair set in, their source banks out: kept beside the pair set, so that none is built a second time.

PAIRS/cache/banks/<width>x<height>-<fit>/<clip>/<frame>.npz (signgen.warp.bank_file). A file says of which pixels and
keypoints it is, so one that no longer fits is replaced; the folder may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from signgen.models.canvas import Canvas
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.bank_file import bank_key, read_bank, write_bank

FOLDER = "cache"


class BankCache:
    """pairs: the pair set's folder. writable: whether banks that are not there yet are kept there."""

    def __init__(self, pairs: Path, canvas: Canvas) -> None:
        self.folder = pairs / FOLDER / "banks" / f"{canvas.width}x{canvas.height}-{canvas.fit}"
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
        except OSError as error:  # a full disk is no reason to stop: the bank is there
            self.writable = False
            logging.getLogger(__name__).warning("%s: source banks are kept in memory only (%s)", self.folder, error)


def _can_write(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


class ArrayCache:
    """limit: bytes of all loader processes together; each has its share. The last array is always kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._arrays)

    def get(self, key: Hashable, load: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of `key`, loaded where it is not at hand."""
        if key not in self._arrays:
            self._arrays[key] = load()
            self._bytes += self._arrays[key].nbytes
        self._arrays.move_to_end(key)
        worker = get_worker_info()
        while self._bytes > self.limit // (worker.num_workers if worker else 1) and len(self._arrays) > 1:
            self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return self._arrays[key]
