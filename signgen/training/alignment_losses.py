"""Losses that teach a pose alignment's flow: the alignment, latents and keypoints of a batch in; scalars by name out.

Without them only the diffusion loss says anything of the flow, through tokens of attention. RePoseDM says of none; they
are those of learned optical flow (photometric, smooth), and what keypoints know: where a body's places came from.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from signgen.config import AlignmentLosses
from signgen.models.alignment import FINE, Alignment
from signgen.models.flow import flow_at, total_variation
from signgen.models.image_space import ImageSpace
from signgen.training.body_places import Places

EARLIER = 0.8  # what the flow before a recurrence weighs against the one after it (RAFT, Teed & Deng 2020)


def weighted_losses(settings: AlignmentLosses) -> dict[str, float]:
    """The weights of the losses below, by name."""
    names = ("photometric", "matching", "keypoints", "smoothness")
    return {f"alignment_{name}": weight for name in names if (weight := getattr(settings, name))}


def alignment_losses(
    found: Alignment,
    settings: AlignmentLosses,
    space: ImageSpace,
    source_latent: torch.Tensor,
    target_latent: torch.Tensor,
    places: Places | None,
) -> dict[str, torch.Tensor]:
    """Every active loss, (), over all recurrences. latents: (B, C, h, w). places: what
    keypoints know."""
    names = weighted_losses(settings)
    losses = {name: torch.zeros((), device=source_latent.device) for name in names}
    if "alignment_matching" in losses:
        losses["alignment_matching"] = matching_error(found.scores, places, found.pixels)
    share = sum(EARLIER**back for back in range(len(found.fine)))
    for number, flow in enumerate(found.fine):
        weight = EARLIER ** (len(found.fine) - 1 - number) / share
        moved = flow * found.pixels
        if settings.photometric:
            seen = photometric(space.move(source_latent, moved), target_latent, found.visibility, settings.hidden)
            losses["alignment_photometric"] = losses["alignment_photometric"] + weight * seen
        if settings.keypoints:
            led = keypoint_error(moved, places, found.pixels, FINE)
            losses["alignment_keypoints"] = losses["alignment_keypoints"] + weight * led
        if settings.smoothness:
            losses["alignment_smoothness"] = losses["alignment_smoothness"] + weight * total_variation(moved)
    return losses


def photometric(warped: torch.Tensor, target: torch.Tensor, visibility: torch.Tensor, hidden: float) -> torch.Tensor:
    """(): mean over places of v |warped - target| + (1 - v) hidden; visibility v (B, 1, h, w) in [0, 1].

    The best v is 1 where the difference is below `hidden`, else 0: what the source does not show is not matched.
    """
    difference = (warped - target).abs().mean(1, keepdim=True)
    seen = F.interpolate(visibility.float(), difference.shape[-2:], mode="bilinear", align_corners=False)
    return (seen * difference + (1 - seen) * hidden).mean()


def keypoint_error(flow: torch.Tensor, places: Places | None, pixels: int, fine: int = 1) -> torch.Tensor:
    """(): weighted mean distance, in tokens, from where the flow (B, 2, fine h, fine w; canvas pixels) at a target's
    places leads to where they were. Places that are not known contribute nothing."""
    assert places is not None  # the batch has keypoints where this loss has a weight
    target, source, known = places.target, places.source, places.weight
    led = target + flow_at(flow, (target + 0.5) * (fine / pixels))
    distance = (led - source).norm(dim=2) / pixels
    return (distance * known).sum() / known.sum().clamp(min=1)


def matching_error(scores: torch.Tensor, places: Places | None, pixels: int) -> torch.Tensor:
    """(): cross-entropy of the correlation (B, (2 R + 1)^2, h, w) at a target's places against where they were, in
    nats. Places outside, not known, or further away than R do not count."""
    assert places is not None  # the batch has keypoints where this loss has a weight
    target, source, known = places.target, places.source, places.weight
    height, width = scores.shape[-2:]
    side = math.isqrt(scores.shape[1])
    radius = side // 2
    # which token a place is in, and how many tokens away its source is
    x, y = ((target + 0.5) / pixels).floor().long().unbind(2)
    right, down = ((source - target) / pixels).round().long().unbind(2)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    near = (right.abs() <= radius) & (down.abs() <= radius)
    counts = known * inside * near
    # the logarithm of its share there
    token = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    step = (down.clamp(-radius, radius) + radius) * side + right.clamp(-radius, radius) + radius
    logs = scores.flatten(2).log_softmax(1)
    here = logs.gather(2, token[:, None].expand(-1, logs.shape[1], -1))
    return -(here.gather(1, step[:, None])[:, 0] * counts).sum() / counts.sum().clamp(min=1)
