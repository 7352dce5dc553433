"""Atomic writes: a file is either the old one or the whole new one, never half of it. And the order of files' names."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def make_folder(folder: Path) -> Path:
    """Make the folder and those above it; it may be there. Raises OSError, PermissionError where none can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # how /proc and its like refuse
        raise _refusal(folder, "no folder can be made there") from error
    return folder


def check_folder(folder: Path) -> None:
    """Raise the OSError that writing a file into `folder` would, before the work whose result goes there.

    The file system is asked by doing it: permissions do not tell of read-only disks, /proc, or names that are too long.
    Nothing is left, neither the file nor folders made for it.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise _refusal(folder, "no file can be made there") from error
        error.filename = str(folder)
        raise
    finally:
        for path in missing:
            if os.path.isdir(path) and not any(path.iterdir()):  # Path.is_dir raises for names that are too long
                path.rmdir()


def _refusal(path: Path, reason: str) -> PermissionError:
    """A file system's ENOENT for what is to be written: no file is missing, the place takes none."""
    return PermissionError(errno.EACCES, reason, str(path))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, otherwise remove it."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        if error.errno == errno.ENOENT and error.filename in (str(path), str(temporary)):
            raise _refusal(path, "no file can be made there") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_full_is_oserror(folder: Path) -> Iterator[None]:
    """Libraries report a full disk as a RuntimeError or an error of their own; in this block it is an OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if folder.exists() and shutil.disk_usage(folder).free < 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def flush(folder: Path) -> None:
    """Put every file under `folder` on the disk. Several at a time: the file system writes their journal together."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(_fsync, (path for path in folder.rglob("*") if path.is_file())))


def _fsync(path: Path) -> None:
    with path.open("r+b") as handle:
        os.fsync(handle.fileno())


def stays_inside(name: str) -> bool:
    """Whether `name`, as a path relative to a folder, lies in that folder, whatever system reads it."""
    parts = name.replace("\\", "/").split("/")
    return (
        "\0" not in name and parts[0] != "" and ":" not in parts[0] and ".." not in parts and parts[-1] not in {"", "."}
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def in_natural_order(names: Iterable[str]) -> list[str]:
    """frame2 before frame10: the one order of everything that is kept one file a frame."""
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
