"""Pose networks that a user brings, behind the interface of signgen's own: HRNet weights, TorchScript, ONNX.

A joint map says which point each of their heat maps is. Their maps are cut to [0, 1], with the gradient of the uncut
ones: a linear head is a little below 0 in half of the background, and guidance has to be able to raise it. Images are
normalised by ImageNet's mean and deviation unless others are given.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from signgen.errors import ModelError, OptionError
from signgen.models.canvas import Canvas
from signgen.models.heat_maps import HeatMaps, PoseNetwork
from signgen.models.hrnet import load_hrnet
from signgen.models.posenet_card import load_posenet
from signgen.poses.joints import JOINT_MAPS, NONE, JointMap, read_joint_map

CANVAS = Canvas(256, 256, "pad", "lanczos")  # where neither the file nor the user says
_OUTPUT = "heat maps (batch, joints, height, width) as its first output of four axes"


@dataclass(frozen=True)
class Normalisation:
    """Of RGB in [0, 1], by channel."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class AdaptedNetwork(nn.Module):
    """A PoseNetwork around `network`: normalised images (B, 3, H, W) -> features and maps, or maps alone.

    joints: the user's map, NONE for heat maps that have no point; those are left out.
    """

    mean: torch.Tensor
    std: torch.Tensor
    kept: torch.Tensor

    def __init__(
        self,
        network: Any,
        joints: JointMap,
        canvas: Canvas,
        digest: str,
        normalisation: Normalisation = Normalisation(),
        differentiable: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.canvas, self.digest, self.differentiable = canvas, digest, differentiable
        self._given = joints
        self.joints = tuple(joint for joint in joints if joint != NONE)
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("kept", torch.tensor([joint != NONE for joint in joints]), persistent=False)
        self.stride = self._checked_stride()

    @property
    def device(self) -> torch.device:
        """Where images have to be."""
        return self.mean.device

    def heat_maps(self, images: torch.Tensor) -> HeatMaps:
        """See PoseNetwork."""
        features, maps = self._run(images)
        kept = maps[:, self.kept]
        return HeatMaps(features, kept + (kept.clamp(0, 1) - kept).detach())

    def _run(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and all maps, as they are."""
        found = self.network(((images + 1) / 2 - self.mean) / self.std)
        tensors = list(found.values()) if isinstance(found, dict) else found
        if isinstance(tensors, torch.Tensor):
            return tensors, tensors
        maps = [each for each in tensors if isinstance(each, torch.Tensor) and each.ndim == 4]
        fitting = [each for each in maps if each.shape[1] == len(self._given)] or maps
        if not fitting:
            raise ModelError(f"{self.digest[:20]}: no heat maps among its outputs", expected=_OUTPUT)
        return maps[0], fitting[0]

    @torch.no_grad()
    def _checked_stride(self) -> int:
        """Once the network has been seen to give a heat map for each joint. Raises ModelError."""
        height, width = self.canvas.height, self.canvas.width
        try:
            maps = self._run(torch.zeros(1, 3, height, width))[1]
        except ModelError:
            raise
        except Exception as error:  # a foreign network raises anything
            reason = " ".join(str(error).split())[-160:] or type(error).__name__
            raise ModelError(f"the pose network does not run on a {width}x{height} image ({reason})") from error
        if maps.ndim != 4 or maps.shape[1] != len(self._given):
            found = f"the pose network's output is of shape {tuple(maps.shape)}"
            expected = f"{len(self._given)} heat maps, one for each joint that is named"
            raise ModelError(found, expected=expected, fix=f"give its joints: {', '.join(JOINT_MAPS)} or a .json file")
        strides = {height / maps.shape[2], width / maps.shape[3]}
        stride = strides.pop()
        if strides or stride != int(stride):
            found = f"heat maps of {maps.shape[3]}x{maps.shape[2]} for {width}x{height}"
            raise ModelError(found, expected="one whole stride along both axes")
        return int(stride)


class OnnxNetwork(nn.Module):
    """An ONNX file run by onnxruntime on the CPU; gradients do not reach its input."""

    def __init__(self, path: Path) -> None:
        """Raises ModelError where it cannot be opened."""
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(f"{path} needs onnxruntime", fix="pip install 'signgen[onnx]'") from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no other base
            reason = " ".join(str(error).split())[:160]
            raise ModelError(f"{path}: cannot be opened ({reason})", expected="an ONNX model") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            found = f"{path}: inputs {[(each.type, each.shape) for each in inputs]}"
            raise ModelError(found, expected="one of float32 (batch, 3, height, width)")
        self._name, shape = inputs[0].name, inputs[0].shape
        sides = [side for side in shape[2:] if isinstance(side, int)]
        self.size = (sides[1], sides[0]) if len(sides) == 2 else None
        self._one = shape[0] == 1  # takes images one by one

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W), normalised -> its outputs."""
        batch: np.ndarray = np.ascontiguousarray(images.detach().cpu().numpy(), np.float32)
        parts = [batch[i : i + 1] for i in range(len(batch))] if self._one else [batch]
        found = [self._session.run(None, {self._name: part}) for part in parts]
        joined = [np.concatenate(outputs) for outputs in zip(*found, strict=True)]
        return [torch.from_numpy(each).to(images.device) for each in joined]


def open_pose_network(
    path: Path,
    joints: str | None = None,
    canvas: Canvas | None = None,
    normalisation: Normalisation = Normalisation(),
    option: str = "--joints",
) -> PoseNetwork:
    """The pose network at `path`: a folder of train-posenet, an .onnx file, a TorchScript archive, or HRNet weights.

    joints: a name or file of signgen/poses/joints.py, which all but a folder need. canvas: what frames are brought to;
    the file's own size, or 256x256, where None. option: of the joints, for messages.
    Raises ModelError, OptionError or PoseError.
    """
    if path.is_dir():
        if joints is not None:
            raise OptionError(f"{option} with {path}", expected="none: its card says them")
        return load_posenet(path)[0]
    if not path.is_file():
        raise ModelError(f"{path}: no such file or folder", expected="what train-posenet wrote, or a network's file")
    if joints is None:
        names = f"{', '.join(JOINT_MAPS)} or a .json file"
        raise OptionError(f"{path} without {option}", expected=f"which point each heat map is: {names}")
    known, digest = read_joint_map(joints), hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".onnx":
        onnx = OnnxNetwork(path)
        own = Canvas(*onnx.size, CANVAS.fit, CANVAS.resample) if onnx.size else CANVAS
        return AdaptedNetwork(onnx, known, canvas or own, f"onnx:{digest}", normalisation, differentiable=False)
    if is_torchscript(path):
        return AdaptedNetwork(_scripted(path), known, canvas or CANVAS, f"torchscript:{digest}", normalisation)
    return AdaptedNetwork(load_hrnet(path, len(known)), known, canvas or CANVAS, f"hrnet:{digest}", normalisation)


def is_torchscript(path: Path) -> bool:
    """Whether the file is an archive of torch.jit.save: a zip with code, which torch.save's has not."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _scripted(path: Path) -> Any:
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # torch raises anything for a damaged archive
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{path}: cannot be opened ({reason})", expected="a TorchScript archive") from error
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network
