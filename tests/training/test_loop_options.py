"""What a recipe may ask of the loop: less memory, compiling, other logs, the best weights; and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from signgen.errors import Interrupted, ModelError, RecipeError
from signgen.models.build import build_fusion, build_pipeline
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.progress import Notes
from signgen.training.data.batches import Sample
from signgen.training.diffusion import DiffusionStage
from signgen.training.fusion import FusionStage
from signgen.training.run import TrainRequest, open_run
from signgen.training.sharding import check_shardable, check_sharding
from signgen.training.stages import Stage
from tests.models.test_pipeline import randomised
from tests.tiny import TINY, tiny_recipe
from tests.training.test_loop import weights
from tests.training.test_trainer import Line, LineStage, Watched, train
from tests.worlds import write_world


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    build_pairs(BuildPairsRequest(write_world(root / "videos"), root / "pairs", holdout_tail=0.25))
    return root / "pairs"


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(pairs: Path, folder: Path, *overrides: str, notes: Notes | None = None, **options: Any) -> None:
    open_run(TrainRequest(pairs, folder, "nano", (*TINY, *overrides), device="cpu", **options), notes).train()


def gradients(pairs: Path, folder: Path, stage: str, *overrides: str) -> dict[str, torch.Tensor]:
    recipe = tiny_recipe(*overrides, "fusion.dropout=0")
    opened = open_run(TrainRequest(pairs, folder, "nano", (*TINY, *overrides, "fusion.dropout=0"), device="cpu"))
    torch.manual_seed(0)
    if stage == "fusion":
        built: Any = FusionStage(recipe, build_fusion(recipe), None)
        dataset = opened._triples("train", built.settings.augmentation)
    else:
        built = DiffusionStage(recipe, randomised(build_pipeline(recipe)), None, torch.device("cpu"))
        dataset = opened._triples("train", built.settings.augmentation, window=1, part_warp=True)
    built.module.train()
    batch = built.sample_noise(default_collate([dataset[Sample(0, row)] for row in range(4)]), 0)
    built.module(batch)["loss"].backward()
    return {name: p.grad.clone() for name, p in built.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("stage", ["fusion", "diffusion"])
def test_checkpointing_changes_no_gradient(pairs: Path, tmp_path: Path, stage: str) -> None:
    plain = gradients(pairs, tmp_path / "a", stage)
    again = gradients(pairs, tmp_path / "b", stage, f"training.{stage}.gradient_checkpointing=true")
    assert plain.keys() == again.keys()
    assert len(plain) > 20
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def test_adam_in_8_bits_trains_and_resumes_to_the_bit(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="pip install 'signgen[low-memory]'")

    class Wide(LineStage):
        """Tensors of 4,096 numbers and more are kept in 8 bits."""

        settings = LineStage.settings.model_copy(update={"optimizer": "adamw8bit"})

        def __init__(self) -> None:
            self.module = Line()
            self.module.slope = torch.nn.Parameter(torch.zeros(8192))

        optimizers = Stage.optimizers  # one AdamW

        def validate(self, samples: Path, step: int) -> dict[str, float]:
            return {}

    whole = Wide()
    trainer = train(tmp_path / "whole", whole)
    moments = trainer.optimizers["main"].optimizer.state[whole.module.slope]
    assert moments["state1"].dtype == moments["state2"].dtype == torch.uint8
    assert whole.module.slope.abs().min() > 0.01
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Wide(), Watched(stop_at=5))
    cut = Wide()
    train(tmp_path / "cut", cut)
    assert torch.equal(cut.module.slope, whole.module.slope)


def test_a_package_that_is_missing_is_named(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bitsandbytes", "bitsandbytes.optim", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RecipeError, match=r"adamw8bit needs bitsandbytes; pip install 'signgen\[low-memory\]'"):
        run(pairs, tmp_path / "a", "training.fusion.optimizer=adamw8bit")
    with pytest.raises(RecipeError, match=r"training\.wandb needs Weights & Biases; pip install wandb"):
        run(pairs, tmp_path / "b", "training.wandb=mine")


def test_logs_of_weights_and_biases(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []

    def init(**options: Any) -> SimpleNamespace:
        begun.append(options)
        return SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: begun.append({}))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    run(pairs, tmp_path / "mine", "training.wandb=project")
    assert [each.get("id") for each in begun] == ["mine-fusion", None, "mine-diffusion", None]
    assert all(each["project"] == "project" for each in begun if each)
    names = {name for _, values in logged for name in values}
    assert {"fusion/train/loss", "diffusion/train/learning_rate", "diffusion/validation/ssim"} <= names


def test_the_best_weights_are_kept(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {2: 0.3, 4: 0.9, 6: 0.5, 8: 0.9}
    monkeypatch.setattr(DiffusionStage, "validate", lambda self, samples, step: {"ssim": scores.get(step, 0.0)})
    notes = Notes()
    options = ("fusion.enabled=false", "training.keep_best=ssim")
    run(pairs, tmp_path / "run", *options, notes=notes)
    best = json.loads((tmp_path / "run" / "best" / "signgen.json").read_text())
    assert best["steps"]["diffusion"] == 4
    assert any(note.endswith("best: step 4, ssim 0.9000") for note in notes.kept)
    run(pairs, tmp_path / "short", "fusion.enabled=false", "training.diffusion.steps=4")
    first, last = (list(weights(tmp_path / name).values()) for name in ("run/best/unet", "run/model/unet"))
    short = list(weights(tmp_path / "short" / "model" / "unet").values())
    assert all(map(torch.equal, first, short))
    assert not all(map(torch.equal, last, short))


def test_sharding_on_a_cpu_is_refused(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ModelError, match="FSDP, on a CPU"):
        run(pairs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shards_are_of_version_2_and_not_of_what_they_do_not_go_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ModelError, match="version 1"):
        check_sharding(torch.device("cuda"))
    monkeypatch.setenv("FSDP_VERSION", "2")
    check_sharding(torch.device("cuda"))
    check_shardable(tiny_recipe(), adapter=False)
    changed = tiny_recipe("training.diffusion.ema_on_cpu=true", "training.precision=fp16")
    with pytest.raises(RecipeError, match=r"--lora, precision fp16, training\.diffusion\.ema_on_cpu with FSDP"):
        check_shardable(changed, adapter=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_networks_give_the_same_model(pairs: Path, tmp_path: Path) -> None:
    for name in ("true", "false"):
        run(pairs, tmp_path / name, f"training.compile={name}")
    ours, plain = (list(weights(tmp_path / name / "model").values()) for name in ("true", "false"))
    assert all(torch.allclose(a, b, atol=2e-3) for a, b in zip(ours, plain, strict=True))


def test_the_average_on_the_cpu_is_the_average(tmp_path: Path) -> None:
    """Here every device is the CPU: that it is asked for, and moved and loaded by its own rule."""
    slopes = []
    for on_cpu in (False, True):
        stage = LineStage()
        stage.settings = LineStage.settings.model_copy(update={"ema_on_cpu": on_cpu})
        trainer = train(tmp_path / str(on_cpu), stage)
        assert trainer.ema is not None
        assert {tensor.device.type for tensor in trainer.ema.shadow_params} == {"cpu"}
        slopes.append(stage.module.slope.item())
    assert slopes[0] == slopes[1] != 0
