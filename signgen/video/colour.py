"""Decoded frames in, RGB uint8 as a BT.709 screen shows it out: matrix, range, high dynamic range, wide gamut, alpha.

Frames without a tag are taken as BT.601 of limited range, as FFmpeg and OpenCV do. HLG and PQ (ITU-R BT.2100), and
BT.2020's primaries, are brought to BT.709 by closed formulas:

1. light in cd/m²: PQ by its EOTF; HLG by its inverse OETF and the OOTF of a display of 1000 cd/m² (gamma 1.2);
2. BT.2390's EETF (5.4.1), in PQ, from 1000 to 203 cd/m², on the largest of R, G and B, by whose change all three are
   scaled: below 93 cd/m², where skin lies, nothing changes; above, a Hermite spline bends towards 203 cd/m², the white
   of graphics in HDR (BT.2408), which becomes white. Light above 1000 cd/m² counts as 1000;
3. primaries of BT.2020 to BT.709 (BT.2087), what lies outside is clipped; then the gamma of BT.1886, 2.4.

Video of standard range with BT.2020's primaries takes step 3 alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

PQ, HLG = 16, 18  # FFmpeg's AVCOL_TRC_*
BT2020 = 9  # AVCOL_PRI_BT2020
PEAK, WHITE = 1000.0, 203.0  # cd/m²: of the source's display, and what becomes white
GAMMA = 2.4
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # BT.2100, table 4
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # BT.2100, table 5
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
# BT.2087-0, table 2
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_STEPS = 1 << 16


@dataclass(frozen=True)
class Colour:
    """What a decoded frame says of itself. transfer, primaries: FFmpeg's numbers; bits: of a sample."""

    transfer: int
    primaries: int
    bits: int
    alpha: bool

    @classmethod
    def of(cls, frame: Any) -> Colour:
        """frame: PyAV's."""
        components = frame.format.components
        # FFmpeg decodes every GIF to bgra; a palette's transparency is in it too
        alpha = any(component.is_alpha for component in components) or frame.format.name == "pal8"
        bits = max((component.bits for component in components), default=8)
        return cls(int(frame.color_trc), int(frame.color_primaries), bits, alpha)

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (PQ, HLG)

    @property
    def is_plain(self) -> bool:
        """8 bits, no wide gamut, no alpha: any decoder's own conversion is right."""
        return self.bits <= 8 and not self.is_mapped and not self.alpha

    @property
    def is_mapped(self) -> bool:
        return self.is_hdr or self.primaries == BT2020

    @property
    def note(self) -> str:
        """What is done to the picture; empty where nothing is."""
        if self.is_hdr:
            name = "HLG" if self.transfer == HLG else "PQ"
            gamut = " in BT.2020" if self.primaries == BT2020 else ""
            return f"{name}{gamut} is tone-mapped to BT.709 (BT.2390's curve, {PEAK:.0f} to {WHITE:.0f} cd/m²)"
        return "BT.2020's colours are brought to BT.709's; what lies outside is clipped" if self.is_mapped else ""


class Converter:
    """Frames of one clip to RGB. One for each reader: FFmpeg's scaler inside keeps its tables."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def rgb(self, frame: Any, colour: Colour) -> np.ndarray:
        """uint8 (H, W, 3); (H, W, 4) where the format has alpha. By the frame's own matrix and range."""
        if colour.alpha and colour.is_mapped:
            deep = self._converted(frame, "rgba64le")
            return np.dstack([to_bt709(deep[..., :3], colour), (deep[..., 3] >> 8).astype(np.uint8)])
        if colour.alpha:
            return self._converted(frame, "rgba")
        if colour.is_mapped:
            return to_bt709(self._converted(frame, "rgb48le"), colour)
        return self._converted(frame, "rgb24")

    def _converted(self, frame: Any, name: str) -> np.ndarray:
        converted = self._reformatter.reformat(frame, format=name, src_color_range=frame.color_range)
        return converted.to_ndarray()


def to_bt709(rgb: np.ndarray, colour: Colour) -> np.ndarray:
    """uint16 (H, W, 3), R'G'B' as the file codes it, to uint8 (H, W, 3) of BT.709."""
    light = _linear(colour.transfer)[rgb]  # float32, 1 = white
    if colour.transfer == HLG:
        scene = light
        luma = np.maximum(scene @ _LUMA, 1e-6)
        light = (PEAK / WHITE) * luma[..., None] ** np.float32(0.2) * scene
    if colour.is_hdr:
        light *= _gain(light.max(-1))[..., None]
    if colour.primaries == BT2020:
        light = light @ TO_BT709.T
    places = (np.clip(light, 0, 1) * (_STEPS - 1) + 0.5).astype(np.uint16)
    return _encoded()[places]


@lru_cache(maxsize=4)
def _linear(transfer: int) -> np.ndarray:
    """float32 (65536,): of each code the light; of PQ and SDR 1 is white, of HLG it is the scene's, 1 its largest."""
    code = np.arange(_STEPS) / (_STEPS - 1)
    if transfer == PQ:
        light = _from_pq(code) / WHITE
    elif transfer == HLG:
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12)
    else:
        light = code**GAMMA
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _encoded() -> np.ndarray:
    """uint8 (65536,): light in 0..1 to the code of BT.1886."""
    return np.round(255 * (np.arange(_STEPS) / (_STEPS - 1)) ** (1 / GAMMA)).astype(np.uint8)


def _gain(light: np.ndarray) -> np.ndarray:
    """By how much the curve changes light, 1 = white: (...) to (...), read from a table over PQ's code."""
    table, top = _gains()
    code = _to_pq(np.clip(light * WHITE, 0, PEAK)) / top * (len(table) - 1)
    beyond = np.float32(PEAK / WHITE) / np.maximum(light, np.float32(PEAK / WHITE))
    return table[np.round(code).astype(np.int32)] * beyond


@lru_cache(maxsize=1)
def _gains() -> tuple[np.ndarray, float]:
    """float32 (4096,) over PQ's code up to that of PEAK, and that code: BT.2390-10, 5.4.1, for black at 0."""
    top = float(_to_pq(np.array(PEAK)))
    code = np.linspace(0, 1, 4096)  # of the source's range
    largest = float(_to_pq(np.array(WHITE))) / top
    knee = 1.5 * largest - 0.5
    t = np.clip((code - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * largest
    mapped = np.where(code < knee, code, spline)
    before, after = _from_pq(code * top), _from_pq(mapped * top)
    return np.where(before > 0, after / np.maximum(before, 1e-9), 1).astype(np.float32), top


def _from_pq(code: np.ndarray) -> np.ndarray:
    """PQ's code in 0..1 to cd/m²."""
    root = code ** (1 / _M2)
    return 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _to_pq(light: np.ndarray) -> np.ndarray:
    """cd/m² to PQ's code in 0..1."""
    power = (light / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
