"""Stage 1 against a loop-by-loop implementation of the paper's formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from signgen.models.fusion import Combiner, source_enhanced_info_nce


def slow_info_nce(fused, source, target, source_ids, target_ids, tau, weight, mask, own):
    """Row by row, column by column, as the formula is written."""
    count = len(fused)
    unit = [F.normalize(v, dim=-1) for v in (fused, source, target)]
    rows = torch.cat([unit[2], unit[1]])
    columns = torch.cat([unit[0], unit[1]])
    ids = torch.cat([target_ids, source_ids]).tolist()
    total = 0.0
    for i in range(2 * count):
        terms = []
        for j in range(2 * count):
            if i != j and mask and ids[i] == ids[j]:
                continue
            if not own and i < count and j == i + count:
                continue
            terms.append(math.exp(float(rows[i] @ columns[j]) / tau))
        total += -float(rows[i] @ columns[i]) / tau + math.log(sum(terms))
    doubled = torch.cat([unit[1], unit[1]])
    return total / (2 * count) + weight * float((doubled - columns).abs().mean())


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_info_nce_is_the_formula(mask, own):
    generator = torch.Generator().manual_seed(3)
    fused, source, target = (torch.randn(5, 16, generator=generator) for _ in range(3))
    source_ids = torch.tensor([1, 1, 2, 3, 4])
    target_ids = torch.tensor([5, 2, 5, 6, 7])
    ours = source_enhanced_info_nce(fused, source, target, source_ids, target_ids, 0.07, 1e-4, mask, own)
    slow = slow_info_nce(fused, source, target, source_ids, target_ids, 0.07, 1e-4, mask, own)
    assert float(ours) == pytest.approx(slow, rel=1e-5)


def test_a_duplicate_image_is_no_negative():
    embedding = F.normalize(torch.randn(2, 8), dim=-1)
    same, different = torch.tensor([7, 7]), torch.tensor([7, 8])
    args = (embedding, embedding, embedding)
    masked = source_enhanced_info_nce(*args, same, same)
    unmasked = source_enhanced_info_nce(*args, same, different, mask_duplicates=False)
    assert masked < unmasked


def test_combiner_is_a_gated_sum_of_unit_length():
    combiner = Combiner(12).eval()
    source, pose = torch.randn(3, 12), torch.randn(3, 12)
    fused = combiner(source, pose)
    assert torch.allclose(fused.norm(dim=-1), torch.ones(3), atol=1e-6)
    for layer in (combiner.mix_out, combiner.gate_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    halves = F.normalize(0.5 * pose + 0.5 * source, dim=-1)  # no mix, gate sigmoid(0)
    assert torch.allclose(combiner(source, pose), halves, atol=1e-6)
