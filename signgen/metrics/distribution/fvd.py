"""FID over the frames of a clip and FVD over its windows: features gathered as frames come, Fréchet distances out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torchmetrics import Metric

from signgen.metrics.clip.frame_pair import MODEL, ClipMetric, FramePair
from signgen.metrics.definitions import BASELINE_DEFINITIONS
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
    pickled, without its network, for `merge_states`.
    name: of the metric. features: uint8 (window, H, W, 3) -> (D,). Windows follow each other without overlap; where
    frames are missing the next one starts anew. Frames of one window, and sums of features, are kept in memory.
    """

    def __init__(self, name: str, features: Callable[[np.ndarray], np.ndarray], window: int = 1) -> None:
        self.names: tuple[str, ...] = (name,)
        self._features, self._window = features, window
        self._pending: dict[str, list[np.ndarray]] = {}
        self._last: dict[str, int] = {}
        self._statistics = {track: FeatureStatistics() for track in (MODEL, _TRUTH, *BASELINE_DEFINITIONS)}

    def states(self) -> list[Metric]:
        """What was gathered of each track."""
        return list(self._statistics.values())

    def of_clip(self) -> ClipMetric:
        """What takes in one clip of a set, after those before it; it has no numbers of its own."""
        return _OfClip(self)

    def begin(self) -> None:
        """Another clip comes: no window reaches over from the one before."""
        self._pending.clear()
        self._last.clear()

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
            self._statistics[track].update(feature)

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        name = self.names[0]
        generated, truth = self._statistics[track].compute(), self._statistics[_TRUTH].compute()
        if min(generated.total, truth.total) < 2:
            what = f"windows of {self._window} frames" if self._window > 1 else "frames"
            return {}, {name: f"it needs two {what} at least"}
        return {name: frechet_distance(generated, truth)}, {}

    def notes(self) -> list[str]:
        """How far the number is from that of a whole data set."""
        generated, truth = self._statistics[MODEL].compute(), self._statistics[_TRUTH].compute()
        if self._window == 1:
            few = 2 <= min(generated.total, truth.total) < ENOUGH_IMAGES
            return [few_images_note(self.names[0], generated.total, truth.total)] if few else []
        if not 2 <= truth.total <= truth.mean.size:
            return []
        return [
            f"{self.names[0]} is of {truth.total} windows in {truth.mean.size} dimensions: compare it between clips of "
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
