"""Flow fields in: composed, measured, and images resampled by them, out.

A flow (B, 2, h, w) is backward: the output at (x, y) is the input at (x, y) + flow, x before y, in pixels of the map.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def flow_sample(image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """image (B, C, H, W); flow (B, 2, h, w): x and y displacement in pixels of `image`, enlarged to H x W.

    Returns the image with pixel (x, y) taken from (x, y) + flow, bilinear, edges repeated.
    """
    height, width = image.shape[-2:]
    flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device) + 0.5, torch.arange(width, device=flow.device) + 0.5, indexing="ij"
    )
    grid = torch.stack([(x + flow[:, 0]) * 2 / width, (y + flow[:, 1]) * 2 / height], -1) - 1
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def compose_flows(second: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """The one flow (B, 2, h, w) that does what `first` and then, on its result, `second` do.

    RePoseDM's eq. 7, read as the composition of maps: F'(x) = dF(x) + F(x + dF(x)). The literal product of two
    displacements, begun at zero, stays zero.
    """
    return second + flow_sample(first, second)


def flow_at(flow: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """flow (B, 2, h, w), points (B, K, 2) in pixels of the map, pixel centres at .5 -> displacements (B, K, 2)."""
    height, width = flow.shape[-2:]
    grid = points * points.new_tensor([2 / width, 2 / height]) - 1
    found = F.grid_sample(flow, grid[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


def total_variation(flow: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (): mean absolute difference of neighbours, along both axes."""
    down, right = flow.diff(dim=-2).abs(), flow.diff(dim=-1).abs()
    return down.mean() + right.mean()
