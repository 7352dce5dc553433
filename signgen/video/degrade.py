"""An image made worse on purpose, and how much, in; what a poor camera, a chat program or a passer-by leaves, out.

Draws do not depend on how much: noise is one field, scaled; a larger box holds a smaller one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from signgen.errors import OptionError

# uint8 (H, W, 3) RGB, level, where on the image (x, y in pixels), generator -> uint8 (H, W, 3).
Degrade = Callable[[np.ndarray, float, tuple[float, float], np.random.Generator], np.ndarray]


def add_grain(image: np.ndarray, sigma: float, _: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Every value moved by an independent normal draw of standard deviation `sigma` (grey levels), cut to 0..255."""
    return np.clip(np.rint(image + sigma * rng.standard_normal(image.shape)), 0, 255).astype(np.uint8)


def blur(image: np.ndarray, sigma: float, _: tuple[float, float], __: np.random.Generator) -> np.ndarray:
    """Gaussian of standard deviation `sigma` pixels, edges reflected."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def compress(image: np.ndarray, loss: float, _: tuple[float, float], __: np.random.Generator) -> np.ndarray:
    """JPEG of quality 100 - `loss`, and read again. Raises OptionError for a loss outside 0..99."""
    if not 0 <= loss <= 99:
        raise OptionError(f"JPEG of quality {100 - loss:g}", expected="a level of 0 to 99: 100 minus the quality")
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(100 - loss)])
    if not done:
        raise OSError("JPEG cannot be encoded")
    return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def scale_down(image: np.ndarray, factor: float, _: tuple[float, float], __: np.random.Generator) -> np.ndarray:
    """Made `factor` times smaller by pixel areas, and as large as before again by bicubic interpolation."""
    height, width = image.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    less = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC)


def occlude(image: np.ndarray, share: float, centre: tuple[float, float], _: np.random.Generator) -> np.ndarray:
    """A grey box of `share` per cent of the image's area and its aspect ratio around `centre`, cut at the edges."""
    height, width = image.shape[:2]
    side = (share / 100) ** 0.5 / 2
    left, right = (round(np.clip(centre[0] + s * side * width, 0, width)) for s in (-1, 1))
    top, bottom = (round(np.clip(centre[1] + s * side * height, 0, height)) for s in (-1, 1))
    worse = image.copy()
    worse[top:bottom, left:right] = 128
    return worse
