"""Condition providers: features of (source image, source pose, target pose) in, what steers the denoiser out.

A condition is one of three kinds: context (tokens for cross-attention), spatial (channels concatenated to the noisy
latent), vector (added to the time embedding). Each provider declares which guidance branch it belongs to and whether it
depends on the frame or only on the clip, and computes its value and its null (the value without the condition).

To add a condition, add one class here (or import it here, as RePoseDM's are), decorated with
`@PROVIDERS.register`. Its `name` is what a recipe writes as `kind`; `reads` lists the Features (models/features.py)
that its `forward` takes, or its `read` computes them from others. Training and rendering both call
`ConditionSet.encode`, so nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import nn

from signgen.errors import RecipeError, nearest
from signgen.models.aligned_tokens import AlignedTokens
from signgen.models.condition import BRANCHES, Branch, Condition, Sizes, Values
from signgen.models.features import Features
from signgen.models.source_cnn import SourceCnn
from signgen.registry import PROVIDERS

__all__ = [
    "BRANCHES",
    "AlignedTokens",
    "Branch",
    "Condition",
    "ConditionSet",
    "Conditioning",
    "Sizes",
    "SourceCnn",
    "Values",
    "provider_class",
]

WARP_MASKS = 3  # moved parts, hands, painted


@PROVIDERS.register
class SourceTokens(Condition):
    """FPDM's source appearance: Linear GELU Dropout LayerNorm Linear Dropout on DINOv2 tokens, in place of text."""

    name, reads = "source_tokens", ("source_tokens",)
    kind, branch, per_frame = "context", "source", False

    def __init__(self, sizes: Sizes, learned_null: bool, hidden: int = 768, dropout: float = 0.2) -> None:
        super().__init__(sizes, learned_null, sizes.context_width)
        self.project = nn.Sequential(
            nn.Linear(sizes.token_width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, sizes.context_width),
            nn.Dropout(dropout),
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.project(feature)


class PoseEncoder(ControlNetConditioningEmbedding):
    """The ControlNet conditioning embedding without its last convolution, whose part the widened conv_in plays."""

    def __init__(self, channels: list[int], images: int) -> None:
        super().__init__(1, conditioning_channels=3 * images, block_out_channels=tuple(channels))
        self.conv_out = nn.Identity()


class _PoseCnn(Condition):
    """A small strided CNN on pose images, down to the latent's size."""

    def __init__(self, sizes: Sizes, learned_null: bool, channels: list[int], images: int = 1) -> None:
        super().__init__(sizes, learned_null, channels[-1])
        stride = 2 ** (len(channels) - 1)
        if stride != sizes.factor:
            raise ValueError(f"{self.name}: {len(channels)} widths give stride {stride}, not {sizes.factor}")
        self.encoder = PoseEncoder(channels, images)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.encoder(feature)


@PROVIDERS.register
class PoseMap(_PoseCnn):
    """FPDM's pose: the target's pose image.

    window: number of frames before and after whose pose images are read too, for motion blur, and against jitter of
    points with a low score. 0, as in the paper: the frame's own only.
    """

    name, reads = "pose_map", ("target_pose",)
    kind, branch, per_frame = "spatial", "pose", True

    def __init__(self, sizes: Sizes, learned_null: bool, channels: list[int], window: int = 0) -> None:
        super().__init__(sizes, learned_null, channels, images=1 + 2 * window)


@PROVIDERS.register
class SourcePoseMap(_PoseCnn):
    """The source's pose image."""

    name, reads = "source_pose_map", ("source_pose",)
    kind, branch, per_frame = "spatial", "source", False


@PROVIDERS.register
class SourceLatent(Condition):
    """The source in the image space."""

    name, reads = "source_latent", ("source_latent",)
    kind, branch, per_frame = "spatial", "source", False

    def __init__(self, sizes: Sizes, learned_null: bool) -> None:
        super().__init__(sizes, learned_null, sizes.latent_channels)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return feature


@PROVIDERS.register
class PoseLatent(Condition):
    """RePoseDM's pose: the target's pose image in the image space, beside the noisy latent."""

    name, reads = "pose_latent", ("pose_latent",)
    kind, branch, per_frame = "spatial", "pose", True

    def __init__(self, sizes: Sizes, learned_null: bool) -> None:
        super().__init__(sizes, learned_null, sizes.latent_channels)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return feature


@PROVIDERS.register
class PartWarp(Condition):
    """The part warp in the image space, and its masks: moved parts, hands, painted areas."""

    name, reads = "part_warp", ("part_warp",)
    kind, branch, per_frame = "spatial", "source", True

    def __init__(self, sizes: Sizes, learned_null: bool) -> None:
        super().__init__(sizes, learned_null, sizes.latent_channels + WARP_MASKS)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return feature


@PROVIDERS.register
class FusionVector(Condition):
    """FPDM's fusion embedding: Linear GELU Dropout Linear to the time embedding's width."""

    name, reads = "fusion_vector", ("fusion",)
    kind, branch, per_frame = "vector", "fusion", True

    def __init__(self, sizes: Sizes, learned_null: bool, dropout: float = 0.2) -> None:
        super().__init__(sizes, learned_null, sizes.time_width)
        width = sizes.fusion_width
        self.project = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, sizes.time_width)
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.project(feature)


@dataclass
class Conditioning:
    """What the denoiser takes: context (B, N, D), spatial (B, S, h, w), vector (B, E) or None.

    context may have fewer rows, see `ConditionSet.merge`; its first `clip_tokens` tokens depend on the clip only.
    """

    context: torch.Tensor
    spatial: torch.Tensor
    vector: torch.Tensor | None
    clip_tokens: int = 0


class ConditionSet(ModelMixin, ConfigMixin):
    """The recipe's providers with their trained parts; one component of the model folder."""

    @register_to_config
    def __init__(self, entries: list[dict[str, Any]], sizes: dict[str, int]) -> None:
        super().__init__()
        self.providers = nn.ModuleDict(
            {
                e["kind"]: provider_class(e["kind"])(Sizes(**sizes), e["null"] == "learned", **e["options"])
                for e in entries
            }
        )

    @property
    def needs(self) -> set[str]:
        """Names of the Features that the providers read."""
        return {name for provider in self._all() for name in provider.reads}

    @property
    def spatial_channels(self) -> int:
        """How many channels are concatenated to the noisy latent."""
        return sum(p.width for p in self._all() if p.kind == "spatial")

    def encode(self, features: Features, per_frame: bool | None = None) -> Values:
        """Each provider's value, by name. per_frame: only of the providers that do, or do not, depend on the frame.

        A provider whose features are not known has no value, and `merge` then uses its null.
        """
        chosen = [p for p in self._all() if per_frame is None or p.per_frame == per_frame]
        read = [(p, p.read(features)) for p in chosen]
        return {p.name: p(*found) for p, found in read if found is not None}

    def merge(
        self,
        values: Values,
        keep: Mapping[Branch, torch.Tensor],
        latent: torch.Tensor,
        known: Mapping[str, torch.Tensor] | None = None,
        shared: int = 1,
    ) -> Conditioning:
        """Concatenate the values of each kind for the batch of `latent` (B, C, h, w); vectors are added.

        keep[branch]: bool (B,); a sample that does not keep a branch gets the nulls of its providers. known[feature]:
        bool (B,), in training; a sample whose feature counts as not known gets the nulls of the providers that read it.
        Values of batch 1 (constants of a clip) are broadcast. Tokens of the clip come before those of the frame.
        shared: samples come in groups of so many that keep the same branches, as the frames of a guidance branch do.
        The context is then (B / shared, N, D), one row for each group, unless some of it depends on the frame.
        """
        parts: dict[str, list[torch.Tensor]] = {"clip": [], "frame": [], "spatial": [], "vector": []}
        by_frame = any(provider.kind == "context" and provider.per_frame for provider in self._all())
        for provider in self._all():
            kept = keep[provider.branch]
            for feature in set(provider.reads).intersection(known or ()):
                kept = kept & known[feature]  # type: ignore[index]
            tokens = provider.kind == "context"
            rows = slice(None, None, shared if tokens and not by_frame else 1)
            value = self._value_or_null(provider, values.get(provider.name), kept[rows], latent[rows])
            kind = ("frame" if provider.per_frame else "clip") if tokens else provider.kind
            parts[kind].append(value)
        return Conditioning(
            context=torch.cat(parts["clip"] + parts["frame"], 1),
            spatial=torch.cat(parts["spatial"], 1),
            vector=sum(parts["vector"][1:], parts["vector"][0]) if parts["vector"] else None,
            clip_tokens=sum(value.shape[1] for value in parts["clip"]),
        )

    def only_nulls(self, kept: Sequence[tuple[Branch, ...]]) -> int:
        """Of guidance branches, each given by what it keeps: how many, the first ones, have tokens that are all equal.

        Those are the ones that keep no context. Where several providers have nulls of their own, tokens differ.
        """
        providers = [provider for provider in self._all() if provider.kind == "context"]
        learned = any(isinstance(provider.null, nn.Parameter) for provider in providers)
        if any(provider.per_frame for provider in providers) or (learned and len(providers) > 1):
            return 0
        without = [not any(provider.branch in branches for provider in providers) for branches in kept]
        return without.index(False) if False in without else len(without)

    def _value_or_null(
        self, provider: Condition, value: torch.Tensor | None, kept: torch.Tensor, latent: torch.Tensor
    ) -> torch.Tensor:
        """The provider's value for every sample, (B, ...); its null for samples that are not kept, bool (B,)."""
        null = provider.null.to(latent.dtype)
        if value is None:
            shape = {"context": (1, 1), "spatial": (1, provider.width, *latent.shape[-2:]), "vector": (1,)}
            value = null.expand(*shape[provider.kind], *([provider.width] if provider.kind != "spatial" else []))
        value = value.expand(len(latent), *value.shape[1:])
        return torch.where(kept.view(-1, *[1] * (value.dim() - 1)), value, null)

    def _all(self) -> list[Condition]:
        return list(self.providers.values())  # type: ignore[arg-type]


def provider_class(kind: str) -> type[Condition]:
    """The class of a recipe's condition. Raises RecipeError with the nearest name."""
    if kind not in PROVIDERS:
        close = nearest(kind, list(PROVIDERS))
        raise RecipeError(
            f"no such condition: {kind!r}",
            expected=f"one of {', '.join(PROVIDERS)}",
            fix=f"did you mean {close}?" if close else None,
        )
    return PROVIDERS[kind]
