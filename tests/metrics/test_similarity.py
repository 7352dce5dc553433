"""SSIM variants against scikit-image, MS-SSIM against scipy and published values, PSNR and SSIM against the latter."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from signgen.errors import VideoError
from signgen.metrics.image.pixels import ssim
from signgen.metrics.image.ssim import (
    GAUSSIAN_15,
    MS_WEIGHTS,
    SsimVariant,
    l1_of,
    luma_of,
    ms_ssim,
    psnr_of,
    ssim_variant,
)
from signgen.metrics.image_set.protocols import PROTOCOLS
from signgen.video.reader import read_image


def images(height: int = 190, width: int = 180, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth truth and a noisy generated image, uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    truth = 90 + 60 * np.sin(rows / 9)[..., None] * np.cos(columns / np.array([5, 11, 17])[:, None, None]).T.transpose(
        1, 0, 2
    )
    generated = truth + rng.normal(0, 12, truth.shape)
    return np.clip(generated, 20, 220).astype(np.uint8), truth.astype(np.uint8)


@pytest.mark.parametrize("sigma", [1.5, 1.2])
def test_gaussian_windows_are_scikit_images(sigma: float) -> None:
    generated, truth = (image.astype(np.float64) for image in images())
    span = generated.max() - generated.min()
    assert span not in (255, truth.max() - truth.min())
    expected = structural_similarity(
        truth,
        generated,
        gaussian_weights=True,
        sigma=sigma,
        use_sample_covariance=False,
        channel_axis=2,
        data_range=span,
    )
    variant = next(v for p in PROTOCOLS.values() for v in p.ssims.values() if v.sigma == sigma and v.data_range is None)
    assert ssim_variant(generated, truth, variant) == pytest.approx(expected, abs=1e-9)
    # Neither the other sigma nor another range gives that.
    assert ssim_variant(generated, truth, GAUSSIAN_15) != pytest.approx(expected, abs=1e-3)


def test_the_uniform_window_is_scikit_images() -> None:
    generated, truth = (image / 255 for image in images())
    expected = structural_similarity(truth, generated, win_size=51, channel_axis=2, data_range=1)
    variant = PROTOCOLS["gfla"].ssims["ssim_uniform51"]
    assert ssim_variant(generated * 255, truth * 255, variant) == pytest.approx(expected, abs=1e-9)


def test_the_strict_variant_is_the_one_of_frames() -> None:
    generated, truth = images()
    assert ssim_variant(generated, truth, PROTOCOLS["strict"].ssims["ssim"]) == pytest.approx(
        ssim(generated, truth), abs=1e-5
    )


def test_psnr_and_l1() -> None:
    generated, truth = images()
    assert psnr_of(generated, truth) == pytest.approx(peak_signal_noise_ratio(truth, generated), abs=1e-9)
    assert psnr_of(truth, truth) == 100
    assert l1_of(generated, truth) == pytest.approx(np.abs(generated / 255 - truth / 255).mean())


def test_ms_ssim_is_the_papers_formula() -> None:
    """Eq. 7 of Wang et al. 2003, written down again with scipy."""
    generated, truth = (image.astype(np.float64) for image in images())
    offsets = np.arange(-5, 6)
    kernel = np.exp(-(offsets**2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(x, kernel, axis=0), kernel, axis=1)[5:-5, 5:-5]

    expected, a, b = 1.0, generated, truth
    for scale, weight in enumerate(MS_WEIGHTS):
        if scale == 4:  # torchmetrics' mean goes over the mirrored borders
            a, b = (np.pad(x, ((5, 5), (5, 5), (0, 0)), mode="reflect") for x in (a, b))
        mean_a, mean_b = blur(a), blur(b)
        structure = (2 * (blur(a * b) - mean_a * mean_b) + 58.5225) / (
            blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2 + 58.5225
        )
        luminance = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
        expected *= np.mean(structure * luminance if scale == 4 else structure) ** weight
        a, b = (x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2] for x in (a, b))
        a, b = ((x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4 for x in (a, b))
    assert 0.5 < expected < 0.999
    assert ms_ssim(generated, truth) == pytest.approx(expected, abs=1e-9)
    assert ms_ssim(truth, truth) == pytest.approx(1)
    assert ms_ssim(255 - truth, truth) == 0  # negative structure has no power of .0448


@pytest.mark.parametrize(("height", "width"), [(190, 180), (177, 201), (199, 223), (260, 211)])
def test_ms_ssim_is_torchmetrics_on_even_and_odd_sides(height: int, width: int) -> None:
    generated, truth = images(height, width)
    batch = [torch.tensor(x).permute(2, 0, 1)[None].double() for x in (generated, truth)]
    theirs = multiscale_structural_similarity_index_measure(*batch, data_range=255.0, normalize="relu")
    assert ms_ssim(generated, truth) == pytest.approx(float(theirs), abs=1e-6)


def test_images_that_hold_no_window_are_refused() -> None:
    small = np.zeros((175, 300, 3))
    with pytest.raises(VideoError, match="176x176"):
        ms_ssim(small, small)
    with pytest.raises(VideoError, match="51x51"):
        ssim_variant(small[:50], small[:50], SsimVariant(51))
    with pytest.raises(VideoError, match="equal sizes"):
        ssim_variant(small, small[:100], GAUSSIAN_15)


def test_a_prediction_of_one_colour_has_no_range_of_its_own() -> None:
    _, truth = images()
    grey = np.full_like(truth, 128)
    assert ssim_variant(grey, truth, PROTOCOLS["gfla"].ssims["ssim_256"]) is None
    assert ssim_variant(grey, truth, GAUSSIAN_15) is not None


@pytest.mark.parametrize("name", ["I03", "I04", "I06"])
def test_published_values(testdata: Path, name: str) -> None:
    """What the authors' own programs give: PSNR on RGB, SSIM and MS-SSIM (its weighted sum) on luma."""
    folder = testdata / "metrics_iqa"
    with (folder / "results_official.csv").open(encoding="utf-8") as handle:
        official = {row["Method"]: float(row[f"{name}.bmp"]) for row in csv.DictReader(handle)}
    truth, generated = (read_image(folder / kind / f"{name}.bmp") for kind in ("ref_dir", "dist_dir"))
    assert round(psnr_of(generated, truth), 2) == pytest.approx(official["psnr"], abs=1e-3)  # given to two digits
    assert ssim_variant(luma_of(generated), luma_of(truth), GAUSSIAN_15) == pytest.approx(official["ssim"], abs=1e-3)
    found = ms_ssim(luma_of(generated), luma_of(truth), weighted_sum=True)
    assert found == pytest.approx(official["ms_ssim"], abs=1e-3)
