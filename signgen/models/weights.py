"""Pretrained weights: a Component (Hub id + revision, or a local folder in Hub layout) in, a loaded network out."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import torch

from signgen.config import Component
from signgen.errors import WeightsError
from signgen.models.hub_weights import by_origin, recorded_revision


def load_pretrained(model_class: Any, component: Component, **overrides: Any) -> Any:
    """`model_class.from_pretrained(origin)`. Never downloads: what is missing is named, with the command to get it."""
    origin = component.origin
    if origin is None:
        raise ValueError("load_pretrained needs an origin")
    options: dict[str, Any] = dict(overrides)
    revision = component.revision or recorded_revision(origin)
    if revision and not os.path.isdir(origin):
        options["revision"] = revision
    if component.subfolder:
        options["subfolder"] = component.subfolder
    try:
        return model_class.from_pretrained(origin, local_files_only=True, **options)
    except Exception as error:  # damaged files raise anything: the libraries' errors, safetensors', EOFError
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise WeightsError(
            f"{model_class.__name__} weights not found in {origin}{_in_subfolder(component)} ({reason[:120]})",
            expected="a local folder in Hub layout, or a model in the Hub cache",
            fix=None if os.path.isdir(origin) else f"get it with: {download_command(component)}",
        ) from error


def download_command(component: Component) -> str:
    """The command that puts the component's weights into the Hub cache."""
    known = by_origin(str(component.origin))
    if known is not None:
        return f"signgen weights fetch {known.name} --revision {component.revision or known.revision or 'main'}"
    parts = ["hf download", str(component.origin)]
    if component.subfolder:
        parts.append(f'--include "{component.subfolder}/*"')
    if component.revision:
        parts.append(f"--revision {component.revision}")
    return " ".join(parts)


def _in_subfolder(component: Component) -> str:
    return f" (subfolder {component.subfolder})" if component.subfolder else ""


def weights_digest(module: torch.nn.Module) -> str:
    """sha256 of a network's parameters and buffers, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
