"""Cumulative guidance: the formula, and no branch that is not needed."""

from __future__ import annotations

import pytest
import torch

from signgen.models.guidance import branch_weights, combine, keep_masks


@pytest.mark.parametrize(("w_c", "w_f"), [(2.0, 3.0), (2.0, 2.0), (1.0, 1.0), (1.0, 2.0), (0.0, 1.5), (3.0, 0.0)])
def test_weighted_sum_is_the_formula(w_c, w_f):
    branches = dict(zip("UCF", torch.randn(3, 4, 2, 2), strict=True))
    formula = branches["U"] + w_c * (branches["C"] - branches["U"]) + w_f * (branches["F"] - branches["C"])
    weights = branch_weights(w_c, w_f, has_fusion=True)
    stacked = torch.cat([branches[name] for name in weights])
    ours = combine(stacked, list(weights.values()))
    assert torch.allclose(ours, formula, atol=1e-5)


def test_no_wasted_branch():
    assert list(branch_weights(2.0, 2.0, True)) == ["U", "F"]
    assert list(branch_weights(1.0, 1.0, True)) == ["F"]
    assert list(branch_weights(1.0, 2.0, True)) == ["C", "F"]
    assert list(branch_weights(2.0, 3.0, True)) == ["U", "C", "F"]
    assert list(branch_weights(2.0, 9.0, False)) == ["U", "C"]
    assert list(branch_weights(1.0, 9.0, False)) == ["C"]


def test_masks_follow_the_branches():
    keep = keep_masks(["U", "C", "F"], 2, torch.device("cpu"))
    assert keep["pose"].tolist() == [False, False, True, True, True, True]
    assert keep["source"].tolist() == keep["pose"].tolist()
    assert keep["fusion"].tolist() == [False] * 4 + [True] * 2
