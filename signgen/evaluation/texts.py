"""Texts of clips: a file in, name -> text out; two of them matched by their names.

Plain text, one clip per line (its name is the line's number; as many lines as newlines, empty ones too); CSV with a
header, separated by commas or, as in Phoenix-2014T's corpus files, by `|`; or a JSON object {name: text}.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from signgen.errors import TextError

COLUMNS = ("text", "translation")  # of a CSV, the first that is there
_EXPECTED = "plain text, one clip per line; CSV with the columns name and text; or a JSON object {name: text}"


@dataclass(frozen=True)
class Texts:
    """texts: by the clip's name. numbered: whether names are only the numbers of lines. notes: what was changed.

    Names and texts are in Unicode's composed form (NFC), in which equal letters are equal characters.
    """

    path: Path
    texts: dict[str, str]
    numbered: bool = False
    notes: tuple[str, ...] = ()


def read_texts(path: Path, columns: Sequence[str] = COLUMNS) -> Texts:
    """The texts of a file, white space at their ends cut off; of a CSV, those in the first of `columns` that it has.

    Raises TextError for a file that is missing, damaged or empty, and for a name that comes twice.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"{path}: cannot be read ({error})", expected=_EXPECTED) from error
    header = content.split("\n", 1)[0]
    delimiter = "|" if "|" in header else ","
    is_csv = "name" in [cell.strip() for cell in header.split(delimiter)] and delimiter in header
    if content.lstrip().startswith("{"):
        found = Texts(path, _json(path, content))
    elif is_csv:
        found = Texts(path, _csv(path, content, delimiter, columns))
    else:
        lines = content.removesuffix("\n").split("\n") if content else []
        found = Texts(path, {str(number): line.strip() for number, line in enumerate(lines, start=1)}, numbered=True)
    if not found.texts:
        raise TextError(f"{path}: no texts", expected=_EXPECTED)
    return _composed(found)


def _composed(found: Texts) -> Texts:
    """With names and texts in NFC, and a note where that changed any. Raises TextError for names that become equal."""
    pairs = [(composed(name), composed(text)) for name, text in found.texts.items()]
    if pairs == list(found.texts.items()):
        return found
    note = f"{found.path}: letters written as a base and a mark were composed (Unicode NFC)"
    return replace(found, texts=_once(found.path, pairs), notes=(note,))


def composed(text: str) -> str:
    """Unicode's NFC: `u` and a combining diaeresis become one character, as most programs write it."""
    return unicodedata.normalize("NFC", text)


def match_texts(hypotheses: Texts, references: Texts) -> list[tuple[str, str, str]]:
    """(name, hypothesis, reference) in the references' order.

    Raises TextError for a clip that only one of them has, and for a reference without a word.
    """
    if hypotheses.numbered != references.numbered:
        numbered, named = (hypotheses, references) if hypotheses.numbered else (references, hypotheses)
        raise TextError(f"{numbered.path} has lines, {named.path} has names", expected="names in both, or in neither")
    for one, other in ((references, hypotheses), (hypotheses, references)):
        if missing := [name for name in one.texts if name not in other.texts]:
            what = f"line {missing[0]}" if one.numbered else missing[0]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise TextError(f"{other.path}: no text for {what}{more} of {one.path}", expected="one for each")
    for name, text in references.texts.items():
        if not text:
            raise TextError(f"{references.path}: the text of {name} is empty", expected="at least one word")
    return [(name, hypotheses.texts[name], text) for name, text in references.texts.items()]


class _Phoenix(csv.excel):
    """Phoenix-2014T's corpus files: a quotation mark is a character like others."""

    delimiter = "|"
    quoting = csv.QUOTE_NONE


def _json(path: Path, content: str) -> dict[str, str]:
    try:
        found = json.loads(content, object_pairs_hook=lambda pairs: _once(path, pairs))
    except (ValueError, RecursionError) as error:
        raise TextError(f"{path}: damaged JSON ({error})", expected=_EXPECTED) from error
    for name, text in found.items():
        if not isinstance(text, str):
            raise TextError(f"{path}: {name} is {type(text).__name__}", expected=_EXPECTED)
    return {name: text.strip() for name, text in found.items()}


def _csv(path: Path, content: str, delimiter: str, columns: Sequence[str]) -> dict[str, str]:
    reader = csv.DictReader(io.StringIO(content, newline=""), dialect=_Phoenix if delimiter == "|" else csv.excel)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    chosen = [name for name in columns if name in reader.fieldnames]
    if not chosen:
        found = f"{path}: columns {', '.join(reader.fieldnames)}"
        raise TextError(found, expected=f"a column {' or '.join(columns)}", fix="name another with --column")
    try:
        return _once(path, [(row["name"].strip(), (row[chosen[0]] or "").strip()) for row in reader])
    except csv.Error as error:
        raise TextError(f"{path}: line {reader.line_num}: {error}", expected=_EXPECTED) from error


def _once(path: Path, pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in pairs:
        if name in found:
            raise TextError(f"{path}: two texts for {name}", expected="one for each clip")
        found[name] = text
    return found
