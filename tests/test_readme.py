"""The README: short, its five commands in order, and a map of files that exist. test_docs_commands.py runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.markdown import PAGES, blocks, commands

README = PAGES[0]
# What a newcomer looks for, and the file that the map has to lead to.
QUESTIONS = {
    "signgen/pairs/triples.py": r"training triples \(100,000 .* are drawn",
    "signgen/poses/readers": r"keypoint format.*a new format is added here",
    "signgen/models/fusion.py": r"InfoNCE loss with source embeddings",
    "signgen/models/guidance.py": r"classifier-free guidance.*combined",
    "signgen/solvers.py": r"a new solver is added here",
    "signgen/rendering/inputs.py": r"whether a video's own frames are the truth",
    "signgen/parallel.py": r"test set over processes",
    "signgen/models/conditions.py": r"a new condition is added here",
    "signgen/metrics/image_set/protocols.py": r"CFLD",
    "signgen/metrics/image/ssim.py": r"SSIM",
    "signgen/training/loop.py": r"what Ctrl-C does",
    "signgen/interrupts.py": r"Ctrl-C",
    "signgen/video/writer.py": r"sample aspect ratio of 210x260",
    "signgen/poses/parts.py": r"hand and face boxes that metrics",
    "signgen/config.py": r"number of sampling steps",
    "signgen/synthetic/head.py": r"hair",
    "signgen/evaluation/baselines.py": r"nearest-pose",
}


def file_map() -> list[tuple[str, str]]:
    """(path, comment) of every line of the map; a comment `x.py: ...; y.py: ...` also names files of its folder."""
    (text,) = (block.text for block in blocks(README) if block.text.startswith("signgen/\n"))
    rows, folders = [], []
    for line in text.splitlines():
        indent, names, comment = re.fullmatch(r"(\s*)((?:\S+, )*\S+)\s*(.*)", line).groups()  # type: ignore[union-attr]
        del folders[len(indent) // 2 :]
        above = "".join(folders)
        for name in names.split(", "):
            rows.append((f"{above}{name}".rstrip("/"), comment))
            folder = f"{above}{name}" if name.endswith("/") else f"{above}{Path(name).parent}/"
            inner = re.findall(r"(?:^|[;,:] |and )((?:\w+/)*\w+\.(?:py|yaml))\b", comment)
            rows += [(_inside(folder, above, file), comment) for file in inner]
        if names.endswith("/"):
            folders.append(names)
    return rows


def _inside(folder: str, above: str, name: str) -> str:
    """A file that a comment names: of the line's folder, or of the one above where the name says so."""
    return (above if "/" in name else folder) + name


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 110


def test_a_clip_of_ones_own_takes_five_commands() -> None:
    (block,) = (block for block in blocks(README) if block.language == "bash")
    assert [words[0] for words in commands(block)] == ["poses", "build-pairs", "train", "render", "evaluate"]


@pytest.mark.parametrize(("path", "says"), QUESTIONS.items(), ids=QUESTIONS)
def test_the_map_answers_what_newcomers_ask(path: str, says: str) -> None:
    assert any(re.search(says, comment) for name, comment in file_map() if name == path)


def test_the_map_names_files_that_exist() -> None:
    assert [name for name, _ in file_map() if not (ROOT / name).exists()] == []


def test_how_it_works_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.(?:py|yaml))?)`", text))
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "signgen" / name).exists()] == []
