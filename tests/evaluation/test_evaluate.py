"""`signgen evaluate`: the files it writes, the four-panel clip end to end, and one line for every wrong input."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from signgen.cli.common import run
from signgen.cli.evaluate import evaluate
from signgen.metrics.definitions import DISTRIBUTION_METRICS, FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.poses import PoseSequence
from signgen.video.reader import open_frames, write_png

FRAMES, HEIGHT, WIDTH = 5, 64, 72


class Command:
    """Runs the command as the entry point does; keeps exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.app = typer.Typer(pretty_exceptions_enable=False)
        self.app.command()(evaluate)

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["signgen", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run(self.app)
        out, err = self._capsys.readouterr()
        return int(end.value.code or 0), out, err

    def refuses(self, *arguments: object) -> str:
        """The one line on stderr of an exit with code 2."""
        code, _, err = self(*arguments)
        assert code == 2
        assert err.count("\n") == 1
        assert err.startswith("signgen: error: ")
        return err


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    return Command(capsys, monkeypatch)


def frame(value: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A textured frame that depends on `value`."""
    texture = np.random.default_rng(0).integers(0, 150, (height, width, 3), dtype=np.uint8)
    return np.roll(texture, value, axis=1) + np.uint8(value)


def folder(path: Path, values: range | list[int], height: int = HEIGHT, width: int = WIDTH) -> Path:
    for index, value in enumerate(values):
        write_png(path / f"images{index + 1:04}.png", frame(value, height, width))
    return path


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path]:
    """Generated: frames 1..5 of a series; truth: 0..4."""
    return folder(tmp_path / "generated", range(1, FRAMES + 1)), folder(tmp_path / "truth", range(FRAMES))


def poses(path: Path, frames: int = FRAMES, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Hands in the lower half, face above, in pixels of width x height."""
    rng = np.random.default_rng(0)
    points = np.ones((frames, 133, 3), np.float32)
    points[..., :2] = rng.uniform(0.1, 0.3, (133, 2))
    points[:, 91:112, :2] += (0.5, 0.5)
    points[:, 112:133, :2] += (0.1, 0.5)
    points[..., :2] = points[..., :2] * (width, height) - 0.5  # the first pixel's centre is 0
    PoseSequence(points, width, height).save(path)
    return path


def written(report: Path) -> tuple[dict, list[dict[str, str]]]:
    with (report / "per_frame.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return json.loads((report / "metrics.json").read_text()), rows


def test_report_files_and_table(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    keypoints = poses(tmp_path / "k.poses.npz")
    code, out, err = command(*clips, "--out", tmp_path / "report", "--poses", keypoints)
    assert (code, err) == (0, "")
    result, rows = written(tmp_path / "report")
    assert result["frames"] == FRAMES == len(rows)
    assert list(rows[0]) == list(result["per_frame"][0])
    for row, frame_row in zip(rows, result["per_frame"], strict=True):
        assert {k: float(v) if v else None for k, v in row.items()} == frame_row
    assert rows[0]["flicker"] == ""
    assert set(result["baselines"]) == {"copy-source"}
    networks, vgg = ("lpips", "hand_lpips", "face_lpips"), ("lpips_vgg", "hand_lpips_vgg", "face_lpips_vgg")
    assert set(result["not_computed"]) == {
        "nearest-pose",
        "ms_ssim",
        *networks,
        *vgg,
        *POSE_METRICS,
        *FINGER_METRICS,
        *SEQUENCE_METRICS,
        *DISTRIBUTION_METRICS,
    }
    assert "weights missing" in result["not_computed"]["lpips"]
    first = out.splitlines()[0]
    assert first.startswith("The model")
    assert "copy-source on hands" in first
    assert f"{result['protocol']}; {FRAMES} frames" in out
    for means in (result["mean"], result["baselines"]["copy-source"]):
        for metric, value in means.items():
            if metric == "ms_ssim":
                continue
            digits = 2 if any(word in metric for word in ("psnr", "flicker", "warping")) else 3
            assert f"{value:.{digits}f}" in out.split("\n", 1)[1], metric
    assert f"not computed: {', '.join(networks)}: weights missing" in out
    assert f"not computed: {', '.join(vgg)}: weights missing: vgg16-397923af.pth" in out


def test_the_first_line_says_who_wins(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    _, truth = clips
    keypoints = poses(tmp_path / "k.poses.npz")
    assert command(truth, truth, "--out", tmp_path / "r", "--poses", keypoints)[1].startswith(
        "The model beats copy-source on hands: SSIM 1.000 against"
    )
    copies = folder(tmp_path / "copies", [0] * FRAMES)
    assert command(copies, truth, "--out", tmp_path / "r", "--poses", keypoints)[1].startswith(
        "The model does NOT beat copy-source on hands"
    )
    assert "on whole frames (hands were not scored)" in command(copies, truth, "--out", tmp_path / "r")[1]


def test_source_is_repeated_and_named(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    generated, truth = clips
    source = folder(tmp_path / "source", [3])
    code, out, _ = command(generated, truth, "--out", tmp_path / "r", "--source", source / "images0001.png")
    assert code == 0
    assert "copy-source repeats the first frame of" in out
    result, _ = written(tmp_path / "r")
    assert any("copy-source is the truth itself in 1 of 5 frames" in note for note in result["notes"])
    other = folder(tmp_path / "other", [0], width=WIDTH + 8)
    error = command.refuses(generated, truth, "--out", tmp_path / "r2", "--source", other)
    assert f"{other} is 80x64, {truth} is 72x64" in error


def test_frames_of_both_or_of_the_truth_alone(command: Command, tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", range(FRAMES))
    keypoints = poses(tmp_path / "k.poses.npz")
    code, _, _ = command(truth, truth, "--frames", "1:3", "--out", tmp_path / "both", "--poses", keypoints)
    assert code == 0
    both, _ = written(tmp_path / "both")
    assert [row["frame"] for row in both["per_frame"]] == [1, 2]
    assert both["mean"]["psnr"] == 100
    part = folder(tmp_path / "part", [2, 3, 4])
    code, out, _ = command(part, truth, "--frames", "2:", "--out", tmp_path / "one", "--poses", keypoints)
    assert code == 0
    assert "all 3 generated frames against frames 2: of the truth" in out
    one, _ = written(tmp_path / "one")
    assert [row["frame"] for row in one["per_frame"]] == [2, 3, 4]
    assert one["mean"]["psnr"] == 100
    assert one["baselines"]["copy-source"]["psnr"] < 30  # frame 0 of the truth, not frame 2


def test_keypoints_of_another_size_are_scaled_and_that_is_said(
    command: Command, clips: tuple[Path, Path], tmp_path: Path
) -> None:
    results = []
    for scale in (1, 3):
        keypoints = poses(tmp_path / f"{scale}.poses.npz", width=scale * WIDTH, height=scale * HEIGHT)
        assert command(*clips, "--out", tmp_path / "r", "--poses", keypoints)[0] == 0
        results.append(written(tmp_path / "r")[0])
    assert results[0]["mean"] == pytest.approx(results[1]["mean"], abs=1e-2)
    assert "keypoints scaled from 216x192 to 72x64" in results[1]["notes"]


def test_different_sizes(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    wide = folder(tmp_path / "wide", range(FRAMES), width=WIDTH + 2)
    error = command.refuses(wide, clips[1], "--out", tmp_path / "r")
    assert f"{wide} is 74x64, {clips[1]} is 72x64; expected equal sizes" in error
    assert not (tmp_path / "r").exists()


def test_different_counts(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    short = folder(tmp_path / "short", range(3))
    error = command.refuses(short, clips[1], "--out", tmp_path / "r")
    assert f"{short} has 3 frames, {clips[1]} has 5; expected equal counts" in error
    error = command.refuses(short, clips[1], "--frames", "1:3", "--out", tmp_path / "r")
    assert "--frames 1:3 are 2; expected 2 or 5 generated" in error


def test_frames_outside_the_truth(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    for text, message in (("2:9", "does not lie within 0:5"), ("x", "expected A:B"), ("3:3", "does not lie within")):
        code, _, err = command(*clips, "--frames", text, "--out", tmp_path / "r")
        assert code == 2
        assert message in re.sub(r"[\s│]+", " ", err)


def test_missing_and_unreadable_inputs(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.mp4"
    assert f"{nowhere}: no such file or folder" in command.refuses(nowhere, clips[1], "--out", tmp_path / "r")
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(b"not a video" * 100)
    assert str(garbage) in command.refuses(clips[0], garbage, "--out", tmp_path / "r")
    (tmp_path / "empty").mkdir()
    assert "a folder without images" in command.refuses(tmp_path / "empty", clips[1], "--out", tmp_path / "r")


def test_too_few_and_too_many_keypoints(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    few = poses(tmp_path / "few.poses.npz", FRAMES - 1)
    error = command.refuses(*clips, "--out", tmp_path / "r", "--poses", few)
    assert f"{few}: keypoints for 4 frames, {clips[1]} has 5" in error
    many = poses(tmp_path / "many.poses.npz", FRAMES + 1)
    code, out, _ = command(*clips, "--out", tmp_path / "r", "--poses", many)
    assert code == 0
    assert "keypoints for 6 frames, the truth has 5: the rest is not used" in out


def test_wrong_poses_pairs_and_weights(command: Command, clips: tuple[Path, Path], tmp_path: Path) -> None:
    text = tmp_path / "poses.json"
    text.write_text("{}")
    assert str(text) in command.refuses(*clips, "--out", tmp_path / "r", "--poses", text)
    assert "--pairs without --poses" in command.refuses(*clips, "--out", tmp_path / "r", "--pairs", tmp_path)
    keypoints = poses(tmp_path / "k.poses.npz")
    error = command.refuses(*clips, "--out", tmp_path / "r", "--poses", keypoints, "--pairs", tmp_path / "none")
    assert "none: no such folder" in error
    error = command.refuses(*clips, "--out", tmp_path / "r", "--lpips-weights", tmp_path / "none.pth")
    assert "weights missing" in error


def panel(frames: np.ndarray, number: int, path: Path) -> Path:
    for index, picture in enumerate(frames):
        write_png(path / f"{index:03}.png", picture[:, (number - 1) * 210 : number * 210])
    return path


def test_four_panel_clip_end_to_end(command: Command, testdata: Path, tmp_path: Path) -> None:
    name = "25June_2010_Friday_tagesschau-3880"
    frames = open_frames(testdata / "phoenix" / f"{name}.fourpanel.gif").read()
    source, truth, output = (panel(frames, n, tmp_path / str(n)) for n in (1, 3, 4))
    keypoints = testdata / "phoenix" / f"{name}.mmpose133.json"
    arguments = (output, truth, "--out", tmp_path / "r", "--poses", keypoints, "--source", source)
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("The model beats copy-source on hands")
    result, rows = written(tmp_path / "r")
    assert len(rows) == 49
    assert result["mean"]["ssim"] == pytest.approx(0.8633, abs=5e-5)
    assert result["mean"]["psnr"] == pytest.approx(23.27, abs=5e-3)
    copied = result["baselines"]["copy-source"]
    # .703 and 15.84 take each frame's own source panel, which the GIF's palette changes a little from frame to frame.
    assert copied["ssim"] == pytest.approx(0.703, abs=2e-3)
    assert copied["psnr"] == pytest.approx(15.84, abs=2e-2)
    assert copied["flicker"] == 0 < result["mean"]["flicker_truth"]
    assert copied["hand_ssim"] < result["mean"]["hand_ssim"] < result["mean"]["ssim"]  # the grey background flatters
    assert result["mean"]["flicker"] > 2 * result["mean"]["flicker_truth"]  # frames were generated one by one
    assert result["mean"]["hand_sharpness"] == pytest.approx(1.09, abs=0.02)  # the GIF's dither, in output and truth
