"""A recipe in, the networks of a SignerPipeline out: loaded from their origins, or built with seeded random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

from signgen.config import Component, DiffusionSettings, Recipe
from signgen.errors import RecipeError
from signgen.models.compositing import channels_of
from signgen.models.conditions import ConditionSet, provider_class
from signgen.models.denoiser import widen_conv_in, widen_conv_out
from signgen.models.fusion import FusionModel
from signgen.models.image_space import PixelUnshuffleSpace, as_image_space
from signgen.models.pipeline import SignerPipeline
from signgen.models.weights import load_pretrained

Made = TypeVar("Made")


def build_pipeline(recipe: Recipe, fusion: FusionModel | None = None) -> SignerPipeline:
    """All networks of the recipe; `fusion` is stage 1's result where it is already trained.

    Without origins the weights are random, seeded by the recipe: the same recipe gives the same weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.fusion.enabled and fusion is None:
            fusion = build_fusion(recipe)
        image_space = _build_image_space(recipe)
        source_encoder = _build_source_encoder(recipe) if recipe.source_encoder.enabled else None
        scheduler = _build_scheduler(recipe.diffusion)
        copies = recipe.diffusion.copies
        if (copies.layers or copies.warp) and scheduler.config.prediction_type != "sample":
            raise RecipeError(
                f"diffusion.copies with a scheduler that predicts {scheduler.config.prediction_type}",
                expected="prediction_type: sample",
            )
        if (copies.layers or copies.warp) and recipe.diffusion.learned_variance:
            raise RecipeError("diffusion.copies with diffusion.variance_weight", expected="one of the two")
        space = as_image_space(image_space)
        entries = [c.model_dump() for c in recipe.active_conditions]
        unet = _build_unet(
            recipe.unet, space.channels, any(provider_class(e["kind"]).kind == "vector" for e in entries)
        )
        sizes = {
            "token_width": source_encoder.config.hidden_size if source_encoder else 0,
            "context_width": unet.config.cross_attention_dim,
            "fusion_width": fusion.width if fusion else 0,
            "time_width": unet.time_embedding.linear_2.out_features,
            "latent_channels": space.channels,
            "factor": space.factor,
        }
        conditions = _made("conditions", lambda: ConditionSet(entries, sizes))
        widen_conv_in(unet, conditions.spatial_channels)
        # Zero weights: a single copy starts as the source itself. Several with equal weights would stay equal.
        widen_conv_out(unet, channels_of(copies), std=0.02 if copies.layers > 1 else 0.0)
        if recipe.diffusion.learned_variance:
            widen_conv_out(unet, space.channels)
    pipeline = SignerPipeline(
        image_space=image_space,
        source_encoder=source_encoder,
        conditions=conditions,
        unet=unet,
        scheduler=scheduler,
        fusion=fusion,
        source_side=recipe.source_encoder.side,
        base=recipe.diffusion.base,
        copies=copies.layers,
        reach=copies.reach,
        warp_copy=copies.warp,
        solver=recipe.sampling.solver,
    )
    for network in pipeline.networks().values():
        network.eval()
    return pipeline


def build_fusion(recipe: Recipe) -> FusionModel:
    """Stage 1's network: the tower from its origin or its configuration, the combiner always from scratch."""
    settings = recipe.fusion
    if settings.tower.origin is None:
        fusion = _made("fusion", lambda: FusionModel(settings.tower.config, settings.side, settings.dropout))
        if settings.side != (side := fusion.tower.config.image_size):
            raise RecipeError(f"fusion.side is {settings.side}", expected=f"{side}, the tower's image_size")
        return fusion
    tower = load_pretrained(CLIPVisionModelWithProjection, settings.tower)
    fusion = FusionModel(tower.config.to_diff_dict(), settings.side, settings.dropout)
    fusion.tower.load_state_dict(tower.state_dict())
    return fusion


def _build_image_space(recipe: Recipe) -> Any:
    settings = recipe.image_space
    if settings.kind == "pixel-unshuffle":
        return _made("image_space", lambda: PixelUnshuffleSpace(settings.factor))
    return _build(AutoencoderKL, settings, "image_space")


def _build_source_encoder(recipe: Recipe) -> Dinov2Model:
    settings = recipe.source_encoder
    if settings.origin is not None:
        return load_pretrained(Dinov2Model, settings)
    return _made("source_encoder", lambda: Dinov2Model(Dinov2Config(**settings.config)))


def _build_scheduler(settings: DiffusionSettings) -> DDIMScheduler:
    """Every value is written out, the recipe's time-step spacing among them: a solver made from a configuration takes
    its own defaults where diffusers' are not, and after saving and loading they all are."""
    component = settings.scheduler
    if component.origin is not None:
        scheduler = load_pretrained(DDIMScheduler, component)
    else:
        scheduler = _made("diffusion.scheduler", lambda: DDIMScheduler(**component.config))
    values = {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
    if settings.timestep_spacing is not None:
        values["timestep_spacing"] = settings.timestep_spacing
    if values["prediction_type"] == "epsilon" and values["rescale_betas_zero_snr"]:
        raise RecipeError(
            "diffusion.scheduler: prediction_type epsilon with rescale_betas_zero_snr",
            expected="sample or v_prediction: at the last time step nothing but noise is left to be predicted from",
        )
    return DDIMScheduler(**values)


def _build_unet(component: Component, latent_channels: int, has_vector: bool) -> UNet2DConditionModel:
    """The base UNet with the latent's channels only; spatial conditions widen it afterwards."""
    vector = {"class_embed_type": "identity" if has_vector else None}
    if component.origin is not None:
        return load_pretrained(UNet2DConditionModel, component, **vector)
    channels = {"in_channels": latent_channels, "out_channels": latent_channels}
    return _made("unet", lambda: UNet2DConditionModel(**{**component.config, **channels, **vector}))


def _build(model_class: Any, component: Component, section: str) -> Any:
    if component.origin:
        return load_pretrained(model_class, component)
    return _made(section, lambda: model_class(**component.config))


def _made(section: str, make: Callable[[], Made]) -> Made:
    """`make()`, which builds what a section of the recipe says. Raises RecipeError where no such network can be: the
    libraries raise anything for sizes of other types or that do not fit each other."""
    try:
        return make()
    except RecipeError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RecipeError(f"{section}: cannot be built ({reason})", expected="sizes that fit each other") from error
