"""Inception-v3 features for FID and KID, by torchvision's or by pytorch-fid's weights: an image in, (2048,) out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from signgen.errors import WeightsError
from signgen.metrics.weights import WeightsFile

if TYPE_CHECKING:
    import torch

Inception = Literal["torchvision", "pytorch-fid"]
Features = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) in 0..255 -> float32 (2048,)
INPUT_SIZE = 299
WEIGHTS: dict[Inception, WeightsFile] = {
    "torchvision": WeightsFile(
        "torchvision's Inception-v3",
        "inception_v3_google-0cc3c7bd.pth",
        "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        "inception",
    ),
    "pytorch-fid": WeightsFile(
        "pytorch-fid's Inception-v3",
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "inception-fid",
    ),
}
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
_MIDDLE = ("Conv2d_3b_1x1", "Conv2d_4a_3x3")
_MIXED = tuple(f"Mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"))


class InceptionFeatures:
    """Callable: one (H, W, 3) image in 0..255 -> float32 (2048,), the pooled features before the classifier.

    One image at a time, so that a feature depends on its image alone and not on how images fell into batches.
    signed: whether the network is given [-1, 1], as it was trained. False reproduces the research tools: they take
    [0, 1] for ImageNet-normalised values and apply torchvision's transform from those, which leaves [-.19, .43].
    """

    def __init__(self, layers: torch.nn.Module, device: str = "cpu", *, signed: bool) -> None:
        self._layers = layers.eval().to(device)
        self._device, self._signed = device, signed

    def __call__(self, image: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return self._layers(self.network_input(image)).mean(dim=(2, 3))[0].cpu().numpy()

    def network_input(self, image: np.ndarray) -> torch.Tensor:
        """(1, 3, 299, 299), bilinear without antialias, as all these tools and pytorch-fid resize."""
        import torch

        unit = torch.tensor(image, device=self._device).permute(2, 0, 1)[None].float() / 255
        unit = torch.nn.functional.interpolate(unit, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear")
        if self._signed:
            return 2 * unit - 1
        scale = torch.tensor([0.229, 0.224, 0.225], device=self._device).view(1, 3, 1, 1)
        mean = torch.tensor([0.485, 0.456, 0.406], device=self._device).view(1, 3, 1, 1)
        return unit * (scale / 0.5) + (mean - 0.5) / 0.5


def load_inception(
    kind: Inception, explicit: Path | None = None, *, signed: bool = True, device: str = "cpu"
) -> InceptionFeatures:
    """The network with the weights that are found. Raises WeightsError where there are none or they are something
    else, and where pytorch-fid's network is asked for without torch-fidelity."""
    weights = WEIGHTS[kind]
    path = weights.find(explicit)
    state = weights.read(path)
    try:
        network = _torchvision_network(state) if kind == "torchvision" else _pytorch_fid_network(state)
    except (RuntimeError, KeyError, TypeError) as error:
        raise weights.refusal(path, error) from error
    return InceptionFeatures(_up_to_pooling(network), device, signed=signed)


def _torchvision_network(state: dict[str, Any]) -> torch.nn.Module:
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    network.load_state_dict(state)
    return network


def _pytorch_fid_network(state: dict[str, Any]) -> torch.nn.Module:
    """torch-fidelity's network: the pooling inside its blocks is that of the TensorFlow graph, not torchvision's."""
    import torch

    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise WeightsError(
            "torch-fidelity is not installed: it has pytorch-fid's network",
            fix="get it with: pip install 'signgen[fid]'",
        ) from error
    # It reads a file with plain unpickling, so it is given one written here of what was read safely.
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    return FeatureExtractorInceptionV3("signgen", ["2048"], feature_extractor_weights_path=checked)


def _up_to_pooling(network: torch.nn.Module) -> torch.nn.Module:
    """The convolutional layers in order: (1, 3, 299, 299) -> (1, 2048, 8, 8)."""
    from torch.nn import MaxPool2d, Sequential

    def named(names: tuple[str, ...]) -> list[torch.nn.Module]:
        return [network.get_submodule(name) for name in names]

    return Sequential(*named(_STEM), MaxPool2d(3, 2), *named(_MIDDLE), MaxPool2d(3, 2), *named(_MIXED))
