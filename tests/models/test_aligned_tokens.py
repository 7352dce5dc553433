"""RePoseDM's context in a whole pipeline: what is given, trained, saved and computed once a frame."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from signgen.config import SamplingSettings, load_recipe
from signgen.errors import RecipeError
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.cost import counted
from signgen.models.features import Features
from signgen.training.cost import meta_pipeline, stage_costs, without_origins
from signgen.training.diffusion import diffusion_module
from tests.models.test_pipeline import randomised
from tests.tiny import TINY, tiny_recipe

ALIGNED = {"width": 16, "heads": 2, "radius": 2, "recurrences": 2, "pool": 1}


def repose(*overrides: str, **options) -> tuple[str, ...]:
    """nano-repose, made tiny."""
    conditions = [
        {"kind": "aligned_tokens", "null": "learned", "options": {**ALIGNED, **options}},
        {"kind": "pose_latent"},
    ]
    few = [part for part in TINY if not part.startswith("conditions.")]
    return (*few, f"conditions={json.dumps(conditions)}", *overrides)


def aligned_recipe(*overrides: str, **options):
    return load_recipe("nano-repose", repose(*overrides, **options))


def moving(pipeline):
    """With weights everywhere, so that sources are warped and visible in part."""
    torch.manual_seed(1)
    align = randomised(pipeline).conditions.providers["aligned_tokens"].align
    torch.nn.init.normal_(align.aggregator.head.weight, std=0.3)
    return pipeline


OPTIONS = [{}, {"source_pose": True}, {"recurrence": "image"}, {"recurrence": "image", "source_pose": True}]


@pytest.mark.parametrize("options", [*OPTIONS, {"stride": 2}], ids=str)
def test_tokens_are_of_the_aligned_source_and_of_the_source(options):
    pipeline = moving(build_pipeline(aligned_recipe(**options)))
    source, poses, source_pose = (torch.rand(n, 3, 32, 32) for n in (1, 2, 1))
    clip = pipeline.encode_clip(source * 2 - 1, source_pose)
    found = pipeline.encode_frames(clip, poses).values["aligned_tokens"]
    side = 8 // options.get("stride", 1)
    assert found.shape == (2, 2 * side * side, 16)
    unwarped = found[:, side * side :]
    assert torch.allclose(unwarped[0], unwarped[1], atol=1e-6)  # one source for both frames
    assert not torch.allclose(found[0, : side * side], found[1, : side * side], atol=1e-3)
    without = pipeline.encode_clip(source * 2 - 1)
    differs = not torch.allclose(pipeline.encode_frames(without, poses).values["aligned_tokens"], found, atol=1e-5)
    assert differs == options.get("source_pose", False)


def test_it_is_computed_once_a_frame_however_many_steps():
    pipeline = moving(build_pipeline(aligned_recipe()))
    calls: Counter[str] = Counter()
    align = pipeline.conditions.providers["aligned_tokens"].align
    align.register_forward_hook(lambda *_: calls.update(["alignment"]))
    align.source_stem.register_forward_hook(lambda _, given, __: calls.update({"sources": len(given[0])}))
    sampling = SamplingSettings(steps=3, micro_batch=2, w_c=2.0, w_f=2.0)
    pipeline(torch.zeros(1, 3, 32, 32), torch.rand(4, 3, 32, 32), torch.rand(1, 3, 32, 32), sampling=sampling)
    assert calls == {"alignment": 2, "sources": 2}  # two micro-batches, the one source in each


def test_what_is_trained_is_what_is_loaded(tmp_path):
    recipe = aligned_recipe()
    pipeline = moving(build_pipeline(recipe))
    assert pipeline.source_encoder is None
    save_model(pipeline, ModelCard.describe(recipe, {"fingerprint": "x"}, {}, 1), tmp_path)
    loaded, _ = load_model(tmp_path)
    given = torch.zeros(1, 3, 32, 32), torch.rand(2, 3, 32, 32)
    sampling = SamplingSettings(steps=2, micro_batch=2)
    assert torch.equal(loaded(*given, sampling=sampling), pipeline(*given, sampling=sampling))


def batch_of(count: int, pixels: int = 32) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    names = ("source", "target", "source_pose", "target_pose")
    batch = {name: torch.randint(0, 256, (count, 3, pixels, pixels), dtype=torch.uint8) for name in names}
    points = torch.rand(count, 133, 3) * torch.tensor([pixels, pixels, 1.0])
    points[:, 40:] = torch.nan
    return batch | {
        "regions": torch.zeros(count, 2, pixels, pixels, dtype=torch.uint8),
        "source_pose_known": torch.ones(count, dtype=torch.bool),
        "noise": torch.randn(count, 48, pixels // 4, pixels // 4),
        "timestep": torch.randint(0, 1000, (count,)),
        "source_points": points,
        "target_points": points.flip(0),
        **{f"keep_{name}": torch.ones(count, dtype=torch.bool) for name in ("pose", "source", "fusion")},
    }


@pytest.mark.parametrize("loss", ["loss", "alignment_photometric", "alignment_matching", "alignment_keypoints"])
def test_every_loss_reaches_both_stems(loss):
    recipe = aligned_recipe()
    pipeline = moving(build_pipeline(recipe))
    module = diffusion_module(recipe, pipeline)
    found = module(batch_of(2))
    assert all(value.isfinite() for value in found.values())
    found[loss].backward()
    align = pipeline.conditions.providers["aligned_tokens"].align
    for stem in (align.source_stem, align.pose_stem):
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in stem.parameters())


def test_a_source_pose_that_is_not_known_is_a_black_picture():
    recipe = aligned_recipe(source_pose=True)
    pipeline = moving(build_pipeline(recipe))
    batch = batch_of(2)
    seen = diffusion_module(recipe, pipeline)._features({**batch, "source_pose_known": torch.tensor([True, False])})
    hidden = Features(encoders=pipeline, source=seen.source, target_pose=seen.target_pose)
    latents = seen.source_pose_latent, hidden.source_pose_latent
    assert torch.equal(latents[0][1], latents[1][1])
    assert not torch.equal(latents[0][0], latents[1][0])


def test_options_that_cannot_be_are_one_line():
    for options in ({"recurrence": "latents"}, {"recurrences": 0}, {"width": 20}):
        with pytest.raises(RecipeError, match="aligned_tokens"):
            build_pipeline(aligned_recipe(**options))
    with pytest.raises(RecipeError, match=r"diffusion\.alignment needs the condition aligned_tokens"):
        tiny_recipe("diffusion.alignment.photometric=1")
    with pytest.raises(RecipeError, match="reads source_tokens"):
        tiny_recipe("source_encoder.enabled=false")


@pytest.mark.parametrize(
    ("name", "parameters", "gflops"),
    [
        ("nano-repose", 771_810, 2.0),
        ("repose-deepfashion-256", 1_946_822, 15.1),
        ("repose-deepfashion-512", 1_960_538, 16.8),
        ("repose-market-128", 1_920_198, 1.9),
    ],
)
def test_parameters_and_flops_of_the_recipes(name, parameters, gflops):
    """Of what a frame's conditions take, without the VAE's encoder; grids are sampled beside it, uncounted."""
    recipe = load_recipe(name)
    pipeline = meta_pipeline(recipe)
    costs = stage_costs(recipe, pipeline)["diffusion"]
    assert costs.trained["conditions"] == parameters
    _, frame = counted(pipeline, without_origins(recipe), recipe.sampling)
    encoder = costs.flops["image_space: pose_latent"]
    assert (frame["conditions"] - encoder) / 1e9 == pytest.approx(gflops, abs=0.1)
