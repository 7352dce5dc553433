"""Robustness studies: unharmed is render and evaluate; what ignores poses loses nothing by worse ones; seeded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.evaluation.robustness import (
    METRICS,
    ClipUnderTest,
    Perturbation,
    perturbations,
    perturbed,
    run_perturbation,
    source_frames,
    spread,
    verdict,
)
from signgen.poses.sequence import PoseSequence
from signgen.rendering.source import Source
from signgen.video.reader import FrameSource, open_frames, write_png
from tests.line import Command, Line
from tests.worlds import figure_frames, figure_poses

FRAMES = 12


@dataclass
class Drawn:
    """Stands in for a Renderer: draws the pose exactly, or not at all."""

    looks: bool
    window: int = 0

    def frames(self, source: Source, poses: PoseSequence, part: range | None = None) -> Iterator[np.ndarray]:
        drawn = figure_frames(poses) if self.looks else [source.frame] * len(poses)
        yield from (drawn[number] for number in part or range(len(poses)))


@pytest.fixture
def clip(tmp_path: Path) -> ClipUnderTest:
    poses = figure_poses(FRAMES)
    for number, frame in enumerate(figure_frames(poses)):
        write_png(tmp_path / "clip" / f"{number:04}.png", frame)
    frames: FrameSource = open_frames(tmp_path / "clip")
    return ClipUnderTest("clip", frames, poses, 0, tuple(range(4, FRAMES)), {})


def run(renderer: Any, clip: ClipUnderTest, perturbation: Perturbation, seed: int = 0) -> dict[str, Any]:
    return run_perturbation(renderer, [clip], perturbation, seed, lambda: None)


def test_a_model_that_ignores_poses_loses_nothing(clip: ClipUnderTest) -> None:
    unharmed = run(Drawn(False), clip, Perturbation("noise"))
    assert unharmed["model"] == unharmed["copy-source"]
    for perturbation in perturbations([0, 2, 8], [0, 50, 100], 0):
        assert run(Drawn(False), clip, perturbation) == unharmed


def test_a_model_that_draws_its_poses_loses_more_the_worse_they_are(clip: ClipUnderTest) -> None:
    found = {(t.kind, t.level): run(Drawn(True), clip, t)["model"] for t in perturbations([0, 1, 8], [50, 100], 0)}
    exact = found.pop(("noise", 0.0))
    assert exact["ssim"] == exact["hand_ssim"] == pytest.approx(1)
    assert exact["psnr"] == 100
    assert all(scores["hand_ssim"] < 0.999 for scores in found.values())
    assert found["noise", 8.0]["hand_ssim"] < found["noise", 1.0]["hand_ssim"]
    assert found["hands", 100.0]["hand_ssim"] < found["hands", 50.0]["hand_ssim"]
    assert found["hands", 100.0]["face_ssim"] > 0.99  # an arm's end may reach into the window
    assert found["held", 100.0]["hand_ssim"] < found["held", 50.0]["hand_ssim"]
    assert found["interpolated", 50.0] != found["held", 50.0]


def test_everything_drawn_depends_on_the_seed_alone(clip: ClipUnderTest) -> None:
    for kind in ("noise", "hands", "held", "interpolated"):
        one, again, other = (perturbed(clip, Perturbation(kind, 50), seed).keypoints for seed in (1, 1, 2))
        assert np.array_equal(one, again, equal_nan=True)
        assert not np.array_equal(one, other, equal_nan=True)
        assert perturbed(clip, Perturbation(kind), 1) is clip.poses


def test_sources_are_frames_that_are_not_scored(clip: ClipUnderTest) -> None:
    found = source_frames(clip, 0, 4)
    assert found[:2] == [0, 2]  # its own; the middle of frames 0 to 3
    assert set(found) <= {0, 1, 2, 3}
    assert found == source_frames(clip, 0, 4)
    assert source_frames(clip, 0, 2) == found[:3]
    own = run(Drawn(False), clip, Perturbation("source", 1.0))
    assert own["copy-source"] == own["model"] != run(Drawn(False), clip, Perturbation("noise"))["model"]


def test_the_verdict_and_the_spread() -> None:
    def means(*ours: float) -> dict[str, Any]:
        return {"model": [{"hand_ssim": x} for x in ours], "copy-source": [{"hand_ssim": 0.5}] * len(ours)}

    def first(table: dict[str, Any]) -> dict[str, Any]:
        return {who: rows[0] for who, rows in table.items()}

    table = means(0.8, 0.6, 0.4)
    said = verdict({"noise": {"levels": [0, 2, 8], "means": table}}, first(table))
    assert "beats copy-source with unharmed input: hand_ssim 0.800 against 0.500" in said
    assert "no longer from 8 px of keypoint noise on (0.400 at 8 px)" in said
    assert verdict({}, first(means(0.4))).startswith("The model does NOT beat copy-source")
    assert spread(means(0.2, 0.4, 0.6)["model"], "hand_ssim") == pytest.approx((0.4, 0.2, 0.4))
    assert spread(means(0.2)["model"], "hand_ssim") is None


def test_unharmed_is_render_and_evaluate(
    command: Command, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    part = ("--frames", "12:16", "--threads", 1)
    study = ("robustness", line.model, line.video, line.poses, *part, "--noise", "0,8", "--shares", "0")
    out = command.works(*study, "--sources", 1, "--out", tmp_path / "r")
    assert out.startswith("4 frames of 1 clips, rendered 3 times")
    result = json.loads((tmp_path / "r" / "robustness.json").read_text())
    command.works(
        *("render", line.video, line.poses, "--model", line.model, *part, "--truth", "none"),
        *("--save-frames", tmp_path / "frames", "--out", tmp_path / "o.mp4"),
    )
    scoring = ("--poses", line.poses, "--frames", "12:16", "--out", tmp_path / "e")
    command.works("evaluate", tmp_path / "frames", line.video, *scoring)
    expected = json.loads((tmp_path / "e" / "metrics.json").read_text())
    for who, means in {"model": expected["mean"], **expected["baselines"]}.items():
        assert result["unharmed"][who] == {metric: means[metric] for metric in METRICS}
        assert result["studies"]["noise"]["means"][who][0] == result["unharmed"][who]
    assert result["studies"].keys() == {"noise", "source"}
    page = (tmp_path / "r" / "robustness.html").read_text()
    assert result["verdict"] in page
    assert 'id="noise-hand_ssim"' in page
    assert page.count("<svg") > 4
    assert "expected numbers" in command.refuses(*study, "--noise", "much", "--out", tmp_path / "x")
    assert "give the video's keypoints" in command.refuses(*study[:3], "--out", tmp_path / "x")
