"""Distances between two sets of features (N, D): Fréchet (FID) and kernel (KID), in memory that does not grow with N.

Features are gathered by torchmetrics' metrics with states of our own, whose parts are merged; the distances are those
of the whole sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from signgen.errors import SigngenError
from signgen.metrics.accumulate import Accumulator

_AT_ONCE = 64  # features between two updates of the D x D scatter matrix
_BLOCK = 2048  # features a side of one block of the kernel matrix: 33 MB in float64


ENOUGH_IMAGES = 2048  # fewer than the features have dimensions: the covariance is singular, and the distance too large


def few_images_note(name: str, generated: int, real: int) -> str:
    """What a distance of few images cannot be compared with."""
    return (
        f"{name} was taken from {generated:,} generated and {real:,} real images; under {ENOUGH_IMAGES:,} it depends "
        "on how many there are: compare it with values of as many only"
    )


class Gaussian(NamedTuple):
    """total: of features; their mean (D,) and covariance (D, D) over total - 1, float64."""

    total: int
    mean: np.ndarray
    covariance: np.ndarray


class FeatureStatistics(Accumulator):
    """Moments of features (D,) in float64: a row with the count, one with the mean, and the scatter matrix, (D + 2, D).

    They are joined as Chan et al. (1979) do. torchmetrics' FID sums products, which cancel far from zero.
    """

    moments: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("moments", torch.zeros(0, 0, dtype=torch.float64), dist_reduce_fx=_joined)
        self._pending: list[np.ndarray] = []

    def update(self, feature: np.ndarray) -> None:
        """One feature (D,)."""
        self._pending.append(np.asarray(feature, np.float64))
        if len(self._pending) == _AT_ONCE:
            self._settle()

    def compute(self) -> Gaussian:
        """Of all features. No number is right below two of them."""
        count = int(self.moments[0, 0]) if self.moments.numel() else 0
        return Gaussian(count, self.moments[1:2].flatten().numpy(), (self.moments[2:] / max(1, count - 1)).numpy())

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Settle before others are asked; `compute` begins with it."""
        self._settle()
        super().sync(*args, **kwargs)

    @property
    def metric_state(self) -> dict[str, Any]:
        """What another process takes in."""
        self._settle()
        return super().metric_state

    def _settle(self) -> None:
        if self._pending:
            features = torch.from_numpy(np.stack(self._pending))
            self._pending = []
            mean = features.mean(0)
            centred = features - mean
            if not self.moments.numel():
                self.moments = features.new_zeros(len(mean) + 2, len(mean))
            _join(self.moments, len(features), mean, centred.T @ centred)


def _joined(parts: torch.Tensor) -> torch.Tensor:
    """Moments of all from the moments of parts, (P, D + 2, D); zeros are a part without features."""
    whole = parts[0].clone()
    for part in parts[1:] if whole.numel() else ():
        _join(whole, float(part[0, 0]), part[1], part[2:])
    return whole


def _join(whole: torch.Tensor, count: float, mean: torch.Tensor, scatter: torch.Tensor) -> None:
    """Take the moments of `count` more features into `whole`, in place: it may be large."""
    if count:
        share, shift = count / (float(whole[0, 0]) + count), mean - whole[1]
        whole[2:].add_(scatter).addr_(shift, shift, alpha=float(whole[0, 0]) * share)
        whole[1] += share * shift
        whole[0] += count


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2); 0 for equal ones. Raises SigngenError below two features.

    With C = F F^T the trace of the root is the sum of the singular values of F1^T F2. Eigenvalues of C1 C2, from which
    torchmetrics and others take it, lose half of the digits where there are fewer features than dimensions.
    """
    if (few := min(one.total, other.total)) < 2:
        raise SigngenError(f"a distribution of {few} images", expected="at least 2 images for FID")
    overlap = np.linalg.svd(_factor(one.covariance).T @ _factor(other.covariance), compute_uv=False).sum()
    shift = one.mean - other.mean
    return float(max(0.0, shift @ shift + np.trace(one.covariance) + np.trace(other.covariance) - 2 * overlap))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F with F F^T = C, (D, D); directions without variance, whose eigenvalues are rounding errors, are left at 0."""
    values, vectors = np.linalg.eigh(covariance)
    smallest = values.max() * len(values) * np.finfo(np.float64).eps
    return vectors * np.sqrt(np.where(values > smallest, values, 0))


class StoredFeatures(NamedTuple):
    """Features float32 (count, width) in files, one after another."""

    files: tuple[tuple[Path, int], ...]
    width: int

    @property
    def total(self) -> int:
        return sum(count for _, count in self.files)

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 (at most 2048, D), in order."""
        for path, count in self.files:
            for start in range(0, count, _BLOCK):
                rows = min(_BLOCK, count - start)
                yield np.fromfile(path, np.float32, rows * self.width, offset=4 * start * self.width).reshape(rows, -1)


class FeatureFile(Accumulator):
    """Features float32 (N, D) in a file, since KID needs every pair of them and memory is not to grow; torchmetrics'
    KID keeps them all in memory, 8 KB an image and process.

    The state is how many each of the `parts` has written, which is summed: a part's file, in a folder that all parts
    see, is read where it lies.
    """

    counts: torch.Tensor
    width: torch.Tensor

    def __init__(self, stem: Path, part: int = 0, parts: int = 1) -> None:
        super().__init__()
        self._stem, self._part = stem, part
        self.add_state("counts", torch.zeros(parts, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("width", torch.zeros(1, dtype=torch.int64), dist_reduce_fx="max")

    def update(self, feature: np.ndarray) -> None:
        """One feature (D,)."""
        row = np.ascontiguousarray(feature, np.float32)
        with self._path(self._part).open("ab" if self.counts[self._part] else "wb") as handle:
            handle.write(row.tobytes())
        self.counts[self._part] += 1
        self.width[0] = row.size

    def compute(self) -> StoredFeatures:
        """Those of all parts."""
        files = tuple((self._path(part), count) for part, count in enumerate(self.counts.tolist()) if count)
        return StoredFeatures(files, int(self.width))

    def _path(self, part: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}.{part}.features")


def kernel_distance(one: StoredFeatures, other: StoredFeatures) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3 over the whole sets; may be slightly negative.

    The KID of random subsets that torch-fidelity and torchmetrics report has this as its expectation, and scatters
    around it. Raises SigngenError below two features.
    """
    n, m = one.total, other.total
    if min(n, m) < 2:
        raise SigngenError(f"distributions of {n} and {m} images", expected="at least 2 images for KID")
    within = _kernel_sum(one, one, diagonal=False) / (n * (n - 1))
    within += _kernel_sum(other, other, diagonal=False) / (m * (m - 1))
    return within - 2 * _kernel_sum(one, other) / (n * m)


def _kernel_sum(one: StoredFeatures, other: StoredFeatures, *, diagonal: bool = True) -> float:
    total = 0.0
    for i, rows in enumerate(one.blocks()):
        for j, columns in enumerate(other.blocks()):
            kernel = (rows.astype(np.float64) @ columns.T.astype(np.float64) / rows.shape[1] + 1) ** 3
            total += float(kernel.sum())
            if not diagonal and i == j:
                total -= float(np.trace(kernel))
    return total
