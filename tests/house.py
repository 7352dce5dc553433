"""What the fixture of 0.1 was made with, shared by its writer and by the test that holds later versions to it."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import torch
from safetensors import safe_open

FRAME = 5  # of clip0, rendered from its frame 0
OVERRIDES = (
    *("training.fusion.steps=20", "training.diffusion.steps=20", "training.fusion.warmup=5"),
    *("training.diffusion.warmup=5", "sampling.steps=2", "sampling.noise_scale=1"),
    *("unet.config.block_out_channels=[8, 8]", "unet.config.norm_num_groups=4"),
    *("conditions.0.options.dropout=0.1", "fusion.dropout=0.1"),
)


def machine() -> dict[str, str]:
    """What decides the last bits of a sum: processor, its kernels, and the version of torch."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "flags"))]
    flags = hashlib.sha256(" ".join(sorted(set(models))).encode()).hexdigest()[:16]
    return {
        "cpu": flags or platform.processor(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def weight_hashes(model: Path) -> dict[str, str]:
    """sha256 over names, shapes and bytes of every component of a model folder, in the order of the names."""
    found = {}
    for path in sorted(model.rglob("*.safetensors")):
        digest = hashlib.sha256()
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name)
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        found[path.parent.name] = digest.hexdigest()
    return found
