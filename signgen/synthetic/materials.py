"""An identity in; what its parts are made of out: a ramp of 256 colours a material, from shadow to light."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np

from signgen.synthetic.identity import Colour, Identity


class Material(IntEnum):
    """NOTHING shows the background."""

    NOTHING = 0
    SKIN = 1
    LIPS = 2
    MOUTH = 3
    TEETH = 4
    EYE = 5
    IRIS = 6
    LASHES = 7
    BROW = 8
    HAIR = 9
    BEARD = 10
    CLOTH = 11
    STRIPE = 12
    BUTTON = 13


_FULL = 0.82  # brightness at which a material shows its own colour


@lru_cache(maxsize=64)
def ramps(identity: Identity) -> np.ndarray:
    """float32 (materials * 256, 3), RGB 0..255."""
    skin, hair = identity.skin, identity.hair
    beard = _blend(skin, hair, 0.75 * identity.beard)
    table = {
        Material.NOTHING: _ramp((0, 0, 0), (0, 0, 0), 0),
        Material.SKIN: _ramp(skin, (0.50, 0.34, 0.30), 0.28),
        Material.LIPS: _ramp(identity.lips, (0.5, 0.35, 0.35), 0.25),
        Material.MOUTH: _ramp((72, 26, 28), (0.4, 0.3, 0.3), 0.0),
        Material.TEETH: _ramp((218, 208, 196), (0.5, 0.4, 0.4), 0.1),
        Material.EYE: _ramp((196, 184, 178), (0.5, 0.42, 0.4), 0.1),
        Material.IRIS: _ramp(identity.iris, (0.3, 0.3, 0.3), 0.1),
        Material.LASHES: _ramp(_blend(skin, (24, 18, 18), 0.78), (0.4, 0.4, 0.4), 0.1),
        Material.BROW: _ramp(_blend(skin, _blend(hair, (20, 16, 14), 0.35), 0.72), (0.4, 0.4, 0.4), 0.15),
        Material.HAIR: _ramp(hair, (0.30, 0.28, 0.30), 0.30),
        Material.BEARD: _ramp(beard, (0.42, 0.34, 0.32), 0.2),
        Material.CLOTH: _ramp(identity.cloth, (0.34, 0.34, 0.38), 0.08),
        Material.STRIPE: _ramp(identity.stripe or identity.cloth, (0.34, 0.34, 0.38), 0.16),
        Material.BUTTON: _ramp(_blend(identity.cloth, (190, 190, 190), 0.4), (0.3, 0.3, 0.3), 0.3),
    }
    return np.concatenate([table[material] for material in Material]).astype(np.float32)


def _ramp(colour: Colour, shadow: Colour, gloss: float) -> np.ndarray:
    """(256, 3): shadow is the colour's factor in the dark, red, green, blue; gloss what is added towards white."""
    brightness = np.linspace(0, 1, 256)[:, None]
    dark = np.clip(brightness / _FULL, 0, 1) ** 1.25
    base = np.array(colour) * (np.array(shadow) * (1 - dark) * (0.35 + 0.65 * dark) + dark)
    light = np.clip((brightness - _FULL) / (1 - _FULL), 0, 1)
    return base + light * gloss * (255 - base) * 0.8


def _blend(a: Colour, b: Colour, amount: float) -> Colour:
    red, green, blue = (1 - amount) * np.array(a) + amount * np.array(b)
    return float(red), float(green), float(blue)


@lru_cache(maxsize=64)
def background(identity: Identity, width: int, height: int) -> np.ndarray:
    """float32 (H, W, 3): a soft vertical gradient, a little light from one side, still grain, Phoenix's ledge."""
    rng = np.random.default_rng([identity.seed, 0xBAC])
    rows = np.linspace(0, 1, height)
    stops = np.array([0, rng.uniform(0.4, 0.55), 1])
    picture = np.stack([np.interp(rows, stops, channel) for channel in np.array(identity.backdrop).T], -1)
    side = 1 + identity.light[0] * 0.05 * np.linspace(-1, 1, width)
    picture = picture[:, None] * side[:, None]
    if identity.ledge:
        top = round(0.955 * height)
        picture[top:] = 0.45 * picture[top:] + 0.55 * 214
    picture += rng.normal(0, 1.0, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.float32)
