"""FID's and KID's mathematics: closed forms, direct sums, torchmetrics; halves merged equal the whole."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import SigngenError
from signgen.metrics.distribution import frechet as module
from signgen.metrics.distribution.frechet import (
    FeatureFile,
    FeatureStatistics,
    Gaussian,
    StoredFeatures,
    frechet_distance,
    kernel_distance,
)


def gathered(features: np.ndarray) -> Gaussian:
    return statistics_of(features).compute()


def statistics_of(features: np.ndarray) -> FeatureStatistics:
    statistics = FeatureStatistics()
    for feature in features:
        statistics.update(feature)
    return statistics


def in_file(path: Path, features: np.ndarray) -> StoredFeatures:
    return file_of(path, features).compute()


def file_of(path: Path, features: np.ndarray, part: int = 0, parts: int = 1) -> FeatureFile:
    file = FeatureFile(path, part, parts)
    for feature in features:
        file.update(feature)
    return file


def exactly(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """2 D points that have this sample mean and covariance, not nearly but exactly."""
    values, vectors = np.linalg.eigh(covariance)
    dimensions = len(mean)
    spread = vectors * np.sqrt(np.maximum(values, 0) * (2 * dimensions - 1) / 2)
    return mean + np.concatenate([spread.T, -spread.T])


def covariance(seed: int, rank: int, dimensions: int = 6) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(dimensions, rank))
    return factor @ factor.T


def test_mean_and_covariance_are_numpys_over_many_batches() -> None:
    data = np.random.default_rng(0).normal(1e4, 1, (201, 5))  # far from zero: sums of squares would cancel
    found = gathered(data)
    np.testing.assert_allclose(found.mean, data.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(data, rowvar=False), rtol=1e-9, atol=1e-12)
    assert found.total == 201


def test_merged_halves_are_the_whole() -> None:
    data = np.random.default_rng(1).normal(3, 1, (150, 5))
    half = statistics_of(data[:70])
    half.merge_state(pickle.loads(pickle.dumps(statistics_of(data[70:]))))  # as another process would send it
    merged, whole = half.compute(), gathered(data)
    assert merged.total == whole.total == 150
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-12, atol=1e-14)
    empty = FeatureStatistics()
    empty.merge_state(FeatureStatistics())
    assert empty.compute().total == 0
    empty.merge_state(half)
    empty.merge_state(FeatureStatistics())
    np.testing.assert_array_equal(empty.compute().covariance, merged.covariance)


def test_commuting_gaussians_have_a_closed_form() -> None:
    """Covariances with common axes: |m1 - m2|^2 + sum (s1 - s2)^2 over the standard deviations."""
    axes = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    one, other = np.array([4.0, 2, 1, 0.5, 3, 0.1]), np.array([1.0, 3, 1, 2.5, 0.2, 0.1])
    means = np.arange(6.0), np.ones(6)
    found = frechet_distance(
        gathered(exactly(means[0], (axes * one**2) @ axes.T)), gathered(exactly(means[1], (axes * other**2) @ axes.T))
    )
    assert found == pytest.approx(((means[0] - means[1]) ** 2).sum() + ((one - other) ** 2).sum(), rel=1e-10)


def test_two_dimensions_have_a_closed_form() -> None:
    """tr (C1 C2)^1/2 = sqrt(tr C1 C2 + 2 sqrt(det C1 C2)), whatever their axes."""
    one, other = covariance(3, 2, 2), covariance(4, 2, 2)
    assert abs(one @ other - other @ one).max() > 0.1
    product = one @ other
    overlap = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    found = frechet_distance(gathered(exactly(np.zeros(2), one)), gathered(exactly(np.ones(2), other)))
    assert found == pytest.approx(2 + np.trace(one) + np.trace(other) - 2 * overlap, rel=1e-10)


def test_rank_deficient_covariances() -> None:
    """Fewer features than dimensions. Rank one each: C = v v', the overlap is |v.w|."""
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=(2, 40))
    found = frechet_distance(
        gathered(exactly(np.zeros(40), np.outer(one, one))), gathered(exactly(np.zeros(40), np.outer(other, other)))
    )
    assert found == pytest.approx(one @ one + other @ other - 2 * abs(one @ other), rel=1e-9)
    few = rng.normal(size=(3, 40))
    assert frechet_distance(gathered(few), gathered(few)) == pytest.approx(0, abs=1e-9)
    across = np.eye(40)[:3], np.eye(40)[3:6]  # nothing in common: the traces add up
    shift = ((across[0].mean(axis=0) - across[1].mean(axis=0)) ** 2).sum()
    assert frechet_distance(gathered(across[0]), gathered(across[1])) == pytest.approx(shift + 2, rel=1e-10)


def test_the_frechet_distance_is_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(6)
    one, other = rng.normal(0, 1, (90, 12)), rng.normal(0.5, 2, (80, 12))
    moments = [torch.tensor(x) for data in (one, other) for x in (data.mean(axis=0), np.cov(data, rowvar=False))]
    assert frechet_distance(gathered(one), gathered(other)) == pytest.approx(_compute_fid(*moments).item(), rel=1e-9)


def direct_kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / len(x) + 1) ** 3

    n, m = len(one), len(other)
    same = sum(kernel(one[i], one[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    same += sum(kernel(other[i], other[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return same - 2 * sum(kernel(x, y) for x in one for y in other) / (n * m)


def test_the_kernel_distance_is_the_double_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)  # several blocks, the last one short
    rng = np.random.default_rng(7)
    one, other = (rng.normal(mean, 1, (count, 5)).astype(np.float32) for mean, count in ((0, 17), (0.4, 23)))
    expected = direct_kernel_distance(one.astype(np.float64), other.astype(np.float64))
    files = in_file(tmp_path / "one", one), in_file(tmp_path / "other", other)
    assert abs(expected) > 1e-3
    assert kernel_distance(*files) == pytest.approx(expected, rel=1e-10)


def test_the_kernel_distance_is_torchmetrics_with_one_subset_of_all(tmp_path: Path) -> None:
    from torchmetrics.image.kid import poly_mmd

    rng = np.random.default_rng(8)
    one, other = (rng.normal(mean, 1, (20, 5)).astype(np.float32) for mean in (0, 0.4))
    files = in_file(tmp_path / "one", one), in_file(tmp_path / "other", other)
    expected = poly_mmd(torch.tensor(one).double(), torch.tensor(other).double()).item()
    assert kernel_distance(*files) == pytest.approx(expected, rel=1e-9)


def test_the_files_of_all_parts_are_the_whole(tmp_path: Path) -> None:
    data = np.random.default_rng(9).normal(size=(31, 5)).astype(np.float32)
    half = file_of(tmp_path / "shared", data[:11], 0, 3)
    half.merge_state(pickle.loads(pickle.dumps(file_of(tmp_path / "shared", data[11:], 1, 3))))
    half.merge_state(FeatureFile(tmp_path / "shared", 2, 3))  # which has written nothing
    merged = half.compute()
    np.testing.assert_array_equal(np.concatenate(list(merged.blocks())), data)
    assert merged.total == 31
    reference = in_file(tmp_path / "reference", data + 1)
    found = kernel_distance(merged, reference)
    assert found == pytest.approx(kernel_distance(in_file(tmp_path / "whole", data), reference), rel=1e-12)


def test_one_image_is_no_distribution(tmp_path: Path) -> None:
    one, two = np.ones((1, 4)), np.eye(4)[:2]
    with pytest.raises(SigngenError, match="at least 2 images for FID"):
        frechet_distance(gathered(one), gathered(two))
    with pytest.raises(SigngenError, match="at least 2 images for KID"):
        kernel_distance(in_file(tmp_path / "1", one), in_file(tmp_path / "2", two))
