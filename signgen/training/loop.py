"""The one training loop: a stage and its triples in, trained weights and a resumable state out.

Where it departs from the usual loop:
- Processes decide together. Whether to save, to stop or to give up is summed over them once a step, with the losses.
- Every random number is keyed by seed, stage, step and micro-batch, so that a resumed run repeats the steps of one that
  was not interrupted, dropout included.
- Time may end a stage instead of a number of steps.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from signgen.config import StageSettings
from signgen.errors import Interrupted, ModelError, RecipeError, Terminated
from signgen.interrupts import deferred_interrupt, deferred_termination
from signgen.progress import Bar
from signgen.seeds import key_digest
from signgen.training.checkpoints import Checkpoints, Progressed
from signgen.training.data.batches import SampleDataset, StepBatches
from signgen.training.logs import RunLog
from signgen.training.sharding import (
    load_optimizer,
    load_weights,
    make_shardable,
    shards_of,
    whole,
    whole_norm,
    whole_twin,
)
from signgen.training.stages import MAIN, Batch, Stage, trainable


@dataclass
class Plan:
    """How long a stage trains, and how often its state is kept.

    steps None: `seconds` are given, and the stage ends with the step in which they are over. save_every: seconds. keep:
    how many states are kept. keep_best: the score of the validation whose best weights are kept, if any.
    """

    steps: int | None
    seconds: float | None = None
    save_every: float = 300.0
    keep: int = 2
    keep_best: str | None = None


@dataclass(frozen=True)
class Agreed:
    """What one step was in all processes together. losses: means over them, as they are logged. norm: of the gradients.
    broken: some loss was not finite. elapsed: seconds of the stage, by the first process's clock; reserve: what it
    keeps of them for the last validation. save, interrupted, terminated: what some process asks for."""

    losses: dict[str, float]
    norm: float
    broken: bool
    elapsed: float
    reserve: float
    save: bool
    interrupted: bool
    terminated: bool


def schedule(settings: StageSettings, step: int, done: float) -> float:
    """The factor of the learning rates at `step`, in [0, 1]: linear warm-up, then decay to 0.

    done: how much of the stage after its warm-up is over, in [0, 1]: of its steps, or of its time.
    """
    if step < settings.warmup or settings.decay == "constant":
        return min(1.0, (step + 1) / max(settings.warmup, 1))
    return 0.5 * (1 + math.cos(math.pi * done)) if settings.decay == "cosine" else 1 - done


class OnePassEMA(EMAModel):
    """diffusers' moving average, updated in one pass over memory in place of three."""

    @torch.no_grad()
    def step(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """As EMAModel.step, for parameters that all need gradients; the average may be on another device."""
        self.optimization_step += 1
        self.cur_decay_value = self.get_decay(self.optimization_step)
        device = self.shadow_params[0].device
        get_ema_multi_avg_fn(self.cur_decay_value)(self.shadow_params, [p.to(device) for p in parameters], None)


class Trainer:
    """Runs one stage. Its states are in `<run>/state/<stage>` (weights, optimisers, EMA, step), see Checkpoints."""

    def __init__(
        self, stage: Stage, dataset: SampleDataset, plan: Plan, run: Path, accelerator: Accelerator, seed: int
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
        self.sharded = accelerator.is_fsdp2
        # What is validated and exported: the stage itself; where it is sharded, the first process's whole twin of it.
        self.plain = whole_twin(stage) if self.sharded and accelerator.is_main_process else stage
        if self.sharded:
            make_shardable(accelerator.state.fsdp_plugin, stage.module)
        self.module, *prepared = accelerator.prepare(stage.module, *optimizers.values())
        self.optimizers = dict(zip(optimizers, prepared, strict=True))
        self.parameters = trainable(self.module)  # shards are other tensors
        self.ema = self._make_ema()
        self.at = Progressed(steps=plan.steps)
        self.checkpoints = Checkpoints(run, stage.name, plan.keep)
        self.told: list[str] = []  # of damaged states that were put aside
        self.wandb: str | None = None  # a project of Weights & Biases, for logs
        self._began = self._saved = time.monotonic()
        self._validation_seconds = 0.0
        self._saved_step: int | None = None  # by this process

    def _make_ema(self) -> EMAModel | None:
        decay, power = self.settings.ema, self.settings.ema_power
        if not decay:
            return None
        ema = OnePassEMA(self.parameters, decay=decay, use_ema_warmup=True, power=power)
        ema.to(self._ema_device)
        return ema

    @property
    def _ema_device(self) -> torch.device:
        return torch.device("cpu") if self.settings.ema_on_cpu else self.accelerator.device

    def train(self, bar: Bar, workers: int = 0) -> None:
        """Train to the end, or to Ctrl-C or SIGTERM: then the state is saved and Interrupted or Terminated raised. The
        EMA is left in place.

        bar: counts optimiser steps. workers: loader processes, 0 for none. Call `resume` first to go on with a state.
        """
        log = None
        if self.accelerator.is_main_process:
            log = RunLog(self.run, self.stage.name, self.at.step, self.wandb)
        try:
            with deferred_interrupt() as interrupted, deferred_termination() as terminated:
                self._steps(log, bar, workers, interrupted, terminated)
        finally:
            if log:
                log.close()
        if self.ema:
            self.ema.copy_to(self.parameters)
        self._fill_plain()

    def _steps(
        self, log: RunLog | None, bar: Bar, workers: int, interrupted: threading.Event, terminated: threading.Event
    ) -> None:
        self.module.train()
        self._saved = time.monotonic()
        self._began = self._saved - self.at.seconds
        batches = iter(self._loader(workers))
        while self.at.steps is None or self.at.step < self.at.steps:
            done_before = self._done()
            rates = self._set_learning_rates()
            agreed = self._step(batches, interrupted, terminated)
            self.at.step += 1
            self._end_in_time(agreed)
            last = self.at.step == self.at.steps

            # shown and logged
            logs = {**agreed.losses, **rates, "gradient_norm": agreed.norm}
            bar.update(self.at.step, self._expected_steps(), f"loss {logs['loss']:.3f}")
            if log and (self.at.step % 10 == 0 or last):
                log.scalars("train", self.at.step, logs)

            # validated, saved, stopped
            if self._validation_due(done_before, last):
                self._validate(log)
            if agreed.save or last:
                self.save()
            if agreed.interrupted or agreed.terminated:
                self._stop(agreed.terminated)

    def _stop(self, terminated: bool) -> None:
        self.save()
        stopped, fix = f"stage {self.stage.name} stopped after step {self.at.step}", "the same command with --resume"
        kind = Terminated if terminated else Interrupted
        raise kind(f"{stopped}; its state is in {self.checkpoints.folder}", fix=f"{fix} goes on from there")

    # ---- one step

    def _step(self, batches: Iterator[Batch], interrupted: threading.Event, terminated: threading.Event) -> Agreed:
        """One step of every optimiser, over `accumulation` micro-batches; what the processes agreed on in it."""
        totals: dict[str, torch.Tensor] = {}
        broken = False
        for micro in range(self.settings.accumulation):
            # batch, fetched before the seed is set: the loader draws from the global generator
            batch = self.stage.sample_noise(next(batches), self.seed)
            batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
            self._seed_dropout(micro)

            # losses and gradients, which processes exchange with the last micro-batch alone
            more = micro + 1 < self.settings.accumulation
            with self.accelerator.no_sync(self.module) if more else nullcontext():
                with attention_kernels(self.accelerator.device):
                    loss, scalars = self._losses(self.module(batch))
                if self._is_broken(loss):
                    loss, broken = self._harmless(), True
                self.accelerator.backward(loss)
            for name, value in scalars.items():
                totals[name] = totals[name] + value if name in totals else value
        norm = whole_norm(self.accelerator.clip_grad_norm_(self.parameters, self.settings.clip_norm))

        # one decision of all processes, before any weight is changed
        agreed = self._agree(totals, norm, broken, interrupted.is_set(), terminated.is_set())
        self._check_finite(agreed)

        # weights
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.ema and not any(optimizer.step_was_skipped for optimizer in self.optimizers.values()):
            self.ema.step(self.parameters)
        return agreed

    def _seed_dropout(self, micro: int) -> None:
        """Dropout inside the networks uses the global generator: keyed, a resumed run repeats it exactly."""
        process = self.accelerator.process_index
        torch.manual_seed(key_digest(self.seed, self.stage.name, self.at.step, micro, process) >> 1)

    def _losses(self, scalars: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The module's scalars -> the loss of one micro-batch with the stage's extra losses, and all values to log.

        Both are divided by `accumulation`, so that sums over the micro-batches are means.
        """
        total = scalars["loss"]
        for name, weight in self.stage.extra_losses.items():
            total = total + weight * scalars[name]
        scaled = {name: value / self.settings.accumulation for name, value in {**scalars, "loss": total}.items()}
        return scaled["loss"], {name: value.detach().float() for name, value in scaled.items()}

    def _is_broken(self, loss: torch.Tensor) -> bool:
        """Whether the backward pass must not be run. On CPUs alone, where NaN can crash it and asking is free."""
        return loss.device.type == "cpu" and not math.isfinite(loss.item())

    def _harmless(self) -> torch.Tensor:
        """A loss of gradients 0, in place of one that is not finite: all processes still exchange gradients alike."""
        return torch.stack([(parameter * 0).sum() for parameter in self.parameters]).sum()

    def _agree(
        self, totals: Mapping[str, torch.Tensor], norm: Any, broken: bool, interrupted: bool, terminated: bool
    ) -> Agreed:
        """Sum what each process found and wants, in one exchange, which is also the step's one wait for the device."""
        first, now = self.accelerator.is_main_process, time.monotonic()
        due = first and now - self._saved > self.plan.save_every
        clock = (now - self._began, self._validation_seconds) if first else (0.0, 0.0)
        device = self.accelerator.device
        mine = torch.tensor([broken, interrupted, terminated, due, *clock], device=device)
        values = [torch.as_tensor(value, device=device, dtype=torch.float32) for value in (*totals.values(), norm)]
        found = self.accelerator.reduce(torch.cat([mine, torch.stack(values)]), "sum").tolist()
        means = [value / self.accelerator.num_processes for value in found[len(mine) :]]
        losses = dict(zip(totals, means[:-1], strict=True))
        return Agreed(
            losses=losses,
            norm=means[-1],
            broken=found[0] > 0 or not all(map(math.isfinite, losses.values())),
            interrupted=found[1] > 0,
            terminated=found[2] > 0,
            save=found[3] > 0,
            elapsed=found[4],
            reserve=found[5],
        )

    def _check_finite(self, agreed: Agreed) -> None:
        """ModelError, in every process, for a loss or gradients that are not finite; no weight has changed yet.

        fp16's loss scaling skips a step whose gradients overflow, and lowers the scale: that is no error above scale 1.
        """
        what = None
        if agreed.broken:
            what = f"loss is {agreed.losses['loss']}"
        elif not math.isfinite(agreed.norm):
            scaler = self.accelerator.scaler
            if scaler is not None and scaler.is_enabled() and scaler.get_scale() > 1:
                return
            what = f"the norm of its gradients is {agreed.norm} (its loss is {agreed.losses['loss']:.3g})"
        if what is None:
            return
        lower = self.settings.learning_rate / 10
        raise ModelError(
            f"stage {self.stage.name}: {what} at step {self.at.step}; no weight was changed by it",
            fix=f"begin again with another --out and --set training.{self.stage.name}.learning_rate={lower:g},"
            " or with --dtype fp32 if it was another",
        )

    # ---- how far it is

    def _done(self) -> float:
        """How much of the stage is over, in [0, 1]: of its time where that was given, else of its steps."""
        if self.plan.seconds is not None:
            return min(1.0, self.at.seconds / max(self.plan.seconds, 1e-9))
        return self.at.step / max(self.at.steps or 1, 1)

    def _done_after_warmup(self) -> float:
        """As `schedule` takes it. Of time, the warm-up's is not left out: it is not known beforehand."""
        if self.plan.seconds is not None or self.at.steps is None:
            return self._done()
        return (self.at.step - self.settings.warmup) / max(self.at.steps - self.settings.warmup, 1)

    def _set_learning_rates(self) -> dict[str, float]:
        """Follow the schedule; returns each optimiser's rate (of its first group) as it is logged."""
        factor = schedule(self.settings, self.at.step, self._done_after_warmup())
        logged = {}
        for name, optimizer in self.optimizers.items():
            for group, highest in zip(optimizer.param_groups, self._rates[name], strict=True):
                group["lr"] = highest * factor
            column = "learning_rate" if name == MAIN else f"learning_rate_{name}"
            logged[column] = optimizer.param_groups[0]["lr"]
        return logged

    def _end_in_time(self, agreed: Agreed) -> None:
        """Note the time; the step in which the stage's seconds are over, but for the last validation, is its last."""
        self.at.seconds = agreed.elapsed
        if self.plan.seconds is not None and agreed.elapsed + agreed.reserve >= self.plan.seconds:
            self.at.steps = self.at.step

    def _expected_steps(self) -> int | None:
        """For the bar: the steps that will be made, by the rate so far where time decides."""
        if self.at.steps is not None:
            return self.at.steps
        done = self._done()
        return math.ceil(self.at.step / done) if done else None

    def _loader(self, workers: int) -> DataLoader:
        per_step = self.settings.accumulation
        last = (self.at.steps or 1 << 40) * per_step
        batches = StepBatches(self.dataset.order_by, self.settings.batch_size, self.seed, self.at.step * per_step, last)
        loader = DataLoader(self.dataset, batch_sampler=batches, num_workers=workers)
        return self.accelerator.prepare_data_loader(loader, device_placement=False)

    # ---- validation and state

    def _validation_due(self, done_before: float, last: bool) -> bool:
        """After the last step, and whenever another of `validations` equal parts of the stage is over."""
        if self.plan.seconds is not None:
            parts = self.settings.validations
            return last or int(self._done() * parts) > int(done_before * parts)
        steps = self.at.steps or 1
        count = min(self.settings.validations, steps)
        return self.at.step in {round(steps * (i + 1) / count) for i in range(count)}

    def _validate(self, log: RunLog | None) -> None:
        """Scores and pictures with the EMA weights, by the main process."""
        began = time.monotonic()
        if log is not None or self.sharded:
            if self.ema:
                self.ema.store(self.parameters)
                self.ema.copy_to(self.parameters)
            self._fill_plain()
            if log is not None:
                self._judge(log)
            if self.ema:
                self.ema.restore(self.parameters)
        self.accelerator.wait_for_everyone()
        self._validation_seconds = time.monotonic() - began

    def _judge(self, log: RunLog) -> None:
        scores = self.plain.validate(self.run / "samples", self.at.step)
        self._keep_if_best(scores)
        if scores:
            log.scalars("validation", self.at.step, scores)
        for picture in (self.run / "samples").glob(f"{self.stage.name}-{self.at.step:06d}.png"):
            log.picture(self.at.step, picture)

    def _fill_plain(self) -> None:
        """Gather shards, by all processes, into the first one's whole stage."""
        if self.sharded:
            weights = self._whole_weights()
            if self.accelerator.is_main_process:
                self.plain.module.load_state_dict(weights)

    def _whole_weights(self) -> dict[str, Any]:
        """The module's weights; of shards, gathered by all processes for the first one."""
        weights = self.accelerator.unwrap_model(self.module).state_dict()
        return whole(weights, self.accelerator.is_main_process) if self.sharded else weights

    def _keep_if_best(self, scores: Mapping[str, float]) -> None:
        """Keep the weights in place, which have just been validated, if no earlier ones had a better score."""
        name = self.plan.keep_best
        if name is None or name not in scores:
            return
        best = self.checkpoints.best()
        if best is None or scores[name] > best[name]:
            self.checkpoints.write_best({"step": self.at.step, name: scores[name]}, self.plain.module.state_dict())

    def save(self) -> None:
        """Keep the state, unless that of this step is kept; every process waits for the first one, which writes."""
        if self._saved_step == self.at.step:
            return
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.checkpoints.write(self.at, self._state())
        elif self.sharded:
            for _ in self._state():  # its part of the gathering
                pass
        self.accelerator.wait_for_everyone()
        self._saved, self._saved_step = time.monotonic(), self.at.step

    def _state(self) -> Iterator[tuple[str, Any]]:
        """What resuming needs, by file; whole, however it is held."""
        keep = self.accelerator.is_main_process
        yield "weights.pt", self._whole_weights()
        for name, optimizer in self.optimizers.items():
            moments = optimizer.state_dict()
            yield optimizer_file(name), whole(moments, keep) if self.sharded else moments
        if self.ema:
            average = self.ema.state_dict()
            yield "ema.pt", whole(average, keep) if self.sharded else average
        if self.accelerator.scaler is not None:
            yield "scaler.pt", self.accelerator.scaler.state_dict()

    def resume(self) -> None:
        """Load the newest whole state if there is one. A stage that was finished goes on where its plan has more steps.

        `told` then says which newer ones were damaged. The first process reads first, and puts those aside.
        """
        with self.accelerator.main_process_first():
            found = self.checkpoints.read(self._load_state, "cpu" if self.sharded else self.accelerator.device)
        if found is None:
            return
        progress, self.told = found
        over = progress.steps if self.plan.steps is None and progress.step == progress.steps else None
        self.at = Progressed(progress.step, over or self.plan.steps, progress.seconds)

    def _load_state(self, content: Callable[[str], Any]) -> None:
        self._fill("weights.pt", content, lambda found: load_weights(self.accelerator.unwrap_model(self.module), found))
        for name, optimizer in self.optimizers.items():
            self._fill(optimizer_file(name), content, partial(load_optimizer, optimizer))
        if self.ema:
            self._fill("ema.pt", content, self._load_average)
        if self.accelerator.scaler is not None:
            self._fill("scaler.pt", content, self.accelerator.scaler.load_state_dict)

    def _load_average(self, state: dict[str, Any]) -> None:
        assert self.ema is not None
        self.ema.load_state_dict({**state, "shadow_params": shards_of(state["shadow_params"], self.parameters)})
        self.ema.to(self._ema_device)

    def _fill(self, name: str, content: Callable[[str], Any], load: Callable[[Any], object]) -> None:
        """Give what lies in a file of the state to `load`. Raises ModelError where it does not fit."""
        tensors = content(name)
        try:
            load(tensors)
        except Exception as error:  # tensors that do not fit raise anything
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            folder = self.checkpoints.folder
            fix = f"delete the folder {folder} to train the stage again"
            raise ModelError(f"{folder}: {name} does not fit, cannot resume ({reason[:160]})", fix=fix) from error


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
