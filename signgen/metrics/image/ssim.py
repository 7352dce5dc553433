"""SSIM in each window and range in use, MS-SSIM, PSNR and L1: two (H, W, 3) images in 0..255 in, a number out.

For images, where `signgen.metrics.image.pixels` is for frames: float64, any window, and images that a protocol's
resizing left between whole numbers. Pure functions, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from signgen.errors import VideoError
from signgen.metrics.image.pixels import decibel, size_text

K1, K2 = 0.01, 0.03
_ONE_VALUE = 1e-3  # a range below it is what resizing in floating point leaves of an even image
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, table 1


@dataclass(frozen=True)
class SsimVariant:
    """sigma: of the Gaussian window, or None for a uniform one. size: of the window, in pixels.

    data_range: L in C1 = (.01 L)^2 and C2 = (.03 L)^2 on the 0..255 scale; None for max - min of each prediction.
    sample_covariance: variances over N - 1, scikit-image's default for uniform windows, or over N.
    """

    size: int
    sigma: float | None = None
    data_range: float | None = 255.0
    sample_covariance: bool = False

    @property
    def text(self) -> str:
        """The definition in words."""
        window = f"Gaussian window {self.size}x{self.size}, sigma {self.sigma:g}" if self.sigma else ""
        window = window or f"uniform window {self.size}x{self.size}"
        scale = "max - min of each prediction" if self.data_range is None else f"{self.data_range:g}"
        covariance = "sample" if self.sample_covariance else "population"
        return (
            f"{window}, data range {scale}, K1 .01, K2 .03, {covariance} covariance, mean of R, G and B over the "
            "pixels whose window lies inside the image"
        )


GAUSSIAN_15 = SsimVariant(11, 1.5)


def ssim_variant(generated: np.ndarray, truth: np.ndarray, variant: SsimVariant) -> float | None:
    """SSIM of two (H, W, C) in 0..255; None where the range is the prediction's and that has one value only."""
    a, b = generated.astype(np.float64), truth.astype(np.float64)
    _check(a, b, variant.size)
    scale = float(a.max() - a.min()) if variant.data_range is None else variant.data_range
    if scale < _ONE_VALUE:
        return None
    luminance, contrast = _terms(a, b, variant, scale)
    return float(np.mean(luminance * contrast))


def ms_ssim(
    generated: np.ndarray, truth: np.ndarray, *, weighted_sum: bool = False, dtype: type[np.floating] = np.float64
) -> float:
    """MS-SSIM over five scales, two (H, W, C) in 0..255: the product of powers, the terms averaged over C, a negative
    one counts as 0; equal to torchmetrics with normalize="relu", whose coarsest scale is averaged over all pixels, with
    mirrored borders.

    weighted_sum: sum of terms by weight, as the authors' Matlab code offers, which leaves borders out there too.
    dtype: float32 costs 1e-6 of the result and takes half the time. Raises VideoError below 176 pixels.
    """
    a, b = generated.astype(dtype), truth.astype(dtype)
    _check(a, b, smallest_side_ms())
    terms = []
    for scale in range(len(MS_WEIGHTS)):
        last = scale == len(MS_WEIGHTS) - 1
        luminance, contrast = _terms(a, b, GAUSSIAN_15, 255.0, mirrored=last and not weighted_sum)
        terms.append(float(np.mean(luminance * contrast if last else contrast, dtype=np.float64)))
        a, b = _halved(a), _halved(b)
    if weighted_sum:
        return float(np.dot(terms, MS_WEIGHTS) / np.sum(MS_WEIGHTS))
    return float(np.prod(np.maximum(terms, 0) ** np.array(MS_WEIGHTS)))


def smallest_side_ms() -> int:
    """Below it MS-SSIM's coarsest scale holds no window."""
    return int(GAUSSIAN_15.size * 2 ** (len(MS_WEIGHTS) - 1))


def psnr_of(generated: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB of two (H, W, 3) in 0..255, range 255, at most 100."""
    difference = generated.astype(np.float64) - truth
    return decibel(float(np.mean(difference * difference)))


def l1_of(generated: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference of two (H, W, 3) in 0..255, on the 0..1 scale.

    >>> import numpy as np
    >>> l1_of(np.full((2, 2, 3), 51.0), np.zeros((2, 2, 3)))
    0.2
    """
    return float(np.mean(np.abs(generated.astype(np.float64) - truth))) / 255


def luma_of(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB -> float64 (H, W, 1), rounded to 0..255 as Matlab's rgb2gray does for 8-bit images."""
    return np.rint(image.astype(np.float64) @ (0.2989, 0.5870, 0.1140))[..., None]


def _check(a: np.ndarray, b: np.ndarray, smallest: int) -> None:
    if a.shape != b.shape:
        raise VideoError(f"generated image is {size_text(a)}, truth is {size_text(b)}", expected="equal sizes")
    if min(a.shape[:2]) < smallest:
        raise VideoError(f"images are {size_text(a)}", expected=f"at least {smallest}x{smallest} pixels")


def _terms(
    a: np.ndarray, b: np.ndarray, variant: SsimVariant, scale: float, *, mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Luminance term and contrast-structure term, each (H', W', C), at the pixels whose window lies inside.

    mirrored: at all pixels, the image being continued by its mirror.
    """
    if mirrored:
        a, b = (_mirrored(image, variant.size // 2) for image in (a, b))
    c1, c2 = (K1 * scale) ** 2, (K2 * scale) ** 2
    mean_a, mean_b = _local_mean(a, variant), _local_mean(b, variant)
    unbias = variant.size**2 / (variant.size**2 - 1) if variant.sample_covariance else 1.0
    variances = unbias * (_local_mean(a * a, variant) - mean_a**2 + _local_mean(b * b, variant) - mean_b**2)
    covariance = unbias * (_local_mean(a * b, variant) - mean_a * mean_b)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _mirrored(image: np.ndarray, border: int) -> np.ndarray:
    """(H, W, C) -> (H + 2 border, W + 2 border, C); the edge pixel is not repeated."""
    wider = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REFLECT_101)
    return wider.reshape(*wider.shape[:2], image.shape[2])


def _local_mean(image: np.ndarray, variant: SsimVariant) -> np.ndarray:
    """Weighted mean over each window that lies inside: (H, W, C) -> (H - size + 1, W - size + 1, C)."""
    if variant.sigma is None:
        kernel = np.full((variant.size, 1), 1 / variant.size)
    else:
        kernel = cv2.getGaussianKernel(variant.size, variant.sigma, cv2.CV_64F)
    border = variant.size // 2
    filtered = cv2.sepFilter2D(image, -1, kernel, kernel).reshape(image.shape)
    return filtered[border : image.shape[0] - border, border : image.shape[1] - border]


def _halved(image: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; the last row or column of an odd side is left out, as torchmetrics and pytorch-msssim do."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    even = image[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
