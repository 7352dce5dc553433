"""Keypoints of a clip's truth and of what was generated in; numbers of the two whole sequences out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from signgen.metrics.clip.frame_pair import MODEL, FramePair


class SequenceMetric(ABC):
    """A ClipMetric of keypoints: it remembers which frames of a track were scored, and compares these at the end.

    truth: float (T, K, 3) px, by frame of the truth. seen: track -> the same of its frames.
    """

    names: tuple[str, ...] = ()

    def __init__(self, truth: np.ndarray, seen: Mapping[str, np.ndarray]) -> None:
        self._truth, self._seen = truth, seen
        self._frames: dict[str, list[int]] = {track: [] for track in seen}

    def update(self, pair: FramePair) -> None:
        if pair.track in self._frames:
            self._frames[pair.track].append(pair.truth.index)

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        pair = self._sequences(track)
        if pair is None:
            return {}, {}
        found, reasons = self.compare(*pair)
        return found, reasons if track == MODEL else {}

    def notes(self) -> list[str]:
        """What the reader of the numbers should know; nothing unless a metric says so."""
        return []

    @abstractmethod
    def compare(self, points: np.ndarray, truth: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
        """Numbers of two sequences (T, K, 3) of the same frames, and name -> why one is missing."""

    def _sequences(self, track: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Of the frames that were scored, what was seen and the truth; None of a track without any."""
        frames = self._frames.get(track)
        return (self._seen[track][frames], self._truth[frames]) if frames else None
