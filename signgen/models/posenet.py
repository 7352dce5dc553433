"""signgen's own pose network: an image in, heat maps of the WholeBody points that matter out.

A U-Net of strided convolutions and residual blocks (GroupNorm, SiLU). Its maps are sigmoids: in [0, 1] for any image,
with a gradient everywhere, so that it can guide sampling; a clamp would have none where it acts.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from signgen.models.canvas import Canvas
from signgen.models.heat_maps import HeatMaps
from signgen.models.weights import weights_digest
from signgen.poses.joints import POSENET_JOINTS

NANO_CANVAS = {"width": 128, "height": 128, "fit": "squash", "resample": "lanczos"}
_START = -2.0  # bias of the maps: most of a map is background


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, each after GroupNorm and SiLU."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layer(channels, groups), *_layer(channels, groups))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> the same shape."""
        return value + self.layers(value)


def _layer(channels: int, groups: int) -> list[nn.Module]:
    return [nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]


class PoseNet(ModelMixin, ConfigMixin):
    """A PoseNetwork. channels: of the levels, each at half the resolution of the one before; the first at stride 2.

    blocks: residual blocks of a level, on the way down and up. stride: that of the heat maps, 2 or 4 or more; finer
    levels have no blocks, which would cost as much as all others together.
    """

    differentiable = True

    @register_to_config
    def __init__(
        self,
        joints: tuple[int, ...] = POSENET_JOINTS,
        canvas: dict[str, Any] = NANO_CANVAS,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        blocks: int = 1,
        stride: int = 4,
        groups: int = 8,
    ) -> None:
        super().__init__()
        self._top = stride.bit_length() - 2  # the level of the heat maps
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip((3, *channels[:-1]), channels, strict=True)
        )
        self.encode = nn.ModuleList(
            _blocks(each, blocks, groups)
            if level >= self._top
            else nn.Sequential(nn.GroupNorm(groups, each), nn.SiLU())
            for level, each in enumerate(channels)
        )
        across = list(zip(channels[self._top + 1 :], channels[self._top : -1], strict=True))
        self.up = nn.ModuleList(nn.Conv2d(below, above, 1) for below, above in across)
        self.decode = nn.ModuleList(_blocks(above, blocks, groups) for _, above in across)
        self.norm = nn.GroupNorm(groups, channels[self._top])
        self.head = nn.Conv2d(channels[self._top], len(joints), 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, _START)

    @property
    def joints(self) -> tuple[int, ...]:
        """For every heat map its point of COCO-WholeBody-133."""
        return tuple(self.config["joints"])

    @property
    def stride(self) -> int:
        """Input px to a heat-map px."""
        return int(self.config["stride"])

    @property
    def canvas(self) -> Canvas:
        """The size that it was made for, and how frames are brought to it."""
        return Canvas(**self.config["canvas"])

    @property
    def digest(self) -> str:
        """`posenet:` and the sha256 of its weights, as model cards name it."""
        return f"posenet:{weights_digest(self)}"

    def forward(self, images: torch.Tensor) -> HeatMaps:
        """(B, 3, H, W) RGB in [-1, 1] -> features (B, C, h, w) and maps (B, K, h, w) in [0, 1]."""
        # down, keeping what each level from the heat maps' on has
        value, kept = images, []
        for level, (shrink, blocks) in enumerate(zip(self.down, self.encode, strict=True)):
            value = blocks(shrink(value))
            if level >= self._top:
                kept.append(value)

        # up again, each level added to the one below it
        value = kept.pop()
        for widen, blocks in zip(reversed(self.up), reversed(self.decode), strict=True):
            beside = kept.pop()
            value = blocks(beside + F.interpolate(widen(value), size=beside.shape[-2:], mode="nearest"))
        features = F.silu(self.norm(value))
        return HeatMaps(features, torch.sigmoid(self.head(features)))

    def heat_maps(self, images: torch.Tensor) -> HeatMaps:
        """As `forward`; see PoseNetwork."""
        return self(images)


def _blocks(channels: int, count: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, groups) for _ in range(count)))
