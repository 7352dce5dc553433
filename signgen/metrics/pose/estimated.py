"""Pose metrics of clips that are scored while they are rendered: keypoints are estimated as the frames come.

Truth, generated frames and source are seen by estimators of one kind, each its own, so that it may follow a person.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from torchmetrics import Metric

from signgen.metrics.accumulate import RowTable, Texts
from signgen.metrics.clip.frame_pair import MODEL, FramePair
from signgen.metrics.clip.presets import CropErrors, no_points
from signgen.metrics.definitions import BASELINE_DEFINITIONS, FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.metrics.pose.accuracy import (
    PoseAccuracy,
    dtw_mje,
    has_shoulders,
    placed,
    repeated,
    seen_counts,
    seen_note,
)
from signgen.metrics.pose.hands import HandReading, reference_of
from signgen.metrics.pose.non_manual import non_manual
from signgen.poses.estimators import Estimator, extract
from signgen.poses.skeletons import COCO_WHOLEBODY_133

OpenEstimator = Callable[[], Estimator]
_COPIED = "copy-source"  # a baseline of one frame, which is estimated once
SEEN_PARTS = ("body", "hands", "face")
_COUNTED = ("both", "there")  # points seen in both, and in the truth
_NO_UNIT = "the estimator sees no two shoulders in the truth, whose distance is the unit"


@dataclass(frozen=True)
class SeenClip:
    """What a clip leaves. values: track -> numbers of its sequence; counts: of `seen_counts`; notes: the estimator's.

    unit: whether the truth has one; without it there are no numbers.
    """

    name: str
    values: dict[str, dict[str, float]]
    counts: dict[str, tuple[int, int]]
    notes: tuple[str, ...]
    unit: bool = True


class EstimatedClip:
    """PCK and joint errors of one clip; a FrameMetric. The truth is estimated when the first frame is scored, since the
    unit of distances is that of the whole clip; generated frames one by one, in their order.

    truth: its frames at `targets`, uint8 (H, W, 3), in that order, read when called. frames: how many the clip has.
    keypoints: (T, K, 3) of the clip, for the hands that are to be found; the estimator's where they have none. crops:
    with errors in the crops of a preset.
    """

    def __init__(
        self,
        open_new: OpenEstimator,
        truth: Callable[[], Iterable[np.ndarray]],
        targets: Sequence[int],
        frames: int,
        keypoints: np.ndarray | None = None,
        fps: float | None = None,
        *,
        crops: bool = False,
    ) -> None:
        self.names = (*POSE_METRICS, *FINGER_METRICS, *(CropErrors.names if crops else ()))
        self._crops: CropErrors | None = None
        self._keypoints, self._fps, self._size = keypoints, fps, (0, 0)
        self._hands: HandReading | None = None
        self._open, self._read, self._targets, self._frames = open_new, truth, list(targets), frames
        self._estimator: Estimator | None = None
        self._seen: dict[str, np.ndarray] = {}
        self._truth = np.empty(0)
        self._notes: tuple[str, ...] = ()
        self._accuracy: PoseAccuracy | None = None

    def __call__(self, pair: FramePair) -> dict[str, float]:
        self._size = (pair.frame.shape[1], pair.frame.shape[0])
        estimator = self._estimator or self._begin()
        if pair.track == MODEL:
            self._seen[MODEL][pair.truth.index] = extract([pair.frame], estimator).keypoints[0]
        elif pair.track == _COPIED and _COPIED not in self._seen:
            self._seen[_COPIED] = repeated(self._estimated([pair.frame])[0], self._frames)
        scores = {} if self._accuracy is None else self._accuracy(pair)
        for metric in (self._hands, self._crops):
            scores |= {} if metric is None else metric(pair)
        return scores

    def _begin(self) -> Estimator:
        """Estimate the truth; the estimator for the generated frames."""
        found = self._estimated(self._read())
        self._truth = placed(found, self._targets, self._frames)
        self._seen = {MODEL: np.full_like(self._truth, np.nan)}
        if has_shoulders(self._truth):
            self._accuracy = PoseAccuracy(self._truth, self._seen)
        if self._whole_body:
            self._hands = HandReading(reference_of(self._keypoints, self._truth), self._truth, self._seen)
            if CropErrors.names[0] in self.names:
                self._crops = CropErrors(self._truth, self._seen)
        self._estimator = self._open()
        return self._estimator

    def _estimated(self, frames: Iterable[np.ndarray]) -> np.ndarray:
        """float32 (T, K, 3) of frames that are a clip of their own."""
        with closing(self._open()) as estimator:
            found = extract(frames, estimator)
        self._notes = found.notes
        return found.keypoints

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        if name in FINGER_METRICS:
            return "keypoints without hands" if self._hands is None else self._hands.why_missing(name, frames, truth)
        if name in CropErrors.names:
            return no_points(name)
        return _NO_UNIT if self._accuracy is None else self._accuracy.why_missing(name, frames, truth)

    @property
    def _whole_body(self) -> bool:
        return self._truth.shape[1:2] == (COCO_WHOLEBODY_133.points,)

    def close(self) -> None:
        """Give back the estimator; it may be called again."""
        if self._estimator is not None:
            self._estimator.close()
            self._estimator = None

    def finish(self, name: str) -> SeenClip:
        """What the clip `name` leaves, once all of its frames are scored."""
        self.close()
        if self._accuracy is None:
            return SeenClip(name, {}, {}, self._notes, unit=False)
        truth = self._truth[self._targets]
        values = {track: self._of_sequence(points[self._targets], truth) for track, points in self._seen.items()}
        counts = seen_counts(self._seen[MODEL][self._targets], truth)
        return SeenClip(name, values, counts, self._notes)

    def _of_sequence(self, points: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        warped = dtw_mje(points, truth)
        found = {} if warped is None else {"dtw_mje": warped}
        if self._whole_body:
            found |= non_manual(points, truth, self._size, self._fps or 25.0)[0]
        return found


class EstimatedSet:
    """DTW-MJE and non-manual scores of a set of clips: means of theirs, in any order; a SetMetric. It may be pickled.

    total: of the numbers that clips may have. estimator: its name, for the notes.
    """

    names = SEQUENCE_METRICS

    def __init__(self, total: int, estimator: str) -> None:
        self._estimator = estimator
        self._values = {track: RowTable(total, SEQUENCE_METRICS) for track in (MODEL, *BASELINE_DEFINITIONS)}
        self._counts = RowTable(total, ("unit", *(f"{part} {what}" for part in SEEN_PARTS for what in _COUNTED)))
        self._texts = Texts()

    def states(self) -> list[Metric]:
        """What clips have left."""
        return [*self._values.values(), self._counts, self._texts]

    def add(self, number: int, clip: SeenClip) -> None:
        """Take in a clip, by its number in the set."""
        for track, values in clip.values.items():
            self._values[track].update(number, values)
        counts = {
            f"{part} {what}": count
            for part, found in clip.counts.items()
            for what, count in zip(_COUNTED, found, strict=True)
        }
        self._counts.update(number, {"unit": int(clip.unit), **counts})
        self._texts.update(json.dumps([number, clip.name, clip.notes]))

    def _of(self, track: str, name: str) -> list[float]:
        return [value for row in self._values[track].compute().values() if (value := row[name]) is not None]

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        values = {name: found for name in self.names if (found := self._of(track, name))}
        any_unit = any(row["unit"] for row in self._counts.compute().values())
        reason = "no clip has the points for it in truth and generated clip" if any_unit else _NO_UNIT
        missing = {name: reason for name in self.names if name not in values}
        return {name: float(np.mean(found)) for name, found in values.items()}, missing

    def notes(self) -> list[str]:
        """Who estimated, over how many clips the mean is, which have no numbers, and how much of the truth is seen."""
        counts, clips = self._counts.compute(), sorted(map(json.loads, self._texts.compute()))
        notes = [*dict.fromkeys(note for _, _, found in clips for note in found)]
        notes.append(f"keypoints of generated frames, truth and source estimated by {self._estimator}")
        without = list(dict.fromkeys(name for number, name, _ in clips if not counts[number]["unit"]))
        if without:
            notes.append(f"no pose metrics of {', '.join(without)}: {_NO_UNIT}")
        if values := self._of(MODEL, "dtw_mje"):
            notes.append(f"dtw_mje is the mean of {len(values)} of {len(clips)} clips, each with one source")
            notes.append(seen_note({part: _sums(counts.values(), part) for part in SEEN_PARTS}))
        return notes


def _sums(counts: Iterable[Mapping[str, float | None]], part: str) -> tuple[int, int]:
    both, there = (sum(int(row[f"{part} {what}"] or 0) for row in counts) for what in _COUNTED)
    return both, there
