"""Stage 2: trains UNet and conditions on triples with frozen image space and stage 1; validates by rendering."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from signgen.config import DiffusionSettings, Recipe
from signgen.metrics.clip.frame_metrics import score_frame
from signgen.metrics.means import mean_row
from signgen.models.aligned_tokens import AlignedTokens
from signgen.models.canvas import Canvas
from signgen.models.card import ModelCard, palette_of
from signgen.models.conditions import BRANCHES
from signgen.models.features import Features
from signgen.models.heat_maps import PoseNetwork
from signgen.models.lora import adapter_parameters
from signgen.models.pipeline import SignerPipeline
from signgen.models.variance import variational_bound
from signgen.rendering.pairs import render_targets, source_of
from signgen.rendering.renderer import Renderer
from signgen.rendering.strips import save_strips
from signgen.training.alignment_losses import alignment_losses, weighted_losses
from signgen.training.body_places import bones_of, known_places
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset, region_masks, spread
from signgen.training.pose_penalty import PenaltyOf
from signgen.training.stages import Batch, Stage, evaluating, sample_generators, signed_range, unit_range

VALIDATION_FRAMES = 32
# features that a batch may bring
KEPT = (
    "source_latent",
    "source_tokens",
    "source_embedding",
    "source_pose_latent",
    "pose_embedding",
    "pose_latent",
)


class DiffusionModule(nn.Module):
    """What stage 2 trains (UNet, conditions, a trainable source encoder) with its loss, for the accelerator."""

    def __init__(
        self,
        pipeline: SignerPipeline,
        settings: DiffusionSettings,
        train_source_encoder: bool,
        bones: Sequence[tuple[int, int]] = (),
        judge: PoseNetwork | None = None,
    ) -> None:
        """bones: pairs of keypoints, for the alignment's losses. judge: the pose network of the pose penalty."""
        super().__init__()
        self.unet, self.conditions = pipeline.unet, pipeline.conditions
        self.source_encoder = pipeline.source_encoder if train_source_encoder else None
        self.settings = settings
        self.bones = bones
        self._frozen = [pipeline]  # in a list, so that frozen networks are no submodules
        self._judge = [judge]

    @property
    def pipeline(self) -> SignerPipeline:
        return self._frozen[0]

    def forward(self, batch: Batch) -> Batch:
        """A batch of TripleDataset's items with their noise -> {"loss": ()}: FPDM's stage 2, (weighted) MSE to the
        scheduler's target; with the further losses of the recipe, each by its name."""
        pipeline, noise, timestep = self.pipeline, batch["noise"], batch["timestep"]

        # encode
        features = self._features(batch)
        source_latent = features.source_latent if pipeline.reads_source_latent else None
        part_warp = features.part_warp
        if "target_latent" in batch:
            target_latent = batch["target_latent"].float()
        else:
            with torch.no_grad():
                target_latent = pipeline.space.encode(signed_range(batch["target"]))
        base = pipeline.base_of(source_latent, part_warp)
        clean = pipeline.to_diffused(target_latent, base)

        # noise
        noisy = pipeline.scheduler.add_noise(clean, noise, timestep)

        # conditions, some dropped
        keep = {name: batch[f"keep_{name}"] for name in BRANCHES}
        known = {"source_pose": batch["source_pose_known"]}
        conditioning = self.conditions.merge(self.conditions.encode(features), keep, noisy, known)

        # predict
        channels_last = noisy.contiguous(memory_format=torch.channels_last)
        output, variance = pipeline.predict_both(channels_last, timestep, conditioning, source_latent, part_warp)

        # loss
        penalty = None
        if (judge := self._judge[0]) is not None and self.settings.pose_penalty.weight:
            penalty = PenaltyOf(pipeline, judge, self.settings.pose_penalty, output, noisy, timestep, base)
            if self.settings.pose_penalty.literal:
                output = output + penalty.literal(batch["target_points"])
        error = (output - self._target(clean, noise, timestep)) ** 2
        weight = self._region_weight(batch["regions"], error.shape[-2:])
        per_sample = (error * weight).mean((1, 2, 3)) * self._snr_weight(timestep)
        found = {"loss": per_sample.mean()}
        if penalty is not None and not self.settings.pose_penalty.literal:
            found["pose"] = penalty.loss(batch["target_points"])
        if variance is not None:
            found["vlb"] = variational_bound(pipeline.scheduler, output, variance, clean, noisy, timestep).mean()
        if self.settings.alignment.active and features.alignment is not None:
            found |= self._of_alignment(features, target_latent, batch)
        return found

    def _of_alignment(self, features: Features, target_latent: torch.Tensor, batch: Batch) -> Batch:
        """The losses of the aligned source's flow."""
        places = None
        if "source_points" in batch:
            height, width = (side * self.pipeline.space.factor for side in target_latent.shape[-2:])
            places = known_places(batch["source_points"], batch["target_points"], self.bones, (width, height))
        assert features.alignment is not None
        assert features.source_latent is not None
        return alignment_losses(
            features.alignment,
            self.settings.alignment,
            self.pipeline.space,
            features.source_latent,
            target_latent,
            places,
        )

    def _features(self, batch: Batch) -> Features:
        """What the conditions read; with gradients only through a trainable source encoder. What was computed before
        training began is taken from the batch."""
        given = "source" in batch
        kept = {name: batch[name].float() for name in KEPT if name in batch}
        return Features(
            encoders=self.pipeline,
            source=signed_range(batch["source"]) if given else None,
            source_unit=unit_range(batch["source"]) if given else None,
            source_pose=unit_range(batch["source_pose"]) * batch["source_pose_known"].view(-1, 1, 1, 1),
            target_pose=unit_range(batch["target_pose"]),
            warp_picture=unit_range(batch["part_warp"]) if "part_warp" in batch else None,
        ).with_known(**kept)

    def _target(self, clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """What the network is to output, by the scheduler's prediction type."""
        scheduler = self.pipeline.scheduler
        kind = scheduler.config.prediction_type
        if kind == "sample":
            return clean
        return scheduler.get_velocity(clean, noise, timestep) if kind == "v_prediction" else noise

    def _region_weight(self, regions: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """(B, 1, h, w): weights of hand and face boxes, normalised to mean 1 per sample."""
        hands, face = self.settings.region_weights.hands, self.settings.region_weights.face
        if hands == face == 1:
            return torch.ones((), device=regions.device)
        inside = F.adaptive_max_pool2d(regions.float(), size)
        weight = 1 + torch.maximum((hands - 1) * inside[:, :1], (face - 1) * inside[:, 1:])
        return weight / weight.mean((1, 2, 3), keepdim=True)

    def _snr_weight(self, timestep: torch.Tensor) -> torch.Tensor:
        """Min-SNR-gamma (Hang et al. 2023), per sample (B,), for the scheduler's prediction type."""
        gamma = self.settings.min_snr_gamma
        if gamma is None:
            return torch.ones((), device=timestep.device)
        scheduler = self.pipeline.scheduler
        alpha = scheduler.alphas_cumprod.to(timestep.device)[timestep]
        snr = alpha / (1 - alpha)
        clipped = snr.clamp(max=gamma)
        divisor = {"sample": torch.ones_like(snr), "v_prediction": snr + 1, "epsilon": snr}
        return clipped / divisor[scheduler.config.prediction_type].clamp(min=1e-8)


def diffusion_module(recipe: Recipe, pipeline: SignerPipeline, judge: PoseNetwork | None = None) -> DiffusionModule:
    """What a recipe trains in stage 2. judge: of its pose penalty; without one there is none."""
    bones = bones_of(palette_of(recipe)) if recipe.keypoints else ()
    for provider in pipeline.conditions.providers.values():
        if isinstance(provider, AlignedTokens) and not (recipe.diffusion.alignment.active or provider.reencode):
            provider.align.refiner.requires_grad_(False)  # nothing teaches it: processes would wait for it
    return DiffusionModule(pipeline, recipe.diffusion, recipe.source_encoder.trainable, bones, judge)


class DiffusionStage(Stage):
    """Stage 2. Its result is the model folder, so it exports nothing of its own."""

    name = "diffusion"

    def __init__(
        self,
        recipe: Recipe,
        pipeline: SignerPipeline,
        validation: TripleDataset | None,
        device: torch.device,
        adapter: bool = False,
        judge: PoseNetwork | None = None,
    ) -> None:
        """adapter: the UNet has one, which alone is trained. judge: the pose network of the recipe's penalty."""
        self.adapter = adapter
        self.recipe, self.settings = recipe, recipe.training.diffusion
        self.pipeline, self.validation, self.device = pipeline, validation, device
        self._parked: list[nn.Module] = []
        self._freeze()
        self.module: nn.Module = diffusion_module(recipe, pipeline, judge)
        pipeline.unet.to(memory_format=torch.channels_last)
        if self.settings.gradient_checkpointing:
            pipeline.unet.enable_gradient_checkpointing()
        if recipe.training.compile:
            pipeline.unet.compile()
        self._latent_shape: tuple[int, int, int] = (
            pipeline.space.channels,
            recipe.canvas.height // pipeline.space.factor,
            recipe.canvas.width // pipeline.space.factor,
        )

    @property
    def extra_losses(self) -> Mapping[str, float]:
        """Of the learned variance, the pose penalty and the aligned source, where the recipe has them."""
        settings = self.recipe.diffusion
        variance = {"vlb": settings.variance_weight} if settings.learned_variance else {}
        penalty = settings.pose_penalty
        posed = {"pose": penalty.weight} if penalty.weight and not penalty.literal else {}
        return variance | posed | weighted_losses(settings.alignment)

    def _freeze(self) -> None:
        """Everything but UNet, conditions and a trainable source encoder: no gradients, eval mode."""
        trained = {"unet", "conditions"} | ({"source_encoder"} if self.recipe.source_encoder.trainable else set())
        for name, network in self.pipeline.networks().items():
            network.requires_grad_(name in trained and not self.adapter).train(name in trained)
        if self.adapter:
            for parameter in adapter_parameters(self.pipeline.unet):
                parameter.requires_grad_(True)
        if self.pipeline.source_encoder is not None and self.recipe.source_encoder.trainable and not self.adapter:
            self.pipeline.source_encoder.embeddings.mask_token.requires_grad_(False)  # only masked images use it

    def sample_noise(self, batch: Batch, seed: int) -> Batch:
        """With noise (B, C, h, w), timestep (B,) int64, keep_<branch> (B,) bool."""
        settings, count = self.recipe.diffusion, len(batch["index"])
        steps = self.pipeline.scheduler.config.num_train_timesteps
        drop = torch.tensor([getattr(settings.condition_dropout, name) for name in BRANCHES])
        noise = torch.empty(count, *self._latent_shape)
        timestep = torch.empty(count, dtype=torch.int64)
        keep = torch.empty(count, len(BRANCHES), dtype=torch.bool)
        for i, generator in enumerate(sample_generators(self.name, batch, seed)):
            # time step
            uniform = torch.rand((), generator=generator)
            timestep[i] = (steps * (1 - uniform**settings.timestep_power)).long().clamp(0, steps - 1)
            # condition dropout
            keep[i] = torch.rand(len(BRANCHES), generator=generator) >= drop
            # noise
            noise[i].normal_(generator=generator)
            if settings.noise_offset:
                noise[i] += settings.noise_offset * torch.randn(self._latent_shape[0], 1, 1, generator=generator)
            # no condition at all
            if settings.condition_dropout.all:
                keep[i] &= torch.rand((), generator=generator) >= settings.condition_dropout.all
        masks = {f"keep_{name}": keep[:, i] for i, name in enumerate(BRANCHES)}
        return {**batch, "noise": noise, "timestep": timestep, **masks}

    def calibrate(self, dataset: TripleDataset, triples: int = 64) -> None:
        """Set the pipeline's base_scale so that the residual has the recipe's standard deviation on training data."""
        if self.recipe.diffusion.base == "none":
            return
        items = [dataset[Sample(0, i)] for i in spread(len(dataset), triples)]
        base = "part_warp" if self.recipe.diffusion.base == "warp" else "source"
        target, start = (signed_range(torch.stack([item[k][:3] for item in items])) for k in ("target", base))
        space = self.pipeline.space
        with torch.no_grad():
            residual = space.encode(target.to(self.device)) - space.encode(start.to(self.device))
        deviation = float(residual.std())
        self.pipeline.register_to_config(base_scale=self.recipe.diffusion.base_std / max(deviation, 1e-3))

    @torch.no_grad()
    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """Scores of frames spread over the validation split, whole frame, hands and face, at their native size; a
        picture of them (source | pose | output | truth).

        They are rendered as `signgen render` does it, by the same Renderer with the recipe's sampling.
        """
        if self.validation is None:
            return {}
        with evaluating(self.pipeline.unet, self.pipeline.conditions, self.pipeline.source_encoder), self._unparked():
            shown = [self._shown(row) for row in spread(len(self.validation), VALIDATION_FRAMES)]

        # picture
        rows = [[self.renderer.canvas.fit_frame(image) for image in each.pictures] for each in shown]
        save_strips(rows[:: max(1, len(rows) // 8)], samples / f"diffusion-{step:06d}.png")

        # scores
        named = ("ssim", "psnr", "hand_ssim", "face_ssim")
        scores = [score_frame(each.output, each.truth, *each.masks) for each in shown]
        means = mean_row([{name: score.get(name) for name in named} for score in scores], named)
        return {name: value for name, value in means.items() if value is not None}

    def park(self, networks: Iterable[nn.Module]) -> None:
        """Keep these on the CPU but for validation: no step asks them."""
        self._parked = [network.to("cpu") for network in networks]

    @contextmanager
    def _unparked(self) -> Iterator[None]:
        for network in self._parked:
            network.to(self.device)
        try:
            yield
        finally:
            for network in self._parked:
                network.to("cpu")

    @cached_property
    def renderer(self) -> Renderer:
        """What a user will render this model with, one frame at a time."""
        card = ModelCard.describe(self.recipe, {}, {}, torch.get_num_threads())
        sampling = self.recipe.sampling.model_copy(update={"micro_batch": 1, "backend": "torch"})
        return Renderer(self.pipeline, card, sampling, self.recipe.seed, self.device)

    def _shown(self, row: int) -> _Shown:
        """A validation row, rendered."""
        assert self.validation is not None
        pairs = self.validation.pairs
        clip, source_frame, target = self.validation.triples[row].tolist()
        name = pairs.clips[clip].name
        poses, frames = pairs.poses(name), pairs.training_frames(name)
        source = source_of(pairs, clip, source_frame, poses, frames)
        truth = frames.read(target, target + 1)[0]
        (output,) = render_targets(self.renderer, source, poses, [target])
        native = Canvas(poses.width, poses.height)
        pose = self.renderer.draw(poses[target : target + 1])[0]
        regions = region_masks(poses.keypoints[target], native)
        return _Shown(source.frame, pose, output, truth, _masks(regions))


@dataclass(frozen=True)
class _Shown:
    """A validation frame, uint8 (h, w, 3) each; masks: bool (h, w) of hands and face, None where there are none."""

    source: np.ndarray
    pose: np.ndarray
    output: np.ndarray
    truth: np.ndarray
    masks: tuple[np.ndarray | None, np.ndarray | None]

    @property
    def pictures(self) -> tuple[np.ndarray, ...]:
        return self.source, self.pose, self.output, self.truth


def _masks(regions: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """uint8 (2, H, W), see `region_masks` -> bool (H, W) of hands and face; None where a mask is empty."""
    hands, face = (mask.astype(bool) if mask.any() else None for mask in regions)
    return hands, face
