"""Recurrent pose alignment (RePoseDM, arXiv 2310.16074, section 3.2): source and target pose in, an aligned source out.

It departs from the paper where that is open or cannot be computed; docs/reposedm.md says why:

1. maps are lifted to `width` channels by a small convolutional stem before they are compared (4 channels of a VAE
   make no correspondence), and have 2-D sinusoidal positions;
2. what is estimated is a dense flow and a visibility, not one homography: a body is articulated;
3. flows are composed as maps (eq. 7: `compose_flows`), and the original source is warped by the whole (eq. 9);
4. a flow of tokens is refined within them by learned convex combinations (RAFT, Teed & Deng 2020), since what moves has
   edges that lie within a token; as in RAFT a recurrence is taught by what follows from its own step only;
5. what a step may be matched to is the region that attention sees, so that steps become local, too.

Maps are (B, width, h, w), called tokens where they are looked at as (B, h w, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from signgen.models.flow import compose_flows, flow_sample

REGIONS = (0, 9, 5, 3, 3)  # of the recurrences, global (0) to local, in tokens
FINE = 4  # places of a refined flow, a token, each way
AROUND = 9  # tokens whose flows a place can have: its own, and those that touch it
COMPARED = 16  # channels


@dataclass(frozen=True)
class Alignment:
    """flows: after n = 1 ... N recurrences, each (B, 2, h, w) from target to source, in tokens. fine: the same refined,
    each (B, 2, FINE h, FINE w), in tokens, too. visibility (B, 1, h, w) in [0, 1]: whether the source shows what is
    there. source, aligned (B, width, h, w): its map as it is, and F_S^N. scores (B, (2 R + 1)^2, h, w): of the first
    recurrence, the logits of where in the source a target's place is, steps by rows. pixels: of the canvas, a token."""

    flows: tuple[torch.Tensor, ...]
    fine: tuple[torch.Tensor, ...]
    visibility: torch.Tensor
    source: torch.Tensor
    aligned: torch.Tensor
    scores: torch.Tensor
    pixels: int = 1

    @property
    def flow(self) -> torch.Tensor:
        """The last one."""
        return self.flows[-1]


class Stem(nn.Module):
    """A map of any channels, `stride` times as large, to one of `width` channels."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(stride),
            nn.Conv2d(channels * stride * stride, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
        )

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """(B, channels, stride h, stride w) -> (B, width, h, w)."""
        return self.layers(picture)


class RegionAttention(nn.Module):
    """Attention of one map's places to the region around them in another, or the same (eq. 5)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor, region: torch.Tensor | None) -> torch.Tensor:
        """tokens, seen (B, N, width); region: bool (N, N), what each place sees, None: everything -> (B, N, width)."""
        query, key, value = (
            layer(each).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.query, tokens), (self.key, seen), (self.value, seen))
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=region)
        return self.out(attended.transpose(1, 2).flatten(2))


class MapFormer(nn.Module):
    """One layer: self-attention in both maps, cross-attention between them, a feed-forward network; with residuals."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.within, self.between = RegionAttention(width, heads), RegionAttention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, target: torch.Tensor, source: torch.Tensor, region: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """target, source (B, N, width) -> the same, each knowing of the other."""
        after_self, after_cross, after_feed = self.norms
        target, source = (after_self(each + self.within(each, each, region)) for each in (target, source))
        target, source = (
            after_cross(each + self.between(each, other, region))
            for each, other in ((target, source), (source, target))
        )
        target, source = (after_feed(each + self.feed(each)) for each in (target, source))
        return target, source


class PoseMappingAggregator(nn.Module):
    """Local correlation and both maps in; a step of the flow and logits of visibility out: two convolutions with a
    max-pooling between them, as the paper has it.

    The step is g(x) E[r] + d(x): the displacement that the correlation expects, as far as it is believed, and what is
    added to it. The head of g and d has zero weights, so that the first step moves nothing.
    """

    def __init__(self, width: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.correlation = nn.Conv2d((2 * radius + 1) ** 2, width, 1)  # as RAFT has it: 3x3 costs nine times as much
        self.layers = nn.Sequential(
            nn.Conv2d(3 * width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),  # of ReLUs all are dead after some hundred steps
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.SiLU(),
        )
        self.head = nn.Conv2d(width, 4, 3, padding=1)
        self.sharpness = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, target: torch.Tensor, source: torch.Tensor, reach: int) -> tuple[torch.Tensor, ...]:
        """target, source (B, width, h, w); reach: how far the expected step goes, in tokens -> flow (B, 2, h, w) in
        tokens; logits: of visibility (B, 1, h, w), of the flow (B, (2 R + 1)^2, h, w); hidden (B, width, h, w)."""
        correlation = local_correlation(target, source, self.radius)
        hidden = self.layers(torch.cat([F.silu(self.correlation(correlation)), target, source], 1))
        added, gate, logits = self.head(hidden).float().split([2, 1, 1], 1)
        scores = self.sharpness * correlation.float()
        return gate.tanh() * expected_step(scores, reach) + added, logits, scores, hidden


class FlowRefiner(nn.Module):
    """Which of the flows of the tokens around it each place within a token has. It knows what the aggregator knows of
    the token and these flows; and, twice as fine as tokens are where that is possible, the target's pose, and how well
    what the source shows where each of the flows leads fits it."""

    def __init__(self, channels: tuple[int, int], strides: tuple[int, int], width: int) -> None:
        """channels, strides: of the source and of the poses."""
        super().__init__()
        self.finer = 1 if any(stride % 2 for stride in strides) else 2
        self.source, self.pose = (Outline(*each, self.finer, width) for each in zip(channels, strides, strict=True))
        self.token = nn.Conv2d(width + 2 * AROUND, width, 1)
        self.compared = nn.ModuleList(nn.Conv2d(width, COMPARED, 1) for _ in range(2))  # target's, source's
        self.within = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, AROUND * (FINE // self.finer) ** 2, 1),
        )
        self.place = nn.Conv2d(width, AROUND * FINE * FINE, 1)  # knows where in a token a place is

    def outlines(
        self, source: torch.Tensor, pose: torch.Tensor, source_pose: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of the pose (B, width, h', w'), finer than tokens; what of it and of the source is compared."""
        theirs = self.source(source) + (0 if source_pose is None else self.pose(source_pose))
        ours = self.pose(pose)
        return ours, self.compared[0](ours), self.compared[1](theirs).expand(len(ours), -1, -1, -1)

    def forward(self, hidden: torch.Tensor, flow: torch.Tensor, outlines: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """hidden (B, width, h, w), of the aggregator; flow (B, 2, h, w) in tokens -> logits of shares (B, 9, FINE h,
        FINE w)."""
        flow = flow.detach()
        ours, wanted, shown = outlines
        around = flows_around(flow)
        known = torch.cat([hidden, (around - flow[:, :, None]).flatten(1, 2).to(hidden)], 1)
        seen = F.interpolate(self.token(known), scale_factor=self.finer, mode="nearest") + ours
        found = F.pixel_shuffle(self.within(seen), FINE // self.finer) + F.pixel_shuffle(self.place(hidden), FINE)
        # how well what each flow leads to fits
        led = F.interpolate(around.flatten(1, 2), scale_factor=self.finer, mode="nearest").unflatten(1, (2, AROUND))
        moved = [flow_sample(shown.float(), self.finer * each) for each in led.unbind(2)]
        fits = torch.stack([(wanted * each).sum(1) for each in moved], 1) / math.sqrt(COMPARED)
        return found.float() + F.interpolate(fits.float(), scale_factor=FINE // self.finer, mode="nearest")


class Outline(nn.Sequential):
    """A map of any channels, `stride` times as large as tokens, to one of `width` channels, `finer` times as large."""

    def __init__(self, channels: int, stride: int, finer: int, width: int) -> None:
        step = stride // finer
        super().__init__(
            nn.PixelUnshuffle(step),
            nn.Conv2d(channels * step * step, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )


class RecurrentAlignment(nn.Module):
    """Eq. 7-9: the flow is refined `recurrences` times, each time from the original source warped by all of it so far.

    regions: what attention sees in each recurrence, in tokens, 0 everything; the last one holds for all further ones.
    reencode: what is warped is the picture, which is encoded anew, as the paper writes it; else its map, which is
    cheaper and sharper at the edges of flows.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        width: int = 128,
        heads: int = 4,
        radius: int = 8,
        recurrences: int = 5,
        regions: Sequence[int] = REGIONS,
        strides: tuple[int, int] = (1, 1),
        reencode: bool = False,
        pixels: int = 1,
    ) -> None:
        """channels, strides: of the source's stem and of the poses'. pixels: of the canvas, a token."""
        super().__init__()
        self.source_stem, self.pose_stem = (Stem(*each) for each in zip(channels, (width, width), strides, strict=True))
        self.mapformer = MapFormer(width, heads)
        self.aggregator = PoseMappingAggregator(width, radius)
        self.refiner = FlowRefiner(channels, strides, width)
        self.recurrences, self.regions, self.reencode = recurrences, tuple(regions), reencode
        self.stride, self.pixels = strides[0], pixels
        # Small at first: two places look alike for what they show, not for where they are.
        self.position_scale = nn.Parameter(torch.tensor(0.1))

    def forward(
        self,
        source: torch.Tensor,
        pose: torch.Tensor,
        source_pose: torch.Tensor | None = None,
        recurrences: int | None = None,
    ) -> Alignment:
        """source, pose, source_pose: (B, C, H, W) as the stems take them; both poses go through one stem, so that equal
        limbs look alike before anything is learned. recurrences: other than trained with."""
        source_map, target_map = self._encoded(source, source_pose), self.pose_stem(pose)
        positions = self.position_scale * sinusoidal_positions(*source_map.shape[1:]).to(source_map)
        source_map = source_map.expand(len(target_map), -1, -1, -1)
        flow = torch.zeros_like(target_map[:, :2], dtype=torch.float32)
        logits = torch.zeros_like(target_map[:, :1])
        outlines = self.refiner.outlines(source, pose, source_pose)
        warped, flows, fine, scores = source_map, [], [], target_map[:, :0]
        count = self.recurrences if recurrences is None else recurrences
        for number in range(count):
            region = self.regions[min(number, len(self.regions) - 1)]
            step, logits, found, hidden = self._step(target_map + positions, warped + positions, region)
            scores = scores if number else found
            flow = compose_flows(step, flow.detach())  # in float32: bfloat16 rounds places to eighths of a pixel
            flows.append(flow)
            fine.append(refined(flow, self.refiner(hidden, flow, outlines)))
            # what the denoiser is given teaches the last step, too
            by = fine[-1] if self.reencode else flow
            by = by if number + 1 == count else by.detach()
            if self.reencode:
                warped = self._warped(source, source_pose, by)
            else:
                warped = flow_sample(source_map.float(), by)
        return Alignment(
            tuple(flows) or (flow,), tuple(fine) or (flow,), logits.sigmoid(), source_map, warped, scores, self.pixels
        )

    def _step(self, target: torch.Tensor, source: torch.Tensor, region: int) -> tuple[torch.Tensor, ...]:
        """Eq. 8, M: MapFormer, then the aggregator."""
        size = target.shape[-2:]
        tokens = (each.flatten(2).transpose(1, 2) for each in (target, source))
        seen = region_mask(size[0], size[1], region).to(target.device) if region else None
        maps = (each.transpose(1, 2).unflatten(2, size) for each in self.mapformer(*tokens, seen))
        return self.aggregator(*maps, region // 2 or self.aggregator.radius)

    def _encoded(self, source: torch.Tensor, source_pose: torch.Tensor | None) -> torch.Tensor:
        found = self.source_stem(source)
        return found if source_pose is None else found + self.pose_stem(source_pose)

    def _warped(self, source: torch.Tensor, source_pose: torch.Tensor | None, flow: torch.Tensor) -> torch.Tensor:
        """The map of W(I_S; F^n), eq. 9. flow (B, 2, h', w') in tokens."""
        pictures = [None if each is None else self._moved(each, flow) for each in (source, source_pose)]
        return self._encoded(*pictures)  # type: ignore[arg-type]

    def _moved(self, picture: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return flow_sample(picture.expand(len(flow), -1, -1, -1).float(), flow * self.stride)


def local_correlation(target: torch.Tensor, source: torch.Tensor, radius: int) -> torch.Tensor:
    """Eq. 6: C(x, r) = ReLU(T(x) . S(x + r)) / sqrt(D) for |r| <= radius; 0 where x + r is outside.

    target, source (B, D, h, w) -> (B, (2 radius + 1)^2, h, w), r by rows. Computed as the products of all pairs of
    places, of which the near ones are taken: 2 D (h w)^2 FLOPs, and no copy of the map for each r.
    """
    height, width = target.shape[-2:]
    volume = F.relu(target.flatten(2).transpose(1, 2) @ source.flatten(2)) / math.sqrt(target.shape[1])
    places, inside = neighbours(height, width, radius)
    found = volume.gather(2, places.to(volume.device).expand(len(volume), -1, -1))
    return (found * inside.to(found)).transpose(1, 2).unflatten(2, (height, width))


def expected_step(correlation: torch.Tensor, reach: int) -> torch.Tensor:
    """correlation (B, (2 R + 1)^2, h, w), r by rows -> the mean of r (B, 2, h, w), x before y, by its softmax over all
    r of no more than `reach`."""
    radius = (math.isqrt(correlation.shape[1]) - 1) // 2
    reach = min(reach, radius)
    near = slice(radius - reach, radius + reach + 1)
    square = correlation.unflatten(1, (2 * radius + 1, -1))[:, near, near]
    shares = square.flatten(1, 2).softmax(1).unflatten(1, (2 * reach + 1, -1))
    steps = torch.arange(-reach, reach + 1, device=correlation.device, dtype=correlation.dtype)
    x, y = (torch.einsum("bkhw,k->bhw", shares.sum(axis), steps) for axis in (1, 2))
    return torch.stack([x, y], 1)


def refined(flow: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """flow (B, 2, h, w), logits of shares (B, 9, FINE h, FINE w) -> (B, 2, FINE h, FINE w): every place within a token
    has a convex combination of the flows of the 3x3 tokens around it, by rows."""
    around = F.interpolate(flows_around(flow).flatten(1, 2), scale_factor=FINE, mode="nearest")
    return (around.unflatten(1, (2, AROUND)) * shares.softmax(1)[:, None]).sum(2)


def flows_around(flow: torch.Tensor) -> torch.Tensor:
    """(B, 2, h, w) -> (B, 2, 9, h, w): of the 3x3 tokens around each, by rows. Edges are repeated."""
    found = F.unfold(F.pad(flow, (1, 1, 1, 1), mode="replicate"), 3)
    return found.unflatten(2, flow.shape[-2:]).unflatten(1, (2, AROUND))


def neighbours(height: int, width: int, radius: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every place of a map: the numbers of the places around it, int64 (h w, (2 radius + 1)^2), and whether they
    are in the map, bool."""
    y, x = torch.meshgrid(torch.arange(height, device="cpu"), torch.arange(width, device="cpu"), indexing="ij")
    steps = torch.arange(-radius, radius + 1, device="cpu")
    rows = y.flatten()[:, None] + steps.repeat_interleave(len(steps))
    columns = x.flatten()[:, None] + steps.repeat(len(steps))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1), inside


def region_mask(height: int, width: int, region: int) -> torch.Tensor:
    """bool (h w, h w): whether two places are in one square of `region` x `region` tokens about the first."""
    y, x = torch.meshgrid(torch.arange(height, device="cpu"), torch.arange(width, device="cpu"), indexing="ij")
    y, x = y.flatten(), x.flatten()
    near = region // 2
    return ((y[:, None] - y).abs() <= near) & ((x[:, None] - x).abs() <= near)


def sinusoidal_positions(channels: int, height: int, width: int) -> torch.Tensor:
    """(channels, h, w): sines and cosines of the row and of the column, a quarter of the channels each."""
    quarter = channels // 4
    rates = torch.exp(-math.log(10000) * torch.arange(quarter, device="cpu") / quarter)
    y, x = (torch.arange(size, device="cpu")[:, None] * rates for size in (height, width))
    rows = torch.cat([y.sin(), y.cos()], 1).T[:, :, None].expand(-1, -1, width)
    columns = torch.cat([x.sin(), x.cos()], 1).T[:, None].expand(-1, height, -1)
    return torch.cat([rows, columns])
