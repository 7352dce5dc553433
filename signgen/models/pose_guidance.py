"""Guidance by a pose interaction field, beside classifier-free guidance: a step's prediction in, a corrected one out.

Of a step's clean estimate x_0 guidance takes away (`correction`):
  cheap    s (1 - a) dG/dx_0: through the estimate alone, the denoiser is left out (a: alpha bar of the step);
  full     s (1 - a) / sqrt(a) dG/dz: through the denoiser, too (eq. 16: sqrt(1 - a) g added to the noise);
  literal  s sqrt(1 - a) dG/dx_0: eq. 14 with its printed eta, which grows without end against the others near a = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from signgen.config import SamplingSettings
from signgen.models.pose_field import PoseField

# noisy (B, C, h, w) -> the network's prediction of it, guided by its conditions, and its variance or None
Predict = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
Decode = Callable[[torch.Tensor], torch.Tensor]  # x_0 (B, C, h, w) -> images (B, 3, H, W) in [-1, 1]
FULL = "full"


def guided_steps(sampling: SamplingSettings, times: Sequence[float], total: int) -> frozenset[int]:
    """The numbers of the sampling steps that are guided. times: of all steps; total: the time steps trained with.

    >>> sorted(guided_steps(SamplingSettings(pose_guidance=1, pose_every=2), [900, 500, 300, 100], 1000))
    [1, 3]
    """
    if not sampling.pose_guidance:
        return frozenset()
    low, high = sampling.pose_interval
    within = [number for number, time in enumerate(times) if low <= time / total <= high]
    return frozenset(within[:: sampling.pose_every])


def pose_guided(
    predict: Predict,
    decode: Decode,
    field: PoseField,
    noisy: torch.Tensor,
    alpha: float,
    kind: str,
    sampling: SamplingSettings,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What `predict` says, moved to where the field is lower; kind: the prediction's type. alpha: alpha bar here."""
    through = sampling.pose_mode == FULL
    with torch.enable_grad():
        seen = noisy.detach().requires_grad_(through)
        with torch.set_grad_enabled(through):
            output, variance = predict(seen)
        clean = clean_of(kind, alpha, output, seen)
        if not through:
            clean = clean.detach().requires_grad_()
        start = seen if through else clean
        field(decode(clean)).sum().backward(inputs=[start])
    assert start.grad is not None
    taken = correction(sampling.pose_mode, sampling.pose_guidance, alpha, start.grad.float(), sampling.pose_clip)
    return output.detach() + to_prediction(kind, alpha, taken), None if variance is None else variance.detach()


def correction(mode: str, scale: float, alpha: float, gradient: torch.Tensor, clip: float) -> torch.Tensor:
    """What is taken from x_0 (B, C, h, w): see the module. gradient: dG/dz for `full`, else dG/dx_0. alpha: alpha bar.

    clip: largest root mean square of a sample's correction, which is scaled down to it; 0: none.
    """
    factor = {"cheap": 1 - alpha, "full": (1 - alpha) / alpha**0.5 if alpha else 0.0, "literal": (1 - alpha) ** 0.5}
    found = scale * factor[mode] * gradient
    if not clip:
        return found
    size = found.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
    return found * (clip / size.clamp(min=1e-12)).clamp(max=1)


def to_prediction(kind: str, alpha: float, taken: torch.Tensor) -> torch.Tensor:
    """How a prediction of this type (B, C, h, w) changes where `taken` is taken from the x_0 that it means."""
    if kind == "sample":
        return -taken
    noise = (1 - alpha) ** 0.5
    return taken / noise if kind == "v_prediction" else taken * alpha**0.5 / noise


def clean_of(kind: str, alpha: float, output: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
    """x_0 (B, C, h, w) that a prediction means, at one alpha bar for all samples."""
    if kind == "sample":
        return output
    noise = (1 - alpha) ** 0.5
    if kind == "v_prediction":
        return alpha**0.5 * noisy - noise * output
    return (noisy - noise * output) / alpha**0.5
