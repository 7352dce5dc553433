"""`signgen evaluate` with keypoints of the generated clip: given, estimated by a stand-in and by an ONNX model."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from signgen.metrics.definitions import FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.poses import PoseSequence
from signgen.poses.estimators import ESTIMATORS
from signgen.video.origin import Origin
from signgen.video.reader import read_image, write_png
from tests.line import Command
from tests.poses.estimating import dots, write_model

WIDTH, HEIGHT, FRAMES = 60, 80, 4
APART = 24  # px from the red dot to the blue one: from one shoulder to the other
ALL = (*POSE_METRICS, *SEQUENCE_METRICS)


class Dots:
    """Point k is the brightest pixel of channel k % 3, as the ONNX models of the tests see it."""

    short_side, note = 0, ""

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        places = [np.unravel_index(frame[..., channel].argmax(), frame.shape[:2]) for channel in range(3)]
        return np.array([(places[k % 3][1], places[k % 3][0], 0.9) for k in range(133)], float)

    def close(self) -> None:
        pass


def clip(folder: Path, green: list[int], frames: int = FRAMES) -> Path:
    """Red and blue stand still APART px from each other; green is `green` px from the left."""
    for index in range(frames):
        picture = dots(WIDTH, HEIGHT, (10, 20), (green[index], 50), (10 + APART, 20))
        write_png(folder / f"{index:03}.png", picture)
    return folder


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Generated: the green dot goes 6 px further right than in the truth, in every frame."""
    monkeypatch.setitem(ESTIMATORS, "dots", Dots)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    truth = [20, 23, 26, 29]
    return clip(tmp_path / "generated", [x + 6 for x in truth]), clip(tmp_path / "truth", truth)


def report(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def green_share(points: list[int]) -> float:
    return sum(point % 3 == 1 for point in points) / len(points)


HANDS = [*range(91, 133)]


@pytest.mark.parametrize("by", ["name", "model"])
def test_estimated_keypoints(clips: tuple[Path, Path], command: Command, tmp_path: Path, by: str) -> None:
    if by == "model":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
    chosen = ("--estimator", "dots") if by == "name" else ("--onnx", write_model(tmp_path / "m.onnx", 150, 200))
    output = command.works("evaluate", *clips, "--out", tmp_path / "r", *chosen)
    result = report(tmp_path / "r")
    loose = {"abs": 1e-6} if by == "name" else {"abs": 0.03}  # the model sees a warped crop
    assert result["mean"]["hand_joint_error"] == pytest.approx(green_share(HANDS) * 6 / APART, **loose)
    assert result["mean"]["hand_pck_20"] == pytest.approx(1 - green_share(HANDS))
    copied = result["baselines"]["copy-source"]
    assert copied["hand_joint_error"] == pytest.approx(green_share(HANDS) * np.mean([3, 6, 9]) / APART, **loose)
    assert "keypoints of both clips and of the source estimated by" in output
    assert "seen in the generated clip too: body 100.0%" in output
    assert all(name in result["definitions"] for name in ALL)


def test_an_identical_clip_has_no_error(clips: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    command.works("evaluate", clips[1], clips[1], "--out", tmp_path / "r", "--estimator", "dots")
    mean = report(tmp_path / "r")["mean"]
    assert all(mean[name] == (1 if "pck" in name else 0) for name in (*POSE_METRICS, "dtw_mje"))
    readable = ("finger_pck", "finger_pck_truth", "finger_pck_share", "hands_found", "hands_found_truth")
    assert all(mean[name] == 1 for name in readable)


@pytest.mark.parametrize("frames", [FRAMES, 2])
def test_given_keypoints_of_all_frames_or_of_those_scored(
    clips: tuple[Path, Path], command: Command, tmp_path: Path, frames: int
) -> None:
    rng = np.random.default_rng(0)
    truth = np.full((FRAMES, 133, 3), 0.9, np.float32)
    truth[..., :2] = rng.uniform(10, 50, (133, 2))
    truth[:, 5, :2], truth[:, 6, :2] = (10, 20), (10 + APART, 20)
    truth[..., 1] += np.arange(FRAMES)[:, None]
    PoseSequence(truth, WIDTH, HEIGHT).save(tmp_path / "truth.poses.npz")
    moved = truth.copy()
    moved[:, 91:112, 0] += 6
    moved[:2, 91:112, 0] += 100  # in frames that are not scored
    PoseSequence(moved[FRAMES - frames :], WIDTH, HEIGHT).save(tmp_path / "ours.poses.npz")
    call = ("evaluate", *clips, "--out", tmp_path / "r", "--frames", "2:4", "--poses", tmp_path / "truth.poses.npz")
    command.works(*call, "--generated-poses", tmp_path / "ours.poses.npz")
    result = report(tmp_path / "r")
    assert result["mean"]["hand_joint_error"] == pytest.approx(6 / APART / 2, rel=1e-5)
    copied = result["baselines"]["copy-source"]["body_joint_error"]
    assert copied == pytest.approx(2.5 / APART, rel=1e-5)  # frame 0 against frames 2 and 3
    command.works(
        *call, "--generated-poses", tmp_path / "ours.poses.npz", "--source", shutil.copytree(clips[1], tmp_path / "s")
    )
    assert report(tmp_path / "r")["baselines"]["copy-source"]["body_joint_error"] is None


def test_refusals(clips: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
    call = ("evaluate", *clips, "--out", tmp_path / "r")
    given = tmp_path / "ours.poses.npz"
    PoseSequence(np.full((3, 133, 3), 0.5, np.float32), WIDTH, HEIGHT).save(given)
    enough = tmp_path / "truth.poses.npz"
    PoseSequence(np.full((FRAMES, 133, 3), 0.5, np.float32), WIDTH, HEIGHT).save(enough)
    assert "needs --poses" in command.refuses(*call, "--generated-poses", given)
    assert "does not go with" in command.refuses(*call, "--generated-poses", given, "--onnx", tmp_path / "m")
    assert "did you mean dots" in command.refuses(*call, "--estimator", "dot")
    assert "no such file" in command.refuses(*call, "--onnx", tmp_path / "m.onnx")
    assert "for 3 frames" in command.refuses(*call, "--poses", enough, "--generated-poses", given)
    assert "without shoulders" in command.refuses(*call, "--poses", enough, "--generated-poses", enough)
    assert not (tmp_path / "r").exists()


def test_without_keypoints_the_report_says_how_to_get_them(
    clips: tuple[Path, Path], command: Command, tmp_path: Path
) -> None:
    command.works("evaluate", *clips, "--out", tmp_path / "r")
    reasons = report(tmp_path / "r")["not_computed"]
    assert all("--generated-poses" in reasons[name] and "--onnx FILE" in reasons[name] for name in ALL)


class TestANetworkDoesNotJudgeWhatItTaught:
    def written(self, clips: tuple[Path, Path], networks: tuple[str, ...] | None) -> Path:
        """The generated frames as a render leaves them whose model these networks trained; None: as others do."""
        text = "" if networks is None else Origin(networks).text()
        for path in sorted(clips[0].iterdir()):
            write_png(path, read_image(path), text)
        return clips[0]

    def test_by_name(self, clips: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
        generated = self.written(clips, ("dots",))
        output = command.works("evaluate", generated, clips[1], "--out", tmp_path / "r", "--estimator", "dots")
        result = report(tmp_path / "r")
        names = (*ALL, *FINGER_METRICS)
        assert not set(names) & set(result["mean"])
        assert all(
            "by this very network (dots), which therefore cannot judge it" in result["not_computed"][n] for n in names
        )
        assert "this very network (dots)" in " ".join(output.split())
        assert result["mean"]["psnr"] is not None

    def test_by_the_files_bytes(self, clips: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
        model, other = (write_model(tmp_path / f"{size}.onnx", size, 200) for size in (150, 100))
        renamed = Path(shutil.copy(model, tmp_path / "another_name.onnx"))
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        generated = self.written(clips, (f"onnx:{digest}",))
        call = ("evaluate", generated, clips[1], "--out", tmp_path / "r", "--onnx")
        command.works(*call, renamed)
        assert digest in report(tmp_path / "r")["not_computed"]["finger_pck"]
        command.works(*call, other)
        assert report(tmp_path / "r")["mean"]["finger_pck"] is not None

    def test_another_network_judges(self, clips: tuple[Path, Path], command: Command, tmp_path: Path) -> None:
        generated = self.written(clips, ("mediapipe",))
        command.works("evaluate", generated, clips[1], "--out", tmp_path / "r", "--estimator", "dots")
        result = report(tmp_path / "r")
        assert result["mean"]["hand_pck_20"] is not None
        assert not any("does not say which pose networks" in note for note in result["notes"])

    def test_what_says_nothing_of_its_model_is_scored_with_a_note(
        self, clips: tuple[Path, Path], command: Command, tmp_path: Path
    ) -> None:
        generated = self.written(clips, None)
        command.works("evaluate", generated, clips[1], "--out", tmp_path / "r", "--estimator", "dots")
        result = report(tmp_path / "r")
        assert result["mean"]["hand_pck_20"] is not None
        assert any("does not say which pose networks trained or guided" in note for note in result["notes"])

    def test_keypoints_of_a_file_may_be_from_anywhere(
        self, clips: tuple[Path, Path], command: Command, tmp_path: Path
    ) -> None:
        points = np.full((FRAMES, 133, 3), 0.9, np.float32)
        points[..., :2] = np.random.default_rng(0).uniform(10, 50, (133, 2))
        given = tmp_path / "k.poses.npz"
        PoseSequence(points, WIDTH, HEIGHT).save(given)
        call = ("evaluate", self.written(clips, ("dots",)), clips[1], "--out", tmp_path / "r")
        command.works(*call, "--poses", given, "--generated-poses", given)
        assert "does not say which network" in report(tmp_path / "r")["not_computed"]["pck_10"]
