"""Stage 1: images of source and target pose in, the fusion embedding out; and its contrastive loss."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Combiner(nn.Module):
    """FPDM's combiner of a source and a pose embedding (after CLIP4Cir); all widths are `width`.

    a_p = Drop(ReLU(W_p p)), a_s = Drop(ReLU(W_s s)), r = [a_p ; a_s]; c = W_o Drop(ReLU(W_c r));
    lambda = sigmoid(W_2 Drop(ReLU(W_1 r))); f = normalize(c + lambda p + (1 - lambda) s).
    """

    def __init__(self, width: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.pose = nn.Linear(width, width)
        self.source = nn.Linear(width, width)
        self.mix_in = nn.Linear(2 * width, width)
        self.mix_out = nn.Linear(width, width)
        self.gate_in = nn.Linear(2 * width, width)
        self.gate_out = nn.Linear(width, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, source: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """source, pose (B, width), not normalised -> f (B, width), unit length."""
        joint = torch.cat([self._hidden(self.pose, pose), self._hidden(self.source, source)], -1)
        mixed = self.mix_out(self._hidden(self.mix_in, joint))
        gate = torch.sigmoid(self.gate_out(self._hidden(self.gate_in, joint)))
        return F.normalize(mixed + gate * pose + (1 - gate) * source, dim=-1)

    def _hidden(self, layer: nn.Linear, value: torch.Tensor) -> torch.Tensor:
        return self.drop(F.relu(layer(value)))


class FusionModel(ModelMixin, ConfigMixin):
    """One CLIP vision tower with projection for source, pose and target images, and the combiner."""

    @register_to_config
    def __init__(self, tower_config: dict[str, Any], side: int = 224, dropout: float = 0.5) -> None:
        super().__init__()
        self.tower = CLIPVisionModelWithProjection(CLIPVisionConfig(**tower_config))
        self.combiner = Combiner(self.tower.config.projection_dim, dropout)
        self.side = side
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).view(1, 3, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.tower.config.projection_dim)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1], squashed to the tower's square -> image_embeds (B, width), not normalised."""
        if images.shape[-2:] != (self.side, self.side):
            images = F.interpolate(images, (self.side, self.side), mode="bicubic", antialias=True).clamp(0, 1)
        return self.tower(pixel_values=(images - self.mean) / self.std).image_embeds

    def forward(self, source: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """source, pose (B, 3, H, W) in [0, 1] -> fusion embedding f (B, width), unit length."""
        return self.combiner(self.embed(source), self.embed(pose))


def source_enhanced_info_nce(
    fused: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    source_ids: torch.Tensor,
    target_ids: torch.Tensor,
    temperature: float = 0.07,
    l1_weight: float = 1e-4,
    mask_duplicates: bool = True,
    own_source_negative: bool = True,
) -> torch.Tensor:
    """FPDM's contrastive loss over the doubled batch T = [t ; s], F = [f ; s], in one direction (T -> F).

    L = mean_i(-cos(T_i, F_i)/tau + logsumexp_j cos(T_i, F_j)/tau) + l1_weight mean|[s ; s] - F|.
    fused, source, target: (N, D). ids: (N,) int64, equal for the same image (clip and frame). The public code lets the
    same image act as its own negative; here column j leaves row i (i != j) iff T_i and T_j are the same image. A row's
    own source stays a negative unless `own_source_negative` is off. The L1 term compares unit vectors. Computed in
    float32, whatever the precision around it: at tau = 0.07 bfloat16 rounds logits to 1/16.
    """
    # autocast is not made for the meta device, on which costs are counted
    with nullcontext() if fused.is_meta else torch.autocast(fused.device.type, enabled=False):
        return _info_nce(
            fused.float(), source.float(), target.float(), source_ids, target_ids,
            temperature, l1_weight, mask_duplicates, own_source_negative,
        )  # fmt: skip


def _info_nce(
    fused: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    source_ids: torch.Tensor,
    target_ids: torch.Tensor,
    temperature: float,
    l1_weight: float,
    mask_duplicates: bool,
    own_source_negative: bool,
) -> torch.Tensor:
    count = len(fused)
    unit_source = F.normalize(source, dim=-1)
    rows = torch.cat([F.normalize(target, dim=-1), unit_source])
    columns = torch.cat([F.normalize(fused, dim=-1), unit_source])
    logits = rows @ columns.T / temperature
    ids = torch.cat([target_ids, source_ids])
    diagonal = torch.eye(2 * count, dtype=torch.bool, device=fused.device)
    masked = torch.zeros_like(diagonal)
    if mask_duplicates:
        masked |= ids[:, None] == ids[None, :]
    if not own_source_negative:
        own = torch.arange(count, device=fused.device)
        masked[own, own + count] = True
    logits = logits.masked_fill(masked & ~diagonal, float("-inf"))
    contrast = (torch.logsumexp(logits, 1) - logits.diagonal()).mean()
    return contrast + l1_weight * (torch.cat([unit_source, unit_source]) - columns).abs().mean()
