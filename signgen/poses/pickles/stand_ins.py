"""What a pickle's names stand for: functions of signgen's own, which make arrays, types and storages of plain numbers.

They have no attributes that a pickle could name, and the unpickler gives them no state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from signgen.poses.pickles.stored import Stored, StoredArray, dense
from signgen.poses.pickles.torch_storage import TorchStorage, find_storage


def known_names(arrays: Arrays, part: Callable[..., Any]) -> dict[tuple[str, str], Any]:
    """(module, name) -> what stands for it. part: a safe unpickler for what is in a torch storage's head."""
    names: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): ORDERED,
        ("numpy", "ndarray"): _NDARRAY,
        ("numpy", "dtype"): _Dtype(),
        ("_codecs", "encode"): _Encode(),
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor(arrays),
        ("torch.storage", "_load_from_bytes"): _Storage(part),
    }
    for core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
        names[f"{core}.multiarray", "_reconstruct"] = _Array()
        names[f"{core}.multiarray", "scalar"] = _Scalar()
        names[f"{core}.numeric", "_frombuffer"] = _Buffer(arrays)
    return names


def check_key(key: Any) -> None:
    if key is not None and not isinstance(key, (str, bytes, int, float)):
        raise ValueError(f"a dict with a {type(key).__name__} as key")


def stored(data: Any) -> Stored:
    """Bytes of any origin. Raises ValueError for other things, such as the list of a numpy array of objects."""
    if isinstance(data, str):  # how Python 2 wrote bytes
        data = data.encode("latin-1")
    if not isinstance(data, (bytes, Stored)):
        raise ValueError(f"a {type(data).__name__} in place of bytes")
    return Stored.held(data) if isinstance(data, bytes) else data


class Arrays:
    """Fills arrays; all together may not ask for more than a few times the bytes there are."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = 4 * size

    def fill(self, array: StoredArray, place: Stored, dtype: Any, shape: Any, strides: Any, offset: int = 0) -> None:
        """`strides` and `offset` count numbers. Raises ValueError for what the bytes cannot hold."""
        array.fill(place, dtype, shape, strides, offset)
        self._left -= array.nbytes
        if self._left < 0:
            raise ValueError("arrays that share their bytes over and over")

    def fill_dense(self, array: StoredArray, data: Any, dtype: Any, shape: Any, fortran: bool) -> None:
        """An array of numpy's, without gaps. Raises ValueError likewise."""
        if not isinstance(dtype, np.dtype):
            raise ValueError(f"an array of {dtype!r:.40}")
        self.fill(array, stored(data), dtype, shape, dense(shape, fortran))


class _Ordered:
    """Stands for OrderedDict: an empty one, or one of pairs."""

    __slots__ = ()

    def __call__(self, pairs: Any = ()) -> OrderedDict:
        for key, _ in pairs:
            check_key(key)
        return OrderedDict(pairs)


ORDERED = _Ordered()


class _Dtype:
    """Stands for numpy.dtype: a type by its short name."""

    __slots__ = ()

    def __call__(self, name: Any, align: Any = False, copy: Any = True) -> np.dtype:
        if not isinstance(name, str) or len(name) > 16:
            raise ValueError("a numpy type that is not a short name")
        return np.dtype(name, copy=True)


_NDARRAY = object()  # stands for numpy.ndarray, which a pickle may name but not call: it allocates any shape


class _Array:
    """Stands for numpy's `_reconstruct`: always an empty array, which BUILD fills."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> StoredArray:
        if kind is not _NDARRAY:
            raise ValueError("an array of an unknown kind")
        return StoredArray()


class _Buffer:
    """Stands for numpy's `_frombuffer`, which is how protocol 5 writes arrays."""

    __slots__ = ("_arrays",)

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __call__(self, data: Any, dtype: np.dtype, shape: Any, order: Any) -> StoredArray:
        array = StoredArray()
        self._arrays.fill_dense(array, data, dtype, shape, order == "F")
        return array


class _Scalar:
    """Stands for numpy's `scalar`: one number from its bytes."""

    __slots__ = ()

    def __call__(self, dtype: np.dtype, data: bytes) -> Any:
        return np.frombuffer(data, dtype, 1)[0]


class _Encode:
    """Stands for `_codecs.encode`, which is how protocol 2 writes bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes in {encoding!r}")
        return text.encode("latin-1")


class _Storage:
    """Stands for `torch.storage._load_from_bytes`, which is a full `torch.load`: here the place of its numbers."""

    __slots__ = ("_part",)

    def __init__(self, part: Callable[..., Any]) -> None:
        self._part = part

    def __call__(self, data: Any) -> TorchStorage:
        return find_storage(stored(data), self._part)


class _Tensor:
    """Stands for `torch._utils._rebuild_tensor_v2`: an array, when it lies within its storage."""

    __slots__ = ("_arrays",)

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __call__(self, storage: Any, offset: int, size: Any, stride: Any, *_unused: Any) -> StoredArray:
        if not isinstance(storage, TorchStorage) or type(offset) is not int:
            raise ValueError(f"a tensor of a {type(storage).__name__}")
        array = StoredArray()
        self._arrays.fill(array, storage.place, storage.dtype, size, stride, offset)
        return array
