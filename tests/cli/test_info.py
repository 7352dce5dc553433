"""`signgen info`: what a model weighs and what a frame of it costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.evaluation.info import InfoRequest, model_info
from signgen.models.card import load_model
from signgen.models.cost import cost_of
from tests.line import Command, Line


def test_parameters_are_those_of_the_files(line: Line, command: Command) -> None:
    from safetensors.torch import load_file

    told = command.works("info", line.model)
    found = model_info(InfoRequest(line.model))
    for part in ("unet", "source_encoder", "conditions"):
        saved = load_file(next((line.model / part).glob("*.safetensors")))
        assert found.cost.parameters[part] == sum(tensor.numel() for tensor in saved.values())
        assert f"{found.cost.parameters[part]:,}" in told
    assert f"{sum(found.cost.parameters.values()):,}" in told
    assert "ms a frame (cpu, 1 threads, fp32, 2 frames at once)" in told
    assert found.cost.milliseconds > 0


def test_steps_and_guidance_branches_cost_in_proportion(line: Line) -> None:
    def steps_of(**changes: float) -> tuple[int, int]:
        pipeline, card = load_model(line.model)
        cost = cost_of(pipeline, card.parsed_recipe(), card.sampling(**changes))
        return cost.frame["steps"], cost.branches

    once, alone = steps_of(steps=1, w_c=1.0, w_f=1.0)
    assert alone == 1
    assert steps_of(steps=4, w_c=1.0, w_f=1.0)[0] == 4 * once
    guided, branches = steps_of(steps=1, w_c=2.0, w_f=2.0)
    assert branches > 1
    assert guided == pytest.approx(branches * once, rel=0.01)


def test_attention_is_counted(line: Line) -> None:
    """On a CPU torch's counter takes it for nothing; on the meta device it is in."""
    pipeline, card = load_model(line.model)
    recipe, sampling = card.parsed_recipe(), card.sampling(steps=1, micro_batch=1, w_c=1.0, w_f=1.0)
    image = torch.zeros(1, 3, recipe.canvas.height, recipe.canvas.width)
    poses = torch.zeros(1, 3 * (1 + 2 * recipe.pose_window), *image.shape[2:])
    warp = torch.zeros(1, 6, *image.shape[2:]) if recipe.part_warp else None
    with FlopCounterMode(display=False) as on_cpu, torch.no_grad():
        pipeline(image, poses, part_warp=warp, sampling=sampling)
    cost = cost_of(pipeline, recipe, sampling)
    assert sum(cost.frame.values()) > 0
    assert sum(cost.frame.values()) + sum(cost.clip.values()) > on_cpu.get_total_flops()
    assert all(parameter.is_meta for parameter in pipeline.unet.parameters())


def test_what_is_no_model_is_one_line(command: Command, tmp_path: Path) -> None:
    assert "no such model folder" in command.refuses("info", tmp_path / "none")
