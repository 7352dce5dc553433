"""signs.csv of a drawn corpus: which sign of the lexicon is made in which frames of which clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from signgen.errors import PairSetError
from signgen.files import read_csv, write_text
from signgen.synthetic.lexicon import lexicon
from signgen.synthetic.motion import Signed

SIGNS_FILE = "signs.csv"
_COLUMNS = ("clip", "sign", "start_frame", "end_frame")


def write_signs(folder: Path, signed: Mapping[str, tuple[Signed, ...]]) -> Path:
    """signed: by the names of clips. A row a sign, frames from 0, the end exclusive."""
    rows = [f"{clip},{sign.word},{sign.start},{sign.stop}" for clip, signs in signed.items() for sign in signs]
    write_text(folder / SIGNS_FILE, "\n".join([",".join(_COLUMNS), *rows]) + "\n")
    return folder / SIGNS_FILE


def read_signs(folder: Path) -> dict[str, list[Signed]]:
    """Signs by clip, of the corpus in `folder`. Raises PairSetError where there are none, or damaged ones."""
    path = folder / SIGNS_FILE
    if not path.is_file():
        raise PairSetError(
            f"{folder}: no {SIGNS_FILE}, which says who signs what when",
            expected="a corpus of drawn signers, whose signs are known",
            fix="draw it with signgen synthesize (the same seed, the same pictures), and build its pairs from there",
        )
    try:
        columns, rows = read_csv(path)
        if not set(_COLUMNS) <= set(columns):
            raise ValueError(f"has the columns {', '.join(columns)}")
        found: dict[str, list[Signed]] = {}
        for row in rows:
            sign = Signed(row["sign"], int(row["start_frame"]), int(row["end_frame"]))
            if not 0 <= sign.start < sign.stop:
                raise ValueError(f"frames {sign.start} to {sign.stop} of {row['clip']}")
            if sign.word not in {each.word for each in lexicon()}:
                raise ValueError(f"{sign.word!r} is no sign of the lexicon")
            found.setdefault(row["clip"], []).append(sign)
    except (OSError, ValueError, TypeError) as error:
        raise PairSetError(f"{path}: cannot be read ({error})", expected=",".join(_COLUMNS)) from error
    return found
