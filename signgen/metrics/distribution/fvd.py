"""FID over the frames of a clip and FVD over its windows: features gathered as frames come, Fréchet distances out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signgen.metrics.clip.frame_pair import MODEL, ClipMetric, FramePair
from signgen.metrics.distribution.frechet import (
    ENOUGH_IMAGES,
    FeatureStatistics,
    few_images_note,
    frechet_distance,
)

_TRUTH = "the truth"  # a track beside the model and the baselines


class Distribution:
    """A ClipMetric: Fréchet distance between the features of a track's windows and of the truth's.

    For a set of clips, hand each clip's scorer `of_clip()`; the numbers of the set are then asked here. It may be
    pickled, without its features, and `merge` takes in what another process gathered.
    name: of the metric. features: uint8 (window, H, W, 3) -> (D,). Windows follow each other without overlap; where
    frames are missing the next one starts anew. Frames of one window, and sums of features, are kept in memory.
    """

    def __init__(self, name: str, features: Callable[[np.ndarray], np.ndarray], window: int = 1) -> None:
        self.names: tuple[str, ...] = (name,)
        self._features, self._window = features, window
        self._pending: dict[str, list[np.ndarray]] = {}
        self._last: dict[str, int] = {}
        self._statistics: dict[str, FeatureStatistics] = {}
        self._dimensions = 0

    def of_clip(self) -> ClipMetric:
        """What takes in one clip of a set, after those before it; it has no numbers of its own."""
        return _OfClip(self)

    def begin(self) -> None:
        """Another clip comes: no window reaches over from the one before."""
        self._pending.clear()
        self._last.clear()

    def merge(self, other: Distribution) -> None:
        """Take in the windows that `other` has seen."""
        for track, statistics in other._statistics.items():
            self._statistics.setdefault(track, FeatureStatistics()).merge(statistics)
        self._dimensions = self._dimensions or other._dimensions

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_features": None}  # networks stay with the process that loaded them

    def update(self, pair: FramePair) -> None:
        if pair.track == MODEL:
            self._add(_TRUTH, pair.truth.index, pair.truth.frame)
        self._add(pair.track, pair.truth.index, pair.frame)

    def _add(self, track: str, index: int, frame: np.ndarray) -> None:
        pending = self._pending.setdefault(track, [])
        if index != self._last.get(track, index - 1) + 1:
            pending.clear()
        self._last[track] = index
        pending.append(frame.copy())  # a reader may fill the same buffer again
        if len(pending) == self._window:
            feature = self._features(np.stack(pending))
            pending.clear()
            self._dimensions = feature.size
            self._statistics.setdefault(track, FeatureStatistics()).add(feature)

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        name, generated, truth = self.names[0], self._statistics.get(track), self._statistics.get(_TRUTH)
        if generated is None or truth is None or min(len(generated), len(truth)) < 2:
            what = f"windows of {self._window} frames" if self._window > 1 else "frames"
            return {}, {name: f"it needs two {what} at least"}
        return {name: frechet_distance(generated, truth)}, {}

    def notes(self) -> list[str]:
        """How far the number is from that of a whole data set."""
        truth, generated = self._statistics.get(_TRUTH), self._statistics.get(MODEL)
        if self._window == 1:
            counts = [len(seen) for seen in (generated, truth) if seen is not None]
            few = len(counts) == 2 and 2 <= min(counts) < ENOUGH_IMAGES
            return [few_images_note(self.names[0], *counts)] if few else []
        if truth is None or not 2 <= len(truth) <= self._dimensions:
            return []
        return [
            f"{self.names[0]} is of {len(truth)} windows in {self._dimensions} dimensions: compare it between clips of "
            "equal length only"
        ]


class _OfClip:
    """A ClipMetric that passes the frames of one clip on."""

    names: tuple[str, ...] = ()

    def __init__(self, whole: Distribution) -> None:
        self._whole, self._begun = whole, False

    def update(self, pair: FramePair) -> None:
        if not self._begun:
            self._whole.begin()
            self._begun = True
        self._whole.update(pair)

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        return {}, {}

    def notes(self) -> list[str]:
        return []
