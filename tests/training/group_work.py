"""What the tests of several processes do in each of them: `torchrun ... group_work.py OUT` or, alone, `work(OUT)`.

Every process writes OUT/<process>.pt with what it found. `group_work.py PAIRS OUT`: a whole run in shards.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from signgen.errors import ModelError, Terminated
from signgen.models.fusion import FusionModel
from signgen.progress import Bar
from signgen.training import run as training_run
from signgen.training.fusion import FusionModule
from signgen.training.loop import Plan, Trainer
from signgen.training.run import TrainRequest
from tests.tiny import TINY, tiny_recipe
from tests.training.test_trainer import SETTINGS, LineStage, Points

# One step's rounding differs between one process and two; so few steps do not make much of it.
SHARDED_RECIPE = (*TINY, "fusion.dropout=0", "training.fusion.steps=4", "training.diffusion.steps=6")
STEPS, STOPPED_AT, BROKEN_AT, SAMPLES = 200, 7, 3, 4


class Stopping(Bar):
    """Sends its own process, which is not the first one, a SIGTERM."""

    def __init__(self, process: int) -> None:
        self.process = process

    def update(self, completed: int, total: int | None = None, note: str = "") -> None:
        if completed == STOPPED_AT and self.process == 1:
            os.kill(os.getpid(), signal.SIGTERM)


class Breaking(LineStage):
    """Of the last sample of a batch, which the last process has, the loss is NaN in one step."""

    step = 0

    def sample_noise(self, batch: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
        batch = super().sample_noise(batch, seed)
        self.step += 1
        if self.step == 2 * BROKEN_AT + 1 and Accelerator(cpu=True).is_last_process:
            batch["noise"] = batch["noise"] * float("nan")
        return batch


def sharding(accelerator: Accelerator) -> Accelerator:
    """FSDP2 by accelerate's own code, on a CPU, where accelerate itself would not choose it."""
    state = AcceleratorState()
    state.distributed_type = DistributedType.FSDP
    state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2, cpu_ram_efficient_loading=False)
    return accelerator


def trainer(stage: LineStage, run: Path, save_every: float, shards: bool = False) -> Trainer:
    split = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(cpu=True, mixed_precision="no", dataloader_config=split)
    if shards:
        sharding(accelerator)
    data: Any = Points()
    return Trainer(stage, data, Plan(stage.settings.steps, save_every=save_every), run, accelerator, seed=3)


def stage_of(kind: type[LineStage] = LineStage) -> LineStage:
    found = kind()
    found.settings = SETTINGS.model_copy(update={"steps": STEPS, "validations": 1})
    return found


def contrast(process: int, processes: int) -> dict[str, Any]:
    """Stage 1's loss and gradients of this process's part of one batch, at dropout 0."""
    torch.manual_seed(0)
    recipe = tiny_recipe("fusion.dropout=0")
    module = FusionModule(FusionModel(recipe.fusion.tower.config, 32, 0.0), recipe.fusion.loss)
    accelerator = Accelerator(cpu=True)
    wrapped = accelerator.prepare(module)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, SAMPLES, 3, 32, 32), generator=generator, dtype=torch.uint8)
    part = slice(process * SAMPLES // processes, (process + 1) * SAMPLES // processes)
    batch = dict(zip(("source", "target_pose", "target"), images[:, part], strict=True))
    ids = torch.arange(SAMPLES)
    loss = wrapped({**batch, "source_id": ids[part] + 100, "target_id": (ids // 2)[part]})["loss"]
    accelerator.backward(loss)
    return {"loss": loss.detach(), "gradients": {name: p.grad for name, p in module.named_parameters()}}


def sharded_line(out: Path) -> dict[str, Any]:
    """Two thirds of the line in shards; the last third by shards again, from what the first have saved."""
    found = {}
    for steps in (STEPS * 2 // 3, STEPS):
        stage = stage_of()
        stage.settings = stage.settings.model_copy(update={"steps": steps, "decay": "constant"})
        run = trainer(stage, out / "shards", save_every=1000.0, shards=True)
        run.resume()
        found[f"from {steps}"] = run.at.step
        run.train(Bar())
        found |= {"kinds": [type(parameter).__name__ for parameter in run.parameters]}
        found["weights"] = run.plain.module.state_dict() if run.accelerator.is_main_process else {}
    return found


def sharded_run(pairs: Path, out: Path) -> None:
    """Both stages of a whole run in shards."""
    training_run.Accelerator = lambda *args, **kwargs: sharding(Accelerator(*args, **kwargs))  # type: ignore
    training_run.train(TrainRequest(pairs, out, overrides=SHARDED_RECIPE, device="cpu"))
    Accelerator(cpu=True).end_training()


def work(out: Path) -> None:
    """Train with a save at almost every step; stop by a SIGTERM; meet a NaN; compute a contrastive loss."""
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True)
    process, processes = accelerator.process_index, accelerator.num_processes
    found: dict[str, Any] = {"processes": processes}

    line = stage_of()
    trainer(line, out / "line", save_every=0.005).train(Bar())
    found["line"] = line.module.state_dict()

    for name, stage in (("stopped", stage_of()), ("broken", stage_of(Breaking))):
        run = trainer(stage, out / name, save_every=1000.0)
        try:
            run.train(Stopping(process if name == "stopped" else -1))
        except (Terminated, ModelError) as error:
            found[name] = (type(error).__name__, run.at.step, str(error), error.exit_code)
            found[f"{name} weights"] = stage.module.state_dict()
    found["contrast"] = contrast(process, processes)
    if processes > 1:
        found["shards"] = sharded_line(out)
    torch.save(found, out / f"{process}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sharded_run(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        work(Path(sys.argv[1]))
