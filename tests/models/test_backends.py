"""Exports of the denoiser: the pictures of torch, of these weights, and nothing else in the model folder changes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import ModelError, OptionError
from signgen.evaluation.provenance import provenance
from signgen.files import digest_of, read_json, write_json
from signgen.metrics.image.pixels import psnr
from signgen.models import device as devices
from signgen.models.backends.denoisers import denoiser_of, export_model, writer_of
from signgen.models.backends.runtimes import RUNTIMES
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.conditions import PROVIDERS
from signgen.models.denoiser import denoise
from signgen.models.weights import weights_digest
from signgen.poses.sequence import PoseSequence
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from tests.line import Command, Line
from tests.models.test_new_condition import FEW, BlurredSource, PosedTokens
from tests.models.test_pipeline import randomised
from tests.tiny import tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture(params=[*RUNTIMES], scope="module")
def backend(request: pytest.FixtureRequest) -> str:
    try:
        writer_of(request.param)
    except OptionError as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture(scope="module")
def model(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny nano with random weights, exported, which changes nothing of the model."""
    learned = "conditions.0.null=learned"  # nulls of zero would hide what attention over them gives
    folder = write_model(tmp_path_factory.mktemp("models") / backend, learned)
    before = digest_of(folder), provenance({"model": folder})["files"]
    export_model(folder, backend)
    assert (digest_of(folder), provenance({"model": folder})["files"]) == before
    return folder


def write_model(folder: Path, *overrides: str) -> Path:
    recipe = tiny_recipe(*overrides)
    card = ModelCard.describe(recipe, {"fingerprint": "x", "clips": []}, {"diffusion": 0}, 1)
    save_model(randomised(build_pipeline(recipe)), card, folder)
    return folder


def rendered(folder: Path, **sampling: object) -> np.ndarray:
    """Five frames of scattered points, by a model that was loaded anew."""
    keypoints = np.random.default_rng(0).uniform(0, 64, (5, 133, 3)).astype(np.float32)
    keypoints[..., 2] = 1
    source = Source(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8), None, "me")
    pipeline, card = load_model(folder)
    renderer = Renderer(pipeline, card, card.sampling(sampling))
    return np.stack([*renderer.frames(source, PoseSequence(keypoints, 64, 64))])


@pytest.mark.parametrize(
    "sampling",
    [
        {"noise_scale": 0.0, "steps": 1, "w_c": 1.0, "w_f": 1.0},
        {"steps": 3, "w_c": 2.0, "w_f": 2.5, "solver": "unipc"},
        {"steps": 4, "w_c": 2.0, "w_f": 2.0, "guidance_interval": (0.2, 0.8), "micro_batch": 3},
    ],
    ids=["one branch", "three branches", "guided now and then"],
)
def test_pictures_are_those_of_torch(model, backend, sampling):
    sampling = {"noise_scale": 1.0, "precision": "fp32"} | sampling
    ours, torchs = rendered(model, backend=backend, **sampling), rendered(model, **sampling)
    assert np.abs(ours.astype(int) - torchs.astype(int)).max() <= 1
    assert min(psnr(a, b) for a, b in zip(ours, torchs, strict=True)) >= 60
    assert torchs.std() > 10
    assert np.array_equal(ours, rendered(model, backend=backend, **sampling))


def test_conditions_in_bf16_are_taken_as_they_are(model, backend, monkeypatch):
    monkeypatch.setattr(devices, "fast_bf16", lambda: True)
    sampling = {"steps": 2, "noise_scale": 1.0, "w_c": 2.0, "w_f": 2.0}
    asked, torchs = rendered(model, backend=backend, precision="bf16", **sampling), rendered(model, **sampling)
    assert min(psnr(a, b) for a, b in zip(asked, torchs, strict=True)) >= 30


@pytest.mark.parametrize("frame_tokens", [False, True], ids=["no vector", "tokens of the frame"])
def test_whatever_the_model_is_conditioned_on(backend, tmp_path, monkeypatch, frame_tokens):
    for provider in (PosedTokens, BlurredSource):
        monkeypatch.setitem(PROVIDERS, provider.name, provider)
    folder = write_model(tmp_path / "m", *(FEW if frame_tokens else ["fusion.enabled=false"]))
    export_model(folder, backend)
    sampling = {"steps": 3, "noise_scale": 1.0, "w_c": 2.0, "precision": "fp32"}
    ours, torchs = rendered(folder, backend=backend, **sampling), rendered(folder, **sampling)
    assert np.abs(ours.astype(int) - torchs.astype(int)).max() <= 1
    assert torchs.std() > 10


def test_an_export_says_what_it_is_of(model, backend):
    about = read_json(model / "exported" / backend / "export.json")
    assert about["unet"] == weights_digest(load_model(model)[0].unet)
    assert about["inputs"]["sample"][2:] == [8, 8]
    assert about["versions"].keys() == {"signgen", "torch", RUNTIMES[backend].package}
    assert "openvino_telemetry" not in sys.modules  # nothing is reported over the network


def test_only_an_export_of_these_weights_is_taken(model, backend, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    pipeline, card = load_model(tmp_path / "m")
    sampling = card.sampling({"backend": backend})
    about = tmp_path / "m" / "exported" / backend / "export.json"
    assert denoiser_of(pipeline, sampling, CPU) is not denoise
    with torch.no_grad():
        pipeline.unet.conv_out.bias.add_(1)
    save_model(pipeline, card, tmp_path / "m")
    with pytest.raises(ModelError, match=f"of other weights than the model's; again: signgen export .* {backend}"):
        denoiser_of(load_model(tmp_path / "m")[0], sampling, CPU)
    pipeline, _ = load_model(model)
    pipeline.register_to_config(_name_or_path=str(tmp_path / "m"))
    assert denoiser_of(pipeline, sampling, CPU) is not denoise
    write_json(about, read_json(about) | {"format": 0})
    with pytest.raises(ModelError, match="written by another version of signgen"):
        denoiser_of(pipeline, sampling, CPU)
    about.write_text("{")
    with pytest.raises(ModelError, match="is damaged"):
        denoiser_of(pipeline, sampling, CPU)
    about.unlink()
    with pytest.raises(ModelError, match="no such export; make it with: signgen export"):
        denoiser_of(pipeline, sampling, CPU)


def test_a_damaged_graph_is_one_line(model, backend, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    (tmp_path / "m" / "exported" / backend / RUNTIMES[backend].file).write_bytes(b"no graph")
    pipeline, card = load_model(tmp_path / "m")
    with pytest.raises(ModelError, match="cannot be loaded"):
        denoiser_of(pipeline, card.sampling({"backend": backend}), CPU)


@pytest.mark.parametrize(
    ("sampling", "device", "found"),
    [
        ({}, "cuda", "--backend .* on cuda; expected a CPU; add --device cpu"),
        ({"compile": True}, "cpu", "--compile with --backend"),
    ],
)
def test_what_does_not_go_together(model, backend, sampling, device, found):
    pipeline, card = load_model(model)
    with pytest.raises(OptionError, match=found):
        denoiser_of(pipeline, card.sampling({"backend": backend, **sampling}), torch.device(device))


def test_an_adapter_is_not_in_an_export(model, backend):
    pytest.importorskip("peft", reason="pip install 'signgen[lora]'")
    from signgen.models.lora import add_lora

    pipeline, card = load_model(model)
    add_lora(pipeline.unet, 2)
    with pytest.raises(OptionError, match=f"--lora with --backend {backend}"):
        denoiser_of(pipeline, card.sampling({"backend": backend}), CPU)


@pytest.mark.parametrize("name", [*RUNTIMES])
def test_a_missing_package_is_named(name, tmp_path, monkeypatch, command: Command):
    folder = write_model(tmp_path / "m")
    monkeypatch.setitem(sys.modules, RUNTIMES[name].package, None)
    advice = f"pip install 'signgen[{RUNTIMES[name].extra}]'"
    assert advice in command.refuses("export", folder, "--backend", name)
    pipeline, card = load_model(folder)
    with pytest.raises(OptionError, match="cannot be imported"):
        denoiser_of(pipeline, card.sampling({"backend": name}), CPU)


def test_the_commands(line: Line, backend, tmp_path, command: Command):
    model = tmp_path / "model"
    shutil.copytree(line.model, model)
    render = ("render", line.video, line.poses, "--model", model, "--frames", "0:3", "--backend", backend)
    refused = command.refuses(*render, "--out", tmp_path / "none.mp4")
    assert f"signgen export {model} --backend {backend}" in refused
    assert f"wrote {model / 'exported' / backend}" in command.works("export", model, "--backend", backend)
    said = command.works(*render, "--dtype", "fp16", "--out", tmp_path / "out.mp4")
    assert f"fp32 in place of fp16, which --backend {backend} does not compute in" in said
    told = command.works("info", tmp_path / "out.mp4")
    assert f"backend {backend}" in told
    assert "precision fp32" in told
    command.works("render-set", line.pairs, "--model", model, "--split", "val", "--out", tmp_path / "set")
    refused = command.refuses(
        *("render-set", line.pairs, "--model", model, "--split", "val", "--out", tmp_path / "set"),
        *("--backend", backend),
    )
    assert "was rendered with another backend" in refused
