"""RePoseDM's context: source and target pose in the image space in; tokens of the source, aligned to the pose, out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from signgen.errors import RecipeError
from signgen.models.alignment import REGIONS, Alignment, RecurrentAlignment, sinusoidal_positions
from signgen.models.condition import Condition, Sizes
from signgen.models.features import Features
from signgen.registry import PROVIDERS

_PICTURE = 3  # channels
_LATENTS = ("source_latent", "source_pose_latent", "pose_latent")
_PICTURES = ("source", "source_pose_or_black", "target_pose")


@PROVIDERS.register
class AlignedTokens(Condition):
    """Tokens of F_S^N, by how visible they are, and of the unwarped F_S, from which comes what a warp does not reach.

    recurrence: `latent` warps the source's map; `image` warps the picture and encodes it anew in every recurrence.
    stride: latent pixels a token, for coarser and cheaper maps. pool: of the maps, tokens that the denoiser is given
    one for, each way. source_pose: the source's pose image is seen beside the source; the paper's sees it nowhere.
    """

    name, reads = "aligned_tokens", ("source_latent", "pose_latent")
    kind, branch, per_frame = "context", "source", True
    gives = ("alignment",)

    def __init__(
        self,
        sizes: Sizes,
        learned_null: bool,
        width: int = 128,
        heads: int = 4,
        radius: int = 8,
        recurrences: int = 5,
        regions: Sequence[int] = REGIONS,
        recurrence: Literal["latent", "image"] = "latent",
        stride: int = 1,
        pool: int = 2,
        source_pose: bool = False,
    ) -> None:
        super().__init__(sizes, learned_null, sizes.context_width)
        if recurrence not in ("latent", "image") or recurrences < 1 or radius < 1 or width % (8 * heads):
            raise RecipeError(
                f"aligned_tokens: recurrence {recurrence}, {recurrences} recurrences, radius {radius}, width {width}",
                expected=f"latent or image, 1 or more, 1 or more, a multiple of {8 * heads}",
            )
        reencode = recurrence == "image"
        channels = _PICTURE if reencode else sizes.latent_channels
        tokens = stride * (sizes.factor if reencode else 1)
        self.align = RecurrentAlignment(
            (channels, channels),
            width,
            heads,
            radius,
            recurrences,
            regions,
            (tokens, tokens),
            reencode,
            stride * sizes.factor,
        )
        self.pool, self.reencode, self.source_pose = pool, reencode, source_pose
        self.kinds = nn.Parameter(0.02 * torch.randn(2, 1, 1, width))
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sizes.context_width))
        names = _PICTURES if reencode else _LATENTS
        self.reads = names if source_pose else names[::2]  # type: ignore[misc,assignment]

    def read(self, features: Features) -> tuple[torch.Tensor, ...] | None:
        """The alignment, which features keep: losses and pictures of it are taken there."""
        found = features.alignment or self._aligned(features)
        if found is None:
            return None
        features.with_known(alignment=found)
        return found.aligned, found.visibility, found.source

    def _aligned(self, features: Features) -> Alignment | None:
        source, *source_pose, pose = (getattr(features, name) for name in self.reads)
        if source is None or pose is None:
            return None
        if self.reencode:
            pose = 2 * pose[:, :_PICTURE] - 1
            source_pose = [2 * each - 1 for each in source_pose]
        return self.align(source, pose, *source_pose)

    def forward(self, aligned: torch.Tensor, visibility: torch.Tensor, source: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Maps (B, D, h, w) and visibility (B, 1, h, w) -> (B, 2 (h / pool) (w / pool), context width)."""
        pooled = [
            F.avg_pool2d(each, self.pool, ceil_mode=True) for each in (aligned * visibility, source.expand_as(aligned))
        ]
        positions = sinusoidal_positions(*pooled[0].shape[1:]).to(aligned)
        tokens = [
            (each + positions).flatten(2).transpose(1, 2) + kind for each, kind in zip(pooled, self.kinds, strict=True)
        ]
        return self.project(torch.cat(tokens, 1))
