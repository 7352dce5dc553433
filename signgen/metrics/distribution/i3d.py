"""Networks for FVD: 16 consecutive frames in, a feature vector out, where their weights are on this machine.

I3D is the TorchScript file that FVD is usually taken with (return_features=True); R3D-18 is torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signgen.metrics.weights import WeightsFile

if TYPE_CHECKING:
    import torch

WINDOW = 16  # frames
Features = Callable[[np.ndarray], np.ndarray]  # uint8 (16, H, W, 3) -> float32 (D,)
I3D = WeightsFile(
    "I3D (TorchScript)",
    "i3d_torchscript.pt",
    "https://huggingface.co/ByteDance/LatentSync-1.6/resolve/main/auxiliary/i3d_torchscript.pt",
    "i3d",
)
R3D = WeightsFile(
    "torchvision's R3D-18", "r3d_18-b3b3357e.pth", "https://download.pytorch.org/models/r3d_18-b3b3357e.pth", "r3d-18"
)
R3D_SIZE = 112
_R3D_MEAN, _R3D_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # of Kinetics-400, as trained


def load_i3d(explicit: Path | None = None) -> Features:
    """Raises WeightsError where the file is missing or no such network."""
    import torch

    path = I3D.find(explicit)
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise I3D.refusal(path, error) from error

    def features(window: np.ndarray) -> np.ndarray:
        """It resizes to 224x224 and scales to [-1, 1] by itself."""
        with torch.inference_mode():
            found = network(_batch(window), rescale=True, resize=True, return_features=True)
        return found[0].float().numpy()

    return features


def load_r3d(explicit: Path | None = None) -> Features:
    """Raises WeightsError where the file is missing or something else."""
    import torch
    from torchvision.models.video import r3d_18

    path = R3D.find(explicit)
    state = R3D.read(path)
    network = r3d_18(weights=None)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise R3D.refusal(path, error) from error
    network.fc = torch.nn.Identity()
    network.eval()

    def features(window: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(r3d_input(window))[0].numpy()

    return features


def r3d_input(window: np.ndarray) -> torch.Tensor:
    """(1, 3, 16, 112, 112): the whole frame, bilinear with antialias, its sides not kept in proportion; normalised.

    Its training cut out the middle; of a signer in an upright frame that would cut off head and hands.
    """
    import torch

    frames = _batch(window)[0].transpose(0, 1) / 255  # (16, 3, H, W)
    small = torch.nn.functional.interpolate(frames, (R3D_SIZE, R3D_SIZE), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_R3D_MEAN, _R3D_STD))
    return ((small - mean) / std).transpose(0, 1)[None]


def _batch(window: np.ndarray) -> torch.Tensor:
    """uint8 (T, H, W, 3) to float32 (1, 3, T, H, W) in 0..255."""
    import torch

    return torch.from_numpy(window).permute(3, 0, 1, 2)[None].float()
