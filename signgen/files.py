"""Files in and out, the same for all. Atomic writes: a file is either the old one or the whole new one, never half of
it. JSON and YAML are read here alone, so that one place knows what a damaged file makes their libraries raise."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signgen.errors import SigngenError

EXPORTED = "exported"  # in a model folder: its networks for other libraries, made of what is there
_LONGEST_NAME = 200  # bytes; file systems take 255


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
def alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is made, for this process. Raises SigngenError where another one, of this machine or of one
    that shares its file system, holds it. The lock ends with the process, however that ends;
    on a file system without locks filelock may put a file in its place, which a killed process leaves there."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(make_folder(folder) / ".lock").acquire(timeout=0)
    except Timeout:
        found = f"{folder}: another process is at work in it"
        raise SigngenError(found, fix="wait until it ends, or choose another folder") from None
    with held:
        yield


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


def files_below(folder: Path) -> list[Path]:
    """All files of a folder in order, without what was made of them: see EXPORTED."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if file.relative_to(folder).parts[0] != EXPORTED)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, or of all files below a folder with their names, as 64 hexadecimal digits; exports
    of a model do not count."""
    files = files_below(path) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        found.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def stays_inside(name: str) -> bool:
    """Whether `name`, as a path relative to a folder, lies in that folder, whatever system reads it; every part of it
    leaves a file system room for a suffix."""
    parts = name.replace("\\", "/").split("/")
    return (
        "\0" not in name
        and parts[0] != ""
        and ":" not in parts[0]
        and ".." not in parts
        and parts[-1] not in {"", "."}
        and max(len(part.encode("utf-8", "surrogatepass")) for part in parts) <= _LONGEST_NAME
    )


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN is refused, since JSON has none."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        # piece by piece: it may be long
        json.dump(value, handle, indent=2, ensure_ascii=False, allow_nan=False, default=_as_dict)
        handle.write("\n")


def _as_dict(value: Any) -> dict[Any, Any]:
    """A mapping that is no dict, for JSON."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON can hold a {type(value).__name__}")


def read_json(path: Path) -> Any:
    """What a UTF-8 JSON file holds. Raises OSError where it cannot be read; ValueError where it is damaged, nested too
    deeply, or has a number that is never written: NaN, an infinite one, one of thousands of digits.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """As `read_json`, of its content."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]}")
    return value


def read_csv(path: Path, **form: Any) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of a UTF-8 CSV file and its rows, "" where a row lacks one; form: of csv.DictReader.

    Raises OSError where it cannot be read, ValueError where it is damaged.
    """
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle, restkey="", restval="", **form)
        try:
            return list(reader.fieldnames or ()), list(reader)
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error


def there_is(path: Path) -> bool:
    """Whether it exists; a name that no file can have, too long or with a NUL in it, does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_yaml(path: Path) -> Any:
    """What a UTF-8 YAML file holds. Raises OSError where it cannot be read, ValueError where it is damaged."""
    return parse_yaml(path.read_text(encoding="utf-8"))


def parse_yaml(text: str) -> Any:
    """As `read_yaml`, of its content. PyYAML raises all of these for values that do not fit their tags."""
    import yaml

    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_tensors(path: Path, device: Any = "cpu") -> Any:
    """What `torch.save` wrote to a file; code in it is not run. Raises OSError where it cannot be read, ValueError
    where it is damaged: a damaged zip or pickle makes torch raise anything, EOFError, AssertionError and its own among
    it."""
    import torch

    try:
        return torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(next(iter(str(error).splitlines()), "") or type(error).__name__) from error


def in_natural_order(names: Iterable[str]) -> list[str]:
    """frame2 before frame10: the one order of everything that is kept one file a frame."""
    return sorted(names, key=_natural)


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
