"""`signgen evaluate --preset`: the whole chain of each preset against a few lines of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.metrics import structural_similarity

from signgen.metrics.clip.presets import crop_square
from signgen.metrics.image.lpips import TRUNKS, build_network
from signgen.poses import PoseSequence
from signgen.poses.estimators import ESTIMATORS
from signgen.video.reader import write_png
from tests.line import Command
from tests.metrics.test_lpips import write_trunk
from tests.metrics.test_video_distribution import write_i3d

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # what I3D is published as
WIDTH, HEIGHT = 120, 90
FACE, LEFT, RIGHT = slice(23, 91), slice(91, 112), slice(112, 133)
REGIONS = {"face": FACE, "left_hand": LEFT, "right_hand": RIGHT}
SHIFT = {"face": 1.0, "left_hand": 4.0, "right_hand": 2.0}  # px by which the estimator sees the generated ones moved


def points_of(number: int) -> np.ndarray:
    """(133, 3): the face at the frame's upper edge, a hand at its left one, all moving right."""
    points = np.zeros((133, 3), np.float32)
    points[:, :2], points[:, 2] = (60, 60), 0.9
    points[5, :2], points[6, :2] = (80, 50), (40, 50)
    rng = np.random.default_rng(7)
    for part, middle, size in ((FACE, (60, 8), (20, 16)), (LEFT, (95, 60), (18, 30)), (RIGHT, (8, 70), (14, 12))):
        count = part.stop - part.start
        points[part, :2] = np.array(middle) + rng.uniform(-0.5, 0.5, (count, 2)) * size + (number % 5, 0)
    return points


class Marked:
    """Sees the points of the frame whose number is its first pixel's red, moved where the green says so; never the
    first finger of the left hand."""

    short_side, note = 0, ""

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        number, moved = int(frame[0, 0, 0]), int(frame[0, 0, 1])
        points = points_of(number).astype(float)
        for region, part in REGIONS.items():
            points[part, 1] += moved * SHIFT[region]
        points[92:96, 2] = 0
        return points

    def close(self) -> None:
        pass


def write_clips(root: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Generated and true frames, written as folders, and the truth's keypoints, in which one frame lacks a hand."""
    rng = np.random.default_rng(0)
    truth = np.stack([cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2)] * count)
    truth = np.stack([np.roll(frame, number, 1) for number, frame in enumerate(truth)])
    noise = rng.integers(-20, 20, truth.shape)
    generated = np.clip(np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in truth]) + noise, 0, 255).astype(np.uint8)
    points = np.stack([points_of(number) for number in range(count)])
    points[1, RIGHT] = (np.nan, np.nan, 0)
    for number in range(count):
        truth[number, 0, 0], generated[number, 0, 0] = (number, 0, 0), (number, 1, 0)
        write_png(root / "truth" / f"{number:03}.png", truth[number])
        write_png(root / "generated" / f"{number:03}.png", generated[number])
    PoseSequence(points, WIDTH, HEIGHT).save(root / "k.poses.npz")
    return generated, truth


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


def box_of(points: np.ndarray) -> tuple[int, int, int, int]:
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    reach = 0.15 * (high - low).max()
    x0, y0 = np.maximum(np.floor(low - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high + reach).astype(int) + 1, (WIDTH, HEIGHT))
    return int(x0), int(y0), int(x1), int(y1)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)
    monkeypatch.setitem(ESTIMATORS, "marked", Marked)


def test_signrefine(command: Command, tmp_path: Path, no_weights: None) -> None:
    torch.manual_seed(0)
    network = build_network("vgg").eval()
    write_trunk(network, tmp_path / "w" / TRUNKS["vgg"].file)
    generated, truth = write_clips(tmp_path, 2)
    call = ("evaluate", tmp_path / "generated", tmp_path / "truth", "--poses", tmp_path / "k.poses.npz")
    words = (*call, "--preset", "signrefine", "--estimator", "marked", "--weights", tmp_path / "w")
    out = command.works(*words, "--out", tmp_path / "r")
    result = report(tmp_path / "r")
    for region, part in REGIONS.items():
        expected: dict[str, list[float]] = {"mpjpe": [], "ssim": [], "lpips_vgg": []}
        for number in range(2 if region != "right_hand" else 1):  # frame 1 lacks the right hand
            x0, y0, x1, y1 = box_of(points_of(number)[part])
            side = max(x1 - x0, y1 - y0)
            left = np.clip((x0 + x1 - side) // 2, 0, WIDTH - side)
            top = np.clip((y0 + y1 - side) // 2, 0, HEIGHT - side)
            crops = [
                cv2.resize(f[number, top : top + side, left : left + side], (256, 256), interpolation=cv2.INTER_CUBIC)
                for f in (generated, truth)
            ]
            similarity = structural_similarity(
                *crops, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
            signed = [torch.from_numpy(crop).permute(2, 0, 1)[None] / 127.5 - 1 for crop in crops]
            with torch.no_grad():
                expected["lpips_vgg"].append(network(*signed).item())
            expected["ssim"].append(similarity)
            expected["mpjpe"].append(SHIFT[region] * 256 / side)
        for kind, values in expected.items():
            assert result["mean"][f"crop_{region}_{kind}"] == pytest.approx(np.mean(values), rel=1e-4), (region, kind)
    assert result["preset"]["metrics"] == [f"crop_{r}_{k}" for r in REGIONS for k in ("mpjpe", "lpips_vgg", "ssim")]
    assert "preset signrefine (SignRefine's regional scores) is crop_face_mpjpe" in " ".join(out.split())
    assert any("estimated by marked" in note for note in result["notes"])
    assert result["baselines"]["copy-source"]["crop_left_hand_mpjpe"] > 0
    assert "256x256" in result["definitions"]["crop_face_ssim"]
    command.works(*call, "--preset", "signrefine", "--out", tmp_path / "r")
    result = report(tmp_path / "r")
    assert "--estimator" in result["not_computed"]["crop_face_mpjpe"]
    assert "vgg16-397923af.pth" in result["not_computed"]["crop_face_lpips_vgg"]
    assert result["mean"]["crop_face_ssim"] is not None


def test_signvip(command: Command, tmp_path: Path, no_weights: None) -> None:
    """33 frames: two windows of I3D, whose place the mean colours take."""
    generated, truth = write_clips(tmp_path, 33)
    call = ("evaluate", tmp_path / "generated", tmp_path / "truth", "--poses", tmp_path / "k.poses.npz")
    command.works(*call, "--preset", "signvip", "--weights", write_i3d(tmp_path / "w"), "--out", tmp_path / "r")
    result = report(tmp_path / "r")
    whole, psnr, hands = [], [], []
    for number, (ours, theirs) in enumerate(zip(generated, truth, strict=True)):
        mean, similarity = structural_similarity(
            ours, theirs, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            full=True,
        )  # fmt: skip
        whole.append(mean)
        psnr.append(10 * np.log10(255**2 / np.mean((ours.astype(float) - theirs) ** 2)))
        mask = np.zeros((HEIGHT, WIDTH), bool)
        for part in (LEFT, RIGHT) if number != 1 else (LEFT,):
            x0, y0, x1, y1 = box_of(points_of(number)[part])
            mask[y0:y1, x0:x1] = True
        hands.append(similarity[mask].mean())
    features = [[clip[at : at + 16].mean((0, 1, 2)) for at in (0, 16)] for clip in (generated, truth)]
    (m1, s1), (m2, s2) = ((np.mean(f, 0), np.cov(np.transpose(f))) for f in features)
    fvd = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    expected = {"ssim": np.mean(whole), "psnr": np.mean(psnr), "hand_ssim": np.mean(hands), "fvd": fvd}
    for name, value in expected.items():
        assert result["mean"][name] == pytest.approx(value, rel=2e-3), name
    assert result["preset"]["metrics"] == list(expected)
    assert "fid" not in result["mean"]


@pytest.mark.parametrize(
    ("box", "square"),
    [((10, 20, 30, 60), (0, 20, 40, 60)), ((100, 5, 120, 25), (100, 5, 120, 25)), ((0, 0, 110, 40), (10, 0, 100, 90))],
)
def test_a_square_lies_in_the_frame(box: tuple[int, ...], square: tuple[int, ...]) -> None:
    x0, y0, x1, y1 = box
    assert crop_square((x0, y0, x1, y1), WIDTH, HEIGHT) == square


def test_refusals(command: Command, tmp_path: Path, no_weights: None) -> None:
    write_clips(tmp_path, 2)
    call = ("evaluate", tmp_path / "generated", tmp_path / "truth", "--out", tmp_path / "r")
    assert "--preset signvip needs --poses" in command.refuses(*call, "--preset", "signvip")
    assert "did you mean signvip" in command.refuses(*call, "--preset", "signvp")
    assert not (tmp_path / "r").exists()
