"""LPIPS (AlexNet, v0.1): two uint8 RGB frames in, a distance out, where the trunk's weights are on this machine.

The calibrated heads ship inside the `lpips` wheel, the AlexNet trunk does not. It is looked for at an explicit path, in
the folder that SIGNGEN_WEIGHTS names, and in the torch hub cache. Nothing is ever downloaded.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signgen.errors import WeightsError

if TYPE_CHECKING:
    import torch

TRUNK_FILE = "alexnet-owt-7be5be79.pth"
TRUNK_URL = f"https://download.pytorch.org/models/{TRUNK_FILE}"
WEIGHTS_VARIABLE = "SIGNGEN_WEIGHTS"
SMALLEST_SIDE = 64  # below it AlexNet's last pooling has nothing left


def hub_folder() -> Path:
    """The torch hub checkpoints folder, by torch's own rule, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def find_trunk(explicit: Path | None = None) -> Path:
    """Path of the AlexNet weights: `explicit` (file or folder) and nothing else if given, otherwise the usual places.

    Raises WeightsError, whose message holds the command that gets them.
    """
    if explicit is not None:
        places = [explicit]
    else:
        folder = os.environ.get(WEIGHTS_VARIABLE)
        places = [Path(folder).expanduser()] if folder else []
        places.append(hub_folder())
    for place in places:
        path = place / TRUNK_FILE if place.is_dir() or explicit is None else place
        if path.is_file():
            return path
    target = (places[0] if places[0].suffix != ".pth" else places[0].parent) / TRUNK_FILE
    raise WeightsError(
        f"weights missing: {TRUNK_FILE} is not in {' or '.join(map(str, places))}",
        fix=f"get them with: curl --create-dirs -o '{target}' {TRUNK_URL}",
    )


class Lpips:
    """Callable (generated, truth), both uint8 (H, W, 3) -> LPIPS >= 0 (0: identical)."""

    def __init__(self, network: torch.nn.Module, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device = device

    def __call__(self, generated: np.ndarray, truth: np.ndarray) -> float:
        import torch

        with torch.inference_mode():
            return float(self._network(self._signed(generated), self._signed(truth)).item())

    def _signed(self, image: np.ndarray) -> torch.Tensor:
        """(1, 3, H, W) in [-1, 1]."""
        import torch

        return (torch.tensor(image, device=self._device).permute(2, 0, 1)[None].float() / 127.5) - 1


def load_lpips(explicit: Path | None = None, *, device: str = "cpu") -> Lpips:
    """LPIPS with the trunk that `find_trunk` finds. Raises WeightsError where there is none or it is something else."""
    import torch

    path = find_trunk(explicit)
    network = build_network()
    names = [name for name in network.state_dict() if name.startswith("net.slice")]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # lpips cuts torchvision's `features.N` into slices and keeps N as the layer's name: net.slice2.3.bias.
        trunk = {name: state["features." + name.split(".", 2)[2]] for name in names}
        network.load_state_dict(network.state_dict() | trunk)
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: not AlexNet weights ({reason})", expected=f"the file at {TRUNK_URL}") from error
    return Lpips(network, device)


def build_network() -> torch.nn.Module:
    """lpips.LPIPS with its shipped heads and a random trunk (from torch's generator): nothing is downloaded."""
    import warnings

    import lpips

    # lpips calls `alexnet(pretrained=False)`, which torchvision understands and warns about.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models\._utils")
        return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
