"""The bytes that torch pickles a tensor's storage as in; type and place of its numbers out. Nothing is loaded by torch.

`torch.storage._load_from_bytes` would be a full `torch.load`. What it is given is torch's older format: pickles of a
magic number, the protocol, facts on the machine, the storage (a persistent id with type, key and count) and the list of
keys; then the count once more as 64 bits, and the numbers (torch/serialization.py, `_legacy_save`).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from signgen.poses.pickles.stored import BFLOAT16, Stored

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_HEADER = 4096  # bytes; torch's is about 350
_COUNT = struct.Struct("<q")
TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


@dataclass(frozen=True)
class TorchStorage:
    """Numbers of one type; dtype: a numpy type's name, or BFLOAT16."""

    dtype: str
    place: Stored


@dataclass(frozen=True)
class _Announced:
    dtype: str
    key: str
    count: int


def find_storage(
    data: Stored, unpickle: Callable[[io.BytesIO, dict[tuple[str, str], Any], Callable], Any]
) -> TorchStorage:
    """Read the head and check it against the bytes there are.

    unpickle(stream, names, persistent): a safe unpickler for the next pickle of a stream, which knows `names` alone.
    Raises ValueError, or what `unpickle` does, for anything but a storage of torch's.
    """
    head = io.BytesIO(data.cut(0, min(_HEADER, data.count)).read())
    names = {("torch", name): dtype for name, dtype in TYPES.items()}
    magic, protocol, machine, storage, keys = (unpickle(head, names, _announced) for _ in range(5))
    if magic != MAGIC or protocol != PROTOCOL or not isinstance(machine, dict):
        raise ValueError("a torch storage of an unknown form")
    if machine.get("little_endian") is not True:
        raise ValueError("a torch storage of another byte order")
    if not isinstance(storage, _Announced) or keys != [storage.key]:
        raise ValueError(f"a {type(storage).__name__} in place of a torch storage")
    start = head.tell() + _COUNT.size
    width = 2 if storage.dtype == BFLOAT16 else int(storage.dtype[2:])
    (count,) = _COUNT.unpack(head.read(_COUNT.size))
    if count != storage.count or storage.count * width != data.count - start:
        raise ValueError(f"a torch storage of {storage.count} numbers in {data.count - start} bytes")
    return TorchStorage(storage.dtype, data.cut(start, storage.count * width))


def _announced(pid: Any) -> _Announced:
    """("storage", type, key, device, count, view): whichever device it was on, its numbers follow."""
    if not isinstance(pid, tuple) or len(pid) != 6 or pid[0] != "storage" or pid[5] is not None:
        raise ValueError(f"a torch storage announced as {str(pid)[:40]!r}")
    dtype, key, count = pid[1], pid[2], pid[4]
    if dtype not in TYPES.values() or not isinstance(key, str) or type(count) is not int or count < 0:
        raise ValueError(f"a torch storage of {count!r:.20} {dtype!r:.20}")
    return _Announced(dtype, key, count)
