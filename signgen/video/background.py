"""Pictures with transparency in; the same laid over a named colour out. What alpha 0 hides is never seen."""

from __future__ import annotations

import re

import numpy as np

from signgen.errors import OptionError

BORDER = "border"
_WHITE = (255, 255, 255)
_NAMES = {
    "black": (0, 0, 0),
    "white": _WHITE,
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
}
RGB = tuple[int, int, int]


def parse_background(text: str | None, option: str = "--background") -> RGB | None:
    """`white` or `#ff8000`; None for `border` and for nothing: the border's median. Raises OptionError."""
    if text is None or text.lower() == BORDER:
        return None
    if text.lower() in _NAMES:
        return _NAMES[text.lower()]
    match = re.fullmatch(r"#?([0-9a-fA-F]{6})", text)
    if match is None:
        raise OptionError(f"{option} {text!r}", expected=f"{', '.join(_NAMES)}, #RRGGBB or {BORDER}")
    return tuple(bytes.fromhex(match[1]))  # type: ignore[return-value]


def colour_text(colour: RGB) -> str:
    """`#ff8000`."""
    return "#" + bytes(colour).hex()


def border_colour(rgba: np.ndarray) -> tuple[RGB, bool]:
    """The median of the opaque pixels of the frame's edge, and whether there are any; white where none is.

    rgba: uint8 (H, W, 4).
    """
    edge = np.concatenate([rgba[0], rgba[-1], rgba[1:-1, 0], rgba[1:-1, -1]])
    opaque = edge[edge[:, 3] == 255, :3]
    if not len(opaque):
        return _WHITE, False
    red, green, blue = np.median(opaque, 0).round().astype(int).tolist()
    return (red, green, blue), True


def is_transparent(picture: np.ndarray) -> bool:
    """Whether any pixel of uint8 (H, W, 3 or 4) is."""
    return picture.shape[-1] == 4 and bool((picture[..., 3] < 255).any())


def laid_over(rgba: np.ndarray, colour: RGB) -> np.ndarray:
    """uint8 (H, W, 4), alpha not premultiplied, to uint8 (H, W, 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    below = np.array(colour, np.uint16) * (255 - alpha)
    return ((rgba[..., :3] * alpha + below + 127) // 255).astype(np.uint8)


def chosen_colour(rgba: np.ndarray, wanted: RGB | None) -> tuple[RGB, str]:
    """What a picture is laid over, and the note that says so."""
    if wanted is not None:
        return wanted, f"transparent: laid over {colour_text(wanted)}"
    colour, found = border_colour(rgba)
    why = "the median of its opaque border" if found else "no pixel of its border is opaque"
    return colour, f"transparent: laid over {colour_text(colour)} ({why}); --background COLOUR chooses another"
