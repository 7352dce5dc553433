"""A clip's frames and keypoints on the canvas in; its part warps, one for a source and a target frame, out."""

from __future__ import annotations

import numpy as np

from signgen.data.array_cache import ArrayCache
from signgen.data.bank_cache import BankCache
from signgen.data.canvas_frames import CanvasFrames
from signgen.warp.bank import SourceBank
from signgen.warp.compose import part_warp, unmoved

WARP_BYTES = 1 << 30
BANKS = 64  # source banks at hand


class PartWarps:
    """Warps of a pair set's frames, not augmented; the latest are kept in memory, banks on disk as well."""

    def __init__(self, frames: CanvasFrames) -> None:
        self.frames = frames
        self._warped = ArrayCache(WARP_BYTES)
        self.stored = BankCache(frames.pairs.folder, frames.canvas)
        self._banks: dict[tuple[str, int], SourceBank | None] = {}

    def __call__(self, clip: str, source: int, target: int) -> np.ndarray:
        """uint8 (H, W, 6): the picture's R, G, B and its masks."""
        return self._warped.get((clip, source, target), lambda: self._warp(clip, source, target))

    def _warp(self, clip: str, source: int, target: int) -> np.ndarray:
        bank = self._bank(clip, source)
        if bank is None:
            return unmoved(self.frames(clip, source))
        return part_warp(bank, self.frames.keypoints(clip)[target]).channels()

    def _bank(self, clip: str, source: int) -> SourceBank | None:
        if (clip, source) not in self._banks:
            while len(self._banks) >= BANKS:
                self._banks.pop(next(iter(self._banks)))
            frame, keypoints = self.frames(clip, source), self.frames.keypoints(clip)[source]
            self._banks[clip, source] = self.stored.bank(clip, source, frame, keypoints)
        return self._banks[clip, source]
