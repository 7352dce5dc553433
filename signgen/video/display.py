"""What a container says of how its frames are shown in; how to turn, mirror and crop them, and their aspect, out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

_TRUE_SIZE = re.compile(r"signgen:size=(\d+)x(\d+)")
_PHOENIX = (210, 260)
_ONE = 1 << 16  # the display matrix has 16.16 numbers


def sample_aspect(width: int, height: int, stated: Fraction | None = None) -> Fraction:
    """How wide a pixel is shown, by its height: what the source states, if it states anything, 1:1 included.

    Frames that state nothing are square, but for Phoenix' 210x260, which are meant to be shown as 210x300: 13:15. A
    video of 210x260 that states 1:1 keeps it: FFmpeg writes no aspect where none is known, so somebody meant it.
    """
    if stated is not None:
        return stated
    return Fraction(13, 15) if (width, height) == _PHOENIX else Fraction(1, 1)


@dataclass(frozen=True)
class Orientation:
    """How decoded frames become upright: transposed first, then flipped. exact: the matrix says no more than that."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    exact: bool = True

    @classmethod
    def of(cls, frame: Any) -> Orientation:
        """By the display matrix of a frame of PyAV's: rotation and mirror."""
        found = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
        return cls() if found is None else cls.by_matrix(np.frombuffer(bytes(found), np.int32))

    @classmethod
    def by_matrix(cls, matrix: np.ndarray) -> Orientation:
        """matrix: int32 (9,) a b u c d v x y w (ISO 14496-12, 8.3.2): a pixel at x, y is shown at ax + cy, bx + dy.

        One that turns by no multiple of 90 degrees, or scales, is taken as the nearest that does not.
        """
        a, b, _, c, d = (int(value) for value in matrix[:5])
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        across, down = (c, b) if transposed else (a, d)
        exact = {abs(across), abs(down)} == {_ONE} and not any((a, d) if transposed else (b, c))
        return cls(transposed, across < 0, down < 0, exact)

    @property
    def is_upright(self) -> bool:
        return not (self.transposed or self.flip_x or self.flip_y)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, C) as decoded to upright, a view."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self.transposed else (width, height)

    def aspect(self, stated: Fraction | None) -> Fraction | None:
        """The sample aspect ratio of upright frames."""
        return 1 / stated if stated is not None and self.transposed else stated

    @property
    def note(self) -> str:
        """What was decided; empty where the container left nothing open."""
        return "" if self.exact else "its display matrix is no quarter turn: the nearest is taken"


def true_size_text(width: int, height: int) -> str:
    """What a padded file's metadata says."""
    return f"signgen:size={width}x{height}"


def true_size(metadata: dict[str, str], width: int, height: int) -> tuple[int, int] | None:
    """The size before one column or row was repeated, by the comment; None where nothing was.

    width, height: as coded. A comment that does not fit them is not believed.
    """
    match = _TRUE_SIZE.search(metadata.get("comment", "") or metadata.get("COMMENT", ""))
    if match is None:
        return None
    found = int(match[1]), int(match[2])
    return found if found != (width, height) and even_size(*found) == (width, height) else None


def even_size(width: int, height: int) -> tuple[int, int]:
    """What 4:2:0 can hold."""
    return width + width % 2, height + height % 2


def padding_note(width: int, height: int) -> str:
    """For a file that is to be of an odd size; empty for others."""
    coded = even_size(width, height)
    if coded == (width, height):
        return ""
    return (
        f"{width}x{height} is odd, which 4:2:0 cannot hold: written as {coded[0]}x{coded[1]}, the last column or"
        " row repeated; the true size is in the file's comment, and signgen reads it back"
    )
