"""A plain source encoder, as of RePoseDM's baseline: the source in; tokens of it at several scales out, unaligned."""

from __future__ import annotations

import torch
from torch import nn

from signgen.errors import RecipeError
from signgen.models.alignment import sinusoidal_positions
from signgen.models.condition import Condition, Sizes
from signgen.registry import PROVIDERS

_GROUPS = 8  # of the normalisation
_PICTURE = 3  # channels


@PROVIDERS.register
class SourceCnn(Condition):
    """Tokens of a strided CNN on the source's picture, which sees no pose: the "simple CNN encoder" of the paper's
    baseline B1, which is PIDM. Its widths and scales are not stated there.

    channels: of its stages, each half as large as the one before. scales: of how many stages, the last ones, the maps
    are tokens, the larger map first.
    """

    name, reads = "source_cnn", ("source",)
    kind, branch, per_frame = "context", "source", False

    def __init__(
        self, sizes: Sizes, learned_null: bool, channels: tuple[int, ...] = (32, 64, 96, 128, 128), scales: int = 3
    ) -> None:
        super().__init__(sizes, learned_null, sizes.context_width)
        if not 1 <= scales <= len(channels) or any(width < 1 or width % _GROUPS for width in channels):
            raise RecipeError(
                f"source_cnn: {scales} scales of channels {list(channels)}",
                expected=f"as many stages or fewer, at least 1; multiples of {_GROUPS}",
            )
        widths = (_PICTURE, *channels)
        self.stages = nn.ModuleList(_stage(before, after) for before, after in zip(widths, channels, strict=False))
        self.kinds = nn.ParameterList(0.02 * torch.randn(1, 1, width) for width in channels[-scales:])
        self.projections = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sizes.context_width)) for width in channels[-scales:]
        )

    def forward(self, source: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(B, 3, H, W) in [-1, 1] -> (B, N, context width); N: the sum of the scales' h w."""
        maps = []
        for stage in self.stages:
            source = stage(source)
            maps.append(source)
        scales = zip(maps[-len(self.kinds) :], self.kinds, self.projections, strict=True)
        return torch.cat([project(_tokens(each) + kind) for each, kind, project in scales], 1)


def _stage(before: int, after: int) -> nn.Sequential:
    """A map of `before` channels to one of `after` channels and half the size."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1),
        nn.GroupNorm(_GROUPS, after),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.GroupNorm(_GROUPS, after),
        nn.SiLU(),
    )


def _tokens(map_: torch.Tensor) -> torch.Tensor:
    """(B, D, h, w) -> (B, h w, D), with their places."""
    return (map_ + sinusoidal_positions(*map_.shape[1:]).to(map_)).flatten(2).transpose(1, 2)
