"""Pickles from strangers in; dicts, lists, strings, numbers and numpy arrays out (torch tensors become arrays).

A pickle is a program. This unpickler knows a dozen names, most of which it gives functions
of its own; any other is refused by name before anything is called.
"""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import struct
import warnings
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from signgen.errors import PoseError

MAX_BYTES = 8 * 2**30
MAX_RATIO = 200
RATIO_MATTERS_FROM = 2**20
_GZIP = b"\x1f\x8b"
_TORCH_STORAGE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch's reduced storages begin
_TORCH_PROTOCOL = 1001


def is_pickle(path: Path) -> bool:
    """By content: a pickle of any protocol, plain or gzip."""
    with path.open("rb") as handle:
        start = handle.read(2)
        if start == _GZIP:
            handle.seek(0)
            try:
                start = gzip.GzipFile(fileobj=handle).read(2)
            except (OSError, EOFError, zlib.error):
                return False
            return _looks_pickled(start, b".")
        handle.seek(0, io.SEEK_END)
        handle.seek(max(0, handle.tell() - 1))
        return _looks_pickled(start, handle.read(1))


def _looks_pickled(start: bytes, end: bytes) -> bool:
    """Protocols 2 to 5 begin with their number; 0 and 1 with the first object and end with a full stop."""
    binary = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return binary or (start[:1] in (b"(", b"}", b"]", b"c") and start != b"(\n" and end == b".")


def load_pickle(path: Path) -> Any:
    """Unpickle without running anything. Raises PoseError for unsafe, damaged or oversized files."""
    data = _read(path)
    try:
        return _Unpickler(data, path).load()
    except PoseError:
        raise
    except Exception as error:  # a hostile pickle can raise anything from inside the unpickler
        reason = f"{type(error).__name__}: {error}"[:200]
        raise PoseError(f"{path}: damaged pickle ({reason})", expected="a whole file") from error


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise PoseError(f"{path}: {size / 2**30:.1f} GiB", expected=f"at most {MAX_BYTES // 2**30} GiB")
    with path.open("rb") as handle:
        if handle.read(2) != _GZIP:
            handle.seek(0)
            return handle.read()
        handle.seek(0)
        return _decompress(path, handle, size)


def _decompress(path: Path, handle: BinaryIO, size: int) -> bytes:
    """Unpack gzip, stopping as soon as it is more than keypoints can be."""
    limit = min(MAX_BYTES, max(RATIO_MATTERS_FROM, MAX_RATIO * size))
    out = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=handle) as stream:
            while chunk := stream.read(1 << 20):
                if out.tell() + len(chunk) > limit:
                    expected = f"at most {MAX_RATIO} times its {size} bytes, and {MAX_BYTES // 2**30} GiB"
                    raise PoseError(
                        f"{path}: refused: a gzip bomb, it unpacks to more than {limit} bytes", expected=expected
                    )
                out.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise PoseError(f"{path}: damaged gzip ({error})", expected="a whole file") from error
    return out.getvalue()


_PythonUnpickler: Any = pickle._Unpickler  # Any, since the type stubs know little of it


class _Unpickler(_PythonUnpickler):
    """Python's own unpickler in Python: that in C allocates up to the highest memo place a pickle names, and hashing
    tuples nested a hundred thousand deep ends the process. `dispatch` holds what each opcode does."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._path, self._size = path, len(data)
        array, buffer, scalar = _Array(), _Buffer(), _Scalar()
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): _Ordered(),
            ("numpy", "ndarray"): _NDARRAY,
            ("numpy", "dtype"): _Dtype(),
            ("_codecs", "encode"): _Encode(),
            ("torch._utils", "_rebuild_tensor_v2"): _Tensor(),
            ("torch.storage", "_load_from_bytes"): _Storage(),
        }
        for core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
            self._known[f"{core}.multiarray", "_reconstruct"] = array
            self._known[f"{core}.multiarray", "scalar"] = scalar
            self._known[f"{core}.numeric", "_frombuffer"] = buffer

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            self._refuse(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        self._refuse(f"persistent id {str(pid)[:40]!r}")

    def _refuse(self, what: str) -> NoReturn:
        raise PoseError(
            f"{self._path}: refused: the pickle asks for {what}; nothing of it was run",
            expected="only dicts, lists, strings, numbers, numpy arrays and torch tensors",
        )

    def load_setitem(self) -> None:
        _check_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self) -> None:
        for key in self.stack[::2]:
            _check_key(key)
        super().load_setitems()

    def load_dict(self) -> None:
        for key in self.stack[::2]:
            _check_key(key)
        super().load_dict()

    def load_build(self) -> None:
        """Arrays of plain numbers and their types are filled; nothing else has a state that keypoints need."""
        state, built = self.stack[-1], self.stack[-2]
        if isinstance(built, np.dtype):
            if not isinstance(state, tuple) or len(state) < 7 or state[2:5] != (None, None, None):
                raise ValueError("a numpy type with fields")
        elif isinstance(built, np.ndarray):
            if any(isinstance(part, np.dtype) and part.hasobject for part in state):
                raise ValueError("a numpy array of objects")
        elif not isinstance(built, OrderedDict) or state:
            raise ValueError(f"a state for a {type(built).__name__}")
        super().load_build()

    def load_bytearray8(self) -> None:
        """The unpickler would allocate whatever the count says."""
        (count,) = struct.unpack("<Q", self.read(8))
        if count > self._size:
            raise ValueError(f"{count} bytes in a pickle of {self._size}")
        self.append(bytearray(self.read(count)))

    def refuse_set(self) -> NoReturn:
        raise ValueError("a set")

    for _opcode, _function in (
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        (pickle.BUILD, load_build),
        (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.EMPTY_SET, refuse_set),
        (pickle.FROZENSET, refuse_set),
    ):
        dispatch[_opcode[0]] = _function


def _check_key(key: Any) -> None:
    if key is not None and not isinstance(key, (str, bytes, int, float)):
        raise ValueError(f"a dict with a {type(key).__name__} as key")


class _Ordered:
    """Stands for OrderedDict: an empty one, or one of pairs."""

    __slots__ = ()

    def __call__(self, pairs: Any = ()) -> OrderedDict:
        for key, _ in pairs:
            _check_key(key)
        return OrderedDict(pairs)


class _Dtype:
    """Stands for numpy.dtype: a type by its short name."""

    __slots__ = ()

    def __call__(self, name: Any, align: Any = False, copy: Any = True) -> np.dtype:
        if not isinstance(name, str) or len(name) > 16:
            raise ValueError("a numpy type that is not a short name")
        return np.dtype(name, copy=True)


_NDARRAY = object()  # stands for numpy.ndarray, which a pickle may name but not call: it allocates any shape


class _Array:
    """Stands for numpy's `_reconstruct`: always an empty array, which BUILD fills and checks.

    The stand-ins have no attributes (`__slots__`), so that a pickle's BUILD cannot change them.
    """

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> np.ndarray:
        if kind is not _NDARRAY:
            raise ValueError("an array of an unknown kind")
        return np.empty(0, np.uint8)


class _Buffer:
    """Stands for numpy's `_frombuffer`, which is how protocol 5 writes arrays."""

    __slots__ = ()

    def __call__(self, data: Any, dtype: np.dtype, shape: Any, order: Any) -> np.ndarray:
        return np.frombuffer(bytes(data), dtype).reshape(shape, order=order)  # NumPy refuses objects here


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
    """Stands for `torch.storage._load_from_bytes`, which is a full `torch.load`: here tensors only, never code."""

    __slots__ = ()

    def __call__(self, data: bytes) -> Any:
        import torch

        if not isinstance(data, bytes) or not data.startswith(_TORCH_STORAGE):
            raise ValueError("a torch storage of an unknown form")
        _check_storage(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged storage is refused below; torch's doubts about it say nothing
            storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if not isinstance(storage, torch.storage.TypedStorage):
            raise ValueError(f"a {type(storage).__name__} in place of a torch storage")
        return storage


def _check_storage(data: bytes) -> None:
    """Four pickles come before a storage's numbers; a count in them that the data cannot hold would be allocated."""
    stream = io.BytesIO(data)
    stream.seek(len(_TORCH_STORAGE))
    for _ in range(3):
        for _, argument, _ in pickletools.genops(stream):
            if isinstance(argument, int) and argument > max(len(data), _TORCH_PROTOCOL):
                raise ValueError(f"a torch storage of {argument} numbers in {len(data)} bytes")


class _Tensor:
    """Stands for `torch._utils._rebuild_tensor_v2`: a numpy array, when it lies within its storage."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: int, size: Any, stride: Any, *_unused: Any) -> np.ndarray:
        import torch

        flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
        if int(np.prod(size, dtype=object)) > flat.numel() or offset < 0:
            raise ValueError(f"a tensor of size {tuple(size)} in a storage of {flat.numel()}")
        tensor = torch.as_strided(flat, tuple(size), tuple(stride), offset)  # checks the bounds
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()
