"""Low-rank adapters of the UNet (Hu et al. 2021), by peft: a trained model that was fitted to a clip, in megabytes.

An adapter's folder has the adapter, in diffusers' layout, and lora.json: of which UNet it is, and of what training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from signgen.errors import ModelError, RecipeError
from signgen.files import disk_full_is_oserror, make_folder, read_json, write_json
from signgen.models.quiet import quiet_libraries
from signgen.models.weights import weights_digest

ABOUT, WEIGHTS = "lora.json", "pytorch_lora_weights.safetensors"
# Linear layers of the transformer blocks: attention and feed-forward.
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]


def add_lora(unet: Any, rank: int) -> None:
    """Give the UNet a new adapter, which changes nothing yet and is all of it that is trained. Raises RecipeError."""
    config = _peft().LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LAYERS)
    try:
        unet.add_adapter(config)
    except ValueError as error:  # no layer of these names
        raise RecipeError(f"--lora {rank}: the UNet has no attention to adapt", expected="another recipe") from error
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_("lora_" in name)


def save_lora(unet: Any, base: str, about: dict[str, Any], folder: Path) -> None:
    """Write the adapter. base: `weights_digest` of the UNet before it had one."""
    (make_folder(folder) / ABOUT).unlink(missing_ok=True)
    with disk_full_is_oserror(folder):
        unet.save_lora_adapter(str(folder), weight_name=WEIGHTS)
    write_json(folder / ABOUT, {"unet": base, **about})


def load_lora(unet: Any, folder: Path) -> None:
    """Give the UNet a saved adapter. Raises ModelError for one of another UNet, or a damaged one."""
    try:
        about = read_json(folder / ABOUT)
        wanted = about["unet"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{folder}: no adapter ({' '.join(str(error).split())[:120]})"
        raise ModelError(found, expected="RUN/lora of `signgen train PAIRS --from MODEL --lora RANK`") from error
    if wanted != weights_digest(unet):
        raise ModelError(f"{folder}: an adapter of another model's UNet", expected="the model that it was trained from")
    _peft()
    try:
        with quiet_libraries():
            unet.load_lora_adapter(str(folder), prefix=None, weight_name=WEIGHTS, use_safetensors=True)
    except Exception as error:  # damaged safetensors raise anything
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{folder}: cannot be loaded ({reason[:160]})", fix="copy the whole folder again") from error
    for parameter in unet.parameters():
        parameter.requires_grad_(False)
    unet.eval()


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise RecipeError("adapters need peft", fix="pip install 'signgen[lora]'") from error
    return peft


def adapter_parameters(unet: Any) -> list[torch.nn.Parameter]:
    """Those of its adapter."""
    return [parameter for name, parameter in unet.named_parameters() if "lora_" in name]
