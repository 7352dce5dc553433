"""Two processes over gloo: they decide together, and what they compute is what one process computes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from signgen.progress import Bar
from signgen.training.checkpoints import Checkpoints
from signgen.training.run import TrainRequest, train
from tests.line import Line, start, wait_for
from tests.tiny import set_options
from tests.training import group_work
from tests.training.test_loop import weights

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def in_two(*words: Path) -> None:
    """Run group_work in two processes over gloo."""
    done = subprocess.run(
        [*TORCHRUN, "-m", "tests.training.group_work", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What both processes of a group found."""
    out = tmp_path_factory.mktemp("two")
    in_two(out)
    return out, [torch.load(out / f"{process}.pt", weights_only=True) for process in range(2)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("one")
    group_work.work(out)
    return torch.load(out / "0.pt", weights_only=True)


def test_saving_at_almost_every_step_ends_and_gives_what_one_process_gives(two, one):
    out, found = two
    assert [each["processes"] for each in found] == [2, 2]
    for each in found:
        for name, value in one["line"].items():
            assert value.abs() > 0.01
            assert torch.allclose(each["line"][name], value, atol=1e-6), name
    assert Checkpoints(out / "line", "line").steps()[-1] == group_work.STEPS


def test_a_sigterm_of_one_stops_both_after_the_same_step(two):
    out, found = two
    for each in found:
        kind, step, line, code = each["stopped"]
        assert (kind, code) == ("Terminated", 143)
        assert step == group_work.STOPPED_AT + 1  # the step after the one in which it came
        assert "--resume" in line
    assert Checkpoints(out / "stopped", "line").steps() == [group_work.STOPPED_AT + 1]


def test_a_loss_that_is_not_finite_in_one_stops_both_before_a_weight_is_changed(two, one):
    out, found = two
    for each in (*found, one):
        kind, step, line, code = each["broken"]
        assert (kind, step, code) == ("ModelError", group_work.BROKEN_AT, 2)
        assert "training.line.learning_rate" in line
        assert all(torch.isfinite(value).all() for value in each["broken weights"].values())
    for name, value in one["broken weights"].items():
        assert torch.allclose(found[0]["broken weights"][name], value, atol=1e-6)
    assert Checkpoints(out / "broken", "line").steps() == []


def test_in_batch_negatives_are_those_of_the_joined_batch(two, one):
    _, found = two
    for each in found:
        assert each["contrast"]["loss"].item() == pytest.approx(one["contrast"]["loss"].item(), abs=1e-5)
        for name, gradient in one["contrast"]["gradients"].items():
            assert torch.allclose(each["contrast"]["gradients"][name], gradient, atol=1e-5), name
    assert max(gradient.abs().max() for gradient in one["contrast"]["gradients"].values()) > 0.01


@pytest.mark.slow
def test_a_thousand_steps_with_a_save_every_half_second_give_the_model_of_one_process(line: Line, tmp_path: Path):
    """A small learning rate: each step's rounding differs between one process and two, and Adam makes much of it."""
    recipe = set_options(
        *(
            "training.save_every=0.5",
            "training.checkpoints=1000",
            "fusion.dropout=0",
            "training.fusion.steps=500",
            "training.diffusion.steps=500",
        ),
        *("training.fusion.learning_rate=1e-5", "training.diffusion.learning_rate=1e-5"),
    )
    words = ["train", line.pairs, "--config", "nano", "--device", "cpu", *recipe]
    for name, command in (("two", TORCHRUN), ("one", (sys.executable,))):
        done = subprocess.run(
            [*command, "-m", "signgen", *map(str, words), "--out", str(tmp_path / name)],
            cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    for place in ("fusion", "model"):
        two, one = (by_name(tmp_path / name / place) for name in ("two", "one"))
        assert max((two[name] - one[name]).abs().max() for name in one) < 1e-4
    saved = [Checkpoints(tmp_path / "two", stage).steps() for stage in ("fusion", "diffusion")]
    assert min(map(len, saved)) >= 10, saved


def test_shards_give_what_whole_tensors_give_and_go_on_from_what_they_saved(two, one, tmp_path):
    out, found = two
    for each in found:
        assert each["shards"]["kinds"] == ["DTensor", "DTensor"]
        assert each["shards"][f"from {group_work.STEPS}"] == group_work.STEPS * 2 // 3
    line = group_work.stage_of()
    line.settings = line.settings.model_copy(update={"decay": "constant"})
    plain = group_work.trainer(line, tmp_path, save_every=1000.0)
    plain.train(Bar())
    for name, value in line.module.state_dict().items():
        assert torch.allclose(found[0]["shards"]["weights"][name], value, atol=1e-6), name
    states = [Checkpoints(folder, "line") for folder in (out / "shards", tmp_path)]
    assert [each.steps()[-1] for each in states] == [group_work.STEPS] * 2
    for name in ("optimizer.pt", "optimizer-offset.pt", "ema.pt"):
        ours, theirs = (torch.load(each.of(group_work.STEPS) / name, weights_only=True) for each in states)
        assert alike(ours, theirs), name


def by_name(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a model folder."""
    return {name.removeprefix(str(folder)): value for name, value in weights(folder).items()}


def alike(first: Any, second: Any) -> bool:
    """Whether two states have the same structure and, within 1e-5, the same numbers."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(alike(first[name], second[name]) for name in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, torch.Tensor):
        return type(first) is type(second) and torch.allclose(first, second, atol=1e-5)
    return first == pytest.approx(second) if isinstance(first, float) else first == second


@pytest.mark.slow
def test_a_run_in_shards_writes_the_model_of_one_process_which_goes_on_from_its_state(line: Line, tmp_path: Path):
    pairs = line.pairs
    in_two(pairs, tmp_path / "shards")
    recipe = group_work.SHARDED_RECIPE
    train(TrainRequest(pairs, tmp_path / "one", overrides=recipe, device="cpu"))
    for place in ("fusion", "model"):
        ours, theirs = (by_name(tmp_path / name / place) for name in ("shards", "one"))
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.allclose(ours[name], theirs[name], atol=1e-4), name
    more = [word for word in recipe if "diffusion.steps" not in word]
    for name in ("shards", "one"):
        overrides = (*more, "training.diffusion.steps=8")
        train(TrainRequest(pairs, tmp_path / name, overrides=overrides, resume=True, device="cpu"))
    ours, theirs = (by_name(tmp_path / name / "model") for name in ("shards", "one"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in ours)


@pytest.mark.slow
def test_torchrun_hands_sigterm_on(line: Line, tmp_path: Path):
    """Its agent forwards the signal, waits for the workers, and itself returns 1."""
    steps = set_options("training.diffusion.steps=100000")
    words = ["train", line.pairs, "--config", "nano", "--out", tmp_path / "run", "--device", "cpu", *steps]
    agent = subprocess.Popen(
        [*TORCHRUN, "-m", "signgen", *map(str, words)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    log = tmp_path / "run" / "logs" / "diffusion-train.csv"
    wait_for(lambda: log.exists(), agent)
    agent.send_signal(signal.SIGTERM)
    _, errors = agent.communicate(timeout=120)
    assert agent.returncode == 1
    assert "its state is in" in errors
    step = Checkpoints(tmp_path / "run", "diffusion").steps()[-1]
    assert step >= 10
    again = start(*words, "--resume", "--set", f"training.diffusion.steps={step + 1}")
    assert again.wait(120) == 0, again.communicate()
