"""The noise of a clip: seed, clip name and frame numbers in; what sampling starts from, and what it adds, out.

Everything is drawn on the CPU by keyed generators, so that it depends on (seed, clip, frame, step) alone: on no device,
and on no frame that is rendered in the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from signgen.seeds import keyed_generator


@dataclass(frozen=True)
class ClipNoise:
    """Keyed by (seed, clip name).

    scale: standard deviation of the noise that sampling starts from; the model is trained for 1.
    shared: a of a * z_clip + sqrt(1 - a^2) * z_frame; 1: all frames of the clip start from one noise, 0: each from its
    own, as FPDM's do.
    """

    seed: int
    clip: str
    scale: float = 1.0
    shared: float = 1.0

    def start(self, shape: Sequence[int], frames: Sequence[int]) -> torch.Tensor:
        """What sampling starts from: (len(frames), *shape), on the CPU; shape: (C, h, w)."""
        one = torch.randn(1, *shape, generator=keyed_generator(self.seed, self.clip))
        if self.shared == 1:
            return (self.scale * one).expand(len(frames), *[-1] * len(shape))
        own = torch.stack(
            [torch.randn(*shape, generator=keyed_generator(self.seed, self.clip, "frame", n)) for n in frames]
        )
        return self.scale * (self.shared * one + (1 - self.shared**2) ** 0.5 * own)

    def of_step(self, step: int, frames: Sequence[int]) -> list[torch.Generator]:
        """One generator a frame, for a solver that adds noise in its steps (DDPM).

        The frames of a clip share it, as they share the start, unless shared is 0.
        """
        keys = [("frame", frame) if self.shared == 0 else () for frame in frames]
        return [keyed_generator(self.seed, self.clip, "step", step, *key) for key in keys]
