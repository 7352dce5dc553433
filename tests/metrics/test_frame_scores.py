"""MS-SSIM of frames against torchmetrics; LPIPS in boxes: which pixels the network is given, at which size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from signgen.metrics.clip.frame_metrics import MultiScale, Perceptual, crop
from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.definitions import LPIPS_METRICS, LPIPS_VGG_METRICS
from signgen.metrics.image.lpips import Lpips, build_network
from tests.metrics.test_scoring import LEFT, RIGHT, around, keypoints, scored, still_clip


def test_ms_ssim_of_frames_is_torchmetrics() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

    rng = np.random.default_rng(0)
    truth = cv2.GaussianBlur(rng.integers(0, 256, (208, 192, 3), dtype=np.uint8), (0, 0), 2)
    frame = np.clip(truth.astype(int) + rng.integers(-25, 25, truth.shape), 0, 255).astype(np.uint8)
    ours = MultiScale()(FramePair(TruthFrame(0, truth), frame))["ms_ssim"]
    batch = [torch.from_numpy(x).permute(2, 0, 1)[None].double() for x in (frame, truth)]
    assert ours == pytest.approx(float(reference(*batch, data_range=255.0)), abs=5e-3)  # it mirrors at the edges
    assert ours < 0.99
    assert MultiScale()(FramePair(TruthFrame(0, truth), truth))["ms_ssim"] == pytest.approx(1, abs=1e-6)


def test_a_crop_is_enlarged_to_the_networks_smallest_side_and_never_made_smaller() -> None:
    frame = still_clip(1)[0]
    assert crop(frame, (10, 20, 42, 68), 64).shape == (96, 64, 3)
    assert crop(frame, (10, 20, 14, 68), 64).shape == (768, 64, 3)
    np.testing.assert_array_equal(crop(frame, (4, 8, 72, 88), 64), frame[8:88, 4:72])


def test_lpips_in_boxes_is_the_mean_of_the_hands_that_are_there() -> None:
    """A network that gives the mean difference: 12 where the left hand is brighter, 0 where nothing changed."""
    truth = still_clip(3)
    generated = truth.copy()
    ys, xs = around("left", 14)
    generated[:, ys, xs] += 12
    points = keypoints(3)
    points[1, RIGHT] = np.nan
    points[2, LEFT] = np.nan

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        assert min(a.shape[:2]) >= 64
        return float(np.abs(a.astype(float) - b).mean())

    result = scored(generated, truth, points, lpips=distance)
    assert [row["hand_lpips"] for row in result["per_frame"]] == pytest.approx([6, 12, 0], abs=0.1)
    assert result["mean"]["face_lpips"] == 0
    without = scored(generated, truth, lpips=distance)
    assert without["not_computed"]["hand_lpips"] == "no keypoints of the truth (--poses)"
    assert "hand_lpips" not in without["mean"]


def test_vgg_is_shown_the_same_boxes_and_quick_scores_leave_out_its_whole_frame() -> None:
    """LPIPS over VGG-16 by hand on the crops of the right hand, which are smaller than 64 px."""
    torch.manual_seed(0)
    network = Lpips(build_network("vgg"))
    points = keypoints(1)
    truth = still_clip(1)
    generated = np.stack([cv2.GaussianBlur(truth[0], (0, 0), 2)])
    points[0, LEFT] = np.nan
    seen = points[0, RIGHT, :2]
    low, high = seen.min(0), seen.max(0)
    reach = 0.15 * (high - low).max()
    x0, y0 = np.floor(low - reach).astype(int)
    x1, y1 = np.ceil(high + reach).astype(int) + 1
    scale = 64 / min(x1 - x0, y1 - y0)
    size = round((x1 - x0) * scale), round((y1 - y0) * scale)
    crops = [cv2.resize(x[0, y0:y1, x0:x1], size, interpolation=cv2.INTER_CUBIC) for x in (generated, truth)]
    signed = [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 127.5 - 1 for x in crops]
    with torch.no_grad():
        expected = network._network(*signed).item()
    whole = scored(generated, truth, points, lpips_vgg=network)
    assert scale > 1
    assert whole["mean"]["hand_lpips_vgg"] == pytest.approx(expected, rel=1e-5)
    assert whole["mean"]["lpips_vgg"] == pytest.approx(network(generated[0], truth[0]), rel=1e-5)
    assert set(LPIPS_METRICS) <= set(whole["not_computed"])
    assert not set(LPIPS_VGG_METRICS) & set(whole["not_computed"])
    quick = scored(generated, truth, points, lpips_vgg=network, quick=True)
    assert "lpips_vgg" not in quick["mean"]
    assert quick["not_computed"]["lpips_vgg"].startswith("left out by render")
    assert quick["mean"]["face_lpips_vgg"] == whole["mean"]["face_lpips_vgg"] > 0


def test_lpips_of_a_box_is_the_networks_on_that_crop() -> None:
    torch.manual_seed(0)
    network = Lpips(build_network())
    points = keypoints(1)[0]
    truth = still_clip(1)[0]
    generated = cv2.GaussianBlur(truth, (0, 0), 2)
    pair = FramePair(TruthFrame(0, truth, None, points), generated)
    box = pair.truth.boxes["face"]
    assert box is not None
    x0, y0, x1, y1 = box
    scale = 64 / min(x1 - x0, y1 - y0)
    assert scale > 1
    size = round((x1 - x0) * scale), round((y1 - y0) * scale)
    ours, theirs = (cv2.resize(x[y0:y1, x0:x1], size, interpolation=cv2.INTER_CUBIC) for x in (generated, truth))
    found = Perceptual(network, 133)(pair)
    assert found["face_lpips"] == pytest.approx(network(ours, theirs))
    assert set(found) == {"lpips", "hand_lpips", "face_lpips"}
    assert min(found.values()) > 0
