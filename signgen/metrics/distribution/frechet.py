"""Distances between two sets of features (N, D): Fréchet (FID) and kernel (KID), in memory that does not grow with N.

What has been added can be merged with what another process added; the distances are those of the whole sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from signgen.errors import SigngenError

_AT_ONCE = 64  # features between two updates of the D x D scatter matrix
_BLOCK = 2048  # features a side of one block of the kernel matrix: 33 MB in float64


ENOUGH_IMAGES = 2048  # fewer than the features have dimensions: the covariance is singular, and the distance too large


def few_images_note(name: str, generated: int, real: int) -> str:
    """What a distance of few images cannot be compared with."""
    return (
        f"{name} was taken from {generated:,} generated and {real:,} real images; under {ENOUGH_IMAGES:,} it depends "
        "on how many there are: compare it with values of as many only"
    )


class FeatureStatistics:
    """Count, mean (D,) and covariance (D, D) of features, in float64; merged as Chan et al. (1979) do."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: np.ndarray | None = None
        self._scatter: np.ndarray | None = None
        self._pending: list[np.ndarray] = []

    def add(self, feature: np.ndarray) -> None:
        """One feature (D,)."""
        self._pending.append(np.asarray(feature, np.float64))
        if len(self._pending) == _AT_ONCE:
            self._settle()

    def merge(self, other: FeatureStatistics) -> None:
        """Take in what `other` has seen; `other` stays as it is, but for having its sums settled."""
        self._settle()
        other._settle()
        if other._mean is not None and other._scatter is not None:
            self._join(other._count, other._mean, other._scatter)

    def __len__(self) -> int:
        return self._count + len(self._pending)

    def mean(self) -> np.ndarray:
        """(D,). Raises SigngenError below two features."""
        return self._settled()[0]

    def covariance(self) -> np.ndarray:
        """(D, D), over N - 1. Raises SigngenError below two features."""
        return self._settled()[1] / (self._count - 1)

    def _settled(self) -> tuple[np.ndarray, np.ndarray]:
        self._settle()
        if self._mean is None or self._scatter is None or self._count < 2:
            raise SigngenError(f"a distribution of {self._count} images", expected="at least 2 images for FID")
        return self._mean, self._scatter

    def _settle(self) -> None:
        if self._pending:
            features = np.stack(self._pending)
            self._pending = []
            mean = features.mean(axis=0)
            centred = features - mean
            self._join(len(features), mean, centred.T @ centred)

    def _join(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if self._mean is None or self._scatter is None:
            self._count, self._mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        total = self._count + count
        shift = mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(shift, shift * (self._count * count / total))
        self._mean += shift * (count / total)
        self._count = total


def frechet_distance(one: FeatureStatistics, other: FeatureStatistics) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) between the Gaussians of two sets; 0 for equal ones.

    With C = F F^T the trace of the root is the sum of the singular values of F1^T F2. Eigenvalues of C1 C2, from which
    others take it, lose half of the digits where there are fewer features than dimensions.
    """
    cov_one, cov_other = one.covariance(), other.covariance()
    overlap = np.linalg.svd(_factor(cov_one).T @ _factor(cov_other), compute_uv=False).sum()
    shift = one.mean() - other.mean()
    return float(max(0.0, shift @ shift + np.trace(cov_one) + np.trace(cov_other) - 2 * overlap))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F with F F^T = C, (D, D); directions without variance, whose eigenvalues are rounding errors, are left at 0."""
    values, vectors = np.linalg.eigh(covariance)
    smallest = values.max() * len(values) * np.finfo(np.float64).eps
    return vectors * np.sqrt(np.where(values > smallest, values, 0))


class FeatureFile:
    """Features float32 (N, D) one after another in a file: KID needs every pair of them, and memory is not to grow.

    It may be pickled: what another process wrote is merged from its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = self._width = 0

    def add(self, feature: np.ndarray) -> None:
        """One feature (D,)."""
        row = np.ascontiguousarray(feature, np.float32)
        with self.path.open("ab" if self._count else "wb") as handle:
            handle.write(row.tobytes())
        self._count, self._width = self._count + 1, row.size

    def merge(self, other: FeatureFile) -> None:
        """Append what `other` holds; `other` stays as it is."""
        with self.path.open("ab" if self._count else "wb") as handle:
            for block in other.blocks():
                handle.write(block.tobytes())
        self._count, self._width = self._count + other._count, other._width or self._width

    def __len__(self) -> int:
        return self._count

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 (at most 2048, D), in order."""
        for start in range(0, self._count, _BLOCK):
            rows = min(_BLOCK, self._count - start)
            with self.path.open("rb") as handle:
                handle.seek(start * self._width * 4)
                yield np.fromfile(handle, np.float32, rows * self._width).reshape(rows, self._width)


def kernel_distance(one: FeatureFile, other: FeatureFile) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3 over the whole sets; may be slightly negative.

    The KID of random subsets that torch-fidelity and torchmetrics report has this as its expectation, and scatters
    around it. Raises SigngenError below two features.
    """
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise SigngenError(f"distributions of {n} and {m} images", expected="at least 2 images for KID")
    within = _kernel_sum(one, one, diagonal=False) / (n * (n - 1))
    within += _kernel_sum(other, other, diagonal=False) / (m * (m - 1))
    return within - 2 * _kernel_sum(one, other) / (n * m)


def _kernel_sum(one: FeatureFile, other: FeatureFile, *, diagonal: bool = True) -> float:
    total = 0.0
    for i, rows in enumerate(one.blocks()):
        for j, columns in enumerate(other.blocks()):
            kernel = (rows.astype(np.float64) @ columns.T.astype(np.float64) / rows.shape[1] + 1) ** 3
            total += float(kernel.sum())
            if not diagonal and i == j:
                total -= float(np.trace(kernel))
    return total
