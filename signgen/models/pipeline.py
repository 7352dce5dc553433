"""SignerPipeline: source image, pose images and noise in, images out; a diffusers pipeline, saved as a model folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from torch.nn import functional as F
from transformers import Dinov2Model

from signgen.config import CopySettings, SamplingSettings
from signgen.errors import ModelError
from signgen.models.attention import AttentionContext, install_attention
from signgen.models.compositing import blend, split_layers
from signgen.models.conditions import Conditioning, ConditionSet, Values
from signgen.models.denoiser import denoise
from signgen.models.features import Features
from signgen.models.fusion import FusionModel
from signgen.models.guidance import KEPT, branch_weights, combine, is_guided, keep_masks
from signgen.models.heat_maps import PoseNetwork
from signgen.models.image_space import ImageSpace, as_image_space
from signgen.models.noise import ClipNoise
from signgen.models.pose_field import PoseField
from signgen.models.pose_guidance import guided_steps, pose_guided
from signgen.solvers import ADDS_NOISE, KNOW_VARIANCE, solver_class

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class ClipState:
    """What depends on the source only; computed once per clip, batch 1.

    features: of the source and, where it is known, its pose. values: of the conditions that do not look at the frame.
    latent: the source in the image space, (1, C, h, w). attention: keys and values of the source's tokens, by guidance
    branches and batch size, as they are computed in sampling.
    """

    features: Features
    values: Values
    latent: torch.Tensor
    attention: dict[tuple[str | int, ...], AttentionContext] = field(default_factory=dict)


@dataclass
class FrameState:
    """What depends on the frames, not on the sampling step; batch B.

    values: of the conditions that look at the frame. part_warp: (B, C + 3, h, w), see `encode_warp`; None without it.
    field: of the frames' keypoints, where their poses guide sampling.
    """

    values: Values
    part_warp: torch.Tensor | None
    field: PoseField | None = None


@dataclass(frozen=True)
class Guided:
    """What the denoiser is given for some branches of guidance, the same in all steps; batch: branches * frames."""

    conditioning: Conditioning
    part_warp: torch.Tensor | None
    attention: AttentionContext


class SignerPipeline(DiffusionPipeline):
    """FPDM's two stages, ready to render. Images are (B, 3, H, W): photographs in [-1, 1], pose images in [0, 1].

    A recipe whose pose_map has a `window` takes target poses as (B, 3 (1 + 2 window), H, W): see Features.
    Of the saved configuration, `copies`, `reach` and `warp_copy` are the recipe's diffusion.copies: see `copies`.
    """

    _optional_components: ClassVar[list[str]] = ["fusion", "source_encoder"]  # a list: diffusers concatenates it

    def __init__(
        self,
        image_space: Any,
        source_encoder: Dinov2Model | None,
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
        install_attention(unet)
        self.denoise: Callable[..., torch.Tensor] = denoise  # or an export of the UNet: models/backends
        self.pose_network: PoseNetwork | None = None  # whose opinion guides sampling: models/pose_field.py

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

    @property
    def copies(self) -> CopySettings:
        """What the network's output is mixed with."""
        config = self.config
        return CopySettings(layers=config.copies, reach=config.reach, warp=config.warp_copy)

    @property
    def learned_variance(self) -> bool:
        """Whether the network says of its variance, too: then it has twice the outputs (models/variance.py)."""
        copies = self.copies
        return not (copies.layers or copies.warp) and self.unet.config.out_channels == 2 * self.space.channels

    @property
    def reads_source_latent(self) -> bool:
        """Whether the source in the image space is looked at: by a condition, as the base, or to be copied from."""
        return "source_latent" in self.conditions.needs or self.config.base == "source" or self.config.copies > 0

    @property
    def default_sampling(self) -> SamplingSettings:
        """What a call without `sampling` takes: the model's own solver; else SamplingSettings' defaults."""
        return SamplingSettings(solver=self.config.solver)

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

    def encode_warp(self, warp_picture: torch.Tensor) -> torch.Tensor:
        """warp_picture (B, 3 + 3, H, W) in [0, 1], picture and masks -> (B, C + 3, h, w) in the image space."""
        latent = self.space.encode(warp_picture[:, :3] * 2 - 1)
        return torch.cat([latent, F.avg_pool2d(warp_picture[:, 3:], self.space.factor)], 1)

    def base_of(self, source_latent: torch.Tensor | None, part_warp: torch.Tensor | None) -> torch.Tensor | None:
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
        source_latent: torch.Tensor | None,
        part_warp: torch.Tensor | None = None,
        attention: AttentionContext | None = None,
    ) -> torch.Tensor:
        """noisy (B, C, h, w), timestep (B,) or (), source_latent (B or 1, C, h, w) or None where it is not looked at
        (`reads_source_latent`), part_warp (B, C + 3, h, w) -> the
        network's prediction (B, C, h, w), float32, with moved copies of the source and the part warp mixed in where
        the recipe says so. attention: what the attention layers do beyond the plain UNet's (models/attention.py)."""
        return self.predict_both(noisy, timestep, conditioning, source_latent, part_warp, attention)[0]

    def predict_both(
        self,
        noisy: torch.Tensor,
        timestep: torch.Tensor,
        conditioning: Conditioning,
        source_latent: torch.Tensor | None,
        part_warp: torch.Tensor | None = None,
        attention: AttentionContext | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `predict`, and what the network says of its variance (models/variance.py), (B, C, h, w); None where it
        learned none."""
        output = self.denoise(self.unet, noisy, timestep, conditioning, attention).float()
        if self.learned_variance:
            mean, variance = output.chunk(2, 1)
            return mean, variance
        return self._mixed(output, source_latent, part_warp), None

    def _mixed(
        self, output: torch.Tensor, source_latent: torch.Tensor | None, part_warp: torch.Tensor | None
    ) -> torch.Tensor:
        """The network's output (B, C, h, w), float32, with moved copies mixed in: see `predict`."""
        copies = self.copies
        if not (copies.layers or copies.warp):
            return output
        prediction, logits, flows = split_layers(output, copies)
        source, moved = None, []
        if source_latent is not None:
            source = source_latent.float().expand(len(output), -1, -1, -1)
            moved = [self.space.move(source, flow * copies.reach) for flow in flows.unbind(1)]
        if copies.warp:
            moved.append(self._warp_latent(part_warp).float())
        base = self.base_of(source, part_warp)
        pictures = torch.stack([self.to_diffused(copy, base) for copy in moved], 1)
        return blend(prediction, pictures, self.space.spread(logits))

    def from_diffused(self, value: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
        """The inverse of `to_diffused`."""
        return value if base is None else value / self.config.base_scale + base

    # ---- rendering: encode the clip, encode its frames, sample

    @torch.no_grad()
    def encode_clip(self, source: torch.Tensor, source_pose: torch.Tensor | None = None) -> ClipState:
        """source (1, 3, H, W) in [-1, 1], its pose image (1, 3, H, W) in [0, 1] where known -> the clip's constants."""
        features = Features(encoders=self, source=source, source_pose=source_pose)
        values = self.conditions.encode(features, per_frame=False)
        latent = features.source_latent
        assert latent is not None  # source is given
        needs = self.conditions.needs  # by conditions of frames; computed here: once a clip
        _ = features.source_embedding if "fusion" in needs else None
        _ = features.source_pose_latent if "source_pose_latent" in needs else None
        return ClipState(features, values, latent)

    @torch.no_grad()
    def encode_frames(
        self,
        clip: ClipState,
        target_pose: torch.Tensor,
        part_warp: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
    ) -> FrameState:
        """target_pose (B, 3 (1 + 2 window), H, W) in [0, 1], the frame's own pose image first; part_warp (B, 6, H, W)
        in [0, 1], where the model has it; points (B, 133, 3), keypoints in pixels of the pose image, where they guide
        sampling -> the per-frame constants, computed once for all steps."""
        features = clip.features.with_frames(target_pose, part_warp)
        values = self.conditions.encode(features, per_frame=True)
        network, size = self.pose_network, (target_pose.shape[-2], target_pose.shape[-1])
        field = PoseField.of(network, points, size) if network is not None and points is not None else None
        return FrameState(values, features.part_warp, field)

    @torch.no_grad()
    def sample(
        self,
        clip: ClipState,
        frames: FrameState,
        noise: ClipNoise,
        numbers: Sequence[int],
        sampling: SamplingSettings,
    ) -> torch.Tensor:
        """The frames `numbers` (B) of the clip -> images (B, 3, H, W) in [-1, 1], by cumulative guidance."""
        # schedule
        device, batch = clip.latent.device, len(numbers)
        scheduler, timesteps = self.solver_of(sampling, device)

        # start
        drawn = noise.start(clip.latent.shape[1:], numbers).to(device)
        base = self.base_of(clip.latent, frames.part_warp)
        if sampling.strength < 1:
            source = self.to_diffused(clip.latent, base).float().expand_as(drawn)
            latent = scheduler.add_noise(source, drawn, timesteps[:1].expand(batch))
        else:
            latent = drawn * scheduler.init_noise_sigma

        def decode(value: torch.Tensor) -> torch.Tensor:
            return self.space.decode(self.from_diffused(value, base))

        # steps
        of_branches: dict[tuple[str, ...], Guided] = {}
        times = timesteps.tolist()  # one wait for the device, not one a step
        posed = guided_steps(sampling, times, scheduler.config.num_train_timesteps) if frames.field else frozenset()
        for number, timestep in enumerate(timesteps):
            weights = self.weights_at(sampling, times[number])
            names = tuple(weights)
            if names not in of_branches:
                of_branches[names] = self.guided(clip, frames, names, latent)
            given = of_branches[names]
            scaled = scheduler.scale_model_input(latent, timestep)
            predict = partial(self._guided_prediction, clip, given, list(weights.values()), timestep)
            if number in posed:
                assert frames.field is not None
                alpha = float(self.scheduler.alphas_cumprod[int(times[number])])
                kind = self.scheduler.config.prediction_type
                combined, variance = pose_guided(predict, decode, frames.field, scaled, alpha, kind, sampling)
            else:
                combined, variance = predict(scaled)
            drawing = {"generator": noise.of_step(number, numbers)} if sampling.solver in ADDS_NOISE else {}
            if variance is not None and sampling.solver in KNOW_VARIANCE:
                combined = torch.cat([combined, variance[-batch:]], 1)  # the guided branch's own
            latent = scheduler.step(combined, timestep, latent, return_dict=False, **drawing)[0]
        return decode(latent)

    def _guided_prediction(
        self, clip: ClipState, given: Guided, weights: list[float], timestep: torch.Tensor, noisy: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """noisy (B, C, h, w) -> the branches' predictions combined, and all their variances, None without."""
        repeated = _repeated(noisy, len(weights))
        output, variance = self.predict_both(
            repeated, timestep, given.conditioning, clip.latent, given.part_warp, given.attention
        )
        return combine(output, weights), variance

    def solver_of(self, sampling: SamplingSettings, device: torch.device | None = None) -> tuple[Any, torch.Tensor]:
        """The scheduler of diffusers that samples by these settings, and its time steps, at least one."""
        learned = self.learned_variance and sampling.solver in KNOW_VARIANCE
        own = {"variance_type": "learned_range"} if learned else {}
        scheduler = solver_class(sampling.solver).from_config(self.scheduler.config, **own)
        scheduler.set_timesteps(sampling.steps, device=device)
        most = sampling.strength * scheduler.config.num_train_timesteps
        left_out = min(sum(time > most for time in scheduler.timesteps.tolist()), sampling.steps - 1)
        if left_out and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(left_out)
        return scheduler, scheduler.timesteps[left_out:]

    def weights_at(self, sampling: SamplingSettings, timestep: float) -> dict[str, float]:
        """The weights of guidance's branches at a time step; outside of the interval the guided branch alone."""
        guided = is_guided(sampling, timestep / self.scheduler.config.num_train_timesteps)
        w_c, w_f = (sampling.w_c, sampling.w_f) if guided else (1.0, 1.0)
        return branch_weights(w_c, w_f, self.fusion is not None)

    def guided(self, clip: ClipState, frames: FrameState, names: tuple[str, ...], latent: torch.Tensor) -> Guided:
        """The conditions of the frames (B), once for each of these branches of guidance; latent: (B, C, h, w)."""
        batch, branches = len(latent), len(names)
        keep = keep_masks(names, batch, latent.device)
        values = {name: _repeated(value, branches) for name, value in frames.values.items()}
        conditioning = self.conditions.merge({**clip.values, **values}, keep, _repeated(latent, branches), shared=batch)
        part_warp = None if frames.part_warp is None else _repeated(frames.part_warp, branches)
        key: tuple[str | int, ...] = (*names, batch)
        if key not in clip.attention:
            equal = self.conditions.only_nulls([KEPT[name] for name in names])
            clip.attention[key] = AttentionContext({}, conditioning.clip_tokens, equal * batch)
        return Guided(conditioning, part_warp, clip.attention[key])

    @torch.no_grad()
    def __call__(
        self,
        source: torch.Tensor,
        target_pose: torch.Tensor,
        source_pose: torch.Tensor | None = None,
        part_warp: torch.Tensor | None = None,
        seed: int = 0,
        clip: str = "",
        sampling: SamplingSettings | None = None,
        points: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One source (1, 3, H, W), poses (T, 3 (1 + 2 window), H, W), where the model has it the part warp
        (T, 6, H, W) in [0, 1], where they guide sampling keypoints (T, 133, 3) in pixels of the poses -> images
        (T, 3, H, W) in [-1, 1]. Noise is keyed by (seed, clip).

        Frames go through in padded micro-batches of one fixed size, so a frame does not depend on its neighbours.
        """
        sampling = sampling or self.default_sampling
        state = self.encode_clip(source, source_pose)
        noise = ClipNoise(seed, clip, sampling.noise_scale, sampling.shared_noise)
        numbers = range(len(target_pose))
        return torch.cat([*self.render_batches(state, target_pose, part_warp, noise, numbers, sampling, points)])

    def render_batches(
        self,
        clip: ClipState,
        target_pose: torch.Tensor,
        part_warp: torch.Tensor | None,
        noise: ClipNoise,
        numbers: Sequence[int],
        sampling: SamplingSettings,
        points: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """As `__call__`, batch by batch. numbers: of the frames in their clip, as many as there are poses."""
        size = sampling.micro_batch
        for start in range(0, len(target_pose), size):
            part = slice(start, min(start + size, len(target_pose)))
            warped = None if part_warp is None else _padded(part_warp[part], size)
            placed = None if points is None else _padded(points[part], size)
            frames = self.encode_frames(clip, _padded(target_pose[part], size), warped, placed)
            of_frames = [*numbers[part], *[numbers[part.stop - 1]] * (size - (part.stop - part.start))]
            yield self.sample(clip, frames, noise, of_frames, sampling)[: part.stop - part.start]


def _repeated(batch: torch.Tensor, times: int) -> torch.Tensor:
    """(B, ...) -> (times * B, ...); the batch itself where it is wanted once."""
    return batch if times == 1 else batch.repeat(times, *[1] * (batch.dim() - 1))


def _padded(batch: torch.Tensor, count: int) -> torch.Tensor:
    """(b, ...) -> (count, ...), the last repeated."""
    return torch.cat([batch, batch[-1:].expand(count - len(batch), *[-1] * (batch.dim() - 1))])
