"""Image spaces: images (B, 3, H, W) in [-1, 1] to the tensors that diffusion runs on, and back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch.nn import functional as F

from signgen.models.flow import flow_sample


class ImageSpace(Protocol):
    """What the pipeline needs of an image space."""

    factor: int
    channels: int

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H/factor, W/factor), standard deviation near 1."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The inverse, clamped to [-1, 1]."""

    def move(self, latents: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """latents (B, C, h, w) -> latents of the images resampled by flow (B, 2, h, w), which is in image pixels: see
        `flow_sample`."""

    def spread(self, maps: torch.Tensor) -> torch.Tensor:
        """maps (B, K, h, w), one value per latent pixel -> (B, K, channels or 1, h, w), the value for each channel."""


class PixelUnshuffleSpace(ModelMixin, ConfigMixin):
    """Pixels rearranged into channels: exact, no weights. (B, 3, H, W) <-> (B, 3 factor^2, H/factor, W/factor)."""

    @register_to_config
    def __init__(self, factor: int = 4) -> None:
        super().__init__()
        self.factor = factor
        self.channels = 3 * factor * factor
        # A component without any tensor cannot be saved as safetensors; this is also the VAE's own name for it.
        self.register_buffer("scaling_factor", torch.ones(()))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(images, self.factor) * self.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(latents / self.scaling_factor, self.factor).clamp(-1, 1)

    def move(self, latents: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(flow_sample(F.pixel_shuffle(latents, self.factor), flow), self.factor)

    def spread(self, maps: torch.Tensor) -> torch.Tensor:
        """Each channel is an image pixel: maps are interpolated bilinearly to image pixels, or blocks would show."""
        fine = F.interpolate(maps, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(fine, self.factor).unflatten(1, (maps.shape[1], -1)).repeat(1, 1, 3, 1, 1)


class VaeSpace:
    """A Stable Diffusion VAE. Latents are the posterior mean, no sample, times its scaling factor.

    They are float32: the noise schedule is computed in their precision, and in bfloat16 sigma is 0 at the first steps.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.channels = int(vae.config.latent_channels)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(images).latent_dist.mean.float() * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample.clamp(-1, 1)

    def move(self, latents: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return flow_sample(latents, flow / self.factor)

    def spread(self, maps: torch.Tensor) -> torch.Tensor:
        return maps[:, :, None]


def as_image_space(component: Any) -> ImageSpace:
    """The pipeline component (an AutoencoderKL or a PixelUnshuffleSpace) behind the ImageSpace interface."""
    return VaeSpace(component) if isinstance(component, AutoencoderKL) else component
