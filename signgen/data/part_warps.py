"""A clip's frames and keypoints on the canvas in; its part warps, one for a source and a target frame, out."""

from __future__ import annotations

from functools import partial

import numpy as np

from signgen.data.array_cache import ArrayCache
from signgen.data.canvas_frames import CanvasFrames
from signgen.warp.anatomy import anatomy
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.compose import part_warp, unmoved
from signgen.warp.references import References

WARP_BYTES = 1 << 30
_NONE = np.empty(0, np.uint8)
BANKS = 128  # source banks at hand; some half MB each on a canvas of 128x128
CLIPS = 64  # whose bodies are known
APART = 4  # frames between a target and its references in training: nearer ones are the target itself, all but


class PartWarps:
    """Warps of a pair set's frames, not augmented; the latest are kept in memory."""

    def __init__(self, frames: CanvasFrames) -> None:
        self.frames = frames
        self._warped = ArrayCache(WARP_BYTES)
        self._banks: dict[tuple[str, int], SourceBank | None] = {}
        self._references: dict[str, References | None] = {}

    def __call__(self, clip: str, source: int, target: int, referenced: bool = False) -> np.ndarray:
        """uint8 (H, W, 6): the picture's R, G, B and its masks.

        referenced: body and hands come from the nearest of the clip's training frames that are APART from the target;
        where there are none, from the source.
        """
        if referenced:
            warped = self._warped.get((clip, target), lambda: self._from_references(clip, target))
            if len(warped):
                return warped
        return self._warped.get((clip, source, target), lambda: self._from_source(clip, source, target))

    def _from_source(self, clip: str, source: int, target: int) -> np.ndarray:
        bank = self._bank(clip, source)
        if bank is None:
            return unmoved(self.frames(clip, source))
        return part_warp(bank, self.frames.keypoints(clip)[target]).channels()

    def _from_references(self, clip: str, target: int) -> np.ndarray:
        """Empty where no frame is APART, or none has both shoulders."""
        references, points = self._known(clip), self.frames.keypoints(clip)[target]
        if references is None:
            return _NONE
        choice = references.nearest(points, lambda number: abs(number - target) >= APART)
        return _NONE if choice is None else references.warp(points, choice).channels()

    def _known(self, clip: str) -> References | None:
        if clip not in self._references:
            while len(self._references) >= CLIPS:
                self._references.pop(next(iter(self._references)))
            frames = self.frames.pairs.clip(clip).train_frames
            points = self.frames.keypoints(clip)[frames.start : frames.stop]
            bank = partial(self._bank, clip)
            usable = any(anatomy(each) is not None for each in points)
            self._references[clip] = References(list(points), bank) if usable else None
        return self._references[clip]

    def _bank(self, clip: str, source: int) -> SourceBank | None:
        if (clip, source) not in self._banks:
            while len(self._banks) >= BANKS:
                self._banks.pop(next(iter(self._banks)))
            self._banks[clip, source] = source_bank(self.frames(clip, source), self.frames.keypoints(clip)[source])
        return self._banks[clip, source]
