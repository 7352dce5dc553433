"""Random numbers that depend on what they are for, and on nothing else: a key in, a number or a generator out.

A key is a seed and names or indices, e.g. (seed, clip name) or (seed, stage, epoch, sample). Equal keys give equal
numbers in every process, in any order and with any batch size.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def key_digest(*key: int | str) -> int:
    """64 bits of the key's sha256."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, key)).encode()).digest()[:8], "little")


def keyed_generator(*key: int | str) -> torch.Generator:
    """A torch generator on the CPU whose state depends on the key alone."""
    import torch

    return torch.Generator().manual_seed(key_digest(*key) >> 1)  # manual_seed takes 63 bits


def keyed_rng(seed: int, *key: int | str) -> np.random.Generator:
    """A numpy generator whose state depends on the seed and the key alone."""
    import numpy as np

    return np.random.default_rng([seed, key_digest(*key)])
