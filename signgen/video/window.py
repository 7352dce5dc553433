"""A clip's frames in; a run of them as a clip of its own out."""

from __future__ import annotations

import numpy as np

from signgen.video.damage import Damage, damage_within
from signgen.video.reader import FrameSource


def damage_of(damaged: tuple[Damage, ...], start: int, stop: int) -> tuple[Damage, ...]:
    """What of it touches frames [start, stop), numbered from `start` on."""
    within = damage_within(damaged, start, stop)
    return tuple(Damage(max(d.start, start) - start, min(d.stop, stop) - start, d.why) for d in within)


class FrameWindow(FrameSource):
    """Frames [start, start + num_frames) of another source, numbered from 0; its first time is 0."""

    def __init__(self, source: FrameSource, start: int, num_frames: int) -> None:
        stop = start + num_frames
        self._source, self._start = source, start
        self.path, self.num_frames = source.path, num_frames
        self.width, self.height, self.fps = source.width, source.height, source.fps
        self.images, self.codec, self.sample_aspect = source.images[start:stop], source.codec, source.sample_aspect
        self.times = None if source.times is None else source.times[start:stop] - source.times[start]
        self.damaged = damage_of(source.damaged, start, stop)
        self.background, self.notes = source.background, source.notes

    def _read(self, frames: np.ndarray) -> np.ndarray:
        return self._source._read(frames + self._start)
