"""LPIPS v0.1 (AlexNet or VGG-16): two RGB images in, a distance out, where the trunk's weights are on this machine.

The calibrated heads ship inside the `lpips` wheel, the trunks do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from signgen.metrics.weights import WeightsFile

if TYPE_CHECKING:
    import torch

Net = Literal["alex", "vgg"]
TRUNKS: dict[Net, WeightsFile] = {
    "alex": WeightsFile(
        "AlexNet",
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "lpips-alex",
    ),
    "vgg": WeightsFile(
        "VGG-16", "vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth", "lpips-vgg"
    ),
}
NAMES: dict[Net, str] = {"alex": "AlexNet", "vgg": "VGG-16"}
SMALLEST_SIDES: dict[Net, int] = {"alex": 64, "vgg": 16}  # below, the last pooling has nothing left
SMALLEST_SIDE = SMALLEST_SIDES["alex"]


class Lpips:
    """Callable (generated, truth), both (H, W, 3) in 0..255, uint8 or float -> LPIPS >= 0 (0: identical).

    signed: whether the network is given [-1, 1], which its heads were calibrated for, or [0, 1] as some tools do.
    """

    def __init__(self, network: torch.nn.Module, device: str = "cpu", *, signed: bool = True) -> None:
        self._network = network.eval().to(device)
        self._device, self._signed = device, signed

    def __call__(self, generated: np.ndarray, truth: np.ndarray) -> float:
        import torch

        with torch.inference_mode():
            return float(self._network(self._input(generated), self._input(truth)).item())

    def fed(self, *, signed: bool) -> Lpips:
        """The same network, given [-1, 1] or [0, 1]."""
        return Lpips(self._network, self._device, signed=signed)

    def _input(self, image: np.ndarray) -> torch.Tensor:
        """(1, 3, H, W) in [-1, 1] or [0, 1]."""
        import torch

        batch = torch.tensor(image, device=self._device).permute(2, 0, 1)[None].float()
        return batch / 127.5 - 1 if self._signed else batch / 255


def load_lpips(explicit: Path | None = None, *, net: Net = "alex", device: str = "cpu") -> Lpips:
    """LPIPS with the trunk that is found. Raises WeightsError where there is none or it is something else."""
    weights = TRUNKS[net]
    path = weights.find(explicit)
    state = weights.read(path)
    network = build_network(net)
    names = [name for name in network.state_dict() if name.startswith("net.slice")]
    try:
        # lpips cuts torchvision's `features.N` into slices and keeps N as the layer's name: net.slice2.3.bias.
        trunk = {name: state["features." + name.split(".", 2)[2]] for name in names}
        network.load_state_dict(network.state_dict() | trunk)
    except (RuntimeError, KeyError, TypeError) as error:
        raise weights.refusal(path, error) from error
    return Lpips(network, device)


def build_network(net: Net = "alex") -> torch.nn.Module:
    """lpips.LPIPS with its shipped heads and a random trunk (from torch's generator): nothing is downloaded."""
    import warnings

    import lpips

    # lpips calls `alexnet(pretrained=False)`, which torchvision understands and warns about.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchvision\.models\._utils")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
