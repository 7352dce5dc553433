"""Fine-tuning a trained model: all of its weights, or an adapter that is saved beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import ModelError, RecipeError
from signgen.models.card import load_model
from signgen.models.lora import LAYERS, add_lora, load_lora
from tests.line import Command, Line
from tests.training.test_loop import weights

FEW = ("--set", "training.diffusion.steps=6", "--device", "cpu")


def test_all_weights_go_on_from_the_models(line: Line, command: Command, tmp_path: Path) -> None:
    still = ("--set", "training.diffusion.learning_rate=1e-30")
    command.works("train", line.pairs, "--from", line.model, "--out", tmp_path / "still", *FEW, *still)
    ours, theirs = (weights(folder) for folder in (tmp_path / "still" / "model", line.model))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours.values(), theirs.values(), strict=True))
    first, second = (load_model(folder)[0].config.base_scale for folder in (tmp_path / "still" / "model", line.model))
    assert first == second
    command.works("train", line.pairs, "--from", line.model, "--out", tmp_path / "on", *FEW)
    on, fusion = weights(tmp_path / "on" / "model" / "unet"), weights(tmp_path / "on" / "model" / "fusion")
    assert not all(map(torch.equal, on.values(), weights(line.model / "unet").values()))
    assert all(map(torch.equal, fusion.values(), weights(line.model / "fusion").values()))
    assert not (tmp_path / "on" / "fusion").exists()  # stage 1 is the model's
    card = json.loads((tmp_path / "on" / "model" / "signgen.json").read_text())
    assert card["data"]["started_from"]["fingerprint"] == card["data"]["fingerprint"]


def test_what_does_not_go_together(line: Line, command: Command, tmp_path: Path) -> None:
    words = ("train", line.pairs, "--out", tmp_path / "run", "--device", "cpu")
    assert "--from with --config or --init" in command.refuses(*words, "--from", line.model, "--config", "nano")
    assert "--from with --stage fusion" in command.refuses(*words, "--from", line.model, "--stage", "fusion")
    assert "--lora without --from" in command.refuses(*words, "--lora", 4)
    assert "no such model folder" in command.refuses(*words, "--from", tmp_path / "none")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def adapter(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("peft", reason="pip install 'signgen[lora]'")
    from signgen.training.run import TrainRequest, train

    out = tmp_path_factory.mktemp("adapt") / "run"
    rate = ("training.diffusion.steps=12", "training.diffusion.learning_rate=0.02", "training.diffusion.warmup=0")
    found = train(TrainRequest(line.pairs, out, overrides=rate, adapt=line.model, lora=4, device="cpu", threads=1))
    assert found.adapter == out / "lora"
    assert not (out / "model").exists()
    return out / "lora"


def test_a_resumed_adapter_is_called_one(line: Line, command: Command, adapter: Path) -> None:
    out = command.works("train", line.pairs, "--out", adapter.parent, "--resume", "--device", "cpu")
    assert "adapter:" in out
    assert "model:" not in out


def render(command: Command, line: Line, out: Path, *options: object) -> np.ndarray:
    from signgen.video.reader import open_frames

    words = ("render", line.video, line.poses, "--model", line.model, "--out", out / "o.mp4", "--frames", "0:3")
    command.works(*words, "--save-frames", out / "frames", "--device", "cpu", *options)
    return open_frames(out / "frames").read()


def test_an_adapter_changes_what_is_rendered_and_nothing_of_the_model(
    line: Line, command: Command, adapter: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in line.model.rglob("*") if path.is_file()}
    plain = render(command, line, tmp_path / "a")
    adapted = render(command, line, tmp_path / "b", "--lora", adapter)
    assert not np.array_equal(plain, adapted)
    assert np.array_equal(adapted, render(command, line, tmp_path / "c", "--lora", adapter))
    assert np.array_equal(plain, render(command, line, tmp_path / "d"))
    assert {path: path.read_bytes() for path in line.model.rglob("*") if path.is_file()} == before
    assert sum(path.stat().st_size for path in adapter.iterdir()) < 200_000
    about = json.loads((adapter / "lora.json").read_text())
    assert (about["rank"], about["steps"]) == (4, 12)


def test_an_adapter_is_low_rank_and_alone_was_trained(line: Line, adapter: Path) -> None:
    from safetensors.torch import load_file

    pipeline, _ = load_model(line.model)
    layers = [name for name, _ in pipeline.unet.named_modules() if name.endswith(tuple(f".{each}" for each in LAYERS))]
    (path,) = adapter.glob("*.safetensors")
    tensors = load_file(path)
    assert len(tensors) == 2 * len(layers)
    for name, tensor in tensors.items():
        assert 4 in tensor.shape
        assert tensor.abs().sum() > 0, name  # B begins at 0: each has moved
    plain = {name: tensor.clone() for name, tensor in pipeline.unet.state_dict().items()}
    load_lora(pipeline.unet, adapter)
    now = {name.replace(".base_layer", ""): value for name, value in pipeline.unet.state_dict().items()}
    assert all(torch.equal(now[name], tensor) for name, tensor in plain.items())


def test_an_adapter_of_another_model_or_a_damaged_one(line: Line, adapter: Path, tmp_path: Path) -> None:
    pipeline, _ = load_model(line.model)
    with pytest.raises(ModelError, match="no adapter"):
        load_lora(pipeline.unet, tmp_path)
    with torch.no_grad():
        next(pipeline.unet.parameters()).add_(1)
    with pytest.raises(ModelError, match="an adapter of another model's UNet"):
        load_lora(pipeline.unet, adapter)


def test_peft_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(RecipeError, match=r"adapters need peft; pip install 'signgen\[lora\]'"):
        add_lora(torch.nn.Linear(1, 1), 4)
