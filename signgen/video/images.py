"""Single images in and out: PNG, JPEG, WebP and others as RGB uint8; frames as PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from signgen.errors import VideoError
from signgen.files import atomic_path
from signgen.video.background import RGB, chosen_colour, is_transparent, laid_over
from signgen.video.headers import WHOLE, opened

_HEADER_END = 33  # of a PNG: signature and IHDR
_KEYWORD = b"Description\0"
_IMAGE_DESCRIPTION = 0x010E  # of Exif
_LONGEST_TEXT = 1 << 16  # bytes of a chunk that is looked at
_PNG, _OTHERS_WITH_ALPHA = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"GIF8")


def read_image(path: Path, background: RGB | None = None) -> np.ndarray:
    """One image as uint8 (H, W, 3) RGB; what is transparent lies over `background`, else over the median of the opaque
    border (`background.chosen_colour`). Raises VideoError.
    """
    picture = read_picture(path)
    if picture.shape[-1] == 3:
        return picture
    return laid_over(picture, chosen_colour(picture, background)[0])


def read_opaque(path: Path) -> np.ndarray:
    """One image as uint8 (H, W, 3) RGB, for scores and ratings that are to be of the file alone. Raises VideoError for
    a transparent one, too.
    """
    picture = read_picture(path)
    if picture.shape[-1] == 4:
        found = f"{path}: transparent, and what lies below it is not known"
        raise VideoError(found, expected="opaque images", fix="lay it over a colour first")
    return picture


def read_picture(path: Path) -> np.ndarray:
    """One image as uint8 (H, W, 3) RGB, or (H, W, 4) where any of it is transparent. Raises VideoError."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})", expected="an image") from error
    if data.size and _may_be_transparent(data):
        picture = _rgba(path, data)
        return picture if is_transparent(picture) else np.ascontiguousarray(picture[..., :3])
    image = _decoded(path, data) if data.size else None
    if image is None:
        raise VideoError(f"{path}: not a readable image ({data.size} bytes)", expected=WHOLE)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decoded(path: Path, data: np.ndarray) -> np.ndarray | None:
    """uint8 (H, W, 3) BGR, None where it cannot be. The size is looked at first: OpenCV would take gigabytes."""
    with opened(path, data.tobytes()):
        pass
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def _may_be_transparent(data: np.ndarray) -> bool:
    """By the header: PNG of colour type 4 or 6, or with tRNS; WebP with alpha; kinds to be looked at closer."""
    head = data[:4096].tobytes()
    if head.startswith(_PNG):
        if len(head) > 25 and head[25] in (4, 6):
            return True
        place = head.find(b"IDAT")
        return b"tRNS" in (head if place < 0 else head[:place])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return (head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 0x10)) or head[12:16] == b"VP8L"
    return head.startswith(_OTHERS_WITH_ALPHA)


def _rgba(path: Path, data: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4). OpenCV drops the transparency of palettes; Pillow knows all kinds."""
    from PIL import ImageOps

    with opened(path, data.tobytes()) as image:
        return np.array(ImageOps.exif_transpose(image).convert("RGBA"))


def write_png(path: Path, frame: np.ndarray, text: str = "") -> None:
    """Write uint8 (H, W, 3) RGB as PNG, atomically. text: ASCII, kept in the file as its description."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not ok:
        raise VideoError(f"{path}: frame of shape {frame.shape} cannot be written as PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(_described(data.tobytes(), text) if text else data.tobytes())


def write_image(path: Path, frame: np.ndarray, text: str = "") -> None:
    """Write uint8 (H, W, 3) RGB without loss, atomically: WebP by its suffix, else PNG. text: see `write_png`."""
    if path.suffix != ".webp":
        write_png(path, frame, text)
        return
    from PIL import Image

    exif = Image.Exif()
    if text:
        exif[_IMAGE_DESCRIPTION] = text
    with atomic_path(path) as temporary:
        Image.fromarray(frame).save(temporary, "WEBP", lossless=True, exif=exif)


def read_text(path: Path) -> str:
    """The description that `write_image` put into a file; empty where there is none, and for other files."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WEBP":
            with opened(path) as image:
                return str(image.getexif().get(_IMAGE_DESCRIPTION, ""))
        return _png_text(file) if head.startswith(_PNG) else ""


def _png_text(file: BinaryIO) -> str:
    """The description in a PNG's chunks before its pixels."""
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT" or length > _LONGEST_TEXT:
            return ""
        content = file.read(length)
        if kind == b"tEXt" and content.startswith(_KEYWORD):
            return content.removeprefix(_KEYWORD).decode("latin-1")
        file.seek(4, 1)
    return ""


def _described(data: bytes, text: str) -> bytes:
    """A PNG with a tEXt chunk (PNG specification, 11.3.3.2) behind its header."""
    content = b"tEXt" + _KEYWORD + text.encode("ascii")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return data[:_HEADER_END] + chunk + data[_HEADER_END:]
