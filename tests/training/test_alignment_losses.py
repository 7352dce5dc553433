"""What teaches a flow: zero where it is right, and nothing of what is not known."""

from __future__ import annotations

import math

import pytest
import torch

from signgen.config import AlignmentLosses
from signgen.training.alignment_losses import keypoint_error, matching_error, photometric, weighted_losses
from signgen.training.body_places import bone_places

PIXELS = 4  # a token


def points(*places: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([places])


def moved_right() -> tuple[torch.Tensor, torch.Tensor]:
    """Source and target: two known points, 8 px further to the right in the source; one that is missing."""
    target = points((8.0, 8.0, 1.0), (8.0, 20.0, 1.0), (torch.nan, torch.nan, 0.0))
    return target + torch.tensor([8.0, 0.0, 0.0]), target


def test_a_flow_that_leads_there_costs_nothing_and_others_their_distance():
    bones = bone_places(*moved_right(), [(0, 1), (1, 2)])
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 8
    assert keypoint_error(flow, bones, PIXELS) == pytest.approx(0, abs=1e-5)
    assert keypoint_error(0 * flow, bones, PIXELS) == pytest.approx(2)  # tokens


def test_a_correlation_with_its_peak_there_costs_nothing():
    bones = bone_places(*moved_right(), [(0, 1), (1, 2)])
    scores = torch.zeros(1, 49, 8, 8, requires_grad=True)  # radius 3
    assert matching_error(scores, bones, PIXELS).item() == pytest.approx(math.log(49))
    matching_error(scores, bones, PIXELS).backward()
    touched = scores.grad.abs().sum(1)[0].nonzero().tolist()
    assert touched == [[row, 2] for row in (2, 3, 4, 5)]  # the tokens along the known bone, and no others
    right = scores.detach().clone()
    right[:, 3 * 7 + 5] = 30  # two tokens to the right
    assert matching_error(right, bones, PIXELS) == pytest.approx(0, abs=1e-5)


def test_what_is_out_of_reach_does_not_count():
    source, target = moved_right()
    far = bone_places(source + torch.tensor([40.0, 0, 0]), target, [(0, 1)])
    assert matching_error(torch.randn(1, 9, 8, 8), far, PIXELS) == 0


def test_hiding_pays_where_the_picture_differs_by_more_than_it_costs():
    target = torch.zeros(1, 3, 4, 4)
    for difference, best in ((0.3, 0.0), (0.05, 1.0)):
        visibility = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
        photometric(target + difference, target, visibility, 0.15).backward()
        assert (visibility.grad > 0).all() == (best == 0)
    seen = torch.ones(1, 1, 4, 4)
    assert photometric(target + 0.3, target, seen, 0.15) == pytest.approx(0.3)
    assert photometric(target + 0.3, target, 0 * seen, 0.15) == pytest.approx(0.15)


def test_weights_are_those_of_the_recipe():
    assert weighted_losses(AlignmentLosses()) == {}
    assert weighted_losses(AlignmentLosses(photometric=2, matching=0.5)) == {
        "alignment_photometric": 2,
        "alignment_matching": 0.5,
    }
