"""The pipeline: frames do not depend on their neighbours; conditions and nulls; save and load."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from signgen.config import SamplingSettings, load_recipe
from signgen.errors import ModelError, RecipeError
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.features import Features
from signgen.models.noise import ClipNoise
from signgen.models.pipeline import SignerPipeline
from signgen.solvers import SOLVERS
from tests.tiny import tiny_recipe


@pytest.fixture(scope="module")
def pipeline():
    return randomised(build_pipeline(tiny_recipe()))


def randomised(pipeline: SignerPipeline) -> SignerPipeline:
    """Weights that a zero-initialised layer cannot hide behind."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for network in (pipeline.unet, pipeline.conditions):
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return pipeline


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1
    poses, warps = torch.rand(5, 9, 32, 32, generator=generator), torch.rand(5, 6, 32, 32, generator=generator)
    return source, poses, torch.rand(1, 3, 32, 32, generator=generator), warps


SAMPLING = {"sampling": SamplingSettings(micro_batch=2, steps=2, w_c=1.5, w_f=2.0)}
ONE_STEP = SamplingSettings(micro_batch=2, steps=1, w_c=1, w_f=1)


def test_a_frame_does_not_depend_on_its_neighbours(pipeline, inputs):
    source, poses, source_pose, warps = inputs
    together = pipeline(source, poses, source_pose, warps, **SAMPLING)
    alone = torch.cat(
        [pipeline(source, poses[i : i + 1], source_pose, warps[i : i + 1], **SAMPLING) for i in range(len(poses))]
    )
    assert torch.equal(together, alone)


def test_seed_and_clip_key_the_noise(pipeline, inputs):
    source, poses, source_pose, warps = inputs
    first = pipeline(source, poses[:1], source_pose, warps[:1], seed=1, clip="a", **SAMPLING)
    assert torch.equal(first, pipeline(source, poses[:1], source_pose, warps[:1], seed=1, clip="a", **SAMPLING))
    assert not torch.equal(first, pipeline(source, poses[:1], source_pose, warps[:1], seed=1, clip="b", **SAMPLING))
    assert not torch.equal(first, pipeline(source, poses[:1], source_pose, warps[:1], seed=2, clip="a", **SAMPLING))


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_renders(pipeline, inputs, solver):
    source, poses, source_pose, warps = inputs
    sampling = SamplingSettings(micro_batch=2, steps=4, w_c=1, w_f=1, solver=solver)
    frames = pipeline(source, poses[:2], source_pose, warps[:2], sampling=sampling)
    assert frames.isfinite().all()
    assert frames.abs().max() <= 1


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("settings", [{}, {"strength": 0.7}, {"guidance_interval": (0.3, 0.7)}, {"shared_noise": 0.9}])
def test_a_frame_is_the_same_in_any_batch(pipeline, inputs, solver, settings):
    """Also with noise in every step, and where branches change between steps."""
    source, poses, source_pose, warps = inputs
    sampling = SamplingSettings(micro_batch=2, steps=3, w_c=1.5, w_f=2.0, solver=solver, **settings)
    plain = SamplingSettings(micro_batch=2, steps=3, w_c=1.5, w_f=2.0, solver=solver)
    whole = pipeline(source, poses, source_pose, warps, sampling=sampling)
    state, noise = pipeline.encode_clip(source, source_pose), ClipNoise(0, "", 1.0, sampling.shared_noise)
    order = [3, 0, 4]
    parts = pipeline.render_batches(state, poses[order], warps[order], noise, order, sampling)
    assert torch.equal(torch.cat([*parts]), whole[order])
    assert torch.equal(whole, pipeline(source, poses, source_pose, warps, sampling=plain)) == (not settings)


def test_guidance_outside_of_its_interval_is_the_guided_branch_alone(pipeline, inputs):
    source, poses, source_pose, warps = inputs
    given = (source, poses[:2], source_pose, warps[:2])
    guided = SamplingSettings(micro_batch=2, steps=2, w_c=1.5, w_f=2.0, guidance_interval=(0.0, 0.001))
    alone = SamplingSettings(micro_batch=2, steps=2, w_c=1, w_f=1)
    assert torch.equal(pipeline(*given, sampling=guided), pipeline(*given, sampling=alone))


def test_sampling_with_kept_keys_and_values_is_the_plain_sampling(pipeline, inputs, monkeypatch):
    """Against the UNet without any context, every token projected in every step; U's tokens as they are."""
    source, poses, source_pose, warps = inputs
    given = (source, poses[:3], source_pose, warps[:3])
    found = pipeline(*given, **SAMPLING)
    predict = pipeline.predict

    def plain(noisy, timestep, conditioning, latent, part_warp, attention):
        rows = conditioning.context.repeat_interleave(len(noisy) // len(conditioning.context), 0)
        return predict(noisy, timestep, replace(conditioning, context=rows), latent, part_warp)

    monkeypatch.setattr(pipeline, "predict", plain)
    assert (pipeline(*given, **SAMPLING) - found).abs().max() < 1e-5


def test_every_condition_changes_the_output(pipeline, inputs):
    source, poses, source_pose, warps = inputs
    latent = pipeline.space.encode(source)
    everything = Features(
        encoders=pipeline, source=source, source_pose=source_pose, target_pose=poses[:1], warp_picture=warps[:1]
    )
    conditions = pipeline.conditions
    keep = {name: torch.tensor([True]) for name in ("pose", "source", "fusion")}

    def output(values):
        merged = conditions.merge(values, keep, latent)
        sample = torch.cat([torch.zeros_like(latent), merged.spatial], 1)
        return pipeline.unet(
            sample, 500, encoder_hidden_states=merged.context, class_labels=merged.vector
        ).sample  # fmt: skip

    with torch.no_grad():
        values = conditions.encode(everything)
        full = output(values)
        assert set(values) == {condition.kind for condition in tiny_recipe().conditions}
        for name in values:
            without = output({k: v for k, v in values.items() if k != name})
            assert not torch.allclose(full, without, atol=1e-6), name


def test_a_dropped_branch_is_its_null_for_that_sample_only(pipeline, inputs):
    source, poses, *_ = inputs
    latent = pipeline.space.encode(source).expand(2, -1, -1, -1)
    features = Features(target_pose=poses[:2])
    values = pipeline.conditions.encode(features, per_frame=True)
    keep = {"pose": torch.tensor([True, False]), "source": torch.ones(2).bool(), "fusion": torch.ones(2).bool()}
    merged = pipeline.conditions.merge(values, keep, latent)
    pose_channels = merged.spatial[:, : values["pose_map"].shape[1]]
    assert torch.equal(pose_channels[0], values["pose_map"][0])
    assert pose_channels[1].abs().sum() == 0


def test_the_residual_base_is_inverted_exactly(pipeline):
    latent, base = torch.randn(2, 48, 8, 8), torch.randn(1, 48, 8, 8)
    there = pipeline.to_diffused(latent, base)
    assert torch.allclose(pipeline.from_diffused(there, base), latent, atol=1e-6)


class TestPartWarp:
    def test_in_the_image_space_with_its_masks(self, pipeline):
        warps = torch.rand(2, 6, 32, 32)
        encoded = pipeline.encode_warp(warps)
        assert encoded.shape == (2, 48 + 3, 8, 8)
        assert torch.allclose(pipeline.space.decode(encoded[:, :48]), warps[:, :3] * 2 - 1, atol=1e-5)
        assert torch.allclose(encoded[:, 48:], warps[:, 3:].unflatten(3, (8, 4)).unflatten(2, (8, 4)).mean((3, 5)))

    def test_it_is_needed(self, pipeline, inputs):
        source, poses, source_pose, _ = inputs
        with pytest.raises(ModelError, match="needs the part warp"):
            pipeline(source, poses, source_pose, **SAMPLING)

    @pytest.mark.parametrize("overrides", [(), ("diffusion.copies.layers=0",)])
    def test_a_gate_that_is_open_shows_the_warp_itself(self, inputs, overrides):
        source, poses, source_pose, warps = inputs
        opened = build_pipeline(tiny_recipe(*overrides))
        layers = opened.config.copies
        with torch.no_grad():
            opened.unet.conv_out.bias[48 + layers] = 50  # the logit of the warp, behind those of the moved copies
        image = opened(source, poses, source_pose, warps, sampling=ONE_STEP)
        assert torch.allclose(image, warps[:, :3] * 2 - 1, atol=1e-4)

    def test_a_residual_of_nothing_is_the_warp_itself(self, inputs):
        source, poses, source_pose, warps = inputs
        still = build_pipeline(tiny_recipe("diffusion.base=warp", "diffusion.copies={layers: 0, warp: false}"))
        with torch.no_grad():
            for parameter in still.unet.conv_out.parameters():
                parameter.zero_()
        image = still(source, poses, source_pose, warps, sampling=ONE_STEP)
        assert torch.allclose(image, warps[:, :3] * 2 - 1, atol=1e-4)

    def test_its_null_is_nothing_and_goes_with_the_source(self, pipeline, inputs):
        *_, warps = inputs
        values = pipeline.conditions.encode(Features.known(part_warp=pipeline.encode_warp(warps[:2])), per_frame=True)
        keep = {name: torch.ones(2).bool() for name in ("pose", "fusion")} | {"source": torch.tensor([True, False])}
        spatial = pipeline.conditions.merge(values, keep, torch.zeros(2, 48, 8, 8)).spatial[:, -51:]
        assert torch.equal(spatial[0], values["part_warp"][0])
        assert not spatial[1].any()

    @pytest.mark.parametrize("override", ["diffusion.base=warp", "diffusion.copies.warp=true"])
    def test_a_recipe_cannot_use_what_it_does_not_make(self, override):
        with pytest.raises(RecipeError, match="need the condition part_warp"):
            load_recipe("nano-pictures", (override,))


@pytest.fixture
def saved(pipeline, tmp_path):
    recipe = tiny_recipe()
    card = ModelCard.describe(recipe, {"fingerprint": "x", "clips": []}, {"diffusion": 0}, 1, ("mediapipe",))
    save_model(pipeline, card, tmp_path / "model")
    return tmp_path / "model"


def test_the_same_pixels_after_save_and_load(pipeline, inputs, saved):
    source, poses, source_pose, warps = inputs
    loaded, card = load_model(saved)
    plain = SignerPipeline.from_pretrained(str(saved))
    before = pipeline(source, poses, source_pose, warps, **SAMPLING)
    assert torch.equal(before, loaded(source, poses, source_pose, warps, **SAMPLING))
    assert torch.equal(before, plain(source, poses, source_pose, warps, **SAMPLING))
    assert card.parsed_recipe() == tiny_recipe()
    assert card.pose_networks == ("mediapipe",)


def test_a_folder_keeps_the_keys_of_0_1_and_the_recipes_words_are_used_of_it(pipeline, saved):
    import json

    index = json.loads((saved / "model_index.json").read_text())
    keys = {"source_side", "base", "base_scale", "copies", "reach", "warp_copy", "solver"}
    assert {key for key, value in index.items() if not isinstance(value, list) and key[0] != "_"} == keys
    assert pipeline.copies == tiny_recipe().diffusion.copies
    assert pipeline.default_sampling == SamplingSettings(solver=tiny_recipe().sampling.solver)


def test_the_model_folder_holds_no_pickle(saved):
    suffixes = {path.suffix for path in saved.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}


@pytest.mark.parametrize("part", ["unet", "fusion", "conditions", "scheduler"])
def test_a_missing_part_is_named(saved, part):
    import shutil

    shutil.rmtree(saved / part)
    with pytest.raises(ModelError, match=f"lacks {part}"):
        load_model(saved)


def test_a_part_without_some_of_its_weights_is_refused(saved):
    from safetensors.torch import load_file, save_file

    path = next((saved / "unet").glob("*.safetensors"))
    weights = load_file(path)
    weights.pop("conv_in.weight")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="unet: holds"):
        load_model(saved)


def test_another_palette_is_refused(saved):
    import json

    path = saved / "signgen.json"
    card = json.loads(path.read_text())
    card["palette_fingerprint"] = "0" * 12
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match="drawn with palette"):
        load_model(saved)[1].drawing_palette()
