"""Heat maps of joints: keypoints in, Gaussian targets out, and the way back; and what every pose network offers.

Where a point lies in a heat map: pixel centres move as in cv2.resize, x_map = (x + 1/2) / stride - 1/2.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch

from signgen.models.canvas import Canvas
from signgen.poses.skeletons import COCO_WHOLEBODY_133

_LEAST = 1e-12  # below it a map's logarithm says nothing


class HeatMaps(NamedTuple):
    """What a pose network sees. features: (B, C, h, w), its last hidden layer. maps: (B, K, h, w) in [0, 1]."""

    features: torch.Tensor
    maps: torch.Tensor


class PoseNetwork(Protocol):
    """An image in, heat maps of joints out; of signgen's own network and of those that a user brings.

    joints: for every heat map its point of COCO-WholeBody-133. stride: input px to a heat-map px. canvas: the size
    that it was made for, and how frames are brought to it. differentiable: whether gradients reach the image. digest:
    which network it is, as model cards name it. device: where images have to be.
    """

    @property
    def joints(self) -> tuple[int, ...]: ...

    @property
    def stride(self) -> int: ...

    @property
    def canvas(self) -> Canvas: ...

    @property
    def differentiable(self) -> bool: ...

    @property
    def digest(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    def heat_maps(self, images: torch.Tensor) -> HeatMaps:
        """(B, 3, H, W) RGB in [-1, 1], sides multiples of the stride -> maps (B, K, H/stride, W/stride), features."""
        ...


def gaussian_targets(
    points: torch.Tensor, size: tuple[int, int], stride: int, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (B, K, 3) in input px with scores -> targets (B, K, h, w) in [0, 1], and a mask (B, K) of known joints.

    size: h, w of the maps. sigma: of the Gaussians, in heat-map px; their top is 1. A joint with NaN or score 0 is
    missing: not in the mask, its map 0. One that is known to lie outside the picture has what reaches into it.
    """
    known = torch.isfinite(points[..., :2]).all(-1) & (points[..., 2] > 0)
    places = (torch.where(known[..., None], points[..., :2], 0.0) + 0.5) / stride - 0.5
    height, width = size
    across = torch.arange(width, device=points.device, dtype=places.dtype) - places[..., :1]
    down = torch.arange(height, device=points.device, dtype=places.dtype) - places[..., 1:]
    rows, columns = (torch.exp(-0.5 * (axis / sigma) ** 2) for axis in (down, across))
    return rows[..., :, None] * columns[..., None, :] * known[..., None, None], known


@torch.no_grad()
def peaks(maps: torch.Tensor, stride: int) -> torch.Tensor:
    """Maps (B, K, h, w) -> (B, K, 3): x, y in input px, and the height of the peak as score.

    Of each map the highest pixel, moved to the top of the parabola through the logarithms of three pixels along each
    axis: exact on a Gaussian (the idea of DARK, Zhang et al. 2020), within half a pixel on anything else.
    """
    height, width = maps.shape[-2:]
    tops, places = maps.flatten(-2).max(-1)
    row, column = places // width, places % width
    logs = maps.clamp_min(_LEAST).log()
    along_row = torch.gather(logs, -2, row[..., None, None].expand(*row.shape, 1, width))[..., 0, :]
    along_column = torch.gather(logs, -1, column[..., None, None].expand(*row.shape, height, 1))[..., 0]
    x = (_top(along_row, column) + 0.5) * stride - 0.5
    y = (_top(along_column, row) + 0.5) * stride - 0.5
    return torch.stack([x, y, tops], -1)


@torch.no_grad()
def seen_points(network: PoseNetwork, images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) RGB on the network's canvas -> float32 (N, 133, 3) in its pixels, score the peak's height; a
    joint that the network does not know is missing (NaN, NaN, 0)."""
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(network.device)
    maps = network.heat_maps(pixels.float() / 127.5 - 1).maps.float()
    points = np.full((len(images), COCO_WHOLEBODY_133.points, 3), (np.nan, np.nan, 0), np.float32)
    points[:, list(network.joints)] = peaks(maps, network.stride).cpu().numpy()
    return points


def _top(line: torch.Tensor, highest: torch.Tensor) -> torch.Tensor:
    """(..., n) logarithms along an axis and the highest's index (...) -> where their parabola has its top, in px."""
    count = line.shape[-1]
    if count < 3:
        return highest.to(line.dtype)
    middle = highest.clamp(1, count - 2)  # at an edge three pixels on one side do as well
    below, at, above = (line.gather(-1, (middle + step)[..., None])[..., 0] for step in (-1, 0, 1))
    bend = below - 2 * at + above
    moved = middle + 0.5 * (below - above) / torch.where(bend < 0, bend, -1.0)
    place = torch.where(bend < 0, moved, highest.to(line.dtype))
    return torch.maximum(torch.minimum(place, highest + 0.5), highest - 0.5)
