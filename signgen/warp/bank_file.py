"""A source bank in, a file out; and the same bank, bit for bit, back.

A plain .npz without pickles: key; background, person; filled, a bit a pixel; of each layer that there is (trunk,
left_arm, ...) the pixels within its box, and LAYER_box. Zlib makes it a third as large, for a few milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from signgen.files import atomic_path
from signgen.warp.anatomy import SIDES, Anatomy, anatomy
from signgen.warp.bank import VERSION, Layer, SourceBank


def bank_key(frame: np.ndarray, keypoints: np.ndarray) -> str:
    """Hash of all that a bank depends on: uint8 (H, W, 3) pixels, (133, 3) keypoints, VERSION and OpenCV's version."""
    digest = hashlib.sha256(json.dumps([VERSION, cv2.__version__, frame.shape, keypoints.shape]).encode())
    digest.update(frame.tobytes())
    digest.update(keypoints.tobytes())
    return digest.hexdigest()


def write_bank(path: Path, bank: SourceBank, key: str) -> None:
    """Atomically: several processes may write the same bank at once. Raises OSError."""
    layers = {"trunk": bank.trunk}
    for kind, sides in (("arm", bank.arms), ("hand", bank.hands)):
        layers |= {f"{side}_{kind}": layer for side, layer in sides.items() if layer is not None}
    arrays: dict[str, Any] = {"key": np.array(key), "background": bank.background, "person": bank.person}
    arrays["filled"] = np.packbits(bank.filled > 0)
    for name, layer in layers.items():
        x0, y0, x1, y1 = layer.box
        arrays |= {name: layer.rgba[y0:y1, x0:x1], f"{name}_box": np.array(layer.box, np.int32)}
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def read_bank(path: Path, key: str, keypoints: np.ndarray) -> SourceBank | None:
    """The bank of this key and of its frame's keypoints; None where the file is missing, damaged, or of another key."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = dict(file)
    except Exception:  # a damaged zip, header or compressed stream raises anything; the bank is then built anew
        return None
    body = anatomy(keypoints)
    if body is None or str(stored.get("key")) != key:
        return None
    try:
        return _bank(stored, body)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError):  # arrays that are missing, or of other shapes
        return None


def _bank(stored: Mapping[str, np.ndarray], body: Anatomy) -> SourceBank:
    """Raises one of the errors above for arrays that no bank has."""
    background, person = _pixels(stored["background"], 3), _pixels(stored["person"], 2)
    size = background.shape[:2]
    trunk = _layer(stored, "trunk", size)
    if trunk is None or background.shape[2] != 3 or person.shape != size:
        raise ValueError("no bank")
    return SourceBank(
        body=body,
        background=background,
        trunk=trunk,
        arms={side: _layer(stored, f"{side}_arm", size) for side in SIDES},
        hands={side: _layer(stored, f"{side}_hand", size) for side in SIDES},
        filled=np.unpackbits(stored["filled"], count=size[0] * size[1]).reshape(size) * np.uint8(255),
        person=person,
    )


def _pixels(array: np.ndarray, axes: int) -> np.ndarray:
    """uint8 of so many axes, or ValueError."""
    if array.dtype != np.uint8 or array.ndim != axes:
        raise ValueError("no pixels")
    return array


def _layer(stored: Mapping[str, np.ndarray], name: str, size: tuple[int, ...]) -> Layer | None:
    if name not in stored:
        return None
    x0, y0, x1, y1 = stored[f"{name}_box"].tolist()
    rgba = np.zeros((*size, 4), np.uint8)
    inside = 0 <= x0 <= x1 <= size[1] and 0 <= y0 <= y1 <= size[0]
    if not inside or _pixels(stored[name], 3).shape != (y1 - y0, x1 - x0, 4):
        raise ValueError("no layer")
    rgba[y0:y1, x0:x1] = stored[name]
    return Layer(rgba, (x0, y0, x1, y1))
