"""What training costs, counted: against the paper's sizes, formulas, and what a CPU measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import load_recipe
from signgen.models.build import build_pipeline
from signgen.training.cost import StageCost, meta_pipeline, stage_costs
from signgen.training.dry_run import DryRun, in_words
from signgen.training.features import plan_features
from tests.line import Command, Line
from tests.tiny import set_options, tiny_recipe


@pytest.fixture(scope="module")
def phoenix() -> dict[str, StageCost]:
    return stage_costs(load_recipe("phoenix-256"))


def test_phoenix_256(phoenix: dict[str, StageCost]) -> None:
    fusion, diffusion = phoenix["fusion"], phoenix["diffusion"]
    assert diffusion.trained["unet"] == 866_648_004
    assert sum(diffusion.frozen.values()) == pytest.approx(696e6, rel=0.01)
    # three times a pass forwards, of .192 TFLOP, and the pose's convolutions (spec of performance: 567 G for the UNet)
    assert 567e9 < diffusion.flops["trained"] < 600e9
    assert diffusion.flops["image_space: target"] == pytest.approx(273e9, rel=0.01)
    for work in ("source_encoder", "fusion: source", "fusion: pose"):
        assert diffusion.flops[work] == pytest.approx(162e9, rel=0.01)
    assert diffusion.cached == {name: value for name, value in diffusion.flops.items() if name != "trained"}
    assert "image_space: source" not in diffusion.flops  # nothing reads it
    assert fusion.flops == {"trained": pytest.approx(9 * 162e9, rel=0.01)}  # three images, forwards and backwards


def test_memory_is_the_sum_of_its_parts(phoenix: dict[str, StageCost]) -> None:
    cost = phoenix["diffusion"]
    memory = cost.memory("bf16")
    half = cost.settings.model_copy(update={"batch_size": 9})
    trained = 870_147_988
    assert memory["weights"] == memory["gradients"] == memory["average"] == 4 * trained
    assert memory["Adam"] == 8 * trained
    assert memory["activations"] == pytest.approx(2 * cost.memory("bf16", half)["activations"], abs=2)
    assert 2 * memory["activations"] == pytest.approx(cost.memory("fp32")["activations"], abs=2)
    assert 24 < sum(memory.values()) / 2**30 < 31


def test_recipes_for_other_data(phoenix: dict[str, StageCost]) -> None:
    for name in ("phoenix-256-warp", "deepfashion-256", "deepfashion-512", "market-128", "signer-256", "signer-512"):
        recipe = load_recipe(name)
        settings = recipe.training.diffusion
        assert settings.batch_size * settings.accumulation == 126, name
        assert recipe.diffusion.timestep_spacing == "trailing"
        assert recipe.licence


def test_flops_on_the_meta_device_are_those_of_a_cpu() -> None:
    """But for attention, which torch's counter takes for nothing on a CPU: a network without it."""
    blocks = {"down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2, "mid_block_type": None}
    plain = [f"unet.config.{name}={json.dumps(value)}" for name, value in blocks.items()]
    recipe = tiny_recipe(*plain, "fusion.enabled=false")
    unet = build_pipeline(recipe).unet
    noisy = torch.zeros(1, unet.config.in_channels, 8, 8)
    with FlopCounterMode(display=False) as counter:
        unet(noisy, 0, torch.zeros(1, 1, 16)).sample.sum().backward()
    on_meta = meta_pipeline(recipe).unet
    with torch.device("meta"), FlopCounterMode(display=False) as counted:
        on_meta(noisy.to("meta"), 0, torch.zeros(1, 1, 16)).sample.sum().backward()
    assert counted.get_total_flops() == counter.get_total_flops() > 0


def test_sizes_of_features_at_full_size() -> None:
    recipe = load_recipe("phoenix-256", ("training.diffusion.augmentation.half_source=0",))
    import numpy as np

    from signgen.pairs.triples import TRIPLE

    triples = np.array([(clip, 2 * n, 2 * n + 1) for clip in range(10) for n in range(7)], TRIPLE)
    plan = plan_features(recipe, meta_pipeline(recipe), triples, 1 << 40)
    sizes = {kind.name: kind.nbytes // len(kind.frames) for kind in plan.kinds}
    assert sizes == {"latent": 8192, "embedding": 1536, "pose": 1536, "tokens": 526_336}
    counts = {kind.name: len(kind.frames) for kind in plan.kinds}
    assert counts == {"latent": 140, "embedding": 140, "pose": 8 * 140, "tokens": 140}  # identity pairs: all are both


def test_in_words(phoenix: dict[str, StageCost]) -> None:
    found = DryRun(load_recipe("phoenix-256"), phoenix, None, "bf16", memory=24 << 30)
    said = "\n".join(in_words(found, throughput=100.0))
    assert "100,000 steps of 126 samples (7 x 18), 12,600,000 samples" in said
    assert "35.0 hours at 100 samples a second" in said
    assert said.count("more than this device's 24.0 GiB") == 2
    assert said.endswith("features: none are kept")


def test_the_command_writes_nothing(line: Line, command: Command, tmp_path: Path) -> None:
    before = sorted(line.pairs.rglob("*"))
    out = command.works("train", line.pairs, "--dry-run", *set_options(), "--throughput", "2", "--device", "cpu")
    assert "stage fusion: 6 steps of 4 samples (1 x 4), 24 samples" in out
    assert "0.0 hours at 2 samples a second" in out
    assert sorted(line.pairs.rglob("*")) == before
    assert "no --out" in command.refuses("train", line.pairs, *set_options())
