"""Keypoints of two moments of a person in; places of the one, and where the other shows the same, out.

What moves between two pictures of a person is known at keypoints and along bones, and roughly beside them: flesh and
cloth go with the bone that they are nearest to (linear skinning), a trunk with its shoulders, and what is far from a
person stays. All in pixels of the canvas, on the device of the points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from signgen.poses.palettes import Limb, Palette, Stroke
from signgen.poses.skeletons import COCO_WHOLEBODY_133, SKELETONS

PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)  # along a bone
_SEEN = 0.3  # score of a keypoint that is believed
_SHOULDERS, _HIPS, _SKULL = (5, 6), (11, 12), range(5)
# Half-thicknesses in shoulder widths, of a bone's beginning and end: of a sleeve as it is on average, thinner than what
# a part warp cuts out. Bones of the face have none: a head goes as a whole.
_UPPER_ARM, _FOREARM, _PALM, _FINGER, _LEG = (0.16, 0.135), (0.13, 0.095), (0.07, 0.06), (0.03, 0.03), (0.2, 0.2)
_HEAD = 0.5
# Which lies over which.
_BACKGROUND, _TRUNK, _NECK, _ARM, _LOWER, _HAND = range(6)
_SIDE, _ABOVE, _BELOW = 0.6, 0.2, 1.6  # of a trunk: from its middle to a side, over and under the shoulders
_AROUND = 1.5  # half-thicknesses from a bone, outside of which nothing moves
_STILL = 0.3  # what a still place counts beside one of the trunk
_MOVING = 2.0  # and one of arms or hands, which are small and move most
_LINE = 0.2  # and one on a bone of face, feet or trunk: these are many
_SHORTEST = 2.0  # px; a bone that points at the camera has no direction


@dataclass(frozen=True)
class Places:
    """target, source: (B, P, 2), x and y in pixels of the canvas. weight: (B, P), 0 where not both are known."""

    target: torch.Tensor
    source: torch.Tensor
    weight: torch.Tensor

    def __add__(self, other: Places) -> Places:
        """Both."""
        return Places(
            torch.cat([self.target, other.target], 1),
            torch.cat([self.source, other.source], 1),
            torch.cat([self.weight, other.weight], 1),
        )


def bones_of(palette: Palette) -> list[tuple[int, int]]:
    """The pairs of a skeleton's points that the palette's strokes and limbs join."""
    count = SKELETONS[palette.skeleton].points
    lines: Iterable[tuple[int, ...]] = (
        mark.points if isinstance(mark, Stroke) else mark.points[:2]
        for mark in palette.strokes
        if isinstance(mark, Stroke | Limb)
    )
    pairs = {tuple(sorted(pair)) for line in lines for pair in pairwise(line) if max(pair) < count}
    return sorted(pairs)  # type: ignore[arg-type]


def known_places(
    source: torch.Tensor, target: torch.Tensor, bones: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Places:
    """Along bones, and of the body on a grid that is shifted at random, so that in time all places are seen."""
    shift = torch.rand(len(source), 2, device="cpu").to(source)
    return bone_places(source, target, bones) + body_places(source, target, bones, size, shift=shift)


def bone_places(source: torch.Tensor, target: torch.Tensor, bones: Sequence[tuple[int, int]]) -> Places:
    """Along bones. source, target: keypoints (B, K, 3), x px, y px, score; what one of them lacks has weight 0."""
    ends, known = zip(*(_ends(points, bones) for points in (target, source)), strict=True)
    along = torch.tensor(PLACES, device=source.device).view(1, 1, -1, 1)
    here, there = ((each[:, :, :1] + along * (each[:, :, 1:] - each[:, :, :1])).flatten(1, 2) for each in ends)
    counts = torch.tensor([_LINE if _part_of(bone) is None else 1.0 for bone in bones], device=source.device)
    return Places(here, there, ((known[0] & known[1]) * counts).repeat_interleave(len(PLACES), 1))


def body_places(
    source: torch.Tensor,
    target: torch.Tensor,
    bones: Sequence[tuple[int, int]],
    size: tuple[int, int],
    count: int = 32,
    shift: torch.Tensor | None = None,
) -> Places:
    """On a grid over the canvas of `size` (width, height), `count` places along its longer side. shift: (B, 2) in
    [0, 1), of the grid within its steps; None: places are in their middles.

    Each goes with what lies uppermost there: a hand's or an arm's bone, the head, the trunk; still places weigh less.
    Weight 0: beside a body, where it may belong to either; at a part that the source lacks; without both shoulders.
    source, target: (B, 133, 3), COCO-WholeBody.
    """
    grid = _grid(size, count).to(target) + max(size) / count * (0.5 if shift is None else shift[:, None])
    grid = grid.expand(len(target), -1, -1)
    ours, theirs = _Body.of(target, bones), _Body.of(source, bones)
    reach = ours.reach(grid)  # (B, G, parts)
    nearest = reach.argmax(2, keepdim=True)
    moved = theirs.places(ours, grid).gather(2, nearest[..., None].expand(-1, -1, -1, 2))[:, :, 0]
    inside = reach.gather(2, nearest)[..., 0] > 0
    both = (ours.known & theirs.known)[:, None].expand_as(reach).gather(2, nearest)[..., 0]
    still = ~ours.near(grid)
    important = torch.where(ours.layers[nearest[..., 0]] >= _ARM, _MOVING, 1.0)
    weight = important * (inside & both) + _STILL * (~inside & still)
    together = (ours.whole & theirs.whole).float()[:, None]
    return Places(grid, torch.where(inside[..., None], moved, grid), weight * together)


def _grid(size: tuple[int, int], count: int) -> torch.Tensor:
    """(G, 2): where its cells begin; a pixel's middle is at whole numbers."""
    step = max(size) / count
    x, y = (torch.arange(0, length - step / 2, step, device="cpu") - 0.5 for length in size)
    return torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], 1)


def _ends(points: torch.Tensor, bones: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, K, 3) -> ends of bones (B, N, 2, 2), 0 where not seen, and whether both are, bool (B, N)."""
    pairs = torch.tensor(bones, device=points.device)
    seen = (points[..., 2] >= _SEEN) & points[..., :2].isfinite().all(2)
    places = torch.where(seen[..., None], points[..., :2], torch.zeros_like(points[..., :2]))
    return places[:, pairs], seen[:, pairs].all(2)


@dataclass(frozen=True)
class _Body:
    """Parts of B people: N limbs, then head and trunk.

    ends (B, N, 2, 2), head (B, 2), shoulders (B, 2, 2). unit (B,): shoulder widths. bottom (B,): of the trunk, in
    shoulder widths under the shoulders. known: bool (B, N + 2). whole: bool (B,), both shoulders are seen.
    radii (N, 2), of beginnings and ends; layers (N + 2,).
    """

    ends: torch.Tensor
    head: torch.Tensor
    shoulders: torch.Tensor
    unit: torch.Tensor
    known: torch.Tensor
    whole: torch.Tensor
    radii: torch.Tensor
    layers: torch.Tensor

    @classmethod
    def of(cls, points: torch.Tensor, bones: Sequence[tuple[int, int]]) -> _Body:
        limbs = [(bone, *part) for bone in bones if (part := _part_of(bone)) is not None]
        ends, known = _ends(points, [bone for bone, _, _ in limbs])
        shoulders, whole = (each[:, 0] for each in _ends(points, [_SHOULDERS]))
        skull = points[:, list(_SKULL)]
        seen = (skull[..., 2] >= _SEEN) & skull[..., :2].isfinite().all(2)
        count = seen.sum(1, keepdim=True)
        head = torch.where(seen[..., None], skull[..., :2], 0).sum(1) / count.clamp(min=1)
        unit = (shoulders[:, 0] - shoulders[:, 1]).norm(dim=1).clamp(min=1)
        radii = torch.tensor([radius for _, radius, _ in limbs], device=points.device).view(-1, 2)
        layers = torch.tensor([*(layer for _, _, layer in limbs), _NECK, _TRUNK], device=points.device)
        return cls(ends, head, shoulders, unit, torch.cat([known, count > 0, whole[:, None]], 1), whole, radii, layers)

    def reach(self, grid: torch.Tensor) -> torch.Tensor:
        """grid (B, G, 2) -> (B, G, N + 2): how far within a part a place is, 0 to 1 from its edge inwards,
        and the number of its layer over that; 0 where it is outside, or the part is not seen."""
        inside = 1 - self._distances(grid)
        there = (inside > 0) & self.known[:, None]
        return torch.where(there, inside + self.layers, torch.zeros_like(inside))

    def near(self, grid: torch.Tensor) -> torch.Tensor:
        """bool (B, G): in or around a part."""
        return ((self._distances(grid) <= _AROUND) & self.known[:, None]).any(2)

    def _distances(self, grid: torch.Tensor) -> torch.Tensor:
        """(B, G, N + 2): from each bone and the head's middle, in half-thicknesses; of the trunk from its middle, as a
        share of its extent. 1 is the edge."""
        begin, line = self.ends[:, None, :, 0], (self.ends[..., 1, :] - self.ends[..., 0, :])[:, None]
        offset = grid[:, :, None] - begin
        along = ((offset * line).sum(3) / line.square().sum(3).clamp(min=1e-6)).clamp(0, 1)
        thick = torch.lerp(self.radii[:, 0], self.radii[:, 1], along) * self.unit[:, None, None]
        limbs = (offset - along[..., None] * line).norm(dim=3) / thick
        head = (grid - self.head[:, None]).norm(dim=2) / (_HEAD * self.unit[:, None])
        middle, across = self.shoulders.mean(1), (self.shoulders[:, 0] - self.shoulders[:, 1]) / self.unit[:, None]
        down = torch.stack([-across[:, 1], across[:, 0]], 1)
        aside, under = (torch.einsum("bgc,bc->bg", grid - middle[:, None], axis) for axis in (across, down))
        half = (_ABOVE + _BELOW) / 2
        under = (under.div(self.unit[:, None]) - (_BELOW - half)) / half
        trunk = torch.maximum(aside.abs() / (_SIDE * self.unit[:, None]), under.abs())
        return torch.cat([limbs, head[..., None], trunk[..., None]], 2)

    def places(self, other: _Body, grid: torch.Tensor) -> torch.Tensor:
        """(B, G, N + 2, 2): where another body's places are on this one, if they go with each of its parts."""
        scale = (self.unit / other.unit)[:, None, None]
        # limbs: stretched along a bone, as thick as the shoulders are wide
        here, there = (_complex(each.ends) for each in (other, self))
        grids = _complex(grid)[..., None]
        line, led = here[..., 1] - here[..., 0], there[..., 1] - there[..., 0]
        offset = grids - here[:, None, :, 0]
        along = ((offset * line[:, None].conj()).real / line.abs().square().clamp(min=1e-6)[:, None]).clamp(0, 1)
        long = torch.minimum(line.abs(), led.abs()) >= _SHORTEST
        turn = torch.where(long, led * line.conj() / (led * line.conj()).abs().clamp(min=1e-6), torch.ones_like(line))
        rest = offset - along * line[:, None]
        limbs = there[:, None, :, 0] + along * led[:, None] + scale * turn[:, None] * rest
        # head: shifted; trunk: by the similarity of the shoulders
        head = _complex(self.head)[:, None] + scale[..., 0] * (grids[..., 0] - _complex(other.head)[:, None])
        ours, theirs = _complex(self.shoulders), _complex(other.shoulders)
        whole = (theirs[:, 1] - theirs[:, 0]).abs() > 0
        similar = torch.where(whole, (ours[:, 1] - ours[:, 0]) / (theirs[:, 1] - theirs[:, 0] + ~whole), 1)
        trunk = ours.mean(1, keepdim=True) + similar[:, None] * (grids[..., 0] - theirs.mean(1, keepdim=True))
        return torch.view_as_real(torch.cat([limbs, head[..., None], trunk[..., None]], 2))


def _complex(points: torch.Tensor) -> torch.Tensor:
    """(..., 2) -> (...): x + iy; turning and scaling are a product."""
    return torch.view_as_complex(points.float().contiguous())


def _part_of(bone: tuple[int, int]) -> tuple[tuple[float, float], int] | None:
    """Half-thicknesses in shoulder widths and layer; None of bones that carry nothing: of face, feet, trunk."""
    hands = COCO_WHOLEBODY_133.left_hand[0], COCO_WHOLEBODY_133.right_hand[0]
    if min(bone) >= hands[0]:
        return (_PALM if min(bone) in hands else _FINGER), _HAND
    for pairs, radius, layer in ((((5, 7), (6, 8)), _UPPER_ARM, _ARM), (((7, 9), (8, 10)), _FOREARM, _LOWER)):
        if bone in pairs:
            return radius, layer
    return (_LEG, _TRUNK) if bone in ((11, 13), (12, 14), (13, 15), (14, 16)) else None
