"""`signgen export MODEL`: the model's denoiser written for OpenVINO or onnxruntime, which run it on a CPU."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from signgen.cli.options import ModelFolder
from signgen.console import console


def export(
    model: ModelFolder,
    backend: Annotated[Literal["openvino", "onnx"], typer.Option(help="What is to run it.", show_default=False)],
) -> None:
    """Write a model's denoiser for a faster library on CPUs, into MODEL/exported/BACKEND.

    render, render-set, evaluate-model and robustness take it with --backend. Pictures differ by 1/255 at most in fp32.
    The rest of the model is run by torch. Nothing else in the folder changes, and so no digest of the model.
    """
    from signgen.models.backends.denoisers import export_model

    out = export_model(model, backend)
    console.print(f"wrote {out}; render with --backend {backend}", markup=False)
