"""A model folder's exports: written, checked and opened; each is called as models/denoiser.py's `denoise` is.

MODEL/exported/BACKEND has the graph and export.json, which says of which weights it is. No digest of a model counts it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from signgen import __version__
from signgen.config import SamplingSettings
from signgen.errors import ModelError, OptionError
from signgen.files import EXPORTED, disk_full_is_oserror, make_folder, read_json, write_json
from signgen.models.attention import AttentionContext
from signgen.models.backends.graph import Graph, Inputs, example_of, graph_inputs, token_inputs
from signgen.models.backends.runtimes import Runtime, runtime_of, version_of
from signgen.models.card import load_model
from signgen.models.conditions import Conditioning
from signgen.models.denoiser import denoise
from signgen.models.pipeline import SignerPipeline
from signgen.models.pose_guidance import FULL
from signgen.models.weights import weights_digest

ABOUT = "export.json"
FORMAT = 1  # of the graph's inputs
Denoise = Callable[..., torch.Tensor]  # as `denoise`


def export_model(folder: Path, backend: str) -> Path:
    """Write a model folder's denoiser for a backend, in place of an earlier export; returns the export's folder.

    Raises OptionError without the backend's package, ModelError for a model that cannot be exported.
    """
    runtime = writer_of(backend)
    pipeline, card = load_model(folder)
    example = example_of(pipeline, card.parsed_recipe())
    out = folder / EXPORTED / backend
    if out.is_dir():
        shutil.rmtree(out)
    with disk_full_is_oserror(make_folder(out)), torch.no_grad():
        try:
            runtime.write(Graph(pipeline.unet, [*example]).eval(), example, out / runtime.file)
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            found = f"{folder}: {backend} cannot take this denoiser ({_line(error)})"
            raise ModelError(found, fix="render with --backend torch") from error
    about = {
        "format": FORMAT,
        "unet": weights_digest(pipeline.unet),
        "inputs": {name: [None, *value.shape[1:]] for name, value in example.items()},
        "versions": {"signgen": __version__, "torch": torch.__version__, **version_of(backend)},
    }
    write_json(out / ABOUT, about)
    return out


def writer_of(backend: str) -> type[Runtime]:
    """The runtime by its name. Raises OptionError where a package is not installed that writing takes."""
    runtime = runtime_of(backend)
    if backend == "onnx":
        try:
            import onnx  # noqa: F401
        except ImportError as error:
            raise OptionError(f"onnx cannot be imported ({error})", fix="pip install 'signgen[onnx]'") from error
    return runtime


def denoiser_of(pipeline: SignerPipeline, sampling: SamplingSettings, device: torch.device) -> Denoise:
    """What `sampling.backend` runs the pipeline's denoiser with. The pipeline is one that was loaded from a folder.

    Raises OptionError for what does not go together, ModelError without an export, or with one of other weights.
    """
    backend = sampling.backend
    if backend == "torch":
        return denoise
    if device.type != "cpu":
        raise OptionError(f"--backend {backend} on {device.type}", expected="a CPU", fix="add --device cpu")
    if sampling.compile:
        raise OptionError(f"--compile with --backend {backend}", expected="one of them", fix="leave one out")
    if sampling.pose_guidance and sampling.pose_mode == FULL:
        found = f"--pose-mode {FULL} with --backend {backend}, through which no gradient passes"
        raise OptionError(found, expected="--pose-mode cheap or literal, or --backend torch")
    if getattr(pipeline.unet, "peft_config", None):
        raise OptionError(f"--lora with --backend {backend}", fix="leave --backend out; an export has no adapter")
    runtime = runtime_of(backend)
    folder = Path(pipeline.name_or_path or ".")
    out = folder / EXPORTED / backend
    _check(out, pipeline.unet, f"signgen export {folder} --backend {backend}")
    try:
        return ExportedDenoiser(runtime(out / runtime.file, sampling.precision, torch.get_num_threads()), out)
    except Exception as error:  # the libraries' errors share no base
        raise ModelError(f"{out}: cannot be loaded ({_line(error)})", fix="export the model again") from error


def _check(out: Path, unet: UNet2DConditionModel, command: str) -> None:
    if not (out / ABOUT).is_file():
        raise ModelError(f"{out}: no such export", fix=f"make it with: {command}")
    try:
        about = read_json(out / ABOUT)
        found = about["format"], about["unet"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{out / ABOUT}: is damaged ({_line(error)})", fix=f"again: {command}") from error
    if found[0] != FORMAT:
        raise ModelError(f"{out}: written by another version of signgen", fix=f"again: {command}")
    if found[1] != weights_digest(unet):
        raise ModelError(f"{out}: an export of other weights than the model's", fix=f"again: {command}")


class ExportedDenoiser:
    """An export, called as `denoise`: the UNet only projects the clip's tokens."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self._runtime, self._folder = runtime, folder
        self._kept: tuple[AttentionContext, Inputs] | None = None  # of the last context, the same in all steps

    def __call__(
        self,
        unet: UNet2DConditionModel,
        noisy: torch.Tensor,
        timestep: torch.Tensor,
        conditioning: Conditioning,
        attention: AttentionContext | None = None,
    ) -> torch.Tensor:
        """As `denoise`, in float32."""
        if attention is None:
            attention = AttentionContext({}, conditioning.clip_tokens)
        if self._kept is None or self._kept[0] is not attention:
            self._kept = (attention, token_inputs(unet, len(noisy), conditioning, attention))
        inputs = graph_inputs(noisy, timestep, conditioning, self._kept[1])
        try:
            output = self._runtime.run({name: value.numpy() for name, value in inputs.items()})
        except Exception as error:  # the libraries' errors share no base
            found = f"{self._folder}: does not run ({_line(error)})"
            raise ModelError(found, fix="export the model again") from error
        return torch.from_numpy(output.copy())


def _line(error: Exception) -> str:
    """The first words of a library's error."""
    return " ".join(str(error).split())[:160] or type(error).__name__
