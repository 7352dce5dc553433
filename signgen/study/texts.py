"""What raters read: the texts of this package, or those of a YAML file over them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from signgen.errors import StudyError, nearest
from signgen.files import parse_yaml, read_yaml

_OWN = resources.files("signgen.study") / "texts.yaml"


def own_texts() -> str:
    """The file of this package, as it is, for editing."""
    return _OWN.read_text(encoding="utf-8")


def load_texts(path: Path | None = None) -> dict[str, str]:
    """All texts, by their keys. Raises StudyError for a file that is none, or a key that is unknown."""
    texts: dict[str, str] = parse_yaml(own_texts())
    if path is None:
        return texts
    try:
        given = read_yaml(path)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as YAML ({error})", expected="texts like STUDY/texts.yaml") from error
    if not isinstance(given, dict):
        raise StudyError(f"{path}: holds no texts", expected="KEY: TEXT lines like STUDY/texts.yaml")
    for key, text in given.items():
        if key not in texts:
            close = nearest(str(key), list(texts))
            raise StudyError(f"{path}: unknown text {key!r}", fix=f"did you mean {close!r}?" if close else None)
        if not isinstance(text, str):
            raise StudyError(f"{path}: {key} is {text!r}", expected="a text; put quotes around it")
    return texts | given
