"""Images and who they show in; a network that tells people by their looks, and its features of other images, out.

The plain recipe of re-identification: a torchvision ResNet, cross-entropy over the people, images of 256x128, Adam with
a cosine to zero; features are the pooled ones before the classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from signgen.errors import OptionError, WeightsError
from signgen.files import read_tensors
from signgen.video.reader import read_opaque

NETWORKS = ("resnet18", "resnet34", "resnet50")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
_ERASED = (0.02, 0.2)  # share of the image that random erasing takes (Zhong et al. 2020)
_HEAD = "fc."
_COUNTER = "num_batches_tracked"  # state dicts of old versions have none


@dataclass(frozen=True)
class ReidSettings:
    """network: one of NETWORKS; weights: its state dict, None: random. steps, batch, rate: of Adam, the rate falling to
    0 by a cosine. width, height: of what it sees. erasing: random erasing. seed: of weights, order, augmentation."""

    network: str = "resnet50"
    weights: Path | None = None
    steps: int = 12_000
    batch: int = 64
    rate: float = 3.5e-4
    width: int = 128
    height: int = 256
    erasing: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raises OptionError for an unknown network."""
        if self.network not in NETWORKS:
            raise OptionError(f"--network {self.network}", expected=" or ".join(NETWORKS))


def build_network(settings: ReidSettings, people: int) -> nn.Module:
    """A ResNet with a classifier of `people`. Raises WeightsError for weights that are not that network's."""
    from torchvision import models

    torch.manual_seed(settings.seed)
    network = getattr(models, settings.network)(weights=None)
    network.fc = nn.Linear(network.fc.in_features, people)
    if settings.weights is not None:
        _load(network, settings.weights, settings.network)
    return network


def train_reid(
    paths: Sequence[Path],
    labels: Sequence[int],
    people: int,
    settings: ReidSettings,
    *,
    flips: bool,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> nn.Module:
    """labels: 0..people-1 of the images. flips: mirror every other image. Every epoch is a new order of all images."""
    network = build_network(settings, people).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    rng, known = np.random.default_rng([settings.seed, 0x1D]), np.asarray(labels)
    batches = _batches(len(paths), settings, rng)
    for numbers in batches:
        images = np.stack([_augmented(_read(paths[n], settings), settings, flips, rng) for n in numbers])
        target = torch.from_numpy(known[numbers]).to(device)
        loss = nn.functional.cross_entropy(network(_tensor(images, device)), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        tick()
    return network.eval()


@torch.no_grad()
def reid_features(
    network: nn.Module,
    paths: Sequence[Path],
    settings: ReidSettings,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """float32 (N, D): what the classifier of a trained network is given of each image."""
    head, network.fc = network.fc, nn.Identity()
    found = []
    for start in range(0, len(paths), settings.batch):
        part = paths[start : start + settings.batch]
        images = np.stack([_read(path, settings) for path in part])
        found.append(network(_tensor(images, device)).float().cpu().numpy())
        for _ in part:
            tick()
    network.fc = head
    return np.concatenate(found)


def _load(network: nn.Module, path: Path, name: str) -> None:
    """All but the classifier, which is of other classes."""
    expected = f"a state dict of torchvision's {name}"
    state = _read_state(path, expected)
    body = {key: value for key, value in state.items() if not key.startswith(_HEAD)}
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(_HEAD)}
    wrong = [key for key in body if key not in own or body[key].shape != own[key].shape]
    wrong += [key for key in own if key not in body and not key.endswith(_COUNTER)]
    if wrong:
        raise WeightsError(f"{path}: {len(wrong)} tensors do not fit, e.g. {wrong[0]}", expected=expected)
    network.load_state_dict(body, strict=False)


def _read_state(path: Path, expected: str) -> dict[str, torch.Tensor]:
    """Raises WeightsError for a file that is missing or holds no tensors by name."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = read_tensors(path)
    except Exception as error:  # safetensors has errors of its own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsError(f"{path}: cannot be read ({reason})", expected=expected) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: no tensors by name", expected=expected)
    return state


def _batches(count: int, settings: ReidSettings, rng: np.random.Generator) -> list[np.ndarray]:
    """`steps` batches of image numbers; every image once before any comes again."""
    needed = settings.steps * settings.batch
    orders = [rng.permutation(count) for _ in range(-(-needed // count))]
    return list(np.concatenate(orders)[:needed].reshape(settings.steps, settings.batch))


def _read(path: Path, settings: ReidSettings) -> np.ndarray:
    """uint8 (height, width, 3)."""
    return cv2.resize(read_opaque(path), (settings.width, settings.height), interpolation=cv2.INTER_LINEAR)


def _augmented(image: np.ndarray, settings: ReidSettings, flips: bool, rng: np.random.Generator) -> np.ndarray:
    mirrored, erased = rng.random() < 0.5, rng.random() < 0.5
    if flips and mirrored:
        image = image[:, ::-1]
    if settings.erasing and erased:
        share, ratio = rng.uniform(*_ERASED), np.exp(rng.uniform(-1.2, 1.2))
        height, width = image.shape[:2]
        h = min(height, round(height * np.sqrt(share * ratio)))
        w = min(width, round(width * np.sqrt(share / ratio)))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        image = image.copy()
        image[top : top + h, left : left + w] = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    return image


def _tensor(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), normalised as ImageNet's."""
    scaled = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (_MEAN, _STD))
    return (scaled - mean) / std
