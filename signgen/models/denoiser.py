"""The denoiser: diffusers' own UNet, its first convolution widened for spatial conditions; nothing is patched."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from signgen.models.conditions import Conditioning


def widen_conv_in(unet: UNet2DConditionModel, extra_channels: int) -> None:
    """Give `conv_in` zero-initialised weights for `extra_channels` more inputs, in place.

    FPDM adds a zero-initialised convolution of the pose features to conv_in's output. A convolution of a concatenation
    is the sum of convolutions, so this is the same function, and at step 0 it equals the base UNet.
    """
    if extra_channels == 0:
        return
    old = unet.conv_in
    new = nn.Conv2d(
        old.in_channels + extra_channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias = old.bias
    unet.conv_in = new
    unet.register_to_config(in_channels=new.in_channels)


def widen_conv_out(unet: UNet2DConditionModel, extra_channels: int) -> None:
    """Give `conv_out` zero-initialised weights for `extra_channels` more outputs, in place; the others stay."""
    if extra_channels == 0:
        return
    old = unet.conv_out
    new = nn.Conv2d(
        old.in_channels,
        old.out_channels + extra_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        for fresh, kept in zip(new.parameters(), old.parameters(), strict=True):
            fresh.zero_()
            fresh[: old.out_channels] = kept
    unet.conv_out = new
    unet.register_to_config(out_channels=new.out_channels)


def gated(output: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """output (B, C + 1, h, w): a predicted sample and the logit of its gate g; anchor (B or 1, C, h, w): the source.

    Returns (1 - g) prediction + g anchor, (B, C, h, w): what does not move need not be drawn again.
    """
    prediction, gate = output[:, :-1], torch.sigmoid(output[:, -1:])
    return prediction + gate * (anchor - prediction)


def denoise(
    unet: UNet2DConditionModel, noisy: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning
) -> torch.Tensor:
    """noisy (B, C, h, w), timestep (B,) or () -> the network's output (B, C, h, w), whatever it predicts."""
    return unet(
        torch.cat([noisy, conditioning.spatial.to(noisy.dtype)], 1),
        timestep,
        encoder_hidden_states=conditioning.context,
        class_labels=conditioning.vector,
    ).sample
