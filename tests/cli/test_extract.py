"""`signgen poses extract` as a user calls it, with an estimator of the tests' own behind the protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen.poses import read_poses
from signgen.poses.estimators import ESTIMATORS
from signgen.video.reader import open_frames, write_png
from tests.line import Command
from tests.poses.estimating import Brightest, dots, spot, write_model
from tests.worlds import write_world


@pytest.fixture
def estimator(monkeypatch: pytest.MonkeyPatch) -> Brightest:
    estimator = Brightest()
    monkeypatch.setitem(ESTIMATORS, "mediapipe", lambda: estimator)
    return estimator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 frames of 22x26: a spot that moves by a pixel a frame, dim in every fourth."""
    for index in range(20):
        write_png(tmp_path / "in" / f"{index:03d}.png", spot(1 + index, 4 + index, 22, 26, 255 if index % 4 else 90))
    return tmp_path / "in"


@pytest.mark.parametrize("suffix", [".poses.npz", ".json", ".pose"])
def test_a_frame_folder(estimator: Brightest, folder: Path, command: Command, tmp_path: Path, suffix: str) -> None:
    output = command.works("poses", "extract", folder, tmp_path / f"x{suffix}")
    assert "seen in 20 frames: person 100.0%, shoulders 100.0%, left hand 75.0%, right hand 100.0%" in output
    assert "poses: a note" in output
    found = read_poses(tmp_path / f"x{suffix}", size=(22, 26)).keypoints
    np.testing.assert_allclose(found[:, 0, 0], 1 + np.arange(20), atol=1e-4)
    np.testing.assert_allclose(found[:, 0, 1], 4 + np.arange(20), atol=1e-4)
    assert np.isnan(found[::4, 91:112, 0]).all()
    assert estimator.closed


def test_a_part_of_a_video(estimator: Brightest, command: Command, tmp_path: Path) -> None:
    video = write_world(tmp_path / "v", clips=1) / "clip0.mp4"
    output = command.works("poses", "extract", video, tmp_path / "x.poses.npz", "--frames", "3:9", "--enlarge", 120)
    assert "6 frames" in output
    found = read_poses(tmp_path / "x.poses.npz")
    source = open_frames(video)
    assert (len(found), found.width, found.height, found.fps) == (6, source.width, source.height, source.fps)
    assert estimator.sizes == [(128, 128)] * 6


def test_an_image(estimator: Brightest, command: Command, tmp_path: Path) -> None:
    write_png(tmp_path / "me.png", spot(7, 9))
    command.works("poses", "extract", tmp_path / "me.png", tmp_path / "x.poses.npz")
    np.testing.assert_allclose(read_poses(tmp_path / "x.poses.npz").keypoints[0, 3], (7, 9, 0.9), rtol=1e-6)


def test_a_model_of_the_user(folder: Path, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
    model = write_model(tmp_path / "m.onnx", 150, 200)
    write_png(tmp_path / "dots.png", dots(60, 80, (7, 11), (50, 23), (31, 70)))
    command.works("poses", "extract", tmp_path / "dots.png", tmp_path / "x.pose", "--onnx", model)
    found = read_poses(tmp_path / "x.pose").keypoints[0, 112:115, :2]  # 112 is 1 more than a multiple of 3
    np.testing.assert_allclose(found, [(50, 23), (31, 70), (7, 11)], atol=1e-4)
    assert "17 points" in command.refuses(
        *("poses", "extract", tmp_path / "dots.png", tmp_path / "y.pose"),
        *("--onnx", write_model(tmp_path / "body.onnx", 48, 64, points=17)),
    )
    assert not (tmp_path / "y.pose").exists()


def test_refusals(estimator: Brightest, folder: Path, command: Command, tmp_path: Path) -> None:
    call = ("poses", "extract", folder, tmp_path / "x.poses.npz")
    assert "did you mean mediapipe" in command.refuses(*call, "--estimator", "media")
    assert "one of the two" in command.refuses(*call, "--estimator", "mediapipe", "--onnx", tmp_path / "m.onnx")
    assert "no such file" in command.refuses(*call, "--onnx", tmp_path / "m.onnx")
    assert "0:20" in command.refuses(*call, "--frames", "3:40")
    assert "ends in" in command.refuses("poses", "extract", folder, tmp_path / "x.csv")
    assert "no such file" in command.refuses("poses", "extract", tmp_path / "none.mp4", tmp_path / "x.poses.npz")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    assert "not a video" in command.refuses("poses", "extract", tmp_path / "bad.mp4", tmp_path / "x.poses.npz")
    assert estimator.sizes == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mp4", "in"]


def test_nobody_there(estimator: Brightest, folder: Path, command: Command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(estimator, "estimate", lambda frame: np.zeros((133, 3)))
    line = command.refuses("poses", "extract", folder, tmp_path / "x.poses.npz")
    assert "nobody seen in 20 frames" in line
    assert "--person x0,y0,x1,y1 around it" in line
    assert "a wider --person" in command.refuses(
        *("poses", "extract", folder, tmp_path / "x.poses.npz", "--person", "2,2,20,24")
    )
    assert not (tmp_path / "x.poses.npz").exists()


def test_interrupted(estimator: Brightest, folder: Path, command: Command, tmp_path: Path, monkeypatch) -> None:
    """What was there stays, nothing half written is left, and the estimator is closed."""
    (tmp_path / "x.poses.npz").write_text("old")
    whole = estimator.estimate

    def third_is_interrupted(frame: np.ndarray) -> np.ndarray:
        if len(estimator.sizes) == 2:
            raise KeyboardInterrupt
        return whole(frame)

    monkeypatch.setattr(estimator, "estimate", third_is_interrupted)
    called = command("poses", "extract", folder, tmp_path / "x.poses.npz")
    assert called.code == 130
    assert "interrupted" in called.err
    assert (tmp_path / "x.poses.npz").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.poses.npz"]
    assert estimator.closed


def test_a_small_person_is_found_in_a_box(testdata: Path, command: Command, tmp_path: Path) -> None:
    """What the message says: a real signer 80 px high in a wide picture, where MediaPipe sees nobody."""
    pytest.importorskip("mediapipe", reason="needs the extra pose: pip install -e '.[pose]'")
    for number, frame in enumerate(open_frames(testdata / "signers" / "human_signer.mp4").read(0, 4)):
        wide = np.full((720, 1280, 3), 70, np.uint8)
        wide[400:480, 900:980] = frame.reshape(80, 6, 80, 6, 3).mean((1, 3)).astype(np.uint8)
        write_png(tmp_path / "in" / f"{number}.png", wide)
    words = ("poses", "extract", tmp_path / "in", tmp_path / "x.poses.npz")
    assert "--person x0,y0,x1,y1 around it" in command.refuses(*words)
    assert "person 100.0%" in command.works(*words, "--person", "880,380,1000,500")
    nose = read_poses(tmp_path / "x.poses.npz").keypoints[:, 0, :2]
    assert ((nose > (900, 400)) & (nose < (980, 480))).all()
