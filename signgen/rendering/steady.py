"""Cures of flicker that need no training: rendered frames of a clip in, steadier ones out.

1. colour: mean and spread of the static background, as the source has them, in every frame;
2. shimmer: a temporal filter that is strong where nothing moves, and absent on hands and mouth;
3. background: outside of where source or target person may be, the source's own pixels, through a soft mask.

In this order. A frame depends on those within REACH of it, so that parts of a clip come out as within the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np

from signgen.config import CURES, SamplingSettings
from signgen.errors import PoseError
from signgen.poses.sequence import PoseSequence
from signgen.poses.silhouette import delicate_mask, person_mask
from signgen.rendering.source import Source

REACH = 2  # frames before and after that the temporal filter sees
_STILL = 4.0  # grey levels of change, averaged over a few pixels, at which a neighbour has weight 1/e
_AREA = 7  # px, of that average
_GAIN, _SHIFT = 0.15, 12.0  # the most that colour is corrected: factor from 1, grey levels
_TEXTURE = 20.0  # grey levels of spread, below which a wall's spread is noise and no measure of contrast
_LEAST_BACKGROUND = 0.02  # of the frame; from less, colour is not judged


class Steady:
    """The cures that `sampling` asks for, for one clip. poses: of the whole clip, on the source's frame or any size."""

    def __init__(self, source: Source, poses: PoseSequence, sampling: SamplingSettings) -> None:
        self.colour, self.shimmer, self.background = (cure in sampling.steady for cure in CURES)
        height, width = source.frame.shape[:2]
        self._size, self._source = (width, height), source.frame
        self._poses = poses
        self._person = None
        self._covered = lru_cache(2 * REACH + 2)(self._cover)  # colour and background ask for it, so many frames apart
        if self.background or self.colour:
            self._person = self._source_person(source)

    @property
    def active(self) -> bool:
        return self.background or self.colour or self.shimmer

    def needed(self, part: Sequence[int], count: int) -> Sequence[int]:
        """The frames to render, ascending, so that those of `part` can be made; count: of the clip."""
        if not self.shimmer or not len(part):
            return part
        if isinstance(part, range) and part.step == 1:
            return range(max(0, part.start - REACH), min(count, part.stop + REACH))
        return sorted({near for number in part for near in self._window(number, count)})

    def frames(
        self, rendered: Iterator[np.ndarray], numbers: Sequence[int], part: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """rendered: uint8 (h, w, 3), the frames `numbers` = needed(part) -> the frames of `part`, ascending."""
        count = len(self._poses)
        coloured = ((number, self._coloured(number, frame)) for number, frame in zip(numbers, rendered, strict=True))
        if not self.shimmer:
            for number, frame in coloured:
                yield self._on_background(number, frame)
            return
        waiting: deque[tuple[int, np.ndarray]] = deque()
        for number in part:
            window = self._window(number, count)
            while waiting and waiting[0][0] < window.start:
                waiting.popleft()
            while not waiting or waiting[-1][0] < window.stop - 1:
                waiting.append(next(coloured))
            near = {place: frame for place, frame in waiting if place in window}
            yield self._on_background(number, self._smoothed(number, near))

    def _window(self, number: int, count: int) -> range:
        return range(max(0, number - REACH), min(count, number + REACH + 1))

    def _points(self, number: int) -> np.ndarray:
        """(K, 3) in pixels of the source's frame."""
        return self._poses[number : number + 1].resized(*self._size).keypoints[0]

    def _source_person(self, source: Source) -> np.ndarray:
        """Raises PoseError where it is not known where the source's person is."""
        mask = None
        if source.pose is not None:
            mask = person_mask(source.pose.resized(*self._size).keypoints[0], *self._size)
        if mask is None:
            raise PoseError(
                "the background cannot be told from the source's person, whose shoulders are not known",
                expected="the source's own keypoints",
                fix="give them with --source-poses, or take --steady shimmer alone",
            )
        return mask

    def _cover(self, number: int) -> np.ndarray:
        """float32 (h, w): where source or target person may be; all of it where the target's shoulders are not seen."""
        target = person_mask(self._points(number), *self._size)
        assert self._person is not None
        return np.ones_like(self._person) if target is None else np.maximum(self._person, target)

    def _coloured(self, number: int, frame: np.ndarray) -> np.ndarray:
        if not self.colour:
            return frame
        still = (self._covered(number) < 0.02).astype(np.uint8)
        if still.mean() < _LEAST_BACKGROUND:
            return frame
        (mean, spread), (true_mean, true_spread) = (cv2.meanStdDev(each, mask=still) for each in (frame, self._source))
        textured = np.minimum(spread, true_spread) >= _TEXTURE
        gain = np.where(textured, np.clip(true_spread / np.maximum(spread, 1.0), 1 - _GAIN, 1 + _GAIN), 1.0)
        shift = np.clip(true_mean - gain * mean, -_SHIFT - _GAIN * 255, _SHIFT + _GAIN * 255)
        return cv2.transform(frame, np.concatenate([np.diag(gain[:, 0]), shift], 1))

    def _smoothed(self, number: int, near: dict[int, np.ndarray]) -> np.ndarray:
        """The weighted mean over the window; a neighbour's weight falls with its difference here, and on hands."""
        frame = near[number]
        loose = 1 - delicate_mask(self._points(number), *self._size)
        total, weights = frame.astype(np.float32), np.ones(frame.shape[:2], np.float32)
        for place, other in near.items():
            if place == number:
                continue
            change = cv2.blur(cv2.absdiff(frame, other).astype(np.float32).mean(2), (_AREA, _AREA))
            weight = np.exp(-np.square(change / _STILL)) * loose
            total += weight[..., None] * other
            weights += weight
        return np.rint(total / weights[..., None]).astype(np.uint8)

    def _on_background(self, number: int, frame: np.ndarray) -> np.ndarray:
        if not self.background:
            return frame
        share = self._covered(number)[..., None]
        return np.rint(share * frame + (1 - share) * self._source).astype(np.uint8)
