"""What messages of the package tell people to type: found in its source, and held against the commands there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

import signgen
from signgen.cli import app

PACKAGE = Path(signgen.__file__).parent
HOLE = "{}"  # in place of what an f-string fills in
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
# What other programs are told: their options are none of ours.
_OTHERS = re.compile(r"(curl|pip install|accelerate launch|torchrun|hf download|ffmpeg) [^;`]*")


@dataclass(frozen=True)
class Told:
    """A string of the source. place: its file and line."""

    place: str
    file: Path
    text: str


def strings() -> Iterator[Told]:
    """Every string of the package with a word in it, and every f-string as one, HOLE where it is filled."""
    for path in sorted(PACKAGE.rglob("*.py")):
        inner: set[ast.AST] = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if ast.get_docstring(tree) is not None:  # which nobody but a programmer reads
            del tree.body[0]
        for node in ast.walk(tree):
            if node in inner:
                continue
            text = _text(node)
            if text is not None:
                inner.update(ast.walk(node))
                place = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
                yield Told(place, path, _OTHERS.sub("", " ".join(text.split())))


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or HOLE for part in node.values)
    return None


def commands() -> dict[str, Any]:
    """`poses convert` -> its click command."""
    found: dict[str, Any] = {}

    def walk(command: Any, name: str) -> None:
        for word, each in getattr(command, "commands", {}).items():
            walk(each, f"{name} {word}".strip())
        if not hasattr(command, "commands"):
            found[name] = command

    walk(typer.main.get_command(app), "")
    return found


def options(command: Any) -> set[str]:
    """All names of a command's options."""
    return {"--help", "--version", *(name for param in command.params for name in (*param.opts, *param.secondary_opts))}


def lines(text: str, known: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Every `signgen COMMAND` that the text mentions: the command, and the arguments and options that follow it."""
    pattern = "|".join(sorted(known, key=len, reverse=True))
    for match in re.finditer(rf"\bsigngen ({pattern})(?![\w-])", text):
        rest = re.split(r"[;`()]|, | and ", text[match.end() :])[0]
        words = []
        value = False  # whether an option's value may come next
        for word in rest.split():
            word = word.rstrip(".,:")
            is_option = word.startswith("--")
            if not (is_option or value or word == "..." or re.match(r"[A-Z{]", word)):
                break
            words.append(word)
            value = is_option
        yield match[1], words


def lacking(command: Any, words: list[str]) -> list[str]:
    """What a command line needs and the words do not have; nothing for a bare mention, or where `...` stands."""
    if not words or "..." in words or words == ["--help"]:
        return []
    known = {name: param for param in command.params for name in param.opts if param.param_type_name == "option"}
    given, positional, follows = set(), 0, False
    for word in words:
        if word.startswith("--"):
            given.add(word)
            follows = word in known and not known[word].is_flag
        else:
            positional += not follows
            follows = False
    needed = [p for p in command.params if p.required]
    lack = [p.opts[0] for p in needed if p.param_type_name == "option" and not given & set(p.opts)]
    arguments = [p.name for p in needed if p.param_type_name == "argument"]
    return lack + arguments[positional:]
