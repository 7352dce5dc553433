"""The networks: widening, parameter counts, loading by path, the stage-2-only variant."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, Dinov2Config, Dinov2Model

from signgen.config import SamplingSettings, load_recipe
from signgen.errors import RecipeError, WeightsError
from signgen.models.build import build_pipeline
from signgen.models.conditions import Conditioning
from signgen.models.denoiser import denoise, widen_conv_in, widen_conv_out
from tests.tiny import tiny_recipe

NO_ORIGINS = tuple(
    f"{part}.origin=null" for part in ("image_space", "source_encoder", "fusion.tower", "unet", "diffusion.scheduler")
)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_widened_unet_equals_the_base_unet_at_step_0():
    torch.manual_seed(0)
    config = tiny_recipe().unet.config
    unet = UNet2DConditionModel(**config, in_channels=4, out_channels=4).eval()
    sample, context = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 16)
    with torch.no_grad():
        before = unet(sample, 7, encoder_hidden_states=context).sample
        widen_conv_in(unet, 3)
        spatial = torch.randn(2, 3, 8, 8)
        after = denoise(unet, sample, torch.tensor(7), Conditioning(context, spatial, None))
    assert unet.config.in_channels == 7
    assert torch.allclose(before, after, atol=1e-6)


def test_a_widened_output_leaves_the_others():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**tiny_recipe().unet.config, in_channels=4, out_channels=4).eval()
    sample, context = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 16)
    with torch.no_grad():
        before = unet(sample, 7, encoder_hidden_states=context).sample
        widen_conv_out(unet, 6, std=0.02)
        after = unet(sample, 7, encoder_hidden_states=context).sample
    assert unet.config.out_channels == 10
    assert torch.allclose(before, after[:, :4], atol=1e-6)
    assert after[:, 4:].std() > 0


def test_copies_need_a_predicted_sample():
    with pytest.raises(RecipeError, match="prediction_type: sample"):
        build_pipeline(
            tiny_recipe("diffusion.copies.layers=1", "diffusion.scheduler.config.prediction_type=v_prediction")
        )


def test_phoenix_256_has_the_parameter_counts_of_the_paper():
    with torch.device("meta"):
        pipeline = build_pipeline(load_recipe("phoenix-256", NO_ORIGINS))
    assert count(pipeline.unet) == 866_648_004
    assert pipeline.unet.config.in_channels == 4 + 256
    assert pipeline.unet.config.class_embed_type == "identity"
    providers = pipeline.conditions.providers
    assert count(providers["fusion_vector"]) == 1_574_912
    assert count(pipeline.fusion.combiner) == 4_133_377
    assert 303_000_000 < count(pipeline.fusion.tower) < 305_000_000
    assert 304_000_000 < count(pipeline.source_encoder) < 305_000_000


def test_stage_2_only_is_one_line():
    with torch.device("meta"):
        pipeline = build_pipeline(load_recipe("phoenix-256", (*NO_ORIGINS, "fusion.enabled=false")))
    assert pipeline.fusion is None
    assert pipeline.unet.config.class_embed_type is None
    assert "fusion_vector" not in pipeline.conditions.providers


@pytest.fixture
def hub(tmp_path):
    """Tiny random weights in Hub layout, with the classes of the full-size recipe."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=(2, 4),
    )
    unet.save_pretrained(tmp_path / "sd" / "unet")
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        layers_per_block=1,
    )
    vae.save_pretrained(tmp_path / "sd" / "vae")
    DDIMScheduler(prediction_type="v_prediction").save_pretrained(tmp_path / "sd" / "scheduler")
    tower = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14,
        projection_dim=12,
    )  # fmt: skip
    CLIPVisionModelWithProjection(tower).save_pretrained(tmp_path / "clip")
    dino = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(dino).save_pretrained(tmp_path / "dino")
    return tmp_path


def from_hub(hub, *overrides: str):
    return load_recipe(
        "phoenix-256",
        (
            f"unet.origin={hub / 'sd'}",
            f"image_space.origin={hub / 'sd'}",
            f"diffusion.scheduler.origin={hub / 'sd'}",
            f"fusion.tower.origin={hub / 'clip'}",
            f"source_encoder.origin={hub / 'dino'}",
            "canvas={width: 64, height: 64}",
            "fusion.side=28",
            "source_encoder.side=28",
            *overrides,
        ),
    )


def test_phoenix_256_loads_its_weights_from_local_folders(hub):
    pipeline = build_pipeline(from_hub(hub))
    base = UNet2DConditionModel.from_pretrained(hub / "sd" / "unet")
    assert torch.equal(pipeline.unet.conv_in.weight[:, :4], base.conv_in.weight)
    assert pipeline.unet.conv_in.weight[:, 4:].abs().sum() == 0
    assert torch.equal(pipeline.unet.conv_out.weight, base.conv_out.weight)
    clip = CLIPVisionModelWithProjection.from_pretrained(hub / "clip")
    assert torch.equal(pipeline.fusion.tower.visual_projection.weight, clip.visual_projection.weight)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    image, poses = torch.rand(1, 3, 64, 64) * 2 - 1, torch.rand(3, 3, 64, 64)
    frames = pipeline(image, poses, sampling=SamplingSettings(steps=2, w_c=2, w_f=3, micro_batch=2))
    assert frames.shape == (3, 3, 64, 64)
    assert frames.isfinite().all()


def test_missing_weights_are_named_with_the_command_that_gets_them():
    with pytest.raises(WeightsError) as error:
        build_pipeline(load_recipe("phoenix-256", ("unet.origin=example/not-there", "fusion.enabled=false",
                                                   "image_space.origin=example/not-there")))  # fmt: skip
    assert 'hf download example/not-there --include "vae/*"' in str(error.value)
    assert "\n" not in str(error.value)


def test_a_local_folder_without_the_weights_is_named(hub):
    (hub / "dino" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="dino"):
        build_pipeline(from_hub(hub))


@pytest.mark.parametrize(
    ("override", "section"),
    [
        ("unet.config.norm_num_groups=7", "unet"),
        ("unet.config.down_block_types=[Nothing]", "unet"),
        ("source_encoder.config.patch_size=test", "source_encoder"),
        ("fusion.tower.config.num_attention_heads=0", "fusion"),
        ("conditions.0.options.hidden=1.5", "conditions"),
    ],
)
def test_sizes_of_which_no_network_can_be_made_are_one_line(override, section):
    with pytest.raises(RecipeError, match=rf"^{section}: cannot be built \(.*\); expected sizes that fit each other$"):
        build_pipeline(tiny_recipe(override))
