"""A seed and a number of frames in, Motion out: what a signer does, independent of their build.

Targets are in shoulder widths and angles in degrees, so any identity performs any motion with its own proportions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from signgen.synthetic.lexicon import HAND_CHANNELS, POSITION, REST_HAND, Sign, lexicon

FPS = 25.0
HANDS = slice(0, 2 * HAND_CHANNELS)  # right (dominant), then left; see `lexicon` for a hand's channels
HEAD = slice(36, 39)  # yaw, pitch, roll in degrees; positive turns to the picture's right, down, clockwise
TORSO = slice(39, 43)  # shift in x in shoulder widths, roll and yaw in degrees, shrug in shoulder widths
FACE = slice(43, 51)  # brows raised, brows drawn together, eyes closed, gaze x and y, mouth open, wide, corners up
CHANNELS = 51

_SPEED = 0.062  # shoulder widths a frame; about 5 px at Phoenix's size
_LEAST_WINDOW = 75


@dataclass(frozen=True)
class Signed:
    """A sign in frames [start, stop) of a motion: its first target is reached there, and its last hold ends."""

    word: str
    start: int
    stop: int


@dataclass(frozen=True)
class Motion:
    """values: float64 (T, CHANNELS), one row a frame; the slices above name the columns. glosses: the signs made.
    signed: those of them that lie wholly within the frames, and when."""

    name: str
    seed: int
    values: np.ndarray
    glosses: tuple[str, ...] = ()
    signed: tuple[Signed, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, frames: slice) -> Motion:
        return replace(self, values=self.values[frames], signed=_within(self.signed, *frames.indices(len(self))[:2]))

    def at(self, times: np.ndarray) -> np.ndarray:
        """(N, CHANNELS) at fractional frame numbers, held before the first and after the last frame."""
        times = np.clip(times, 0, len(self.values) - 1)
        before = np.minimum(times.astype(int), max(0, len(self.values) - 2))
        after = np.minimum(before + 1, len(self.values) - 1)
        part = (times - before)[:, None]
        return (1 - part) * self.values[before] + part * self.values[after]

    @classmethod
    def random(cls, seed: int, frames: int, name: str | None = None) -> Motion:
        """Signs of the lexicon from rest to rest; a clip too short for that is the middle of a longer one."""
        rng = np.random.default_rng([seed, 0x303])
        length = max(frames, _LEAST_WINDOW)
        keys, signs = _sentence(length, rng)
        signed = _within(tuple(signs), first := (length - frames) // 2, first + frames)
        values = np.empty((length, CHANNELS))
        values[:, HANDS] = _hands(keys, length, rng)
        active = _activity(values)
        values[:, HEAD] = _head(values, active, rng)
        values[:, TORSO] = _wander(length, 4, 22, rng) * (0.02, 1.8, 4.0, 0.012) * (0.3 + 0.7 * active)
        values[:, FACE] = _face(length, active, rng)
        glosses = tuple(sign.word for sign in signs)
        return cls(name or f"motion{seed:04d}", seed, values[first : first + frames], glosses, signed)


def _within(signed: tuple[Signed, ...], start: int, stop: int) -> tuple[Signed, ...]:
    """The signs that lie in frames [start, stop), numbered from there."""
    inside = [sign for sign in signed if start <= sign.start and sign.stop <= stop]
    return tuple(Signed(sign.word, sign.start - start, sign.stop - start) for sign in inside)


def _sentence(length: int, rng: np.random.Generator) -> tuple[list[tuple[float, np.ndarray]], list[Signed]]:
    """Keys (frame, (2, 18)) of both hands: rest, signs while there is time, rest; and the signs."""
    rest = np.stack([REST_HAND, REST_HAND])
    keys = [(0.0, rest), (float(rng.integers(3, 8)), rest)]
    signs: list[tuple[str, float, float]] = []
    while True:
        sign = lexicon()[rng.integers(len(lexicon()))]
        part = _sign_keys(sign, keys[-1], rng)
        end = part[-1][0] + _travel(part[-1][1], rest, 1.0)
        if end > length - 2 and signs:
            break
        keys += part
        signs.append((sign.word, part[0][0], part[-1][0]))
    keys.append((keys[-1][0] + _travel(keys[-1][1], rest, 1.0), rest))
    scale = min(1.0, (length - 1) / keys[-1][0])
    times = [(word, int(begin * scale), min(ceil(end * scale) + 1, length)) for word, begin, end in signs]
    return [(time * scale, pose) for time, pose in keys], [Signed(*each) for each in times]


def _sign_keys(
    sign: Sign, previous: tuple[float, np.ndarray], rng: np.random.Generator
) -> list[tuple[float, np.ndarray]]:
    """A sign's keys after `previous`, each performance a little different; strokes bow, the last key is held."""
    time, pose = previous
    pace = sign.pace * rng.uniform(0.85, 1.15) * (1.4 if rng.random() < 0.15 else 1.0)
    drop = REST_HAND if rng.random() < 0.5 else None
    keys = []
    for index, target in enumerate(sign.keys):
        goal = np.where(np.isnan(target), pose if drop is None else drop, target)
        goal[:, POSITION] += rng.normal(0, 0.012, (2, 3))
        travel = _travel(pose, goal, pace)
        if index:
            middle = (pose + goal) / 2
            middle[:, :2] += sign.arc
            keys.append((time + travel / 2, middle))
        time, pose = time + travel, goal
        keys.append((time, goal))
        hold = sign.hold if index == len(sign.keys) - 1 else int(rng.integers(0, 3))
        if hold:
            time += hold
            keys.append((time, goal))
    return keys


def _travel(start: np.ndarray, end: np.ndarray, pace: float) -> float:
    """Frames between two poses of the hands (2, 18), by the distance of the wrists and the turn of the hands."""
    distance = np.linalg.norm(end[:, :2] - start[:, :2], axis=1).max()
    turn = np.abs(end[:, 3:] - start[:, 3:]).max()
    return float(max(distance / (_SPEED * pace), turn / (22 * pace), 3.0))


def _hands(keys: list[tuple[float, np.ndarray]], length: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 36): monotone cubic curves through the keys, softened, with the small drift a held hand has."""
    times = np.array([time for time, _ in keys])
    times += np.arange(len(times)) * 1e-6
    poses = np.stack([pose.ravel() for _, pose in keys])
    frames = np.minimum(np.arange(length), times[-1])
    values = gaussian_filter1d(PchipInterpolator(times, poses)(frames), 0.8, axis=0, mode="nearest")
    drift = np.concatenate([[0.012] * 3, [2.0] * 3, [1.5] * 8, [0.02], [1.5] * 3])
    return values + _wander(length, 2 * HAND_CHANNELS, 9, rng) * np.tile(drift, 2)


def _activity(values: np.ndarray) -> np.ndarray:
    """(T, 1) in 0..1: how much of signing goes on, from the height of the higher hand."""
    height = np.minimum(values[:, 1], values[:, HAND_CHANNELS + 1])
    active = np.clip((REST_HAND[1] - height) / 0.5, 0, 1)
    return gaussian_filter1d(active, 3, mode="nearest")[:, None]


def _head(values: np.ndarray, active: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 3): turned after the dominant hand now and then, nodding and tilting."""
    length = len(values)
    follow = np.clip(-values[:, :1] + 0.3, -0.6, 0.6) * _wander(length, 1, 30, rng) * 10
    nods = np.maximum(_wander(length, 1, 14, rng), 0) * 5 * np.sin(np.arange(length)[:, None] * 0.9)
    sway = _wander(length, 3, 16, rng) * (9.0, 4.5, 4.0)
    return (0.25 + 0.75 * active) * (sway + np.concatenate([follow, nods, 0 * nods], 1))


def _face(length: int, active: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 8): brows and mouthing while signing, blinks and a gaze that jumps throughout."""
    brows = _wander(length, 2, 18, rng) * (0.55, 0.4) * active
    gaze = gaussian_filter1d(np.repeat(rng.normal(0, 0.35, (length // 15 + 2, 2)), 15, axis=0)[:length], 0.7, axis=0)
    mouth = _wander(length, 3, 4.5, rng)
    opened = np.clip(0.25 + 0.45 * mouth[:, :1], 0, 1) * active
    shape = mouth[:, 1:] * (0.45, 0.5) * active + (0, 0.1)
    return np.concatenate([brows, _blinks(length, rng), gaze, opened, shape], 1)


def _blinks(length: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 1): 1 where the eyes are shut."""
    shut = np.zeros(length)
    time = rng.integers(5, 50)
    while time < length:
        shut[time : time + 2] = 1
        time += rng.integers(35, 95)
    return np.clip(gaussian_filter1d(shut, 0.8, mode="constant") * 1.15, 0, 1)[:, None]


def _wander(length: int, channels: int, period: float, rng: np.random.Generator) -> np.ndarray:
    """(T, channels): smooth noise of unit size that changes its mind about every `period` frames."""
    knots = rng.normal(0, 1, (int(length / period) + 4, channels)).clip(-2, 2)
    return PchipInterpolator(np.arange(len(knots)) * period - period, knots)(np.arange(length))
