"""SignerPipeline: source image, pose images and noise in, images out; a diffusers pipeline, saved as a model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from torch.nn import functional as F
from transformers import Dinov2Model

from signgen.errors import ModelError
from signgen.models.compositing import blend, split_layers
from signgen.models.conditions import Conditioning, ConditionSet, Features, Values
from signgen.models.denoiser import denoise
from signgen.models.fusion import FusionModel
from signgen.models.guidance import branch_weights, combine, keep_masks
from signgen.models.image_space import ImageSpace, as_image_space

SOLVERS = {"ddim": DDIMScheduler, "unipc": UniPCMultistepScheduler, "dpmpp": DPMSolverMultistepScheduler}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class ClipState:
    """What depends on the source only; computed once per clip, batch 1.

    latent: the source in the image space, (1, C, h, w).
    source_embedding: stage 1's embedding of the source, not normalised; None without stage 1.
    """

    values: Values
    latent: torch.Tensor
    source_embedding: torch.Tensor | None


class SignerPipeline(DiffusionPipeline):
    """FPDM's two stages, ready to render. Images are (B, 3, H, W): photographs in [-1, 1], pose images in [0, 1].

    A recipe whose pose_map has a `window` takes target poses as (B, 3 (1 + 2 window), H, W): see Features.
    """

    _optional_components: ClassVar[list[str]] = ["fusion"]  # a list: diffusers concatenates it

    def __init__(
        self,
        image_space: Any,
        source_encoder: Dinov2Model,
        conditions: ConditionSet,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        fusion: FusionModel | None = None,
        source_side: int = 224,
        base: str = "none",
        base_scale: float = 1.0,
        copies: int = 0,
        reach: float = 0.0,
        warp_copy: bool = False,
        solver: str = "unipc",
    ) -> None:
        super().__init__()
        self.register_modules(
            image_space=image_space,
            source_encoder=source_encoder,
            conditions=conditions,
            unet=unet,
            scheduler=scheduler,
            fusion=fusion,
        )
        self.register_to_config(
            source_side=source_side,
            base=base,
            base_scale=base_scale,
            copies=copies,
            reach=reach,
            warp_copy=warp_copy,
            solver=solver,
        )

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> SignerPipeline:
        """As in diffusers, with the weights copied out of the mapped files into memory of their own.

        A file's weights begin at odd addresses, for which the kernels sum in another order: the last bits of a
        rendering would then depend on whether its model was loaded or just trained.
        """
        pipeline = super().from_pretrained(*args, **kwargs)
        for network in pipeline.networks().values():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.data = tensor.data.clone()
        return pipeline

    @property
    def space(self) -> ImageSpace:
        """The image space behind its common interface."""
        return as_image_space(self.image_space)

    def networks(self) -> dict[str, torch.nn.Module]:
        """Every network by component name."""
        return {k: v for k, v in self.components.items() if isinstance(v, torch.nn.Module)}

    # ---- features, shared by training and rendering

    def source_tokens(self, source: torch.Tensor) -> torch.Tensor:
        """source (B, 3, H, W) in [-1, 1] -> (B, N, D): DINOv2's last hidden state, CLS first."""
        side = self.config.source_side
        image = (source + 1) / 2
        if image.shape[-2:] != (side, side):
            image = F.interpolate(image, (side, side), mode="bicubic", antialias=True)
        mean = image.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        std = image.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
        return self.source_encoder(pixel_values=(image - mean) / std).last_hidden_state

    def encode_warp(self, part_warp: torch.Tensor) -> torch.Tensor:
        """part_warp (B, 3 + 3, H, W) in [0, 1], picture and masks -> (B, C + 3, h, w) in the image space."""
        latent = self.space.encode(part_warp[:, :3] * 2 - 1)
        return torch.cat([latent, F.avg_pool2d(part_warp[:, 3:], self.space.factor)], 1)

    def base_of(self, source_latent: torch.Tensor, part_warp: torch.Tensor | None) -> torch.Tensor | None:
        """What the prediction is a residual to; part_warp (B, C + 3, h, w): see `encode_warp`."""
        if self.config.base == "warp":
            return self._warp_latent(part_warp)
        return source_latent if self.config.base == "source" else None

    def _warp_latent(self, part_warp: torch.Tensor | None) -> torch.Tensor:
        if part_warp is None:
            raise ModelError("this model needs the part warp of every frame", fix="give part_warp to the pipeline")
        return part_warp[:, : self.space.channels]

    def to_diffused(self, latent: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
        """Image-space latent -> the variable that is diffused: (latent - base) * base_scale."""
        return latent if base is None else (latent - base) * self.config.base_scale

    def predict(
        self,
        noisy: torch.Tensor,
        timestep: torch.Tensor,
        conditioning: Conditioning,
        source_latent: torch.Tensor,
        part_warp: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """noisy (B, C, h, w), timestep (B,) or (), source_latent (B or 1, C, h, w), part_warp (B, C + 3, h, w) -> the
        network's prediction (B, C, h, w), float32, with moved copies of the source and the part warp blended in where
        the recipe says so."""
        output = denoise(self.unet, noisy, timestep, conditioning).float()
        if not (self.config.copies or self.config.warp_copy):
            return output
        source = source_latent.float().expand(len(output), -1, -1, -1)
        prediction, logits, flows = split_layers(output, self.config.copies, int(self.config.warp_copy))
        moved = [self.space.move(source, flow * self.config.reach) for flow in flows.unbind(1)]
        if self.config.warp_copy:
            moved.append(self._warp_latent(part_warp).float())
        base = self.base_of(source, part_warp)
        copies = torch.stack([self.to_diffused(copy, base) for copy in moved], 1)
        return blend(prediction, copies, self.space.spread(logits))

    def from_diffused(self, value: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
        """The inverse of `to_diffused`."""
        return value if base is None else value / self.config.base_scale + base

    # ---- rendering

    @torch.no_grad()
    def encode_clip(self, source: torch.Tensor, source_pose: torch.Tensor | None = None) -> ClipState:
        """source (1, 3, H, W) in [-1, 1], its pose image (1, 3, H, W) in [0, 1] where known -> the clip's constants."""
        needs = self.conditions.needs
        latent = self.space.encode(source)
        features = Features(
            source_tokens=self.source_tokens(source) if "source_tokens" in needs else None,
            source_latent=latent,
            source_pose=source_pose,
        )
        embedding = self.fusion.embed((source + 1) / 2) if self.fusion is not None else None
        return ClipState(self.conditions.values(features, per_frame=False), latent, embedding)

    @torch.no_grad()
    def encode_frames(self, clip: ClipState, target_pose: torch.Tensor, part_warp: torch.Tensor | None) -> Values:
        """target_pose (B, 3 (1 + 2 window), H, W) in [0, 1], the frame's own pose image first; part_warp (B, 6, H, W)
        in [0, 1], where the model has it -> the per-frame condition values, computed once for all steps."""
        fused = None
        if self.fusion is not None and clip.source_embedding is not None:
            source = clip.source_embedding.expand(len(target_pose), -1)
            fused = self.fusion.combiner(source, self.fusion.embed(target_pose[:, :3]))
        warped = self.encode_warp(part_warp) if part_warp is not None else None
        features = Features(target_pose=target_pose, fusion=fused, part_warp=warped)
        return self.conditions.values(features, per_frame=True)

    @torch.no_grad()
    def sample(
        self,
        clip: ClipState,
        frames: Values,
        noise: torch.Tensor,
        steps: int = 20,
        w_c: float = 2.0,
        w_f: float = 2.0,
        solver: str | None = None,
    ) -> torch.Tensor:
        """noise (B, C, h, w) -> images (B, 3, H, W) in [-1, 1], by a deterministic solver and cumulative guidance."""
        weights = branch_weights(w_c, w_f, self.fusion is not None)
        scheduler = SOLVERS[solver or self.config.solver].from_config(self.scheduler.config)
        scheduler.set_timesteps(steps, device=noise.device)
        keep = keep_masks(list(weights), len(noise), noise.device)
        branches = len(weights)
        repeated = {name: value.repeat(branches, *[1] * (value.dim() - 1)) for name, value in frames.items()}
        stacked = noise.repeat(branches, 1, 1, 1)
        conditioning = self.conditions.merge({**clip.values, **repeated}, keep, stacked)
        latent = noise * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latent, timestep).repeat(branches, 1, 1, 1)
            output = self.predict(scaled, timestep, conditioning, clip.latent, repeated.get("part_warp"))
            guided = combine(output, list(weights.values()))
            latent = scheduler.step(guided, timestep, latent, return_dict=False)[0]
        return self.space.decode(self.from_diffused(latent, self.base_of(clip.latent, frames.get("part_warp"))))

    @torch.no_grad()
    def __call__(
        self,
        source: torch.Tensor,
        target_pose: torch.Tensor,
        source_pose: torch.Tensor | None = None,
        part_warp: torch.Tensor | None = None,
        seed: int = 0,
        clip: str = "",
        noise_scale: float = 1.0,
        micro_batch: int = 8,
        **sampling: Any,
    ) -> torch.Tensor:
        """One source (1, 3, H, W), poses (T, 3 (1 + 2 window), H, W), where the model has it the part warp
        (T, 6, H, W) in [0, 1] -> images (T, 3, H, W) in [-1, 1].

        Frames go through in padded micro-batches of one fixed size, so a frame does not depend on its neighbours.
        """
        state = self.encode_clip(source, source_pose)
        noise = clip_noise(seed, clip, state.latent.shape[1:], noise_scale).to(source.device)
        return torch.cat([*self.render_batches(state, target_pose, part_warp, noise, micro_batch, **sampling)])

    def render_batches(
        self,
        clip: ClipState,
        target_pose: torch.Tensor,
        part_warp: torch.Tensor | None,
        noise: torch.Tensor,
        micro_batch: int,
        **sampling: Any,
    ) -> Iterator[torch.Tensor]:
        """As `__call__`, batch by batch; noise (1, C, h, w) is the clip's."""
        for start in range(0, len(target_pose), micro_batch):
            part = slice(start, min(start + micro_batch, len(target_pose)))
            warped = None if part_warp is None else _padded(part_warp[part], micro_batch)
            values = self.encode_frames(clip, _padded(target_pose[part], micro_batch), warped)
            shared = noise.expand(micro_batch, -1, -1, -1)
            yield self.sample(clip, values, shared, **sampling)[: part.stop - part.start]


def _padded(batch: torch.Tensor, count: int) -> torch.Tensor:
    """(b, ...) -> (count, ...), the last repeated."""
    return torch.cat([batch, batch[-1:].expand(count - len(batch), *[-1] * (batch.dim() - 1))])


def clip_noise(seed: int, clip: str, shape: Sequence[int], scale: float = 1.0) -> torch.Tensor:
    """The one noise (1, *shape) of a clip, made on the CPU and keyed by (seed, clip name); scale 1 is the model's."""
    return scale * torch.randn(1, *shape, generator=keyed_generator(seed, clip))


def keyed_generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose state depends on the key alone."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextmanager
def evaluating(*modules: torch.nn.Module | None) -> Iterator[None]:
    """Put modules into eval mode, and back into the mode each was in."""
    before = [(m, m.training) for m in modules if m is not None]
    for module, _ in before:
        module.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.train(training)
