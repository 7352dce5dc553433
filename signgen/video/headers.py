"""Single images by Pillow: what a header says, and what Pillow makes of damaged files."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signgen.errors import VideoError
from signgen.video.probe import check_pixels

WHOLE = "a whole PNG or JPEG"


@contextmanager
def opened(path: Path, data: bytes | None = None) -> Iterator[Any]:
    """Pillow's image of a file, or of its content where that is at hand; no pixel is decoded yet.

    Raises VideoError for what is none, is too large, or turns out in the block to be damaged.
    """
    from PIL import Image

    # What Pillow and its plugins raise for damaged files, found by benchmarks/fuzz_readers.py.
    kinds = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes, which are checked here
            with Image.open(path if data is None else io.BytesIO(data)) as image:
                check_pixels(path, *image.size)
                yield image
    except (*kinds, zlib.error, Image.DecompressionBombError) as error:
        raise VideoError(f"{path}: not a readable image ({_reason(error)})", expected=WHOLE) from error


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) by the header alone. Raises VideoError when it is none of an image."""
    with opened(path) as image:
        return image.size


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
