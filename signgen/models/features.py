"""Images of source, source pose and target pose in; what the frozen networks compute from them, lazily, out.

Training and rendering both make Features and hand them to `ConditionSet.encode`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch

from signgen.models.alignment import Alignment
from signgen.models.image_space import ImageSpace

FRAME_FEATURES = frozenset(
    {"target_pose", "warp_picture", "pose_embedding", "pose_latent", "fusion", "part_warp", "alignment"}
)  # of the target; the rest: the source


class Encoders(Protocol):
    """The pipeline, as features see it: what turns images into tokens, latents and embeddings."""

    fusion: Any

    @property
    def space(self) -> ImageSpace:
        """The image space."""

    def source_tokens(self, source: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, N, D)."""

    def encode_warp(self, warp_picture: torch.Tensor) -> torch.Tensor:
        """(B, 6, H, W) in [0, 1] -> (B, C + 3, h, w)."""


@dataclass(kw_only=True)
class Features:
    """What condition providers read: given images, and what networks compute from them, once, when it is first read.

    B is the batch size. What is not given, and cannot be computed from what is given, is None. Given are:
    source (B, 3, H, W) in [-1, 1], and the same in [0, 1] as source_unit (computed where it is not given).
    source_pose (B, 3, H, W) in [0, 1]: pose image on the canvas.
    target_pose (B, 3 (1 + 2 window), H, W) in [0, 1]: the frame's pose image, then its neighbours'.
    warp_picture (B, 6, H, W) in [0, 1]: the source's parts moved to the target's keypoints, R, G, B and masks.
    clip: in rendering, the features of the source alone, batch 1, which are then computed once per clip.
    """

    encoders: Encoders | None = None
    source: torch.Tensor | None = None
    source_unit: torch.Tensor | None = None
    source_pose: torch.Tensor | None = None
    target_pose: torch.Tensor | None = None
    warp_picture: torch.Tensor | None = None
    clip: Features | None = None

    @classmethod
    def known(cls, **computed: torch.Tensor) -> Features:
        """Features that are already computed, by name."""
        return cls().with_known(**computed)

    def with_known(self, **computed: Any) -> Features:
        """These features, with some of them computed already, by name."""
        vars(self).update(computed)  # where cached_property keeps them
        return self

    def with_frames(self, target_pose: torch.Tensor, warp_picture: torch.Tensor | None) -> Features:
        """The clip's features (`self`) with those of some of its frames."""
        return replace(self, target_pose=target_pose, warp_picture=warp_picture, clip=self)

    @cached_property
    def source_tokens(self) -> torch.Tensor | None:
        """(B, N, D): last hidden state of the source encoder; with gradients where it is trained."""
        if self.clip is not None:
            return self.clip.source_tokens
        return self.encoders.source_tokens(self.source) if self.encoders and self.source is not None else None

    @cached_property
    def source_latent(self) -> torch.Tensor | None:
        """(B, C, h, w): the source in the image space."""
        if self.clip is not None:
            return self.clip.source_latent
        if self.encoders is None or self.source is None:
            return None
        with torch.no_grad():
            return self.encoders.space.encode(self.source)

    @cached_property
    def source_embedding(self) -> torch.Tensor | None:
        """(B, E): stage 1's embedding of the source, not normalised; None without stage 1."""
        if self.clip is not None:
            return self.clip.source_embedding
        if self.encoders is None or self.encoders.fusion is None or self.source is None:
            return None
        unit = (self.source + 1) / 2 if self.source_unit is None else self.source_unit
        with torch.no_grad():
            return self.encoders.fusion.embed(unit)

    @cached_property
    def pose_embedding(self) -> torch.Tensor | None:
        """(B, E): stage 1's embedding of the target pose, not normalised; None without stage 1."""
        if self.encoders is None or self.encoders.fusion is None or self.target_pose is None:
            return None
        with torch.no_grad():
            return self.encoders.fusion.embed(self.target_pose[:, :3])

    @cached_property
    def fusion(self) -> torch.Tensor | None:
        """(B, E): stage 1's embedding of source and target pose, unit length; None without stage 1."""
        source, pose = self.source_embedding, self.pose_embedding
        if self.encoders is None or source is None or pose is None:
            return None
        with torch.no_grad():
            return self.encoders.fusion.combiner(source.expand(len(pose), -1), pose)

    @cached_property
    def pose_latent(self) -> torch.Tensor | None:
        """(B, C, h, w): the target's pose image in the image space."""
        if self.encoders is None or self.target_pose is None:
            return None
        with torch.no_grad():
            return self.encoders.space.encode(2 * self.target_pose[:, :3] - 1)

    @property
    def source_pose_or_black(self) -> torch.Tensor | None:
        """(B, 3, H, W) in [0, 1]: source_pose; where it is not known, a black picture; None without a source."""
        if self.clip is not None:
            return self.clip.source_pose_or_black
        if self.source_pose is not None or self.source is None:
            return self.source_pose
        return torch.zeros_like(self.source)

    @cached_property
    def source_pose_latent(self) -> torch.Tensor | None:
        """(B, C, h, w): the source's pose image in the image space; a black picture's where it is not known."""
        if self.clip is not None:
            return self.clip.source_pose_latent
        pose = self.source_pose_or_black
        if self.encoders is None or pose is None:
            return None
        with torch.no_grad():
            return self.encoders.space.encode(2 * pose - 1)

    @cached_property
    def alignment(self) -> Alignment | None:
        """The source aligned to the target's pose, once the provider `aligned_tokens` has computed it; else None."""
        return None

    @cached_property
    def part_warp(self) -> torch.Tensor | None:
        """(B, C + 3, h, w): warp_picture in the image space, and its masks."""
        if self.encoders is None or self.warp_picture is None:
            return None
        with torch.no_grad():
            return self.encoders.encode_warp(self.warp_picture)
