"""Arrays by key, kept in memory up to a limit; those used longest ago go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from torch.utils.data import get_worker_info


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
