"""README and pages as text: their code blocks, headings, links, and the anchors that headings get."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$", re.M)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)?)\)")


@dataclass(frozen=True)
class Block:
    """A fenced code block. title: the file that it shows."""

    language: str
    text: str
    title: str | None = None


def blocks(page: Path) -> list[Block]:
    """The page's code blocks in order."""
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["text"], match["title"]) for match in found]


def commands(block: Block) -> list[list[str]]:
    """The lines of a bash block as words, without the leading `signgen`."""
    lines = block.text.splitlines()
    assert all(line.startswith("signgen ") for line in lines), f"a bash block holds signgen commands only: {lines}"
    return [shlex.split(line)[1:] for line in lines]


def prose(page: Path) -> str:
    """The page without code and comments, in which nothing is a link or a heading."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.S)
    return re.sub(r"`[^`\n]*`", lambda code: re.sub(r"[\[\]()]", "", code[0]), _FENCE.sub("", text))


def links(page: Path) -> list[str]:
    """Targets of links and images, in order."""
    return _LINK.findall(prose(page))


def site_slug(heading: str) -> str:
    """The anchor on the site (Python-Markdown's toc): ASCII letters, runs of blanks and hyphens are one hyphen."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def forge_slug(heading: str) -> str:
    """The anchor where Markdown is shown next to the sources: any letters, every blank is a hyphen."""
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


def anchors(page: Path, slug: Callable[[str], str], separator: str) -> set[str]:
    """The anchors of the page's headings; a repeated one is numbered."""
    seen: dict[str, int] = {}
    found = set()
    for _, heading in _HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = slug(re.sub(r"[`*]", "", text))
        found.add(f"{name}{separator}{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def dead_links(page: Path) -> Iterator[str]:
    """Links of the page, each with the reason, that lead nowhere: on the site, or next to the sources."""
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and not (anchor in anchors(target, site_slug, "_") and anchor in anchors(target, forge_slug, "-")):
            yield f"{link}: there is no such heading"
        elif page.parent.name == "docs" and page.parent not in target.parents:
            yield f"{link}: not part of the site"
