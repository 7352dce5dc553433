"""A clip's frames and keypoints on the canvas in; its part warps, one for a source and a target frame, out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from signgen.training.data.caches import BankCache, BoundedCache, array_cache
from signgen.training.data.frames import CanvasFrames
from signgen.warp.anatomy import anatomy
from signgen.warp.bank import SourceBank
from signgen.warp.compose import part_warp, unmoved
from signgen.warp.references import References

WARP_BYTES = 1 << 30
BANK_BYTES = 256 << 20  # of banks in memory
_PIXEL_BYTES = 25  # of a bank, for each pixel of the canvas
CLIPS = 64  # whose references are in memory
REFERENCES = 32  # of a clip at most, spread over its training frames
APART = 4  # frames between a target and its references in training: nearer ones are all but the target itself
_NONE = np.empty(0, np.uint8)


class PartWarps:
    """Warps of a pair set's frames, not augmented; the latest are kept in memory, banks on disk as well."""

    def __init__(self, frames: CanvasFrames) -> None:
        self.frames = frames
        self._warped = array_cache(WARP_BYTES)
        self.stored = BankCache(frames.pairs.folder, frames.canvas)
        capacity = max(1, BANK_BYTES // (_PIXEL_BYTES * frames.canvas.width * frames.canvas.height))
        self._banks: BoundedCache[SourceBank | None] = BoundedCache(capacity)
        self._references: BoundedCache[References | None] = BoundedCache(CLIPS)

    def __call__(
        self, clip: str, source: int, target: int, referenced: bool = False, still: bool = False
    ) -> np.ndarray:
        """uint8 (H, W, 6): the picture's R, G, B and its masks.

        referenced: body and hands come from the nearest of the clip's reference frames that are APART from the target;
        where there are none, from the source. still: where they come from the source, they stay where they are.
        """
        if referenced:
            warped = self._warped.get((clip, target), lambda: self._from_references(clip, target))
            if len(warped):
                return warped
        if still:
            return unmoved(self.frames(clip, source))
        return self._warped.get((clip, source, target), lambda: self._from_source(clip, source, target))

    def reference_frames(self, clip: str) -> np.ndarray:
        """Numbers of the frames that body and hands may come from in training; none of a clip that is not trained."""
        count = len(self.frames.pairs.clip(clip).train_frames)
        return np.unique(np.linspace(0, count - 1, min(count, REFERENCES)).round().astype(int))

    def prepare(self, clips: Iterable[str]) -> Iterator[str]:
        """Build the banks of these clips' reference frames on all cores, clip by clip, as far as they fit in memory.

        What is not prepared is built when it is first needed. Yields each clip that is done.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for clip in clips:
                numbers = self.reference_frames(clip)
                if len(self._banks) + len(numbers) > self._banks.limit:
                    return
                points = self.frames.keypoints(clip)
                images = [self.frames(clip, number) for number in numbers]
                known = [points[number] for number in numbers]
                built = pool.map(partial(self.stored.bank, clip), numbers.tolist(), images, known)
                for number, bank in zip(numbers.tolist(), built, strict=True):
                    self._banks.put((clip, number), bank)
                yield clip

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
        numbers = self.reference_frames(clip)
        choice = references.nearest(points, np.abs(numbers - target) >= APART)
        return _NONE if choice is None else references.warp(points, choice).channels()

    def _known(self, clip: str) -> References | None:
        """The clip's references; None where no frame has both shoulders."""
        return self._references.get(clip, partial(self._find_references, clip))

    def _find_references(self, clip: str) -> References | None:
        points = list(self.frames.keypoints(clip)[self.reference_frames(clip)])
        usable = any(anatomy(each) is not None for each in points)
        return References(points, partial(self._reference, clip)) if usable else None

    def _reference(self, clip: str, place: int) -> SourceBank | None:
        """The bank of the clip's reference frame number `place`; a method, so that loader processes can be given it."""
        return self._bank(clip, int(self.reference_frames(clip)[place]))

    def _bank(self, clip: str, number: int) -> SourceBank | None:
        def load() -> SourceBank | None:
            return self.stored.bank(clip, number, self.frames(clip, number), self.frames.keypoints(clip)[number])

        return self._banks.get((clip, number), load)
