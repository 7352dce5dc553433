"""A pose network of heat maps as an estimator: frames in, keypoints out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from signgen.models.heat_maps import PoseNetwork, seen_points
from signgen.models.pose_adapters import open_pose_network
from signgen.poses.skeletons import COCO_WHOLEBODY_133


def opened(path: Path, joints: str | None) -> PoseNetwork:
    """The network at `path` (`open_pose_network`), which estimators of several clips share: it remembers no frame."""
    return _opened(path, joints, _written(path))


def _written(path: Path) -> int:
    """When the network at `path` was written; 0 where there is none."""
    file = path / "posenet.json" if path.is_dir() else path
    return file.stat().st_mtime_ns if file.is_file() else 0


@lru_cache(maxsize=2)
def _opened(path: Path, joints: str | None, written: int) -> PoseNetwork:
    return open_pose_network(path, joints)


class PoseNetEstimator:
    """An Estimator: frames are brought to the network's canvas, and points back to the frame's pixels. Every frame is
    looked at by itself; joints that the network does not know are missing."""

    short_side = 0  # frames are resized anyway

    def __init__(self, network: PoseNetwork) -> None:
        self._network = network
        known, all_points = len(network.joints), COCO_WHOLEBODY_133.points
        self.note = f"the pose network knows {known} of {all_points} points; the others stay missing"

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to float32 (133, 3); the score is the height of the peak."""
        canvas = self._network.canvas
        points = seen_points(self._network, canvas.fit_frame(frame)[None])[0]
        return canvas.restore_keypoints(points, frame.shape[1], frame.shape[0])

    def close(self) -> None:
        """The network stays for the next clip."""
