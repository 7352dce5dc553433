"""FID and FVD of clips: windows by hand, a closed form, the real networks' interfaces with random weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import WeightsError
from signgen.metrics.accumulate import merge_states
from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.distribution.frechet import FeatureStatistics, frechet_distance
from signgen.metrics.distribution.fvd import Distribution
from signgen.metrics.distribution.i3d import I3D, R3D, load_i3d, load_r3d, r3d_input
from signgen.video.reader import write_png
from tests.line import Command

WINDOW = 4
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # what I3D is published as


def mean_and_range(window: np.ndarray) -> np.ndarray:
    """Two features that are easy to follow."""
    return np.array([window.mean(), float(window.max()) - float(window.min())], np.float32)


def fed(generated: list[int], truth: list[int], numbers: list[int] | None = None) -> Distribution:
    """Even frames of these values, numbered from 0."""
    metric = Distribution("fvd", mean_and_range, WINDOW)
    for index, ours, theirs in zip(numbers or range(len(truth)), generated, truth, strict=True):
        frames = [np.full((6, 5, 3), value, np.uint8) for value in (ours, theirs)]
        metric.update(FramePair(TruthFrame(index, frames[1]), frames[0]))
    return metric


def test_a_shift_of_all_windows_is_its_square() -> None:
    """Two windows each, means apart by 10, equal covariances: |m1 - m2|^2."""
    truth = [10, 12, 14, 16, 20, 26, 32, 38]
    metric = fed([value + 10 for value in truth], truth)
    found, reasons = metric.result("")
    assert found["fvd"] == pytest.approx(100)
    assert reasons == {}
    assert fed(truth, truth).result("")[0]["fvd"] == pytest.approx(0, abs=1e-6)
    assert "fvd is of 2 windows in 2 dimensions" in metric.notes()[0]


def test_the_same_frames_in_another_order_are_seen_by_windows_and_not_by_frames() -> None:
    truth = [10, 20, 30, 40, 110, 120, 130, 140]
    shuffled = [10, 140, 30, 110, 40, 120, 20, 130]
    assert fed(shuffled, truth).result("")[0]["fvd"] > 100
    single = Distribution("fid", mean_and_range)
    for index, (ours, theirs) in enumerate(zip(shuffled, truth, strict=True)):
        frames = [np.full((6, 5, 3), value, np.uint8) for value in (ours, theirs)]
        single.update(FramePair(TruthFrame(index, frames[1]), frames[0]))
    assert single.result("")[0]["fid"] == pytest.approx(0, abs=1e-6)


def test_a_set_of_clips_is_that_of_all_their_windows_whoever_saw_them() -> None:
    """The second clip is numbered as if it went on with the first, which ends in half a window."""
    clips = [range(6), range(6, 16)]
    values = np.random.default_rng(0).integers(0, 200, (2, 16))
    frames = values[..., None, None, None].repeat(4, 2).repeat(4, 3).repeat(3, 4).astype(np.uint8)

    def seen(parts: list[range]) -> Distribution:
        whole = Distribution("fvd", mean_and_range, WINDOW)
        for numbers in parts:
            clip = whole.of_clip()
            for number in numbers:
                clip.update(FramePair(TruthFrame(number, frames[1, number]), frames[0, number]))
            assert clip.result("") == ({}, {})
        return whole

    windows = [range(4), range(6, 10), range(10, 14)]
    ours, theirs = FeatureStatistics(), FeatureStatistics()
    for statistics, track in ((ours, frames[0]), (theirs, frames[1])):
        for window in windows:
            statistics.update(mean_and_range(track[list(window)]))
    expected = frechet_distance(ours.compute(), theirs.compute())
    assert seen(clips).result("")[0]["fvd"] == pytest.approx(expected)
    one, other = (pickle.loads(pickle.dumps(seen([clip]))) for clip in clips)
    merge_states(one, [other])
    assert one.result("")[0]["fvd"] == pytest.approx(expected)


def test_windows_do_not_reach_over_gaps_and_a_rest_is_dropped() -> None:
    seen: list[list[int]] = []

    def features(window: np.ndarray) -> np.ndarray:
        seen.append(window[:, 0, 0, 0].tolist())
        return mean_and_range(window)

    metric = Distribution("fvd", features, WINDOW)
    buffer = np.empty((4, 4, 3), np.uint8)
    for index in [0, 1, 3, 4, 5, 6, 7, 8, 9]:
        buffer[:] = index  # a reader that fills the same buffer again
        metric.update(FramePair(TruthFrame(index, buffer), buffer))
    assert seen == [[3, 4, 5, 6]] * 2  # the truth and the model
    found, reasons = metric.result("")
    assert found == {}
    assert reasons["fvd"] == "it needs two windows of 4 frames at least"
    assert metric.notes() == []


def test_r3d_is_torchvisions_network_before_its_classifier(tmp_path: Path) -> None:
    from torchvision.models.video import r3d_18

    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = r3d_18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / R3D.file)
    window = np.random.default_rng(0).integers(0, 256, (16, 40, 30, 3), dtype=np.uint8)
    found = load_r3d(tmp_path)(window)
    assert found.shape == (512,)
    with torch.inference_mode():
        expected = network(r3d_input(window))
        np.testing.assert_allclose(network.fc(torch.from_numpy(found))[None], expected, rtol=1e-3, atol=1e-4)
    white = r3d_input(np.full((16, 8, 8, 3), 255, np.uint8))
    assert white.shape == (1, 3, 16, 112, 112)
    np.testing.assert_allclose(
        white[0, :, 3, 5, 5], (1 - np.array([0.43216, 0.394666, 0.37645])) / [0.22803, 0.22145, 0.216989], rtol=1e-5
    )


class Probe(torch.nn.Module):
    """In the place of I3D: the mean of every channel and the number of frames, if it is called as I3D is."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        if not (rescale and resize and return_features):
            return torch.zeros(1, 1)
        return torch.cat([x.mean(dim=(2, 3, 4)), torch.full((1, 1), float(x.shape[2]))], 1)


def write_i3d(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    torch.jit.script(Probe()).save(str(folder / I3D.file))
    return folder


def test_i3d_is_called_as_fvd_calls_it(tmp_path: Path) -> None:
    window = np.random.default_rng(0).integers(0, 256, (16, 9, 7, 3), dtype=np.uint8)
    found = load_i3d(write_i3d(tmp_path / "w"))(window)
    np.testing.assert_allclose(found, [*window.mean(axis=(0, 1, 2)), 16], rtol=1e-5)


def test_missing_and_wrong_weights_are_named(tmp_path: Path) -> None:
    for weights, load in ((I3D, load_i3d), (R3D, load_r3d)):
        with pytest.raises(WeightsError, match=f"get them with: curl .*{weights.file}"):
            load(tmp_path)
        with pytest.raises(WeightsError, match=f"-o '{tmp_path}/x{Path(weights.file).suffix}'"):
            load(tmp_path / f"x{Path(weights.file).suffix}")
        (tmp_path / weights.file).write_bytes(b"<html>not found</html>")
        with pytest.raises(WeightsError, match="not ") as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)
        (tmp_path / weights.file).unlink()


def test_evaluate_with_distribution(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """33 frames are two windows; what has no weights is listed with the command that gets them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    rng = np.random.default_rng(0)
    for index in range(33):
        truth = rng.integers(0, 100, (20, 16, 3), dtype=np.uint8)
        write_png(tmp_path / "truth" / f"{index:03}.png", truth)
        write_png(tmp_path / "generated" / f"{index:03}.png", truth + np.uint8(7))
    call = ("evaluate", tmp_path / "generated", tmp_path / "truth", "--out", tmp_path / "r", "--distribution")
    output = command.works(*call, "--weights", write_i3d(tmp_path / "w"))
    result = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert result["mean"]["fvd"] == pytest.approx(3 * 7**2, rel=1e-3)
    assert result["baselines"]["copy-source"]["fvd"] > 0
    assert "I3D" in result["definitions"]["fvd"]
    assert "fvd" not in result["per_frame"][0]
    assert "r3d_18-b3b3357e.pth" in result["not_computed"]["fvd_r3d"]
    assert "pt_inception-2015-12-05-6726825d.pth" in result["not_computed"]["fid"]
    assert "get them with: curl" in output
    command.works(*call[:-1])
    assert "--distribution" in json.loads((tmp_path / "r" / "metrics.json").read_text())["not_computed"]["fvd"]
