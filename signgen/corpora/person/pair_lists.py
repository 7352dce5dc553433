"""Lists of image pairs in, recognised by content; their rows as (source, target) names out.

JSON [{source_image, target_image}]; CSV with columns from, to; text with two names a line, the target first.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.errors import PairSetError
from signgen.files import parse_json

SPLITS = ("train", "val", "test")
_SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|bmp|webp)$", re.IGNORECASE)
_EXPECTED = "a JSON of source_image and target_image, a CSV of from,to, or lines of target and source"
_HEAD = 4096  # bytes; enough to tell what a file is


@dataclass(frozen=True)
class PairList:
    """rows: (source, target) as written, in the list's order. split: train, val or test."""

    path: Path
    split: str
    rows: tuple[tuple[str, str], ...]


def read_pair_list(path: Path) -> PairList:
    """Raises PairSetError when it is no list of pairs, a row is damaged, or its name does not say the split."""
    rows = read_rows(path)
    return PairList(path, split_of(path), rows)


def read_rows(path: Path) -> tuple[tuple[str, str], ...]:
    """(source, target) as written, whatever the file is called. Raises PairSetError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PairSetError(f"{path}: cannot be read ({error})", expected=_EXPECTED) from error
    if text.lstrip().startswith("["):
        rows = _json_rows(path, text)
    elif _is_csv(text):
        rows = _csv_rows(path, text)
    else:
        rows = _text_rows(path, text)
    if not rows:
        raise PairSetError(f"{path}: no pairs in it", expected=_EXPECTED)
    return tuple(rows)


def is_pair_list(path: Path) -> bool:
    """By its first bytes, whether it is meant to be one."""
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD).decode("utf-8-sig", errors="replace")
    except OSError:
        return False  # what cannot be opened is not looked at; named with --pair-list, it is an error
    if head.lstrip().startswith("["):
        return '"source_image"' in head and '"target_image"' in head
    first = head.split("\n", 1)[0]
    return _is_csv(head) or all(_IMAGE_NAME.search(name) for name in _two_names(first) or ("", ""))


def split_of(path: Path) -> str:
    """The split that a list's name says. Raises PairSetError when it says none, or two."""
    words = re.split(r"[^a-z]+", path.stem.lower())
    splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    if len(splits) != 1:
        found = f"{path}: its name says {' and '.join(sorted(splits)) if splits else 'no split'}"
        raise PairSetError(found, expected="train, val or test in the name of a list of pairs, e.g. pairs-train.csv")
    return splits.pop()


def _json_rows(path: Path, text: str) -> list[tuple[str, str]]:
    try:
        records: Any = parse_json(text)
    except ValueError as error:
        raise PairSetError(f"{path}: damaged JSON ({error})", expected=_EXPECTED) from error
    rows = []
    for number, record in enumerate(records):
        row = (record.get("source_image"), record.get("target_image")) if isinstance(record, dict) else (None, None)
        rows.append(_row(row, f"{path}: pair {number}"))
    return rows


def _is_csv(text: str) -> bool:
    return {"from", "to"} <= {name.strip() for name in text.split("\n", 1)[0].split(",")}


def _csv_rows(path: Path, text: str) -> list[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    try:
        return [_row((row["from"], row["to"]), f"{path}: line {reader.line_num}") for row in reader]
    except csv.Error as error:
        raise PairSetError(f"{path}: line {reader.line_num}: {error}", expected=_EXPECTED) from error


def _text_rows(path: Path, text: str) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            target, source = _two_names(line) or ("", "")
            rows.append(_row((source, target), f"{path}: line {number}"))
    return rows


def _two_names(line: str) -> tuple[str, str] | None:
    """Separated by a comma, or where there is none by white space."""
    names = [name.strip() for name in (line.split(",") if "," in line else line.split())]
    return (names[0], names[1]) if len(names) == 2 else None


def _row(names: Iterable[Any], where: str) -> tuple[str, str]:
    """Two names of images. Raises PairSetError."""
    source, target = (name.strip() if isinstance(name, str) else "" for name in names)
    if not (_IMAGE_NAME.search(source) and _IMAGE_NAME.search(target)):
        raise PairSetError(f"{where}: not the names of two images", expected=_EXPECTED)
    return source, target
