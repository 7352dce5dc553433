"""Pose interaction field (RePoseDM, arXiv 2310.16074, section 3.3): images and where joints should be in; how far they
are from it, out.

G(x) = W . (Phi(x) - H)^2, with Phi the heat maps that a pose network sees in the image, H Gaussians at the keypoints, W
what either of them holds. The paper runs its network on a drawn skeleton, and
guides by a difference of noises that is not known in sampling; docs/reposedm.md has the readings taken here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from signgen.models.heat_maps import PoseNetwork, gaussian_targets
from signgen.poses.joints import JOINT_MAPS, NONE
from signgen.poses.skeletons import COCO_WHOLEBODY_133

THRESHOLD = 0.1  # of what a heat map holds [paper]
SIGMA = 1.5  # of the Gaussians, in pixels of a heat map


@dataclass(frozen=True)
class PoseField:
    """G of a batch of frames. targets: (B, K, h, w) in [0, 1]; known: bool (B, K), joints that count.

    size: h, w of the image that the network is shown.
    """

    network: PoseNetwork
    targets: torch.Tensor
    known: torch.Tensor
    size: tuple[int, int]

    @classmethod
    def of(cls, network: PoseNetwork, points: torch.Tensor, size: tuple[int, int]) -> PoseField:
        """points: (B, 133, 3), or (B, 18, 3) as OpenPose has them, x and y in pixels of images of `size` (h, w), and
        score. Joints that are not known, or lie outside of the image, do not count."""
        points = _whole_body(points)
        canvas, stride = network.canvas, network.stride
        joints = [joint for joint in network.joints if joint >= 0]
        scale = points.new_tensor([canvas.width / size[1], canvas.height / size[0]])
        wanted = points[:, joints]
        places = (wanted[..., :2] + 0.5) * scale - 0.5
        inside = (places >= -0.5) & (places < places.new_tensor([canvas.width, canvas.height]) - 0.5)
        moved = torch.cat([places, (wanted[..., 2] * inside.all(-1)).nan_to_num(0)[..., None]], -1)
        shape = (canvas.height // stride, canvas.width // stride)
        targets, known = gaussian_targets(moved, shape, stride, SIGMA)
        return cls(network, targets, known, (canvas.height, canvas.width))

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] -> heat maps of the joints (B, K, h, w)."""
        if images.shape[-2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=True)
        seen = self.network.heat_maps(images).maps
        return seen[:, [number for number, joint in enumerate(self.network.joints) if joint >= 0]]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [-1, 1] -> G (B,): the sum over heat maps' pixels, the mean over joints that are known."""
        seen = self.maps(images)
        counts = (torch.maximum(seen.detach(), self.targets) > THRESHOLD) & self.known[..., None, None]
        apart = ((seen - self.targets) ** 2 * counts).sum((2, 3))
        return apart.sum(1) / self.known.sum(1).clamp(min=1)

    def rows(self, part: slice | torch.Tensor) -> PoseField:
        """The field of some samples of the batch."""
        return PoseField(self.network, self.targets[part], self.known[part], self.size)


def _whole_body(points: torch.Tensor) -> torch.Tensor:
    """(B, 133, 3) or (B, 18, 3) -> (B, 133, 3), missing where OpenPose has no such point."""
    if points.shape[1] == COCO_WHOLEBODY_133.points:
        return points
    whole = points.new_full((len(points), COCO_WHOLEBODY_133.points, 3), torch.nan)
    known = {joint: number for number, joint in enumerate(JOINT_MAPS["openpose18"]) if joint != NONE}
    whole[:, list(known)] = points[:, list(known.values())]
    return whole
