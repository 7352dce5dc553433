"""Pickles from strangers in; dicts, lists, strings, numbers and stored arrays out (torch tensors become arrays).

A pickle is a program. This unpickler knows a dozen names, most of which it gives functions
of its own; any other is refused by name before anything is called.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from signgen.errors import PoseError
from signgen.poses.pickles.stand_ins import ORDERED, Arrays, check_key, known_names
from signgen.poses.pickles.stored import Stored, StoredArray, StoredFile

MAX_BYTES = 8 * 2**30
MAX_RATIO = 200
RATIO_MATTERS_FROM = 2**20
_GZIP = b"\x1f\x8b"
_LARGE = 4096  # bytes that are worth a second access to the file


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
    """Unpickle without running anything. Raises PoseError for unsafe, damaged or oversized files.

    Arrays come as StoredArray: their numbers stay in the file, or in the temporary one that a gzip was unpacked to.
    """
    file, handle = _open(path)
    try:
        return _FileUnpickler(handle, file, path).load()
    except PoseError:
        file.close()
        raise
    except Exception as error:  # a hostile pickle can raise anything from inside the unpickler
        file.close()
        reason = f"{type(error).__name__}: {error}"[:200]
        raise PoseError(f"{path}: damaged pickle ({reason})", expected="a whole file") from error


def _open(path: Path) -> tuple[StoredFile, BinaryIO]:
    """The pickle as a file, and a handle at its beginning."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise PoseError(f"{path}: {size / 2**30:.1f} GiB", expected=f"at most {MAX_BYTES // 2**30} GiB")
    handle: BinaryIO = path.open("rb")
    if handle.read(2) == _GZIP:
        handle.seek(0)
        with handle:
            handle = _decompress(path, handle, size)
    file = StoredFile(handle, path)
    handle.seek(0)
    return file, handle


def _decompress(path: Path, handle: BinaryIO, size: int) -> BinaryIO:
    """Unpack gzip to a temporary file, stopping as soon as it is more than keypoints can be."""
    limit = min(MAX_BYTES, max(RATIO_MATTERS_FROM, MAX_RATIO * size))
    out = tempfile.TemporaryFile()  # noqa: SIM115  it is read as long as arrays are
    try:
        for chunk in _chunks(path, handle):
            if out.tell() + len(chunk) > limit:
                expected = f"at most {MAX_RATIO} times its {size} bytes, and {MAX_BYTES // 2**30} GiB"
                raise PoseError(
                    f"{path}: refused: a gzip bomb, it unpacks to more than {limit} bytes", expected=expected
                )
            _append(out, chunk, path)
    except BaseException:
        with suppress(OSError):  # closing tries once more to write what there was no room for
            out.close()
        raise
    return out


def _append(out: BinaryIO, chunk: bytes, path: Path) -> None:
    try:
        out.write(chunk)
        out.flush()
    except OSError as error:
        found = f"{path}: cannot be unpacked to {tempfile.gettempdir()} ({error.strerror})"
        raise PoseError(found, expected="room for it", fix="unpack it yourself, or set TMPDIR") from error


def _chunks(path: Path, handle: BinaryIO) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=handle) as stream:
            while chunk := stream.read(1 << 20):
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PoseError(f"{path}: damaged gzip ({error})", expected="a whole file") from error


class _Stream:
    """Where a pickle is read from: never asked for more than is left, which the reader would allocate first."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self._handle, self._size = handle, size
        self.readline, self.tell, self.seek = handle.readline, handle.tell, handle.seek

    def read(self, count: int) -> bytes:
        return self._handle.read(count if count <= _LARGE else min(count, self._size - self.tell()))


Names = dict[tuple[str, str], Any]  # (module, name) -> what stands for it
_PythonUnpickler: Any = pickle._Unpickler  # Any, since the type stubs know little of it


class _Unpickler(_PythonUnpickler):
    """Python's own unpickler in Python: that in C allocates up to the highest memo place a pickle names, and hashing
    tuples nested a hundred thousand deep ends the process. `dispatch` holds what each opcode does."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, handle: BinaryIO, size: int, path: Path) -> None:
        self._stream = _Stream(handle, size)
        super().__init__(self._stream, encoding="latin1")
        self._path, self._arrays = path, Arrays(size)
        self._known = known_names(self._arrays, partial(_unpickle_part, path))

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
        check_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self) -> None:
        for key in self.stack[::2]:
            check_key(key)
        super().load_setitems()

    def load_dict(self) -> None:
        for key in self.stack[::2]:
            check_key(key)
        super().load_dict()

    def load_build(self) -> None:
        """Arrays of plain numbers and their types are filled; nothing else has a state that keypoints need."""
        state, built = self.stack[-1], self.stack[-2]
        if isinstance(built, StoredArray):
            _, shape, dtype, fortran, data = self.stack.pop()
            self._arrays.fill_dense(built, data, dtype, shape, bool(fortran))
            return
        if isinstance(built, np.dtype):
            if not isinstance(state, tuple) or len(state) < 7 or state[2:5] != (None, None, None):
                raise ValueError("a numpy type with fields")
        elif not isinstance(built, OrderedDict) or state:
            raise ValueError(f"a state for a {type(built).__name__}")
        super().load_build()

    def load_binbytes(self) -> None:
        self._load_bytes(*struct.unpack("<I", self.read(4)))

    def load_binbytes8(self) -> None:
        self._load_bytes(*struct.unpack("<Q", self.read(8)))

    def _load_bytes(self, count: int) -> None:
        self.append(self.take(count))

    def take(self, count: int) -> Any:
        """The next bytes."""
        return self.read(count)

    def load_frame(self) -> None:
        """Frames say how much to read ahead: of no use where bytes are skipped."""
        self.read(8)

    def refuse_set(self) -> NoReturn:
        raise ValueError("a set")

    for _opcode, _function in (
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        (pickle.BUILD, load_build),
        (pickle.BINBYTES, load_binbytes),
        (pickle.BINBYTES8, load_binbytes8),
        (pickle.BYTEARRAY8, load_binbytes8),
        (pickle.FRAME, load_frame),
        (pickle.EMPTY_SET, refuse_set),
        (pickle.FROZENSET, refuse_set),
    ):
        dispatch[_opcode[0]] = _function


class _FileUnpickler(_Unpickler):
    """Leaves large bytes in the file."""

    def __init__(self, handle: BinaryIO, file: StoredFile, path: Path) -> None:
        super().__init__(handle, file.size, path)
        self._file = file

    def take(self, count: int) -> Any:
        """The next bytes, or where they are. Raises ValueError when there are not as many."""
        if count <= _LARGE:
            return self.read(count)
        start = self._stream.tell()
        if start + count > self._file.size:
            raise ValueError(f"cut off: {count} bytes at {start} of {self._file.size}")
        self._stream.seek(start + count)
        return Stored(self._file, start, count)


class _PartUnpickler(_Unpickler):
    """Knows other names, and what a persistent id stands for."""

    def __init__(self, path: Path, stream: io.BytesIO, names: Names, persistent: Callable[[Any], Any]) -> None:
        super().__init__(stream, len(stream.getbuffer()), path)
        self._known = {("collections", "OrderedDict"): ORDERED, **names}
        self._persistent = persistent

    def persistent_load(self, pid: Any) -> Any:
        return self._persistent(pid)


def _unpickle_part(path: Path, stream: io.BytesIO, names: Names, persistent: Callable[[Any], Any]) -> Any:
    return _PartUnpickler(path, stream, names, persistent).load()
