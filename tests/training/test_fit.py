"""Recipes made to fit a device: same samples in a step, no more than is needed, and what it says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from signgen.config import Recipe, load_recipe
from signgen.errors import OptionError, RecipeError
from signgen.training import fit as fitting
from signgen.training.cost import StageCost, stage_costs
from signgen.training.fit import GIB, USABLE, as_overrides, fit, parse_memory
from signgen.training.run import TrainingRun
from tests.line import Command, Line
from tests.tiny import set_options


@pytest.fixture(scope="module")
def counted() -> dict[str, StageCost]:
    return stage_costs(load_recipe("phoenix-256"))


@pytest.fixture
def phoenix(counted: dict[str, StageCost], monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setattr(fitting, "stage_costs", lambda recipe: counted)
    return load_recipe("phoenix-256")


def expected(recipe: Recipe, counted: dict[str, StageCost], stage: str, processes: int = 1) -> float:
    settings = getattr(recipe.training, stage)
    return sum(counted[stage].memory("bf16", settings, processes).values()) / GIB


def test_a_device_that_is_large_enough_changes_nothing(phoenix: Recipe) -> None:
    found, lines = fit(phoenix, 80 * GIB)
    assert found == phoenix
    assert lines == ["stage fusion: 46.0 GiB expected of 80.0", "stage diffusion: 26.3 GiB expected of 80.0"]


@pytest.mark.parametrize("memory", [40, 24, 16, 12])
def test_what_is_expected_fits_and_a_step_keeps_its_samples(phoenix: Recipe, counted: dict, memory: int) -> None:
    found, _ = fit(phoenix, memory * GIB)
    for stage in ("fusion", "diffusion"):
        assert expected(found, counted, stage) <= memory * USABLE
        before, after = (getattr(recipe.training, stage) for recipe in (phoenix, found))
        assert after.batch_size * after.accumulation == before.batch_size * before.accumulation
    assert found.training.fusion.batch_size == 48  # part of the objective


def test_no_more_is_done_than_is_needed(phoenix: Recipe) -> None:
    diffusion = fit(phoenix, 24 * GIB)[0].training.diffusion
    assert (diffusion.ema_on_cpu, diffusion.gradient_checkpointing, diffusion.optimizer) == (True, False, "adamw")
    found, lines = fit(phoenix, 12 * GIB)
    diffusion = found.training.diffusion
    assert (diffusion.ema_on_cpu, diffusion.gradient_checkpointing, diffusion.optimizer) == (True, True, "adamw8bit")
    assert "the average on the CPU, frozen networks on the CPU between validations" in lines[1]
    assert "9 micro-batches of 14 in place of 7 of 18; 10.9 GiB expected of 12.0" in lines[1]


def test_smaller_micro_batches_alone(phoenix: Recipe) -> None:
    found, _ = fit(phoenix, 60 * GIB, measures=False)
    assert found == phoenix
    with pytest.raises(RecipeError, match=r"stage fusion takes 46\.0 GiB at least; expected 36\.8 GiB"):
        fit(phoenix, 40 * GIB, measures=False)


def test_processes_share_and_exchange(phoenix: Recipe, counted: dict[str, StageCost]) -> None:
    found, _ = fit(phoenix, 24 * GIB, processes=7)
    assert found.training.diffusion.batch_size % 7 == 0
    assert expected(found, counted, "diffusion", 7) <= 24 * USABLE
    assert counted["diffusion"].memory("bf16", None, 2)["exchange"] == 4 * 870_147_988


def test_what_cannot_fit_is_one_line(phoenix: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"GiB at least; expected 7\.4 GiB, what can be used of 8\.0"):
        fit(phoenix, 8 * GIB)


def test_overrides_are_what_was_changed(phoenix: Recipe) -> None:
    found, _ = fit(phoenix, 12 * GIB)
    assert load_recipe("phoenix-256", as_overrides(phoenix, found)) == found


def test_memory_is_read_in_words() -> None:
    assert parse_memory("24GB") == parse_memory(" 24 gib ") == parse_memory("24g") == 24 * GIB
    for wrong in ("24", "GB", "0GB", "24MB"):
        with pytest.raises(OptionError, match="as in 24GB"):
            parse_memory(wrong)


def test_the_command(line: Line, command: Command, tmp_path: Path) -> None:
    words = ("train", line.pairs, "--config", "nano", *set_options(), "--device", "cpu")
    out = command.works(*words, "--dry-run", "--fit", "1GB")
    assert "to fit: stage diffusion:" in out
    out = command.works(*words, "--fit", "1GB", "--out", tmp_path / "run")
    assert "fit: stage fusion: 0.0 GiB expected of 1.0" in out
    out = command.works(*words, "--fit", "1GB", "--out", tmp_path / "run", "--resume")  # the same command goes on
    assert "resumed:" not in out
    assert "at least" in command.refuses(*words, "--fit", "0.0001GB", "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


class Device:
    """What a TrainingRun chooses its micro-batches by: a device with so much free memory, and no other."""

    def __init__(self, kind: str, free: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.accelerator = SimpleNamespace(device=torch.device(kind), num_processes=1)
        self.request = SimpleNamespace(lora=None)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * GIB), int(80 * GIB)))

    def fit(self, recipe: Recipe) -> tuple[Recipe, list[str]]:
        return TrainingRun._fit_batches(self, recipe)  # type: ignore[arg-type]


def test_a_run_takes_micro_batches_that_the_free_memory_of_its_gpu_has_room_for(
    phoenix: Recipe, counted: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "stage_costs", lambda recipe: {"diffusion": counted["diffusion"]})
    for free in (32, 26):
        found, lines = Device("cuda", free, monkeypatch).fit(phoenix)
        before, after = (each.training.diffusion for each in (phoenix, found))
        assert after.batch_size * after.accumulation == before.batch_size * before.accumulation
        assert expected(found, counted, "diffusion") <= free * USABLE
        assert (after.batch_size < before.batch_size) == (free == 26) == bool(lines)
        assert after.ema_on_cpu == before.ema_on_cpu  # nothing but micro-batches


def test_what_is_only_counted_is_said_and_tried_and_a_cpu_has_no_such_limit(
    phoenix: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, lines = Device("cuda", 20, monkeypatch).fit(phoenix)
    assert found == phoenix
    assert lines == ["stage fusion takes 46.0 GiB at least by count, 20.0 are free: add --fit if memory runs out"]
    assert Device("cpu", 1, monkeypatch).fit(phoenix) == (phoenix, [])
