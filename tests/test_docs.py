"""README and site: no link is dead, every command is listed, no file is missing; the site builds where it can."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from signgen.cli import app
from tests.conftest import ROOT
from tests.markdown import PAGES, anchors, blocks, dead_links, forge_slug, prose, site_slug


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_link_is_dead(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    (tmp_path / "README.md").write_text("# signgen\n")
    (page.parent / "other.md").write_text("# Other\n\n## A `part`, twice\n\n## A part, twice\n")
    page.write_text(
        "# Page\n\n[here](#page) [there](other.md#a-part-twice) [site](https://example.org/x.md#nowhere)\n"
        "![picture](gone.png) [page](gone.md) [anchor](other.md#b-part) [own](#b) [out](../README.md)\n"
        "`[code](gone.md)`\n\n```text\n[block](gone.md)\n```\n<!-- [comment](gone.md) -->\n"
    )
    assert list(dead_links(page)) == [
        "gone.png: there is no such file",
        "gone.md: there is no such file",
        "other.md#b-part: there is no such heading",
        "#b: there is no such heading",
        "../README.md: not part of the site",
    ]
    assert anchors(page.parent / "other.md", site_slug, "_") == {"other", "a-part-twice", "a-part-twice_1"}
    assert anchors(page.parent / "other.md", forge_slug, "-") == {"other", "a-part-twice", "a-part-twice-1"}


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r'"([\w/]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:])


def test_every_page_is_linked_from_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name}" not in readme and page.stem != "index"] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly in a copy of what it is made of."""
    generator = shutil.which("zensical", path=str(Path(sys.executable).parent)) or shutil.which("zensical")
    if generator is None:
        pytest.skip("the site's generator is not installed (pip install -e '.[docs]'; make docs)")
    folder = tmp_path_factory.mktemp("site")
    for part in ("docs", "signgen"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", folder)
    built = subprocess.run([generator, "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def test_the_site_has_the_anchors_that_links_are_checked_against(site: Path) -> None:
    for page in PAGES[1:]:
        html = site / ("index.html" if page.stem == "index" else f"{page.stem}/index.html")
        headings = set(re.findall(r'<h[1-6] id="([^"]+)"', html.read_text(encoding="utf-8")))
        assert anchors(page, site_slug, "_") <= headings, page.name
        assert ":::" in prose(page) or headings == anchors(page, site_slug, "_"), page.name


def test_the_site_asks_no_other_server_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', page.read_text(encoding="utf-8"))
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="([^"]+)"', page.read_text())
        assert [address for address in loaded if "//" in address] == []


def test_pages_made_from_docstrings_show_them(site: Path) -> None:
    modules = [(page.stem, module) for page in PAGES for module in re.findall(r"^::: ([\w.]+)", prose(page), re.M)]
    assert ("recipe", "signgen.config") in modules
    for page, module in modules:
        assert f'id="{module}' in (site / page / "index.html").read_text(encoding="utf-8"), module


def test_the_page_of_commands_lists_all_and_no_other() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `signgen ([a-z -]+)` \|", page, re.M)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(_command_names(typer.main.get_command(app)))


def _command_names(group: object, prefix: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = hasattr(command, "commands")
        names += _command_names(command, f"{prefix}{name} ") if inner else [f"{prefix}{name}"]
    return names


def test_the_pages_name_no_command_or_option_that_is_not_there() -> None:
    """Every `signgen ...` line of every block is a command, and its options are that command's."""
    commands = _commands(typer.main.get_command(app))
    for page in PAGES:
        for block in (block for block in blocks(page) if block.language in ("bash", "text")):
            for line in re.findall(r"^(?:.*-m )?signgen ((?:[a-z-]+ ?)+.*)$", block.text, re.M):
                name = max((n for n in commands if f"{line} ".startswith(f"{n} ")), key=len, default=None)
                assert name is not None, f"{page.name}: signgen {line}"
                options = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", line))
                assert options <= commands[name], f"{page.name}: signgen {line}: {options - commands[name]}"


def _commands(group: object, prefix: str = "") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            found |= _commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    return found
