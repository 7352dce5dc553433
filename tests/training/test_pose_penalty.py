"""The pose penalty in training: which samples it is of, what it teaches, and that its network is named and no judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from signgen.config import PosePenalty, load_recipe
from signgen.errors import RecipeError
from signgen.models.build import build_pipeline
from signgen.models.card import load_model
from signgen.models.pose_field import PoseField
from signgen.models.posenet import PoseNet
from signgen.models.variance import clean_estimate
from signgen.training.diffusion import diffusion_module
from signgen.training.pose_penalty import PenaltyOf
from signgen.training.run import TrainRequest, train
from tests.line import Line
from tests.models.test_aligned_tokens import batch_of, moving, repose
from tests.models.test_pose_guidance import keypoints, network
from tests.tiny import TINY


def penalty(literal: bool = False, **settings) -> tuple[PenaltyOf, torch.Tensor]:
    """Of four samples, of which the last two are at low time steps."""
    torch.manual_seed(0)
    pipeline = moving(build_pipeline(load_recipe("nano-repose", repose())))
    output, noisy = (0.3 * torch.randn(4, 48, 8, 8) for _ in range(2))
    output.requires_grad_()
    chosen = PosePenalty(weight=0.5, network="n", below=0.3, literal=literal, **settings)
    timestep = torch.tensor([999, 400, 250, 10])
    return PenaltyOf(pipeline, network(), chosen, output, noisy, timestep, None), keypoints(4)


def test_it_is_alpha_bar_times_the_field_of_what_is_decoded_at_low_time_steps():
    found, points = penalty()
    loss = found.loss(points)
    wanted = torch.zeros(())
    for row in (2, 3):
        one = slice(row, row + 1)
        parts = (each[one] for each in (found.output, found.noisy, found.timestep))
        scheduler = found.pipeline.scheduler
        image = found.pipeline.space.decode(clean_estimate(scheduler, *parts))
        alpha = scheduler.alphas_cumprod[found.timestep[row]]
        wanted = wanted + alpha * PoseField.of(found.judge, points[one], (32, 32))(image)[0]
    assert float(loss) == pytest.approx(float(wanted) / 4, rel=1e-5)
    loss.backward()
    gradient = found.output.grad.abs().sum((1, 2, 3))
    assert (gradient > 0).tolist() == [False, False, True, True]


def test_a_step_along_its_gradient_lowers_it():
    found, points = penalty()
    loss = found.loss(points)
    (gradient,) = torch.autograd.grad(loss, found.output)
    lower = PenaltyOf(**{**vars(found), "output": found.output - 10 * gradient})
    assert lower.loss(points) < loss


def test_nothing_is_counted_above_the_time_steps():
    found, points = penalty()
    high = PenaltyOf(**{**vars(found), "timestep": torch.full((4,), 999)})
    assert high.loss(points) == 0
    assert not high.literal(points).any()


def test_the_literal_reading_adds_a_detached_gradient_inside_of_the_loss():
    found, points = penalty(literal=True)
    added = found.literal(points)
    assert not added.requires_grad
    assert added.abs().sum((1, 2, 3)).bool().tolist() == [False, False, True, True]
    module = diffusion_module(
        load_recipe("nano-repose", repose(*penalised("net", literal="true"))), found.pipeline, network()
    )
    batch = batch_of(4) | {"timestep": found.timestep, "target_points": points}
    assert "pose" not in module(batch)
    plain = diffusion_module(load_recipe("nano-repose", repose()), found.pipeline)
    assert module(batch)["loss"] != plain(batch)["loss"]


def penalised(path: object, **more: str) -> tuple[str, ...]:
    values = {"weight": "0.1", "network": json.dumps(str(path)), "below": "0.9", **more}
    return tuple(f"diffusion.pose_penalty.{name}={value}" for name, value in values.items())


def test_a_run_is_taught_by_it_and_its_card_says_by_which(line: Line, tmp_path: Path):
    saved = write_network(tmp_path / "net")
    overrides = (*TINY, *penalised(tmp_path / "net"), "training.diffusion.steps=3", "training.fusion.steps=2")
    train(TrainRequest(line.pairs, tmp_path / "run", "nano", overrides, device="cpu", threads=1))
    _, card = load_model(tmp_path / "run" / "model")
    assert card.pose_networks == (saved.digest,)
    assert card.recipe["diffusion"]["pose_penalty"]["network"] == saved.digest  # and not where it lies
    columns = (tmp_path / "run" / "logs" / "diffusion-train.csv").read_text().splitlines()[0].split(",")
    assert "pose" in columns


def write_network(folder: Path) -> PoseNet:
    """A pose network as train-posenet writes it."""
    from signgen.models.posenet_card import PoseNetCard, save_posenet

    made = network()
    card = PoseNetCard(
        made.digest, made.joints, dict(made.config["canvas"]), {}, "", {"fingerprint": "x"}, 0, 0, {}, 0, 0, 0, ""
    )
    save_posenet(made, card, folder)
    return made


def test_a_penalty_without_a_network_is_one_line():
    with pytest.raises(RecipeError, match="pose_penalty needs a network"):
        load_recipe("nano", (*TINY, "diffusion.pose_penalty.weight=1"))
