"""A person and another one's picture in; the person in the other one's clothes, as layers and as one picture, out.

Trunk and arms come from the garment's picture, head and hands from the person's own, and so does the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from signgen.warp.anatomy import SIDES
from signgen.warp.bank import Layer, SourceBank, above_mask, hand_mask, head_mask, layer_of, nape_mask, pixel_grid

SPARE = 0.06  # shoulder widths around the garment's arms and hands whose colours the trunk does not take
_OWN_HEAD, _THEIR_HEAD = 1.08, 1.0  # sizes of the ellipse that is kept of the one, and left out of the other
_AROUND = np.ones((7, 7), np.uint8)  # around an arm that is above the shoulders
_THEIR_HANDS = 1.35  # times their thickness, left out of the sleeves


@dataclass(frozen=True)
class Dress:
    """What a person wears, and what of the person lies under and over it.

    clothes: the garment's layers, its trunk without a head; an arm that it does not show is the person's own, and
    `own_arms` names it. nape: the person's head and neck, under the clothes, or a gap would show between the two;
    head: the head, over them.
    """

    clothes: SourceBank
    arms: dict[str, SourceBank]
    nape: Layer
    head: Layer
    own_arms: tuple[str, ...]


def dress(frame: np.ndarray, own: SourceBank, garment: np.ndarray, theirs: SourceBank) -> Dress:
    """frame, garment: uint8 (H, W, 3), which the two banks were cut from."""
    grid = pixel_grid(frame.shape[1], frame.shape[0])
    person = own.person > 127
    head = _own_head(own, grid) & person
    nape = (head | nape_mask(own.body, grid)) & person
    their_grid = pixel_grid(garment.shape[1], garment.shape[0])
    head_of_theirs = head_mask(theirs.body, their_grid, _THEIR_HEAD) | above_mask(theirs.body, their_grid)
    sleeves = {
        side: None if layer is None else _without(layer, hand_mask(theirs.body, side, their_grid, _THEIR_HANDS))
        for side, layer in theirs.arms.items()
    }
    clothes = replace(theirs, trunk=_without(theirs.trunk, head_of_theirs), arms=sleeves)
    missing = tuple(side for side in SIDES if theirs.arms[side] is None)
    return Dress(
        clothes=clothes,
        arms={side: own if side in missing else clothes for side in SIDES},
        nape=layer_of(frame, nape),
        head=layer_of(frame, head),
        own_arms=missing,
    )


def kept_pixels(frame: np.ndarray, own: SourceBank) -> np.ndarray:
    """bool (H, W): head and hands of the person, and what is around the head, which clothes leave as they are."""
    grid = pixel_grid(frame.shape[1], frame.shape[0])
    hands = [hand_mask(own.body, side, grid) for side in SIDES]
    return _own_head(own, grid) | np.any(hands, axis=0)


def _own_head(own: SourceBank, grid: np.ndarray) -> np.ndarray:
    """bool (H, W): face and hair, and what else is above the shoulders and is no arm."""
    above = above_mask(own.body, grid)
    for layer in own.arms.values():
        if layer is not None:
            above &= cv2.dilate(layer.rgba[..., 3], _AROUND) == 0
    return head_mask(own.body, grid, _OWN_HEAD) | above


def _without(layer: Layer, mask: np.ndarray) -> Layer:
    """The layer without these pixels."""
    rgba = layer.rgba.copy()
    rgba[mask] = 0
    return replace(layer, rgba=rgba)
