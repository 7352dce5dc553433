"""Bytes and arrays that stay in their file until they are asked for: places in an open file in, numpy arrays out."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from signgen.errors import PoseError

BFLOAT16 = "bfloat16"  # numpy has no such type: read as float32


class StoredFile:
    """An open file, closed when nothing that is stored in it is left."""

    def __init__(self, handle: BinaryIO, path: Path) -> None:
        self._handle, self._path = handle, path
        self.size = handle.seek(0, os.SEEK_END)
        self.close = weakref.finalize(self, handle.close)

    def read(self, start: int, count: int) -> bytes:
        """Leaves the handle where it was. Raises PoseError when the file has become shorter."""
        position = self._handle.tell()
        self._handle.seek(start)
        data = self._handle.read(count)
        self._handle.seek(position)
        if len(data) != count:
            raise PoseError(f"{self._path}: changed while it was read", fix="try again")
        return data


@dataclass(frozen=True)
class Stored:
    """`count` bytes from `start` on."""

    file: StoredFile
    start: int
    count: int

    @classmethod
    def held(cls, data: bytes) -> Stored:
        """Bytes that are in memory anyway."""
        return cls(StoredFile(io.BytesIO(data), Path("memory")), 0, len(data))

    def cut(self, start: int, count: int) -> Stored:
        """A part. Raises ValueError outside."""
        if start < 0 or count < 0 or start + count > self.count:
            raise ValueError(f"bytes {start} to {start + count} of {self.count}")
        return Stored(self.file, self.start + start, count)

    def read(self) -> bytes:
        """The bytes. Raises PoseError when the file has become shorter."""
        return self.file.read(self.start, self.count)


class StoredArray:
    """An array in a file. Its type, shape and place are checked when it is filled; numbers are read by `read`."""

    __slots__ = ("_dtype", "_place", "_strides", "_widen", "dtype", "shape")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.dtype: np.dtype = np.dtype(np.uint8)
        self._place: Stored | None = None

    def fill(self, place: Stored, dtype: np.dtype | str, shape: Any, strides: Any, offset: int = 0) -> StoredArray:
        """shape, strides: counts of numbers, as the file says; offset: the first number's place.

        Raises ValueError for what does not lie within the bytes, for Python objects, and for a second filling.
        """
        sizes, steps = _whole(shape), _whole(strides)
        stored = np.dtype("<u2") if dtype == BFLOAT16 else np.dtype(dtype)
        if self._place is not None:
            raise ValueError("an array that is filled twice")
        if stored.hasobject or not stored.itemsize:
            raise ValueError(f"an array of {stored}")
        if len(sizes) != len(steps):
            raise ValueError(f"{len(steps)} strides for {len(sizes)} dimensions")
        reach = 1 + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) if 0 not in sizes else 0
        if count_of(sizes) * stored.itemsize > place.count:
            raise ValueError(f"an array of shape {sizes} in {place.count} bytes")
        self._place = place.cut(offset * stored.itemsize, reach * stored.itemsize)
        self._dtype, self._widen = stored, dtype == BFLOAT16
        self._strides = [step if size > 1 else 0 for size, step in zip(sizes, steps, strict=True)]
        self.dtype, self.shape = np.dtype(np.float32) if self._widen else stored, sizes
        return self

    @property
    def nbytes(self) -> int:
        """Of the array that `read` makes."""
        return count_of(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def read(self) -> np.ndarray:
        """A new array. Raises PoseError when the file has become shorter."""
        if self._place is None:
            return np.empty(self.shape, self.dtype)
        flat = np.frombuffer(self._place.read(), self._dtype)
        if self._widen:
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        steps = [step * flat.itemsize for step in self._strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False).copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.read() if dtype is None else self.read().astype(dtype)


def dense(shape: Any, fortran: bool) -> list[int]:
    """Strides, in numbers, of an array without gaps."""
    sizes = _whole(shape)
    order = sizes if fortran else sizes[::-1]
    steps = [count_of(order[:place]) for place in range(len(order))]
    return steps if fortran else steps[::-1]


def count_of(sizes: Sequence[int]) -> int:
    """How many numbers an array of these sizes has; exact where numpy's product would overflow."""
    count = 1
    for size in sizes:
        count *= size
    return count


def _whole(numbers: Any) -> tuple[int, ...]:
    sizes = tuple(numbers)
    if len(sizes) > 32 or any(type(size) is not int or not 0 <= size < 2**40 for size in sizes):
        raise ValueError(f"sizes {sizes[:5]}")
    return sizes
