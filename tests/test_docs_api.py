"""The Python blocks of the pages, executed word for word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.markdown import PAGES, blocks
from tests.test_docs_commands import inside, write_clip


def python_of(name: str) -> str:
    """The page's Python blocks, joined."""
    return "\n".join(block.text for block in blocks(ROOT / "docs" / f"{name}.md") if block.language == "python")


def execute(name: str, folder: Path) -> dict[str, Any]:
    """What the blocks leave behind, run in that folder."""
    names: dict[str, Any] = {}
    with inside(folder):
        exec(compile(python_of(name), f"{name}.md", "exec"), names)
    return names


def test_only_pages_that_are_tested_here_show_python() -> None:
    found = {page.stem for page in PAGES if any(block.language == "python" for block in blocks(page))}
    assert found == {"api", "drawn_signers"}


def test_from_a_clip_to_scores(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path)
    left: dict[str, Any] = execute("api", tmp_path)
    assert (tmp_path / left["trained"].model / "signgen.json").is_file()
    assert left["rendered"].written == (left["out"],)
    rendered, scored = left["rendered"].scores, left["scored"].scores
    assert rendered["frames"] == scored["frames"] == 24
    built, who = left["built"], (scored["mean"], scored["baselines"]["copy-source"])
    said = [built.triples, *built.notes, f"{left['rendered'].written} {rendered['mean']['ssim']}"]
    out, err = capfd.readouterr()
    assert out.splitlines() == [*map(str, said), *(str(row["hand_ssim"]) for row in who)]  # the functions print nothing
    assert err == ""


def test_the_package_is_imported_without_torch() -> None:
    code = "import signgen, sys; signgen.BuildPairsRequest; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_drawn_clip(tmp_path: Path) -> None:
    clip = execute("drawn_signers", tmp_path)["clip"]
    assert clip.frames.shape == (50, 260, 210, 3)
    assert clip.poses.keypoints.shape == (50, 133, 3)
