"""The denoiser: diffusers' own UNet, its first convolution widened for spatial conditions; nothing is patched."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from signgen.models.attention import AttentionContext
from signgen.models.conditions import Conditioning


def widen_conv_in(unet: UNet2DConditionModel, extra_channels: int) -> None:
    """Give `conv_in` zero-initialised weights for `extra_channels` more inputs, in place.

    FPDM adds a zero-initialised convolution of the pose features to conv_in's output. A convolution of a concatenation
    is the sum of convolutions, so this is the same function, and at step 0 it equals the base UNet.
    """
    if extra_channels:
        unet.conv_in = _widened(unet.conv_in, extra_in=extra_channels)
        unet.register_to_config(in_channels=unet.conv_in.in_channels)


def widen_conv_out(unet: UNet2DConditionModel, extra_channels: int, std: float = 0.0) -> None:
    """Give `conv_out` `extra_channels` more outputs, with normal weights of that `std`, in place; the others stay."""
    if extra_channels:
        unet.conv_out = _widened(unet.conv_out, extra_out=extra_channels, std=std)
        unet.register_to_config(out_channels=unet.conv_out.out_channels)


def _widened(old: nn.Conv2d, extra_in: int = 0, extra_out: int = 0, std: float = 0.0) -> nn.Conv2d:
    """The convolution with more channels: the first ones keep their weights, the others get zero biases and normal
    weights of standard deviation `std`."""
    new = nn.Conv2d(
        old.in_channels + extra_in,
        old.out_channels + extra_out,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        for fresh, kept in zip(new.parameters(), old.parameters(), strict=True):
            fresh.normal_(0, std) if std and fresh.dim() > 1 else fresh.zero_()
            fresh[tuple(slice(0, size) for size in kept.shape)] = kept
    return new


def denoise(
    unet: UNet2DConditionModel,
    noisy: torch.Tensor,
    timestep: torch.Tensor,
    conditioning: Conditioning,
    attention: AttentionContext | None = None,
) -> torch.Tensor:
    """noisy (B, C, h, w), timestep (B,) or () -> the network's output (B, C, h, w), whatever it predicts.

    attention: needs a UNet with signgen's attention processor (models/attention.py).
    """
    return unet(
        torch.cat([noisy, conditioning.spatial.to(noisy.dtype)], 1),
        timestep,
        encoder_hidden_states=conditioning.context,
        class_labels=conditioning.vector,
        cross_attention_kwargs={"context": attention} if attention is not None else None,
    ).sample
