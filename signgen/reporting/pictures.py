"""Frames in, pictures that stand inside an HTML page out: WebP for looking at, PNG where every pixel counts."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from PIL import Image

WEBP_QUALITY = 85
_AHEAD = 16  # frames that wait for the encoder


def webp(frame: np.ndarray) -> str:
    """uint8 (H, W, 3) RGB -> base64 of a lossy WebP, half as large as a JPEG that looks the same."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "WEBP", quality=WEBP_QUALITY, method=2)
    return b64encode(buffer.getvalue()).decode("ascii")


def webp_uri(frame: np.ndarray) -> str:
    """The same as a data URI."""
    return f"data:image/webp;base64,{webp(frame)}"


def png_uri(frame: np.ndarray) -> str:
    """uint8 (H, W, 3) RGB -> data URI of a PNG: lossless."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def webps(frames: Iterable[np.ndarray]) -> Iterator[str]:
    """`webp` of each, in order, encoded on all cores while the next are read."""
    with ThreadPoolExecutor() as pool:
        waiting = []
        for frame in frames:
            waiting.append(pool.submit(webp, frame))
            if len(waiting) > _AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def fitted(frame: np.ndarray, side: int) -> np.ndarray:
    """The frame, made smaller where its longer side has more than `side` pixels."""
    scale = side / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
