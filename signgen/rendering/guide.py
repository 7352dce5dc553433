"""The pose network that guides a rendering: settings in; the network, and the same settings that name it by what it is,
not by where it lies, out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signgen.config import SamplingSettings
from signgen.errors import OptionError
from signgen.models.heat_maps import PoseNetwork
from signgen.models.pose_adapters import open_pose_network
from signgen.poses.joints import JOINT_MAPS, read_joint_map

_SHOWN = 16  # hexadecimal digits of a digest


def open_guide(sampling: SamplingSettings) -> PoseNetwork | None:
    """The network of `sampling.pose_network`, on the CPU; None where nothing is guided by poses.

    Raises OptionError where none is named, or no gradient passes through it, else as `open_pose_network`.
    """
    if not sampling.pose_guidance:
        return None
    if sampling.pose_network is None:
        raise OptionError("--pose-guidance without --pose-network", expected="what `signgen train-posenet` wrote")
    network = open_pose_network(Path(sampling.pose_network), sampling.pose_joints, option="--pose-joints")
    if not network.differentiable:
        raise OptionError(
            f"--pose-network {sampling.pose_network}: no gradient passes through it",
            expected="a folder of train-posenet, a TorchScript archive, or HRNet weights",
        )
    return network


def named_settings(sampling: SamplingSettings, guide: PoseNetwork | None) -> SamplingSettings:
    """The settings with the digest of `guide` as their network, and joints of a file by what they are."""
    return sampling.model_copy(update=_named(sampling.pose_joints, guide))


def chosen_settings(chosen: Mapping[str, Any], guide: PoseNetwork | None) -> dict[str, Any]:
    """What a command line chose, for a file of results: without what it left open, and named as above."""
    given = {name: value for name, value in chosen.items() if value is not None}
    named = _named(given.pop("pose_joints", None), guide)
    given.pop("pose_network", None)
    return given | {name: value for name, value in named.items() if value is not None}


def _named(joints: str | None, guide: PoseNetwork | None) -> dict[str, str | None]:
    if guide is None:  # where it would lie is nobody's business
        return {"pose_network": None, "pose_joints": None}
    if joints is not None and joints not in JOINT_MAPS:
        joints = f"joints:{hashlib.sha256(str(read_joint_map(joints)).encode()).hexdigest()[:_SHOWN]}"
    return {"pose_network": guide.digest, "pose_joints": joints}
