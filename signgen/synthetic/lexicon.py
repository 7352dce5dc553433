"""The vocabulary of invented signs: handshapes, and what each hand does in each sign, as channels of a motion.

One hand's channels (18): wrist x, y, z from the middle of the shoulders, in shoulder widths (x outwards, y down, z to
the camera); elevation, azimuth, roll of the hand in degrees; then 12 numbers of the handshape. With all angles 0 the
fingers point at the camera, palm down; elevation raises them, azimuth turns them inwards, roll turns the palm inwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

HAND_CHANNELS = 18
POSITION, ANGLES, SHAPE = slice(0, 3), slice(3, 6), slice(6, 18)
WORDS = 60

# Degrees: knuckles of index to little finger, their middle joints, then spread (factor), thumb out, across, bent.
HANDSHAPES: dict[str, tuple[float, ...]] = {
    "flat": (4, 4, 4, 6, 6, 6, 6, 8, 0.1, 18, 12, 4),
    "five": (0, 0, 0, 0, 8, 6, 8, 10, 1.0, 58, 8, 0),
    "fist": (78, 82, 82, 80, 98, 98, 98, 95, 0.0, 22, 48, 62),
    "index": (2, 80, 84, 82, 4, 98, 98, 95, 0.0, 22, 50, 62),
    "vee": (2, 2, 82, 82, 4, 4, 98, 95, 0.9, 20, 55, 60),
    "three": (2, 2, 80, 80, 4, 4, 98, 95, 0.8, 62, 5, 0),
    "ell": (2, 80, 84, 82, 4, 98, 98, 95, 0.2, 66, 4, 0),
    "why": (80, 84, 82, 4, 98, 98, 96, 6, 0.7, 62, 4, 0),
    "claw": (24, 22, 24, 26, 58, 58, 58, 56, 0.8, 52, 30, 22),
    "cup": (42, 42, 42, 44, 44, 44, 44, 42, 0.1, 36, 52, 18),
    "round": (56, 56, 58, 60, 56, 56, 58, 58, 0.0, 28, 58, 28),
    "pinch": (56, 22, 14, 8, 58, 18, 14, 12, 0.6, 32, 56, 24),
    "bent": (74, 74, 74, 74, 6, 6, 6, 8, 0.1, 22, 30, 10),
    "thumb": (78, 82, 82, 80, 98, 98, 98, 95, 0.0, 58, 0, 0),
}
REST_SHAPE = (18, 20, 22, 24, 26, 26, 28, 30, 0.2, 24, 26, 14)

# Where signs are made: x outwards, y down, z to the camera.
PLACES: dict[str, tuple[float, float, float]] = {
    "chest": (0.22, 0.42, 0.52),
    "belly": (0.26, 0.78, 0.52),
    "neutral": (0.36, 0.38, 0.70),
    "shoulder": (0.46, 0.10, 0.52),
    "side": (0.66, 0.30, 0.48),
    "neck": (0.16, 0.02, 0.50),
    "chin": (0.14, -0.18, 0.62),
    "cheek": (0.30, -0.36, 0.52),
    "mouth": (0.20, -0.22, 0.66),
    "forehead": (0.30, -0.62, 0.56),
    "above": (0.50, -0.50, 0.50),
}
_APART = 0.22  # of a hand's wrist from the middle, so that two hands meet but do not pass through each other
_PLACE_ODDS = (0.2, 0.1, 0.24, 0.08, 0.08, 0.06, 0.06, 0.06, 0.05, 0.04, 0.03)

# Elevation, azimuth, roll.
ORIENTATIONS: dict[str, tuple[float, float, float]] = {
    "palm out": (78, 10, 0),
    "palm in": (60, 100, 40),
    "palm across": (62, 50, 40),
    "palm down": (18, 40, 0),
    "palm up": (20, 35, 150),
    "edge down": (16, 32, 80),
    "inwards": (20, 88, 60),
    "point": (48, 24, 10),
}
REST_HAND = np.array([0.24, 1.40, 0.34, -48.0, 30.0, 50.0, *REST_SHAPE])


@dataclass(frozen=True)
class Sign:
    """An invented sign. keys: (N, 2, 18) targets of the dominant and the other hand; other hand NaN = at rest.

    arc: bow of the path between keys, in shoulder widths. pace: factor on the speed. hold: frames at the last key.
    """

    word: str
    keys: np.ndarray
    arc: tuple[float, float]
    pace: float
    hold: int


@lru_cache(maxsize=1)
def lexicon() -> tuple[Sign, ...]:
    """The vocabulary, always the same: one word is one sign in every clip."""
    rng = np.random.default_rng(0x51611)
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["".join(_syllable(rng) for _ in range(rng.integers(2, 4)))] = None
    return tuple(_sign(word, rng) for word in words)


def _syllable(rng: np.random.Generator) -> str:
    return str(rng.choice(list("BDFGKLMNPRSTVZ"))) + str(rng.choice(list("AEIOU")))


def _sign(word: str, rng: np.random.Generator) -> Sign:
    kind = rng.choice(["one", "mirrored", "alternating", "base"], p=[0.38, 0.3, 0.14, 0.18])
    place = list(PLACES)[rng.choice(len(PLACES), p=_PLACE_ODDS)]
    home = np.array(PLACES[place]) + rng.normal(0, 0.05, 3)
    reach = rng.uniform(0.05, 0.22) * _direction(rng)
    shapes = [HANDSHAPES[str(name)] for name in rng.choice(list(HANDSHAPES), 2)]
    if rng.random() < 0.6:
        shapes[1] = shapes[0]
    angles = [np.array(ORIENTATIONS[str(rng.choice(list(ORIENTATIONS)))]) + rng.normal(0, 8, 3) for _ in range(2)]
    if rng.random() < 0.65:
        angles[1] = angles[0] + rng.normal(0, 12, 3)
    first = np.concatenate([home - reach / 2, angles[0], shapes[0]])
    last = np.concatenate([home + reach / 2, angles[1], shapes[1]])
    turns = [first, last] * int(rng.choice([1, 1, 1, 2, 2, 3]))
    dominant = np.stack(turns)
    if kind in ("mirrored", "alternating"):
        dominant[:, 0] = np.maximum(dominant[:, 0], _APART)
    other = _other_hand(kind, dominant, rng)
    keys = np.stack([dominant, other], 1)
    arc = (float(rng.normal(0, 0.05)), float(rng.normal(0, 0.05)))
    return Sign(word, keys, arc, float(rng.uniform(0.8, 1.2)), int(rng.integers(1, 7)))


def _other_hand(kind: str, dominant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, 18): the same at its own side, the same half a turn later, a base that stays, or rest (NaN)."""
    if kind == "mirrored":
        return dominant.copy()
    if kind == "alternating":
        return np.roll(dominant, 1, axis=0)
    if kind == "base":
        base = np.concatenate([[0.16, 0.62, 0.5], rng.normal((16, 70, 30), 10), HANDSHAPES["flat"]])
        return np.tile(base, (len(dominant), 1))
    return np.full_like(dominant, np.nan)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(0, 1, 3) * (1, 1, 0.6)
    return vector / np.linalg.norm(vector)
