"""What a condition provider is: the base class, the sizes it is given, and the branches of guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from signgen.models.features import FRAME_FEATURES, Features

Branch = Literal["pose", "source", "fusion"]
BRANCHES: tuple[Branch, ...] = ("pose", "source", "fusion")
Values = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """What the rest of the model dictates to its conditions: widths, channels, and the image space's factor."""

    token_width: int
    context_width: int
    fusion_width: int
    time_width: int
    latent_channels: int
    factor: int


class Condition(nn.Module):
    """Base of the providers. `null` is broadcast to a value's shape: zeros, or a parameter if it is learned.

    A subclass's __init__ takes (sizes, learned_null) and the recipe's `options` by name. `width` is the length of its
    tokens, or the number of its channels. per_frame: whether it reads anything of the target; if not, rendering
    computes its value once a clip.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]] = ()  # names of features that it computes, for losses and pictures
    kind: ClassVar[Literal["context", "spatial", "vector"]]
    branch: ClassVar[Branch]
    per_frame: ClassVar[bool]

    def __init__(self, sizes: Sizes, learned_null: bool, width: int) -> None:
        super().__init__()
        if not self.per_frame and (frame := sorted(FRAME_FEATURES.intersection(self.reads))):
            raise TypeError(f"{type(self).__name__} reads {', '.join(frame)}, so its per_frame must be True")
        self.width = width
        shape = {"context": (1, 1, width), "spatial": (1, width, 1, 1), "vector": (1, width)}[self.kind]
        if learned_null:
            self.null = nn.Parameter(torch.zeros(shape))
        else:
            self.register_buffer("null", torch.zeros(shape), persistent=False)

    def read(self, features: Features) -> tuple[torch.Tensor, ...] | None:
        """The features that `forward` takes, of one batch size; None where one of them is not known."""
        found = [getattr(features, name) for name in self.reads]
        if any(value is None for value in found):
            return None
        count = max(map(len, found))
        return tuple(value if len(value) == count else value.expand(count, *value.shape[1:]) for value in found)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """The features named by `reads` -> (B, N, width), (B, width, h, w) or (B, width), by kind."""
        raise TypeError(f"{type(self).__name__} does not say how it computes its value")
