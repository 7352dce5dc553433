"""SSIM, PSNR, sharpness and boxes against independent implementations, closed forms and published numbers."""

from __future__ import annotations

import csv
import doctest
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from signgen.errors import VideoError
from signgen.metrics.image import pixels as image
from signgen.video.reader import open_frames, read_image

PANEL = 210


def smooth_pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two similar uint8 (H, W, 3) images with structure, flat dark parts among it."""
    rng = np.random.default_rng(seed)
    truth = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (9, 9), 3)
    truth[: height // 4] = 7
    noise = rng.normal(0, 12, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


def skimage_ssim(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    return structural_similarity(
        a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )


@pytest.mark.parametrize(("height", "width"), [(260, 210), (11, 11), (37, 64), (12, 200)])
def test_ssim_and_its_map_equal_scikit_image(height: int, width: int) -> None:
    generated, truth = smooth_pair(height, width)
    expected, expected_map = skimage_ssim(generated, truth)
    assert image.ssim(generated, truth) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(image.ssim_map(generated, truth), expected_map, atol=1e-3)


def test_ssim_interior_equals_torchmetrics_full_image() -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    pair = smooth_pair(64, 50)
    tensors = [torch.from_numpy(x).permute(2, 0, 1)[None].double() for x in pair]
    _, full = structural_similarity_index_measure(*tensors, data_range=255.0, return_full_image=True)
    assert image.ssim(*pair) == pytest.approx(full[..., 5:-5, 5:-5].mean().item(), abs=1e-5)


def test_psnr_equals_scikit_image_and_closed_forms() -> None:
    generated, truth = smooth_pair(40, 30)
    assert image.psnr(generated, truth) == pytest.approx(
        peak_signal_noise_ratio(truth, generated, data_range=255), abs=1e-9
    )
    for offset in (1, 5, 51):
        grey = np.full((20, 20, 3), 100, np.uint8)
        assert image.psnr(grey + np.uint8(offset), grey) == pytest.approx(20 * np.log10(255 / offset))
        assert image.psnr(grey, grey + np.uint8(offset)) == pytest.approx(20 * np.log10(255 / offset))


def test_identical_frames_score_one_and_the_cap() -> None:
    _, truth = smooth_pair(30, 30)
    assert image.ssim(truth, truth) == 1.0
    assert image.psnr(truth, truth) == image.PSNR_CAP


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert image.ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-4)


def test_gradient_energy_of_a_ramp_and_of_blur() -> None:
    ramp = np.repeat(np.arange(0, 200, 4, dtype=np.uint8)[None, :, None], 3, 2).repeat(20, 0)
    np.testing.assert_allclose(image.gradient_energy(ramp)[:, 1:-1], 16.0, rtol=1e-4)
    _, truth = smooth_pair(60, 60)
    blurred = cv2.GaussianBlur(truth, (7, 7), 2)
    assert image.gradient_energy(blurred).mean() < 0.6 * image.gradient_energy(truth).mean()


def test_box_mask_grows_to_pixels_is_cut_to_the_frame_and_may_be_empty() -> None:
    mask = image.box_mask([(1.2, 2.9, 3.1, 4.0), None], 10, 8)
    assert mask is not None
    ys, xs = np.nonzero(mask)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (1, 3, 2, 3)
    cut = image.box_mask([(-5.0, -5.0, 1.0, 100.0)], 10, 8)
    assert cut is not None
    assert cut.sum() == 10
    assert image.box_mask([None, None], 10, 8) is None
    assert image.box_mask([(-9.0, -9.0, -2.0, -2.0)], 10, 8) is None
    assert image.box_mask([(20.0, 20.0, 30.0, 30.0)], 10, 8) is None


def test_a_box_of_one_pixel_has_scores() -> None:
    generated, truth = smooth_pair(20, 20)
    mask = image.box_mask([(0.2, 0.2, 0.4, 0.4)], 20, 20)
    assert mask is not None
    assert mask.sum() == 1
    full = image.ssim_map(generated, truth)
    assert image.masked_mean(full, mask) == pytest.approx(float(full[0, 0].mean()))


def test_masked_mean_of_every_kind_of_map() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2:4] = True
    for values in (np.arange(20, dtype=np.float32).reshape(4, 5), np.arange(60, dtype=np.uint16).reshape(4, 5, 3)):
        assert image.masked_mean(values, mask) == pytest.approx(values[mask].mean())


@pytest.mark.parametrize(
    ("generated", "truth", "message"),
    [
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 22, 3), np.uint8), "20x20, truth frame is 22x20"),
        (np.zeros((20, 20, 3), np.float32), np.zeros((20, 20, 3), np.uint8), "generated frame is float32"),
        (np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8), r"expected uint8 \(H, W, 3\)"),
        (np.zeros((10, 40, 3), np.uint8), np.zeros((10, 40, 3), np.uint8), "40x10; expected at least 11x11"),
    ],
)
def test_unfit_frames_are_named(generated: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        image.ssim(generated, truth)


def test_docstring_examples() -> None:
    assert doctest.testmod(image) == doctest.TestResults(failed=0, attempted=6)


@pytest.mark.parametrize(
    ("name", "model", "copied"),
    [
        ("25June_2010_Friday_tagesschau-3880.fourpanel.gif", (0.8633, 23.27), (0.703, 15.84)),
        ("clip_b.fourpanel.mp4", (0.866, 24.28), (0.728, None)),
    ],
)
def test_published_four_panel_numbers(
    testdata: Path, name: str, model: tuple[float, float], copied: tuple[float, float | None]
) -> None:
    frames = open_frames(testdata / "phoenix" / name).read()
    source, _, truth, output = (frames[:, :, i * PANEL : (i + 1) * PANEL] for i in range(4))
    assert mean_scores(output, truth) == (pytest.approx(model[0], abs=5e-4), pytest.approx(model[1], abs=6e-3))
    ssim, psnr = mean_scores(source, truth)
    assert ssim == pytest.approx(copied[0], abs=5e-4)
    if copied[1] is not None:
        assert psnr == pytest.approx(copied[1], abs=6e-3)


def mean_scores(generated: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    pairs = list(zip(generated, truth, strict=True))
    return (
        float(np.mean([image.ssim(a, b) for a, b in pairs])),
        float(np.mean([image.psnr(a, b) for a, b in pairs])),
    )


def test_official_values_of_the_iqa_pairs(testdata: Path) -> None:
    folder = testdata / "metrics_iqa"
    with (folder / "results_official.csv").open(newline="") as handle:
        official = {row.pop("Method"): row for row in csv.DictReader(handle)}
    for name in ("I03.bmp", "I04.bmp", "I06.bmp"):
        distorted, reference = (read_image(folder / part / name) for part in ("dist_dir", "ref_dir"))
        assert image.psnr(distorted, reference) == pytest.approx(float(official["psnr"][name]), abs=6e-3)
        similarity = image.frame_mean(image.ssim_map(luma(distorted), luma(reference)))
        assert similarity == pytest.approx(float(official["ssim"][name]), abs=1e-3)


def luma(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (H, W, 1), BT.601 as MATLAB's rgb2gray."""
    return np.round(rgb.astype(np.float64) @ [0.2989, 0.5870, 0.1140]).astype(np.uint8)[..., None]
