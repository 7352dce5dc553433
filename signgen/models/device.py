"""Where networks run: a device name and a number of threads in, a torch device out."""

from __future__ import annotations

import torch

from signgen.errors import ModelError


def prepare_device(name: str, threads: int | None = None) -> torch.device:
    """`auto` (CUDA if there is one), `cpu` or `cuda`; sets the CPU threads if given, since they change last bits."""
    if threads:
        torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ModelError("--device cuda, but torch sees no CUDA device", fix="use --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
