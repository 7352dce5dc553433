"""Gaussian targets and peaks: each other's inverse; missing joints have no target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from signgen.models.canvas import Canvas
from signgen.models.heat_maps import gaussian_targets, peaks
from signgen.models.posenet import PoseNet

SIZE, STRIDE = (24, 32), 4  # h, w of the maps


def points_within(margin: float, count: int = 200) -> torch.Tensor:
    """(1, count, 3) at random in the picture, `margin` px from its edges."""
    height, width = (side * STRIDE for side in SIZE)
    rng = np.random.default_rng(0)
    low, high = margin - 0.5, np.array([width, height]) - margin - 0.5
    places = rng.uniform(low, high, (count, 2))
    return torch.tensor(np.concatenate([places, np.ones((count, 1))], 1), dtype=torch.float32)[None]


@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.5])
def test_peaks_are_the_inverse_of_targets_at_the_edges_too(sigma):
    points = points_within(margin=0.0)
    targets, known = gaussian_targets(points, SIZE, STRIDE, sigma)
    found = peaks(targets, STRIDE)
    assert known.all()
    assert (found - points)[..., :2].abs().max() < 0.25


def test_targets_equal_the_formula_pixel_by_pixel():
    points = torch.tensor([[[10.3, 21.0, 1.0]]])
    (target,), _ = gaussian_targets(points, SIZE, STRIDE, 1.5)
    x, y = (10.3 + 0.5) / 4 - 0.5, (21.0 + 0.5) / 4 - 0.5
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            expected = math.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * 1.5**2))
            assert float(target[0, row, column]) == pytest.approx(expected, abs=1e-6)


def test_missing_joints_have_no_target_and_are_not_known():
    points = torch.tensor([[[20.0, 20.0, 1.0], [math.nan, math.nan, 0.0], [20.0, 20.0, 0.0], [math.nan, 5.0, 1.0]]])
    targets, known = gaussian_targets(points, SIZE, STRIDE, 1.5)
    assert known.tolist() == [[True, False, False, False]]
    assert targets[0, 0].max() > 0.8
    assert not targets[0, 1:].any()


def test_a_joint_outside_the_picture_is_known_and_has_an_empty_map():
    targets, known = gaussian_targets(torch.tensor([[[-60.0, 10.0, 1.0]]]), SIZE, STRIDE, 1.5)
    assert known.all()
    assert targets.max() < 1e-6


def test_a_flat_map_has_its_peak_on_a_pixel_and_its_height_as_score():
    ((found,),) = peaks(torch.full((1, 1, *SIZE), 0.25), STRIDE).tolist()
    assert found == [1.5, 1.5, 0.25]  # the centre of the first heat-map pixel


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_the_network_gives_maps_at_its_stride_and_gradients_reach_the_image(stride):
    torch.manual_seed(0)
    network = PoseNet(joints=[0, 9, 10], channels=[8, 16, 16], stride=stride, groups=4)
    images = torch.rand(2, 3, 64, 48).mul(2).sub(1).requires_grad_()
    features, maps = network.heat_maps(images)
    assert maps.shape == (2, 3, 64 // stride, 48 // stride)
    assert features.shape[-2:] == maps.shape[-2:]
    assert 0 <= float(maps.detach().min()) <= float(maps.detach().max()) <= 1
    maps.sum().backward()
    assert images.grad.abs().amax((1, 2, 3)).min() > 0


def test_the_digest_follows_the_weights_and_is_kept_on_disk(tmp_path):
    torch.manual_seed(0)
    network = PoseNet(joints=[0, 9, 10], channels=[8, 16, 16], groups=4)
    network.save_pretrained(tmp_path)
    again = PoseNet.from_pretrained(tmp_path)
    assert again.digest == network.digest
    assert (again.joints, again.canvas, again.stride) == ((0, 9, 10), Canvas(128, 128, "squash", "lanczos"), 4)
    with torch.no_grad():
        again.head.bias += 1e-3
    assert again.digest != network.digest


def test_nano_has_a_million_parameters():
    assert 0.5e6 < sum(p.numel() for p in PoseNet().parameters()) < 1.1e6
