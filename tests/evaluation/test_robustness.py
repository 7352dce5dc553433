"""Robustness studies: unharmed is render and evaluate; what ignores poses loses nothing by worse ones; seeded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.errors import OptionError
from signgen.evaluation.perturbations import (
    STUDIES,
    Perturbation,
    check_levels,
    harmed_source,
    perturbations,
    perturbed,
    studies_of,
    usual_levels,
)
from signgen.evaluation.robustness import (
    METRICS,
    run_perturbation,
    source_frames,
    spread,
    verdict,
)
from signgen.evaluation.robustness_clips import ClipUnderTest
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
    for perturbation in perturbations(usual_levels([0, 2, 8], [0, 50, 100], 0)):
        found = run(Drawn(False), clip, perturbation)
        if STUDIES[perturbation.kind].source is None:
            assert found == unharmed
        else:  # the baseline has the same harmed source
            assert found["model"] == found["copy-source"] != unharmed["model"]


def test_a_model_that_draws_its_poses_loses_more_the_worse_they_are(clip: ClipUnderTest) -> None:
    levels = {name: found for name, found in usual_levels([1, 8], [50, 100], 0).items() if not STUDIES[name].source}
    found = {(t.kind, t.level): run(Drawn(True), clip, t)["model"] for t in perturbations(levels)}
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
    for kind in ("noise", "drift", "hands", "held", "interpolated"):
        harm = Perturbation(kind, 50)
        one, again, other = (perturbed(clip.poses, clip.targets, harm, n, "a").keypoints for n in (1, 1, 2))
        assert np.array_equal(one, again, equal_nan=True)
        assert not np.array_equal(one, other, equal_nan=True)
        assert perturbed(clip.poses, clip.targets, Perturbation(kind), 1, "a") is clip.poses


def test_sources_are_frames_that_are_not_scored(clip: ClipUnderTest) -> None:
    found = source_frames(clip, 0, 4)
    assert found[:2] == [0, 2]  # its own; the middle of frames 0 to 3
    assert set(found) <= {0, 1, 2, 3}
    assert found == source_frames(clip, 0, 4)
    assert source_frames(clip, 0, 2) == found[:3]
    own = run(Drawn(False), clip, Perturbation("source", 1.0))
    assert own["copy-source"] == own["model"] != run(Drawn(False), clip, Perturbation("noise"))["model"]


def test_studies_by_name(clip: ClipUnderTest) -> None:
    assert studies_of(None, listed=False) == ["noise", "hands", "held", "interpolated", "source"]
    assert studies_of(None, listed=True) == ["noise"]
    assert studies_of(["all"], listed=False) == list(STUDIES)
    assert [STUDIES[name].of_clips for name in studies_of(["all"], listed=True)] == [False] * 6
    with pytest.raises(OptionError, match=r"no study 'drif'.*did you mean drift"):
        studies_of(["drif"], listed=False)
    with pytest.raises(OptionError, match=r"held of a list of pairs: single images"):
        studies_of(["held"], listed=True)
    assert check_levels("hands", [50, 0, 25, 50]) == [25, 50]
    for name, wrong in (
        ("hands", [101.0]),
        ("noise", [-1.0]),
        ("source-jpeg", [100.0]),
        ("noise", [float("nan")]),
        ("source-blur", [101.0]),
    ):
        with pytest.raises(OptionError, match=f"levels of {name}"):
            check_levels(name, wrong)


def test_a_harmed_source_is_keyed_and_its_box_lies_on_the_person(clip: ClipUnderTest) -> None:
    frame, points = clip.frames.read(0, 1)[0], clip.poses.keypoints[0]
    for kind in (name for name, study in STUDIES.items() if study.source):
        one, again, unharmed = (harmed_source(frame, points, Perturbation(kind, n), 1, "a") for n in (4, 4, 0))
        assert np.array_equal(one, again)
        assert unharmed is frame
        assert not np.array_equal(one, frame)
    centres = set()
    for seed in range(10):
        rows, columns = np.nonzero((harmed_source(frame * 0, points, Perturbation("source-box", 1), seed, "a")).any(2))
        middle = np.array([columns.mean(), rows.mean()])
        assert np.nanmin(np.linalg.norm(points[:, :2] - middle, axis=1)) < 2
        centres.add(tuple(middle))
    assert len(centres) > 5


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
    command.works(
        *study, "--sources", 0, "--studies", "source-box", "--levels", "source-box=30", "--out", tmp_path / "b"
    )
    boxed = json.loads((tmp_path / "b" / "robustness.json").read_text())
    assert boxed["unharmed"] == result["unharmed"]
    assert boxed["studies"].keys() == {"source-box"}
    assert boxed["studies"]["source-box"]["levels"] == [0, 30]
    assert len({means["psnr"] for means in boxed["studies"]["source-box"]["means"]["model"]}) == 2
    assert "Source partly hidden" in (tmp_path / "b" / "robustness.html").read_text()
    assert "a study that is made" in command.refuses(*study, "--levels", "source-box=3", "--out", tmp_path / "x")
    assert "expected NAME=LEVEL" in command.refuses(*study, "--levels", "source-box", "--out", tmp_path / "x")
    assert "with the video" in command.refuses(*study, "--all-sources", "--out", tmp_path / "x")
    assert "expected numbers" in command.refuses(*study, "--noise", "much", "--out", tmp_path / "x")
    assert "give the video's keypoints" in command.refuses(*study[:3], "--out", tmp_path / "x")
