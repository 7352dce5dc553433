"""Classifier-free guidance, cumulative over (pose, source) and fusion: the branches it needs, and their combination."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from signgen.config import SamplingSettings
from signgen.models.conditions import BRANCHES, Branch

# U = (null, null, null), C = (pose, source, null), F = (pose, source, fusion).
KEPT: dict[str, tuple[Branch, ...]] = {"U": (), "C": ("pose", "source"), "F": ("pose", "source", "fusion")}


def branch_weights(w_c: float, w_f: float, has_fusion: bool) -> dict[str, float]:
    """Weights of U + w_c (C - U) + w_f (F - C), without the branches whose weight is zero.

    Without a fusion condition F equals C, so it is U + w_c (C - U). With w_c = w_f the middle branch cancels; with
    both 1 only F is left.

    >>> branch_weights(2.0, 2.0, True)
    {'U': -1.0, 'F': 2.0}
    """
    if has_fusion:
        weights = {"U": 1 - w_c, "C": w_c - w_f, "F": w_f}
    else:
        weights = {"U": 1 - w_c, "C": w_c}
    return {name: weight for name, weight in weights.items() if weight != 0}


def is_guided(sampling: SamplingSettings, time: float) -> bool:
    """Whether guidance is computed at this time, a share of all time steps (0 the picture, 1 pure noise).

    >>> is_guided(SamplingSettings(guidance_interval=(0.2, 0.8)), 0.9)
    False
    """
    low, high = sampling.guidance_interval
    return low <= time <= high


def keep_masks(branches: Sequence[str], batch: int, device: torch.device) -> dict[Branch, torch.Tensor]:
    """bool (len(branches) * batch,) per condition branch, for a batch repeated once per guidance branch."""
    return {
        name: torch.tensor([name in KEPT[b] for b in branches], device=device).repeat_interleave(batch)
        for name in BRANCHES
    }


def combine(outputs: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """outputs (len(weights) * B, ...) -> the weighted sum (B, ...). It is affine in whatever the network predicts."""
    if len(weights) == 1:
        return outputs * weights[0] if weights[0] != 1 else outputs
    parts = outputs.chunk(len(weights))
    return sum((part * weight for part, weight in zip(parts[1:], weights[1:], strict=True)), parts[0] * weights[0])
