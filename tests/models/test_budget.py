"""What a frame may cost: conditions are computed as often as they change, and branches of guidance are not repeated."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from signgen.config import SamplingSettings, load_recipe
from signgen.models.build import build_pipeline
from signgen.models.cost import counted
from signgen.presets import PRESETS, preset_settings
from signgen.training.cost import without_origins
from tests.models.test_pipeline import randomised
from tests.tiny import tiny_recipe

STEPS, BATCHES, SIZE = 3, 2, 2


@pytest.fixture(scope="module")
def full():
    """phoenix-256 on the meta device, without weights."""
    recipe = without_origins(load_recipe("phoenix-256"))
    with torch.device("meta"):
        return build_pipeline(recipe), recipe


def tera(flops: dict[str, int]) -> float:
    return sum(flops.values()) / 1e12


def test_a_frame_at_full_size_stays_within_its_budget(full):
    """20 steps with two branches: 7.9 TFLOP, 1.6 times less than with the source encoded for every frame, keys and
    values of its tokens in every step, and a third branch."""
    pipeline, recipe = full
    clip, frame = counted(pipeline, recipe, recipe.sampling)
    assert tera(frame) < 7.95
    assert frame["conditions"] / 1e12 < 0.166  # the tower once, for the pose, and small networks
    assert clip["source"] / 1e12 == pytest.approx(0.162 + 0.162 + 0.273, abs=0.005)  # DINOv2, the tower, the VAE
    alone = recipe.sampling.model_copy(update={"w_c": 1.0, "w_f": 1.0})
    once, single = counted(pipeline, recipe, alone)
    source = once["source"] - 0.273e12  # the public code encodes no latent of it
    plain = 3 * (single["steps"] + 20 * once["keys and values"]) + frame["conditions"] + frame["decoder"] + source
    assert plain / sum(frame.values()) == pytest.approx(1.6, abs=0.05)


def test_presets_cost_less_the_faster_they_are(full):
    pipeline, recipe = full
    costs = {
        name: tera(counted(pipeline, recipe, recipe.sampling.model_copy(update=preset_settings(name, 20)))[1])
        for name in PRESETS
    }
    assert costs["exact"] / costs["balanced"] > 2.6
    assert costs["balanced"] / costs["fast"] > 1.9
    assert costs["exact"] / costs["fast"] > 5


def test_every_network_is_called_as_often_as_its_input_changes():
    """Counted in a rendering: the source's once a clip, the pose's once a micro-batch, the denoiser in every step."""
    pipeline = randomised(build_pipeline(tiny_recipe()))
    calls: Counter[str] = Counter()
    watched = {
        "source encoder": pipeline.source_encoder,
        "tower": pipeline.fusion.tower,
        "pose": pipeline.conditions.providers["pose_map"],
        "source tokens": pipeline.conditions.providers["source_tokens"],
        "fusion": pipeline.conditions.providers["fusion_vector"],
        "denoiser": pipeline.unet,
    }
    layers = [layer for name, layer in pipeline.unet.named_modules() if name.endswith("attn2")]
    watched |= {f"keys {number}": layer.to_k for number, layer in enumerate(layers)}
    for name, network in watched.items():
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
    sampling = SamplingSettings(micro_batch=SIZE, steps=STEPS, w_c=2.0, w_f=2.0)
    poses, warps = torch.rand(SIZE * BATCHES, 9, 32, 32), torch.rand(SIZE * BATCHES, 6, 32, 32)
    pipeline(torch.zeros(1, 3, 32, 32), poses, torch.rand(1, 3, 32, 32), warps, sampling=sampling)
    assert len(layers) > 1
    once = ["source encoder", "source tokens", *(f"keys {number}" for number in range(len(layers)))]
    assert {name: calls[name] for name in once} == dict.fromkeys(once, 1)
    assert calls["tower"] == 1 + BATCHES
    assert calls["pose"] == calls["fusion"] == BATCHES
    assert calls["denoiser"] == BATCHES * STEPS
