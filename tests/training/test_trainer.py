"""The trainer with a stage of its own: named optimisers, extra losses, state; on an accelerator, no pair set."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils.data import Dataset, default_collate

from signgen.config import StageSettings
from signgen.errors import Interrupted, RecipeError
from signgen.progress import Bar
from signgen.training.data.batches import Sample, StepBatches
from signgen.training.loop import Plan, Trainer
from signgen.training.stages import Stage, adamw, sample_generators, stages_of
from tests.tiny import tiny_recipe

SETTINGS = StageSettings(
    steps=12, batch_size=4, accumulation=2, learning_rate=0.01, warmup=4, decay="linear", ema=0.9, validations=2
)


class Points(Dataset):
    """A line with noise: as much of TripleDataset as the trainer asks for."""

    order_by = 20

    def __getitem__(self, sample: Sample) -> dict[str, torch.Tensor]:
        x = torch.tensor([sample.row / 10 - 1])
        return {"x": x, "y": 2 * x + 1, "epoch": torch.tensor(sample.epoch), "index": torch.tensor(sample.row)}


class Line(nn.Module):
    """y = slope x + offset, and an auxiliary loss on the offset."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.offset = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        error = self.slope * batch["x"] + self.offset - batch["y"] + 0.01 * batch["noise"]
        return {"loss": error.square().mean(), "shrink": self.offset.square().mean(), "bias": error.mean().detach()}


class LineStage(Stage):
    """Slope and offset have optimisers of their own."""

    name, settings = "line", SETTINGS

    def __init__(self) -> None:
        self.module = Line()

    @property
    def extra_losses(self) -> dict[str, float]:
        return {"shrink": 0.5}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "main": adamw(self.settings, [self.module.slope]),
            "offset": torch.optim.SGD([self.module.offset], lr=0.1),
        }

    def sample_noise(self, batch: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
        noise = [torch.randn(1, generator=each) for each in sample_generators(self.name, batch, seed)]
        return {**batch, "noise": torch.stack(noise)}

    def validate(self, samples: Path, step: int) -> dict[str, float]:
        return {"slope": self.module.slope.item()}


class Watched(Bar):
    """Remembers, and may press Ctrl-C at a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[tuple[int, int | None, str]] = []
        self.stop_at = stop_at

    def update(self, completed: int, total: int | None = None, note: str = "") -> None:
        self.seen.append((completed, total, note))
        if completed == self.stop_at:
            import signal

            signal.raise_signal(signal.SIGINT)


def train(run: Path, stage: Stage, bar: Bar | None = None) -> Trainer:
    split = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=True, mixed_precision="no", dataloader_config=split)
    data: Any = Points()
    trainer = Trainer(stage, data, Plan(stage.settings.steps), run, accelerator, seed=3)
    trainer.resume()
    trainer.train(bar or Bar())
    return trainer


class Clock:
    """Goes on by some seconds each time it is read."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def monotonic(self) -> float:
        self.now += self.seconds
        return self.now


def timed(run: Path, seconds: float, clock: Clock, monkeypatch: pytest.MonkeyPatch, bar: Bar | None = None) -> Trainer:
    monkeypatch.setattr("signgen.training.loop.time", clock)
    split = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=True, mixed_precision="no", dataloader_config=split)
    data: Any = Points()
    trainer = Trainer(LineStage(), data, Plan(None, seconds=seconds, save_every=1e9), run, accelerator, seed=3)
    trainer.resume()
    trainer.train(bar or Bar())
    return trainer


def test_time_ends_a_stage_and_the_decay_follows_the_clock(tmp_path, monkeypatch):
    bar = Watched()
    trainer = timed(tmp_path, 100.0, Clock(1.0), monkeypatch, bar)
    assert trainer.at.step == trainer.at.steps == bar.seen[-1][0]
    assert 90 <= trainer.at.seconds <= 101
    rates = [float(row["learning_rate"]) for row in rows(tmp_path, "train")]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.05 * 0.01
    assert len(rows(tmp_path, "validation")) == 2
    assert abs((bar.seen[len(bar.seen) // 2][1] or 0) - trainer.at.step) < 5  # what the bar expects half-way


def test_a_machine_that_slows_down_makes_fewer_steps_in_the_same_time(tmp_path, monkeypatch):
    class Slowing(Clock):
        def monotonic(self) -> float:
            self.seconds *= 1.02
            return super().monotonic()

    trainer = timed(tmp_path, 100.0, Slowing(0.5), monkeypatch)
    assert 80 < trainer.at.seconds < 108


def test_an_interrupted_stage_has_the_time_that_is_left(tmp_path, monkeypatch):
    with pytest.raises(Interrupted):
        timed(tmp_path, 100.0, Clock(1.0), monkeypatch, Watched(stop_at=5))
    trainer = timed(tmp_path, 100.0, Clock(1.0), monkeypatch)
    assert 90 <= trainer.at.seconds <= 101
    again = timed(tmp_path, 100.0, Clock(1.0), monkeypatch)
    assert again.at == trainer.at  # it is over


def rows(run: Path, kind: str) -> list[dict[str, str]]:
    with (run / "logs" / f"line-{kind}.csv").open() as handle:
        return list(csv.DictReader(handle))


def test_named_optimisers_and_an_extra_loss_against_the_same_written_out(tmp_path):
    ours = LineStage()
    ours.settings = SETTINGS.model_copy(update={"ema": None})
    train(tmp_path, ours)

    plain, data = Line(), Points()
    main = torch.optim.AdamW([plain.slope], weight_decay=SETTINGS.weight_decay)
    offset = torch.optim.SGD([plain.offset])
    for step in range(12):
        factor = (step + 1) / 4 if step < 4 else 1 - (step - 4) / 8
        main.param_groups[0]["lr"], offset.param_groups[0]["lr"] = 0.01 * factor, 0.1 * factor
        for micro in (2 * step, 2 * step + 1):
            batch = ours.sample_noise(default_collate([data[sample] for sample in samples(micro)]), 3)
            found = plain(batch)
            ((found["loss"] + 0.5 * found["shrink"]) / 2).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), SETTINGS.clip_norm)
        for each in (main, offset):
            each.step()
            each.zero_grad()
    assert plain.slope.abs() > 0.01
    assert all(map(torch.allclose, ours.module.parameters(), plain.parameters()))


def samples(step: int) -> list[Sample]:
    return next(iter(StepBatches(20, 4, 3, step, step + 1)))


def test_everything_is_logged_under_its_name(tmp_path):
    bar = Watched()
    train(tmp_path, LineStage(), bar)
    first, last = rows(tmp_path, "train")
    columns = ["step", "loss", "shrink", "bias", "learning_rate", "learning_rate_offset", "gradient_norm"]
    assert list(first) == columns
    assert (first["step"], last["step"]) == ("10", "12")
    assert float(last["learning_rate_offset"]) == pytest.approx(10 * float(last["learning_rate"]))
    assert [row["step"] for row in rows(tmp_path, "validation")] == ["6", "12"]
    assert [(done, total) for done, total, _ in bar.seen] == [(step, 12) for step in range(1, 13)]
    assert bar.seen[0][2].startswith("loss ")


def test_an_interrupted_stage_resumes_to_the_same_weights(tmp_path):
    whole = LineStage()
    train(tmp_path / "whole", whole)
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", LineStage(), Watched(stop_at=5))
    state = tmp_path / "cut" / "state" / "line" / "00000006"
    files = {"weights.pt", "optimizer.pt", "optimizer-offset.pt", "ema.pt", "progress.json"}
    assert {path.name for path in state.iterdir()} == files
    cut = LineStage()
    train(tmp_path / "cut", cut)
    assert all(map(torch.equal, whole.module.parameters(), cut.module.parameters()))


def test_a_state_that_version_0_1_wrote_goes_on(tmp_path):
    """0.1 wrote optimizer.pt of one AdamW over all parameters, and no group but its own keys."""

    class One(LineStage):
        def optimizers(self) -> dict[str, torch.optim.Optimizer]:
            return Stage.optimizers(self)

    with pytest.raises(Interrupted):
        train(tmp_path, One(), Watched(stop_at=5))
    state = tmp_path / "state" / "line"
    for path in (state / "00000006").iterdir():  # they lay one folder higher, and had no sums
        path.rename(state / path.name)
    (state / "00000006").rmdir()
    (state / "progress.json").write_text('{"step": 6, "steps": 12}')
    assert {path.name for path in state.iterdir()} == {"weights.pt", "optimizer.pt", "ema.pt", "progress.json"}
    kept = torch.load(state / "optimizer.pt", weights_only=True)
    plain = torch.optim.AdamW(Line().parameters(), lr=0.01, weight_decay=0.01, fused=True).state_dict()
    assert kept.keys() == plain.keys()
    assert kept["param_groups"][0].keys() == plain["param_groups"][0].keys()
    trainer = train(tmp_path, One())
    assert trainer.at.step == 12
    assert trainer.optimizers["main"].param_groups[0]["lr"] == pytest.approx(0.01 / 8)


@pytest.mark.parametrize("held", [["slope"], ["slope", "offset", "offset"]])
def test_optimisers_hold_every_parameter_once(tmp_path, held):
    class Wrong(LineStage):
        def optimizers(self) -> dict[str, torch.optim.Optimizer]:
            named = enumerate(getattr(self.module, name) for name in held)
            return {f"number{i}": torch.optim.SGD([p], lr=0.1) for i, p in named}

    with pytest.raises(ValueError, match="hold every trainable parameter"):
        train(tmp_path, Wrong())


def test_loss_scaling_is_for_one_optimiser(tmp_path):
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu")  # as fp16 on a GPU has one
    data: Any = Points()
    with pytest.raises(RecipeError, match=r"fp16 in stage line.*main, offset; expected .* bf16"):
        Trainer(LineStage(), data, Plan(1), tmp_path, accelerator, seed=0)


@pytest.fixture
def other_precision():
    """accelerate has one precision a process; what follows starts afresh."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


def test_loss_scaling_skips_steps_that_overflow_and_the_average_with_them(tmp_path, other_precision):
    """As fp16 on a GPU: the first scales are too large, are lowered, and are resumed with."""

    class One(LineStage):
        def optimizers(self) -> dict[str, torch.optim.Optimizer]:
            return {"main": torch.optim.SGD(self.module.parameters(), lr=0.01)}

    def scaled(run: Path, stop_at: int | None = None) -> Trainer:
        accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(split_batches=True))
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1000)
        # accelerate refuses fp16 on CPUs, where it is of no use; what it does then is what is tested.
        accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
        data: Any = Points()
        stage = One()
        stage.settings = SETTINGS.model_copy(update={"accumulation": 1})
        trainer = Trainer(stage, data, Plan(12), run, accelerator, seed=3)
        trainer.resume()
        trainer.train(Watched(stop_at))
        return trainer

    whole = scaled(tmp_path / "whole")
    scale = whole.accelerator.scaler.get_scale()
    skipped = round(math.log2(2.0**127 / scale))
    assert 0 < skipped < 10
    assert whole.ema is not None
    assert whole.ema.optimization_step == 12 - skipped
    assert all(torch.isfinite(parameter).all() for parameter in whole.parameters)
    with pytest.raises(Interrupted):
        scaled(tmp_path / "cut", stop_at=skipped + 2)
    cut = scaled(tmp_path / "cut")
    assert cut.accelerator.scaler.get_scale() == scale
    assert all(map(torch.equal, cut.parameters, whole.parameters))


def test_the_stages_of_a_recipe():
    assert list(stages_of(tiny_recipe())) == ["fusion", "diffusion"]
    recipe = tiny_recipe("fusion.enabled=false")
    assert stages_of(recipe) == {"diffusion": recipe.training.diffusion}
