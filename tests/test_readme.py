"""The README's commands, run: at tiny size always; word for word (ten minutes of training) among the slow tests."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter
from tests.conftest import ROOT
from tests.tiny import set_options
from tests.worlds import figure_frames, figure_poses, write_mmpose

README = (ROOT / "README.md").read_text(encoding="utf-8")


def readme_commands() -> list[list[str]]:
    """The `signgen` lines of the README's bash blocks, as words."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("signgen ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder with `clips/hello.mp4` and `clips/hello.json`, as the README asks for."""
    (tmp_path / "clips").mkdir()
    poses = figure_poses(16)
    with VideoWriter(tmp_path / "clips" / "hello.mp4", poses.width, poses.height, 25) as writer:
        for frame in figure_frames(poses):
            writer.write(frame)
    write_mmpose(poses, tmp_path / "clips" / "hello.json")
    return tmp_path


def run_all(folder: Path, commands: list[list[str]]) -> None:
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "signgen", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"signgen {shlex.join(words)}: {done.stderr}"


def test_the_commands_on_keypoints(newcomer: Path) -> None:
    shutil.copy(newcomer / "clips" / "hello.json", newcomer / "other.json")
    lines = [line for line in README.splitlines() if line.startswith("signgen poses ")]
    commands = [shlex.split(line.split("   ")[0])[1:] for line in lines]
    assert len(commands) == 6
    assert commands.pop(0)[1] == "extract"  # needs an extra and a person: tests/cli/test_extract.py
    run_all(newcomer, commands)
    for name in ("clean.poses.npz", "fitted.poses.npz", "look.mp4", "hello.pose"):
        assert (newcomer / name).stat().st_size > 0


def check_outputs(folder: Path, lossy: float) -> dict:
    """lossy: how far apart SSIM may be before and after the mp4."""
    rendered, truth = open_frames(folder / "out.mp4"), open_frames(folder / "clips" / "hello.mp4")
    assert (rendered.num_frames, rendered.width, rendered.height, rendered.fps) == (16, truth.width, truth.height, 25)
    assert open_frames(folder / "out.side-by-side.mp4").width == 4 * truth.width
    for name in ("triples.parquet", "clips.parquet", "poses", "meta.json"):
        assert (folder / "pairs" / name).exists()
    for name in ("fusion", "model/signgen.json", "logs/tensorboard", "samples", "state", "recipe.yaml"):
        assert (folder / "run" / name).exists()
    report = json.loads((folder / "report" / "metrics.json").read_text())
    beside = json.loads((folder / "out.metrics.json").read_text())
    for metrics in (report, beside):
        assert {"protocol", "definitions", "frames", "mean", "baselines", "per_frame"} <= set(metrics)
        assert set(metrics["baselines"]) == {"copy-source", "nearest-pose"}
        assert metrics["frames"] == len(metrics["per_frame"]) == 16
    # The report scores the mp4, which is lossy; the rendering scores its frames before that.
    assert report["mean"]["ssim"] == pytest.approx(beside["mean"]["ssim"], abs=lossy)
    return beside


def test_the_readme_names_every_command():
    assert [words[0] for words in readme_commands()] == ["build-pairs", "train", "render", "evaluate"]


def test_the_readme_at_tiny_size(newcomer):
    commands = readme_commands()
    commands[1] = [*commands[1], *set_options()]
    commands[1][commands[1].index("--max-minutes") + 1] = "0.05"
    run_all(newcomer, commands)
    check_outputs(newcomer, lossy=0.1)  # a handful of steps, and so noise, of which an mp4 keeps little


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_word_for_word(newcomer):
    run_all(newcomer, readme_commands())
    metrics = check_outputs(newcomer, lossy=0.03)
    assert metrics["mean"]["ssim"] > metrics["baselines"]["copy-source"]["ssim"]
