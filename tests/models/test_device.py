"""In which precision networks run: as asked, unless the processor only emulates it; and what is said then."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from signgen import RenderRequest, TrainRequest, render, train
from signgen.models import device as devices
from signgen.models.device import precision_note, usable_precision
from tests.line import Line
from tests.tiny import TINY

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("fast", [True, False])
def test_bf16_that_is_emulated_becomes_fp32(monkeypatch: pytest.MonkeyPatch, asked: str, fast: bool) -> None:
    monkeypatch.setattr(devices, "fast_bf16", lambda: fast)
    emulated = asked == "bf16" and not fast
    assert usable_precision(asked, CPU) == ("fp32" if emulated else asked)
    assert (precision_note(asked, CPU) is not None) == emulated
    assert usable_precision(asked, torch.device("cuda")) == asked


@pytest.mark.parametrize(("dot_products", "tiles"), [(True, False), (False, True), (False, False)])
def test_avx512_alone_is_not_fast(monkeypatch: pytest.MonkeyPatch, dot_products: bool, tiles: bool) -> None:
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: dot_products)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert devices.fast_bf16() is (dot_products or tiles)


def test_it_is_what_the_processor_says_of_itself() -> None:
    flags = Path("/proc/cpuinfo")
    if not flags.is_file() or devices.platform.machine() != "x86_64":
        pytest.skip("needs Linux on x86")
    named = set(flags.read_text().split())
    assert devices.fast_bf16() is bool({"avx512_bf16", "amx_tile"} & named)


def test_training_and_rendering_say_which_precision_they_use(line: Line, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(devices, "fast_bf16", lambda: False)
    few = (*TINY, "training.precision=bf16", "training.fusion.steps=1")
    trained = train(TrainRequest(line.pairs, tmp_path / "run", overrides=few, stage="fusion", device="cpu"))
    assert any(note.startswith("precision: fp32 in place of bf16") for note in trained.notes)
    chosen = {"precision": "bf16", "steps": 1}
    request = RenderRequest(line.video, line.poses, line.model, tmp_path / "o.mp4", frames="0:1", sampling=chosen)
    rendered = render(request)
    assert any(note.startswith("precision: fp32 in place of bf16") for note in rendered.notes)
    assert rendered.scores is not None
    assert rendered.scores["render"]["precision"] == "fp32"
