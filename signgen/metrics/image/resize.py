"""Resizing as the tools of the field do it: uint8 (H, W, 3) in, (H', W', 3) in 0..255 out; each rule by its name."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Resize = Literal["pil-bicubic", "cv2-bicubic", "cv2-bilinear", "torch-bicubic"]
RESIZE_TEXTS: dict[Resize, str] = {
    "pil-bicubic": "Pillow's bicubic, antialiased, 8-bit",
    "cv2-bicubic": "OpenCV's bicubic without antialias, in floating point",
    "cv2-bilinear": "OpenCV's bilinear without antialias, in floating point",
    "torch-bicubic": "torch's bicubic, antialiased, cut to 8 bits",
}
_CV2 = {"cv2-bicubic": cv2.INTER_CUBIC, "cv2-bilinear": cv2.INTER_LINEAR}


def resize(image: np.ndarray, size: tuple[int, int], rule: Resize) -> np.ndarray:
    """uint8 (H, W, 3) -> (height, width, 3) for size (width, height); an image of that size is returned as it is.

    float32, possibly beyond 0..255 where bicubic overshoots, for OpenCV's rules, which the tools apply to floats;
    otherwise uint8.
    """
    if (image.shape[1], image.shape[0]) == size:
        return image
    if rule in _CV2:
        return cv2.resize(image.astype(np.float32), size, interpolation=_CV2[rule])
    return _pil_bicubic(image, size) if rule == "pil-bicubic" else _torch_bicubic(image, size)


def _pil_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _torch_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As CFLD: scaled in [0, 1], then cut, not rounded, to 8 bits."""
    import torch

    batch = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    width, height = size
    scaled = torch.nn.functional.interpolate(batch, (height, width), mode="bicubic", antialias=True)
    return (scaled * 255).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()
