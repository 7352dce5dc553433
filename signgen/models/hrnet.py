"""HRNet (Sun et al. 2019) and HigherHRNet (Cheng et al. 2020): a state dict in the authors' naming in, a network out.

The trunk is timm's (extra `hrnet`), whose layers have the same names; the heads, which timm lacks, are built here from
the shapes of the weights. Of HigherHRNet the heat maps of both resolutions are averaged at the finer one, as its own
evaluation does; its grouping tags are left out, for one person needs none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from signgen.errors import ModelError
from signgen.files import read_tensors

_NEEDS_TIMM = "pip install 'signgen[hrnet]'"
_EXPECTED = "the weights of an HRNet (final_layer) or HigherHRNet (final_layers.0) as their authors name them"
_WRAPPERS = ("state_dict", "model")  # of checkpoints that hold more than weights
_WIDTH = "stage2.0.branches.0.0.conv1.weight"


class HRNetPose(nn.Module):
    """The trunk and its heads. joints: how many heat maps it gives."""

    def __init__(self, weights: Mapping[str, torch.Tensor], joints: int) -> None:
        super().__init__()
        self.joints = joints
        self.trunk = _trunk(int(weights[_WIDTH].shape[0]))
        self.final_layers = nn.ModuleList(_conv(weights, name) for name in _final_names(weights))
        deconvs = range(_count(weights, r"deconv_layers\.(\d+)\."))
        self.deconv_layers = nn.ModuleList(_deconv(weights, number) for number in deconvs)
        # whether a deconvolution is given the heat maps before it as well (CAT_OUTPUT)
        into = [weights[f"deconv_layers.{number}.0.0.weight"].shape[0] for number in deconvs]
        before = [weights[f"{name}.weight"].shape[1] for name in _final_names(weights)]
        self._joined = [width > alone for width, alone in zip(into, before, strict=False)]

    @property
    def stride(self) -> int:
        """Input px to a heat-map px: 4, halved by every deconvolution."""
        return 4 // 2 ** len(self.deconv_layers)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W), normalised, H and W multiples of 32 -> features (B, C, h, w) and maps (B, joints, h, w)."""
        (value,) = self.trunk(images)
        outputs = [self.final_layers[0](value)]
        for deconv, final, joined in zip(self.deconv_layers, self.final_layers[1:], self._joined, strict=True):
            given = torch.cat([value, outputs[-1]], 1) if joined else value
            value = deconv(given)
            outputs.append(final(value))
        size = outputs[-1].shape[-2:]
        maps = [F.interpolate(each[:, : self.joints], size=size, mode="bilinear") for each in outputs]
        return value, torch.stack(maps).mean(0)


def load_hrnet(path: Path, joints: int) -> HRNetPose:
    """A network from a file of weights, which is read without running anything in it.

    Raises ModelError for a file that holds no such weights, or weights of other shapes.
    """
    weights = read_state_dict(path)
    if _WIDTH not in weights or not _final_names(weights):
        raise ModelError(f"{path}: holds no {_WIDTH} or no final_layer", expected=_EXPECTED)
    try:
        with torch.device("meta"):  # no random weights are made
            network = HRNetPose(weights, joints)
        wanted = {_authors_name(name, network): tensor for name, tensor in network.state_dict().items()}
    except (KeyError, IndexError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{path}: no network can be built for it ({error})", expected=_EXPECTED) from error
    _check_shapes(path, weights, wanted, network)
    own = {name: weights[_authors_name(name, network)] for name in network.state_dict()}
    network.load_state_dict(
        {name: each.float() if each.is_floating_point() else each for name, each in own.items()}, assign=True
    )
    return network.eval().requires_grad_(False)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Names and tensors of a checkpoint. Raises ModelError."""
    try:
        found = read_tensors(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as weights ({error})", expected=_EXPECTED) from error
    for name in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise ModelError(f"{path}: holds a {type(found).__name__}, not names and tensors", expected=_EXPECTED)
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def _check_shapes(
    path: Path, weights: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], network: HRNetPose
) -> None:
    """Raise ModelError for the first weight that is missing, of another shape, or of no use."""
    for name, tensor in wanted.items():
        if name not in weights:
            raise ModelError(f"{path}: lacks {name}", expected=_EXPECTED)
        if weights[name].shape != tensor.shape:
            found = f"{path}: {name} is of shape {tuple(weights[name].shape)}"
            raise ModelError(found, expected=f"{tuple(tensor.shape)}")
    if unknown := sorted(weights.keys() - wanted.keys()):
        raise ModelError(f"{path}: {unknown[0]} has no place in the network", expected=_EXPECTED)
    for name, layer in zip(_final_names(weights), network.final_layers, strict=True):
        if layer.out_channels not in (network.joints, network.joints + 1, 2 * network.joints):
            raise ModelError(
                f"{path}: {name} gives {layer.out_channels} maps",
                expected=f"{network.joints}, one for each joint that is named, with or without tags",
                fix="give the joints that it was trained for",
            )


def _authors_name(name: str, network: HRNetPose) -> str:
    """What the authors' checkpoints call a weight of HRNetPose."""
    if name.startswith("final_layers.") and not network.deconv_layers and len(network.final_layers) == 1:
        return name.replace("final_layers.0", "final_layer")
    return name.removeprefix("trunk.")


def _final_names(weights: Mapping[str, torch.Tensor]) -> list[str]:
    if "final_layer.weight" in weights:
        return ["final_layer"]
    return [f"final_layers.{number}" for number in range(_count(weights, r"final_layers\.(\d+)\."))]


def _count(weights: Mapping[str, torch.Tensor], pattern: str) -> int:
    found = [int(match.group(1)) for match in map(re.compile(pattern).match, weights) if match]
    return max(found, default=-1) + 1


def _conv(weights: Mapping[str, torch.Tensor], name: str) -> nn.Conv2d:
    out, into, kernel, _ = weights[f"{name}.weight"].shape
    return nn.Conv2d(into, out, kernel, padding=kernel // 2)


def _deconv(weights: Mapping[str, torch.Tensor], number: int) -> nn.Sequential:
    """Transposed convolution, BatchNorm, ReLU, then residual blocks: twice the resolution."""
    from timm.models.resnet import BasicBlock

    into, out, kernel, _ = weights[f"deconv_layers.{number}.0.0.weight"].shape
    padding, beyond = {4: (1, 0), 3: (1, 1), 2: (0, 0)}[kernel]
    widen = nn.ConvTranspose2d(into, out, kernel, 2, padding, beyond, bias=False)
    blocks = range(_count(weights, rf"deconv_layers\.{number}\.(\d+)\.") - 1)
    first = nn.Sequential(widen, nn.BatchNorm2d(out), nn.ReLU())
    return nn.Sequential(first, *(nn.Sequential(BasicBlock(out, out)) for _ in blocks))


def _trunk(width: int) -> Any:
    """timm's HRNet of this width: images -> [features at stride 4]. Only its finest branch is fused at the end."""
    try:
        import timm
    except ImportError as error:
        raise ModelError("HRNet needs timm", fix=_NEEDS_TIMM) from error
    name = f"hrnet_w{width}"
    if not timm.is_model(name):
        raise ModelError(f"an HRNet of width {width}", expected="one of timm's widths: 18, 30, 32, 40, 44, 48, 64")
    trunk = timm.create_model(name, pretrained=False, features_only=True, feature_location="", out_indices=(1,))
    last = trunk.stage4[-1]
    last.fuse_layers = nn.ModuleList([last.fuse_layers[0]])
    return trunk
