"""The Python blocks of the pages, executed word for word."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import signgen
from tests.conftest import ROOT
from tests.markdown import PAGES, blocks
from tests.test_docs_commands import inside, write_clip

# Until the functions are there; then both conditions go.
NO_API = not hasattr(signgen, "build_pairs")
NO_SYNTHETIC = importlib.util.find_spec("signgen.synthetic") is None


def python_of(name: str) -> str:
    """The page's Python blocks, joined."""
    return "\n".join(block.text for block in blocks(ROOT / "docs" / f"{name}.md") if block.language == "python")


def execute(name: str, folder: Path) -> dict[str, object]:
    """What the blocks leave behind, run in that folder."""
    names: dict[str, object] = {}
    with inside(folder):
        exec(compile(python_of(name), f"{name}.md", "exec"), names)
    return names


def test_only_pages_that_are_tested_here_show_python() -> None:
    found = {page.stem for page in PAGES if any(block.language == "python" for block in blocks(page))}
    assert found == {"api", "drawn_signers"}


@pytest.mark.skipif(NO_API, reason="signgen.build_pairs is not there")
def test_from_a_clip_to_scores(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path)
    left = execute("api", tmp_path)
    assert left["trained"].model.joinpath("signgen.json").is_file()  # type: ignore[attr-defined]
    assert [path.name for path in left["rendered"].written][:1] == ["out.mp4"]  # type: ignore[attr-defined]
    rendered, scored = left["rendered"].scores, left["scored"].scores  # type: ignore[attr-defined]
    assert rendered["frames"] == scored["frames"] == 24
    out, _ = capfd.readouterr()
    printed = [*left["built"].notes, f"{left['rendered'].written} {rendered['mean']['ssim']}"]  # type: ignore[attr-defined]
    own, source = scored["mean"]["hand_ssim"], scored["baselines"]["copy-source"]["hand_ssim"]
    assert out.splitlines() == [*printed, f"{own} {source}"]  # the functions print nothing themselves


@pytest.mark.skipif(NO_API, reason="signgen.build_pairs is not there")
def test_the_package_is_imported_without_torch() -> None:
    code = "import signgen, sys; signgen.BuildPairsRequest; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(NO_SYNTHETIC, reason="signgen.synthetic is not there")
def test_a_drawn_clip(tmp_path: Path) -> None:
    clip = execute("drawn_signers", tmp_path)["clip"]
    assert clip.frames.shape == (50, 260, 210, 3)  # type: ignore[attr-defined]
    assert clip.poses.keypoints.shape == (50, 133, 3)  # type: ignore[attr-defined]
