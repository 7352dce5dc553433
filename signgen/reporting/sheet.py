"""The rows of a sheet in; one PNG out: a column for source, pose, truth and every method, their names above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from signgen.evaluation.sheet import SheetRow
from signgen.files import atomic_path

HEIGHT = 256  # px of every cell
_GAP, _TITLE = 4, 26


def write_sheet(rows: Sequence[SheetRow], path: Path) -> Path:
    """Write the picture, atomically. Cells are scaled to HEIGHT, a column is as wide as its widest cell.

    Raises VideoError for an image that cannot be read.
    """
    names = list(rows[0].cells)
    pictures = [[_cell(row.cells[name]()) for name in names] for row in rows]
    widths = [max(cells[column].shape[1] for cells in pictures) for column in range(len(names))]
    lefts = np.cumsum([0, *(width + _GAP for width in widths)]).tolist()
    canvas = np.full((_TITLE + len(rows) * (HEIGHT + _GAP), lefts[-1], 3), 255, np.uint8)
    for place, cells in enumerate(pictures):
        top = _TITLE + place * (HEIGHT + _GAP)
        for left, cell in zip(lefts[:-1], cells, strict=True):
            canvas[top : top + HEIGHT, left : left + cell.shape[1]] = cell
    image = Image.fromarray(canvas)
    _write_names(image, names, lefts, widths)
    with atomic_path(path) as temporary:
        image.save(temporary, "PNG")
    return path


def _cell(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (HEIGHT, w, 3)."""
    height, width = picture.shape[:2]
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC)


def _write_names(image: Image.Image, names: Sequence[str], lefts: Sequence[int], widths: Sequence[int]) -> None:
    """Each above its column, in letters as large as fit."""
    draw = ImageDraw.Draw(image)
    for name, left, width in zip(names, lefts, widths, strict=False):
        size = next((s for s in range(18, 8, -1) if draw.textlength(name, _font(s)) <= width), 8)
        draw.text((left + width / 2, _TITLE / 2), name, (0, 0, 0), _font(size), anchor="mm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
