"""Bytes in, damaged bytes out: nothing is known of what they mean."""

from __future__ import annotations

import random
import re
import struct

import numpy as np


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four of: bit flips, truncation, a splice of `other`, a number replaced, a piece repeated or left out."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice((_flip, _flip, _truncate, _splice, _number, _number, _word, _repeat, _leave_out))(
            data, other, rng
        )
    return data


def _flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.5 else min(len(out), 400)  # headers are short
    for _ in range(rng.choice((1, 1, 3, 20)) if out else 0):
        out[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _truncate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, at = rng.randrange(len(other) + 1), rng.randrange(len(data) + 1)
    piece = other[start : start + rng.choice((8, 64, 4096))]
    return data[:at] + piece + data[at + (len(piece) if rng.random() < 0.5 else 0) :]


_NUMBERS = (b"-1", b"0", b"NaN", b"Infinity", b"1e999", b"-1e-999", b"9" * 30, b"9" * 5000, b"true", b"null", b'"x"')
_NUMBERS += (b"[]", b"{}", b"[[[[1]]]]", b"2147483648", b"1.5", b"\xff", b"\xc3\xa9", b"[" * 5000)


def _number(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One number of a text, near a random place, replaced by something else."""
    match = re.compile(rb"-?\d[\d.e+-]*").search(data, rng.randrange(len(data) + 1))
    if match is None:
        return data
    return data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]


def _word(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Two, four or eight bytes replaced by an extreme number."""
    order, layout = rng.choice("<>"), rng.choice("HhIiQqfd")
    extremes = {"f": (np.inf, np.nan, -3e38, 1e-45), "d": (np.inf, np.nan, -1e308, 5e-324)}
    width = 8 * struct.calcsize("<" + layout)
    whole = (
        (0, 1, 2 ** (width - 1) - 1, 2**width - 1)
        if layout.isupper()
        else (0, -1, 2 ** (width - 1) - 1, -(2 ** (width - 1)))
    )
    piece = struct.pack(order + layout, rng.choice(extremes.get(layout, whole)))
    at = rng.randrange(min(len(data), 600) + 1 if rng.random() < 0.5 else len(data) + 1)
    return data[:at] + piece + data[at + len(piece) :]


def _repeat(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at : at + rng.choice((1, 16, 256))] * rng.choice((2, 10, 300)) + data[at:]


def _leave_out(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 4, 100)) :]
