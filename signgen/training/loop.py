"""The one training loop: a stage and its triples in, trained weights and a resumable state out.

Beyond the usual loop: every random number is keyed by seed and step, so that a resumed run repeats the steps of one
that was not interrupted; the number of steps may be decided by time; the state is replaced atomically.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from signgen.config import StageSettings
from signgen.errors import Interrupted, ModelError, RecipeError
from signgen.files import disk_full_is_oserror, make_folder, read_json, read_tensors, write_json
from signgen.interrupts import deferred_interrupt
from signgen.progress import Bar
from signgen.training.data.batches import StepBatches
from signgen.training.data.dataset import TripleDataset
from signgen.training.logs import RunLog
from signgen.training.stages import MAIN, Batch, Stage, trainable

TIMED_STEPS = 20
_MOST_STEPS = 1 << 40
SAVE_EVERY_SECONDS = 300.0


@dataclass
class Plan:
    """How long a stage trains. steps None: `seconds` are given, and the first TIMED_STEPS decide."""

    steps: int | None
    seconds: float | None = None


@dataclass
class Progressed:
    """Where a stage stands: `step` optimiser steps are done, of `steps` (None: not yet decided)."""

    step: int = 0
    steps: int | None = None


def schedule(settings: StageSettings, step: int, steps: int | None) -> float:
    """The factor of the learning rates at `step`, in [0, 1]: linear warm-up, then decay to 0 at `steps`.

    While the number of steps is undecided (None) there is no decay.
    """
    if steps is None or step < settings.warmup or settings.decay == "constant":
        return min(1.0, (step + 1) / max(settings.warmup, 1))
    done = (step - settings.warmup) / max(steps - settings.warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * done)) if settings.decay == "cosine" else 1 - done


class OnePassEMA(EMAModel):
    """diffusers' moving average, updated in one pass over memory in place of three."""

    @torch.no_grad()
    def step(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """As EMAModel.step, for parameters that all need gradients."""
        self.optimization_step += 1
        self.cur_decay_value = self.get_decay(self.optimization_step)
        get_ema_multi_avg_fn(self.cur_decay_value)(self.shadow_params, list(parameters), None)


class Trainer:
    """Runs one stage. State folder: `<run>/state/<stage>` (weights, optimisers, EMA, step), replaced atomically."""

    def __init__(
        self, stage: Stage, dataset: TripleDataset, plan: Plan, run: Path, accelerator: Accelerator, seed: int
    ) -> None:
        self.stage, self.settings, self.dataset = stage, stage.settings, dataset
        self.plan, self.run, self.accelerator, self.seed = plan, run, accelerator, seed
        self.parameters = trainable(stage.module)
        optimizers = stage.optimizers()
        _check_parameters(stage.name, optimizers, self.parameters)
        if len(optimizers) > 1 and accelerator.scaler is not None:  # each step would divide all gradients by the scale
            raise RecipeError(
                f"precision fp16 in stage {stage.name}, which has the optimisers {', '.join(optimizers)}",
                expected="training.precision: bf16 or fp32",
            )
        # The highest learning rate of each parameter group; a loaded state brings those of its own step.
        self._rates = {name: [group["lr"] for group in each.param_groups] for name, each in optimizers.items()}
        self.module, *prepared = accelerator.prepare(stage.module, *optimizers.values())
        self.optimizers = dict(zip(optimizers, prepared, strict=True))
        self.ema = self._make_ema()
        self.at = Progressed(steps=plan.steps)
        self.state_folder = run / "state" / stage.name

    def _make_ema(self) -> EMAModel | None:
        decay, power = self.settings.ema, self.settings.ema_power
        return OnePassEMA(self.parameters, decay=decay, use_ema_warmup=True, power=power) if decay else None

    def train(self, bar: Bar, workers: int = 0) -> None:
        """Train to the end, or to Ctrl-C: then the state is saved and Interrupted raised. The EMA is left in place.

        bar: counts optimiser steps. workers: loader processes, 0 for none.
        """
        self.resume()
        log = RunLog(self.run, self.stage.name, self.at.step) if self.accelerator.is_main_process else None
        try:
            with deferred_interrupt() as interrupt:
                self._steps(log, bar, workers, interrupt)
        finally:
            if log:
                log.close()
        if self.ema:
            self.ema.copy_to(self.parameters)

    def _steps(self, log: RunLog | None, bar: Bar, workers: int, interrupt: threading.Event) -> None:
        self.module.train()
        saved, times = time.monotonic(), []
        batches = iter(self._loader(workers))
        while self.at.steps is None or self.at.step < self.at.steps:
            began = time.monotonic()
            logs = self._step(batches)
            self.at.step += 1
            if self.at.steps is None:
                times.append(time.monotonic() - began)
                self._decide_steps(times)
            bar.update(self.at.step, self.at.steps, f"loss {logs['loss']:.3f}")
            if log and (self.at.step % 10 == 0 or self.at.step == self.at.steps):
                log.scalars("train", self.at.step, logs)
            if self.at.steps and self._validation_due(self.at.step, self.at.steps):
                self._validate(log)
            if time.monotonic() - saved > SAVE_EVERY_SECONDS or self.at.step == self.at.steps:
                self.save()
                saved = time.monotonic()
            if interrupt.is_set():
                self._stop()

    def _stop(self) -> None:
        self.save()
        raise Interrupted(
            f"stage {self.stage.name} stopped after step {self.at.step}; its state is in {self.state_folder}",
            fix="the same command with --resume goes on from there",
        )

    def _step(self, batches: Iterator[Batch]) -> dict[str, float]:
        """One step of every optimiser, over `accumulation` micro-batches; what is logged of it."""
        rates = self._set_learning_rates()
        # Dropout inside the networks uses the global generator: keyed by step, a resumed run repeats it exactly.
        torch.manual_seed(hash((self.seed, self.at.step, self.accelerator.process_index)) % (1 << 63))
        totals: dict[str, float] = {}
        for _ in range(self.settings.accumulation):
            # batch
            batch = self.stage.sample_noise(next(batches), self.seed)
            batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
            # losses
            with attention_kernels(self.accelerator.device):
                loss, scalars = self._losses(self.module(batch))
            self._finite(scalars["loss"])
            for name, value in scalars.items():
                totals[name] = totals.get(name, 0.0) + value
            # gradients
            self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.settings.clip_norm)
        # weights
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.step(self.parameters)
        return {**totals, **rates, "gradient_norm": float(norm)}

    def _set_learning_rates(self) -> dict[str, float]:
        """Follow the schedule; returns each optimiser's rate (of its first group) as it is logged."""
        factor = schedule(self.settings, self.at.step, self.at.steps)
        logged = {}
        for name, optimizer in self.optimizers.items():
            for group, highest in zip(optimizer.param_groups, self._rates[name], strict=True):
                group["lr"] = highest * factor
            column = "learning_rate" if name == MAIN else f"learning_rate_{name}"
            logged[column] = optimizer.param_groups[0]["lr"]
        return logged

    def _losses(self, scalars: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The module's scalars -> the loss of one micro-batch with the stage's extra losses, and all values to log.

        Both are divided by `accumulation`, so that sums over the micro-batches are means.
        """
        total = scalars["loss"]
        for name, weight in self.stage.extra_losses.items():
            total = total + weight * scalars[name]
        scaled = {name: value / self.settings.accumulation for name, value in {**scalars, "loss": total}.items()}
        return scaled["loss"], {name: value.item() for name, value in scaled.items()}

    def _finite(self, loss: float) -> None:
        """ModelError for a loss that is not finite. Asked before the backward pass, which can crash on NaN."""
        if not math.isfinite(loss):
            lower = self.settings.learning_rate / 10
            raise ModelError(
                f"stage {self.stage.name}: loss is {loss} at step {self.at.step}",
                fix=f"begin again with another --out and --set training.{self.stage.name}.learning_rate={lower:g},"
                " or with --dtype fp32 if it was another",
            )

    def _loader(self, workers: int) -> DataLoader:
        per_step = self.settings.accumulation
        last = (self.at.steps or 1 << 40) * per_step
        batches = StepBatches(self.dataset.order_by, self.settings.batch_size, self.seed, self.at.step * per_step, last)
        loader = DataLoader(self.dataset, batch_sampler=batches, num_workers=workers)
        return self.accelerator.prepare_data_loader(loader, device_placement=False)

    def _decide_steps(self, times: list[float]) -> None:
        """After TIMED_STEPS, fix the number of steps that fill the stage's seconds. The first few are slower."""
        if len(times) < TIMED_STEPS or self.plan.seconds is None:
            return
        typical = sum(sorted(times[5:])[: TIMED_STEPS - 8]) / (TIMED_STEPS - 8)
        typical = self._same_everywhere(typical)
        left = self.plan.seconds - sum(times)
        self.at.steps = self.at.step + max(1, int(left / typical))

    def _same_everywhere(self, value: float) -> float:
        """The slowest process's value, so that all decide alike."""
        mine = torch.tensor([value], device=self.accelerator.device)
        return float(self.accelerator.gather(mine).max())

    def _validation_due(self, step: int, steps: int) -> bool:
        count = min(self.settings.validations, steps)
        return step in {round(steps * (i + 1) / count) for i in range(count)}

    def _validate(self, log: RunLog | None) -> None:
        """Scores and pictures with the EMA weights, by the main process."""
        if log is not None:
            if self.ema:
                self.ema.store(self.parameters)
                self.ema.copy_to(self.parameters)
            scores = self.stage.validate(self.run / "samples", self.at.step)
            if self.ema:
                self.ema.restore(self.parameters)
            if scores:
                log.scalars("validation", self.at.step, scores)
            for picture in (self.run / "samples").glob(f"{self.stage.name}-{self.at.step:06d}.png"):
                log.picture(self.at.step, picture)
        self.accelerator.wait_for_everyone()

    def save(self) -> None:
        """Write the state beside the old one, then swap; every process waits for the writer."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            fresh = self.state_folder.with_name(f".{self.stage.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            make_folder(fresh)
            try:
                with disk_full_is_oserror(fresh):
                    self._write_state(fresh)
            except OSError:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            old = self.state_folder.with_name(f".{self.stage.name}.old")
            if self.state_folder.exists():
                self.state_folder.rename(old)
            fresh.rename(self.state_folder)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _write_state(self, folder: Path) -> None:
        torch.save(self.accelerator.unwrap_model(self.module).state_dict(), folder / "weights.pt")
        for name, optimizer in self.optimizers.items():
            torch.save(optimizer.state_dict(), folder / optimizer_file(name))
        if self.ema:
            torch.save(self.ema.state_dict(), folder / "ema.pt")
        write_json(folder / "progress.json", {"step": self.at.step, "steps": self.at.steps})

    def resume(self) -> None:
        """Load the state if there is one; the number of steps that was decided then is kept."""
        progress = read_progress(self.run, self.stage.name)
        if progress is None:
            return
        self._load("weights.pt", self.accelerator.unwrap_model(self.module).load_state_dict)
        for name, optimizer in self.optimizers.items():
            self._load(optimizer_file(name), optimizer.load_state_dict)
        if self.ema:
            self._load("ema.pt", self.ema.load_state_dict)
            self.ema.to(self.accelerator.device)
        self.at = progress if progress.steps else Progressed(progress.step, self.plan.steps)

    def _load(self, name: str, load: Callable[[Any], object]) -> None:
        """Give what lies in a file of the state to `load`. Raises ModelError naming it."""
        path = self.state_folder / name
        try:
            load(read_tensors(path, self.accelerator.device))
        except Exception as error:  # tensors that do not fit raise anything
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            fix = f"delete the folder {self.state_folder} to train the stage again"
            raise ModelError(f"{path}: cannot resume ({reason[:160]})", fix=fix) from error


def optimizer_file(name: str) -> str:
    """Where the state folder keeps an optimiser; `optimizer.pt` is the main one's, as in version 0.1."""
    return "optimizer.pt" if name == MAIN else f"optimizer-{name}.pt"


def _check_parameters(
    stage: str, optimizers: Mapping[str, torch.optim.Optimizer], parameters: list[torch.nn.Parameter]
) -> None:
    """Every trainable parameter is in one optimiser, and in one only: else it would stay as it is, or step twice."""
    held = Counter(id(p) for each in optimizers.values() for group in each.param_groups for p in group["params"])
    if held != Counter(map(id, parameters)):
        raise ValueError(f"stage {stage}: {sorted(optimizers)} do not hold every trainable parameter of it once")


def attention_kernels(device: torch.device) -> AbstractContextManager[object]:
    """On CPUs the plain formula: the fused kernel's backward takes 2.5 times as long in bf16 at nano's 64 tokens."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def read_progress(run: Path, stage: str) -> Progressed | None:
    """Where a stage of a run stands; None if it never saved."""
    folder = run / "state" / stage
    kept = folder.with_name(f".{stage}.old")
    if not folder.exists() and kept.exists():
        kept.rename(folder)  # the process died between the two renames of a swap
    path = folder / "progress.json"
    if not path.exists():
        return None
    try:
        found = Progressed(**read_json(path))
        if not all(type(n) is int and 0 <= n < _MOST_STEPS for n in (found.step, found.steps or 0)):
            raise ValueError(f"step {found.step} of {found.steps}")
        return found
    except (OSError, ValueError, TypeError) as error:
        fix = f"delete the folder {folder} to train the stage again"
        raise ModelError(f"{path}: cannot resume ({error})", fix=fix) from error
