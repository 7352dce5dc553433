"""The pipeline: frames do not depend on their neighbours; conditions and nulls; save and load."""

from __future__ import annotations

import pytest
import torch

from signgen.errors import ModelError
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.components import build_pipeline
from signgen.models.conditions import Features
from signgen.models.pipeline import SignerPipeline
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
    return source, torch.rand(5, 9, 32, 32, generator=generator), torch.rand(1, 3, 32, 32, generator=generator)


SAMPLING = {"micro_batch": 2, "steps": 2, "w_c": 1.5, "w_f": 2.0}


def test_a_frame_does_not_depend_on_its_neighbours(pipeline, inputs):
    source, poses, source_pose = inputs
    together = pipeline(source, poses, source_pose, **SAMPLING)
    alone = torch.cat([pipeline(source, pose[None], source_pose, **SAMPLING) for pose in poses])
    assert torch.equal(together, alone)


def test_seed_and_clip_key_the_noise(pipeline, inputs):
    source, poses, source_pose = inputs
    first = pipeline(source, poses[:1], source_pose, seed=1, clip="a", **SAMPLING)
    assert torch.equal(first, pipeline(source, poses[:1], source_pose, seed=1, clip="a", **SAMPLING))
    assert not torch.equal(first, pipeline(source, poses[:1], source_pose, seed=1, clip="b", **SAMPLING))
    assert not torch.equal(first, pipeline(source, poses[:1], source_pose, seed=2, clip="a", **SAMPLING))


@pytest.mark.parametrize("solver", ["ddim", "unipc", "dpmpp"])
def test_every_solver_renders(pipeline, inputs, solver):
    source, poses, source_pose = inputs
    frames = pipeline(source, poses[:2], source_pose, micro_batch=2, steps=4, w_c=1.0, w_f=1.0, solver=solver)
    assert frames.isfinite().all()
    assert frames.abs().max() <= 1


def test_every_condition_changes_the_output(pipeline, inputs):
    source, poses, source_pose = inputs
    latent = pipeline.space.encode(source)
    everything = Features(
        source_tokens=pipeline.source_tokens(source),
        source_latent=latent,
        source_pose=source_pose,
        target_pose=poses[:1],
        fusion=pipeline.fusion(source, poses[:1, :3]),
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
        values = conditions.values(everything)
        full = output(values)
        assert set(values) == {"source_tokens", "pose_map", "fusion_vector", "source_latent", "source_pose_map"}
        for name in values:
            without = output({k: v for k, v in values.items() if k != name})
            assert not torch.allclose(full, without, atol=1e-6), name


def test_a_dropped_branch_is_its_null_for_that_sample_only(pipeline, inputs):
    source, poses, _ = inputs
    latent = pipeline.space.encode(source).expand(2, -1, -1, -1)
    features = Features(target_pose=poses[:2])
    values = pipeline.conditions.values(features, per_frame=True)
    keep = {"pose": torch.tensor([True, False]), "source": torch.ones(2).bool(), "fusion": torch.ones(2).bool()}
    merged = pipeline.conditions.merge(values, keep, latent)
    pose_channels = merged.spatial[:, : values["pose_map"].shape[1]]
    assert torch.equal(pose_channels[0], values["pose_map"][0])
    assert pose_channels[1].abs().sum() == 0


def test_the_residual_base_is_inverted_exactly(pipeline):
    latent, base = torch.randn(2, 48, 8, 8), torch.randn(1, 48, 8, 8)
    there = pipeline.to_diffused(latent, base)
    assert torch.allclose(pipeline.from_diffused(there, base), latent, atol=1e-6)


@pytest.fixture
def saved(pipeline, tmp_path):
    recipe = tiny_recipe()
    card = ModelCard.describe(recipe, {"fingerprint": "x", "clips": []}, {"diffusion": 0}, 1)
    save_model(pipeline, card, tmp_path / "model")
    return tmp_path / "model"


def test_the_same_pixels_after_save_and_load(pipeline, inputs, saved):
    source, poses, source_pose = inputs
    loaded, card = load_model(saved)
    plain = SignerPipeline.from_pretrained(str(saved))
    before = pipeline(source, poses, source_pose, **SAMPLING)
    assert torch.equal(before, loaded(source, poses, source_pose, **SAMPLING))
    assert torch.equal(before, plain(source, poses, source_pose, **SAMPLING))
    assert card.parsed_recipe() == tiny_recipe()


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
