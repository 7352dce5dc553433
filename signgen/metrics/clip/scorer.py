"""Streaming scorer: frames in, one pair at a time; out comes the metrics dictionary that every report file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signgen.errors import PoseError, VideoError
from signgen.metrics.clip.flicker import Flicker, SuccessiveSsim, WarpingError, flicker_note
from signgen.metrics.clip.frame_metrics import Face, Hands, MultiScale, NonManualBoxes, Perceptual, WholeFrame
from signgen.metrics.clip.frame_pair import MODEL, ClipMetric, FrameMetric, FramePair, TruthFrame
from signgen.metrics.definitions import (
    BASELINE_DEFINITIONS,
    DEFINITIONS,
    FACE_METRICS,
    HAND_METRICS,
    LPIPS_METRICS,
    LPIPS_VGG_METRICS,
    POSE_METRICS,
    ScoringProtocol,
)
from signgen.metrics.image import pixels as image
from signgen.metrics.image.lpips import Lpips
from signgen.metrics.means import OWN_TRUTH, Row, columns_of, counted, mean_row, with_own_truth
from signgen.metrics.row_list import RowList

_VGG_WHOLE = LPIPS_VGG_METRICS[0]  # ten times as slow as AlexNet's
SLOW_METRICS = (*NonManualBoxes.names, *MultiScale.names, *SuccessiveSsim.names, *WarpingError.names, _VGG_WHOLE)
# (frame index, keypoints (K, 3) of that frame or None) -> uint8 (H, W, 3), or None where there is no answer.
Baseline = Callable[[int, np.ndarray | None], np.ndarray | None]


@dataclass
class _Track:
    """Rows of the model or of one baseline, and its frame before, for flicker."""

    rows: RowList = field(default_factory=RowList)
    previous: np.ndarray | None = None


class FrameScorer:
    """Scores generated frames against the truth as they come, and baselines with them.

    protocol: how the scores are taken; reported only: frames are compared at the size they come in.
    keypoints: (T, K, 3) of a skeleton signgen knows, in pixels of the truth, by frame; None leaves out hands and
        face, and 18 points, which have no hands, the hands.
    lpips: AlexNet's, or None; then `not_computed` should say why. lpips_vgg: VGG-16's, likewise.
    baselines: name -> callable (frame index, keypoints of that frame) -> uint8 (H, W, 3) or None.
    metrics: of frames, clip_metrics: of the whole clip, beside those that need nothing but frames and keypoints.
    quick: leave out SLOW_METRICS, which take four fifths of the time.
    not_computed: metric or baseline -> reason, passed on to the report. notes: sentences for the reader of the report.
    """

    def __init__(
        self,
        protocol: ScoringProtocol | None = None,
        keypoints: np.ndarray | None = None,
        *,
        lpips: Lpips | None = None,
        lpips_vgg: Lpips | None = None,
        baselines: Mapping[str, Baseline] | None = None,
        metrics: Iterable[FrameMetric] = (),
        clip_metrics: Iterable[ClipMetric] = (),
        quick: bool = False,
        not_computed: Mapping[str, str] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self._protocol = protocol or ScoringProtocol()
        self._keypoints = keypoints
        points = 0 if keypoints is None else keypoints.shape[1]
        self._metrics = [*frame_metrics(points, lpips, lpips_vgg, quick=quick), *metrics]
        self._clip_metrics = list(clip_metrics)
        self._baselines = dict(baselines or {})
        reasons = dict(not_computed or {})
        absent = [name for name, network in (("lpips", lpips), ("lpips_vgg", lpips_vgg)) if network is None]
        left_out = dict.fromkeys(SLOW_METRICS if quick else (), "left out by render; signgen evaluate computes it")
        missing = _unavailable(points, {name: reasons.get(name, "not asked for") for name in absent})
        self._not_computed = missing | left_out | reasons  # what the caller says is nearest to the cause
        self._notes = list(notes)
        self._tracks = {name: _Track() for name in (MODEL, *self._baselines)}
        self._truth: np.ndarray | None = None
        self._last_index: int | None = None

    def update(self, frame_index: int, generated: np.ndarray, truth: np.ndarray) -> Row:
        """Score one frame, both uint8 (H, W, 3) RGB of one size, and return its row.

        `frame_index` counts in the truth: it names the row and picks the keypoints. Metrics of time are taken between
        consecutive indices only. Raises VideoError when sizes differ, PoseError when the keypoints end before it.
        """
        # a gap, or another size: nothing comes before this frame
        image.check_pair(generated, truth)
        if self._last_index is None or frame_index != self._last_index + 1 or self._is_new_size(truth):
            self._truth = None
            for track in self._tracks.values():
                track.previous = None
        # model and baselines
        points = self._points(frame_index)
        real = TruthFrame(frame_index, truth, self._truth, points)
        for name, track in self._tracks.items():
            frame = self._baselines[name](frame_index, points) if name else generated
            if frame is not None:
                image.check_pair(frame, truth, name or "generated")
            pair = None if frame is None else FramePair(real, frame, track.previous, name)
            own = {OWN_TRUTH: 1} if getattr(self._baselines.get(name), "own", None) == frame_index else {}
            track.rows.append({"frame": frame_index, **own} | self._scores(pair))
            # A reader may fill the same buffer again.
            track.previous = None if frame is None else frame.copy()
        self._truth, self._last_index = truth.copy(), frame_index
        return self._tracks[MODEL].rows[-1]

    def rows_since(self, frame_index: int) -> dict[str, list[dict[str, Any]]]:
        """Rows of that frame and all later ones, by track: what `restore` takes."""
        rows = self._tracks[MODEL].rows
        behind = next((n for n, row in enumerate(reversed(rows)) if (row["frame"] or 0) < frame_index), len(rows))
        return {name: [*map(dict, track.rows[len(rows) - behind :])] for name, track in self._tracks.items()}

    def restore(self, rows: Mapping[str, Iterable[Row]], generated: np.ndarray, truth: np.ndarray) -> None:
        """Go on behind frames that were scored before. rows: of `rows_since`, of all of them. generated, truth: uint8
        (H, W, 3), the last of these frames. Metrics of the whole clip cannot go on: there may be none."""
        if self._clip_metrics or not set(rows) == set(self._tracks):
            raise VideoError("scores of other metrics", expected="those that were begun with")
        for name, track in self._tracks.items():
            track.rows = RowList(rows[name])
        index = int(self._tracks[MODEL].rows[-1]["frame"] or 0)
        points = self._points(index)
        for name, track in self._tracks.items():
            frame = self._baselines[name](index, points) if name else generated
            track.previous = None if frame is None else frame.copy()
        self._truth, self._last_index = truth.copy(), index

    def _is_new_size(self, truth: np.ndarray) -> bool:
        return self._truth is not None and self._truth.shape != truth.shape

    def _points(self, frame_index: int) -> np.ndarray | None:
        if self._keypoints is None:
            return None
        if not 0 <= frame_index < len(self._keypoints):
            raise PoseError(
                f"keypoints for {len(self._keypoints)} frames", expected=f"one for frame {frame_index} of the truth too"
            )
        return self._keypoints[frame_index]

    def _scores(self, pair: FramePair | None) -> dict[str, Any]:
        """A number for every name, None where this frame lacks it; clip metrics take the frame in."""
        row: dict[str, Any] = dict.fromkeys(column for metric in self._metrics for column in columns_of(metric.names))
        if pair is not None:
            for metric in self._metrics:
                row |= metric(pair)
            for clip_metric in self._clip_metrics:
                clip_metric.update(pair)
        return row

    def _names(self) -> list[str]:
        return [name for metric in self._metrics for name in metric.names]

    def result(self, *, views: bool = False) -> dict[str, Any]:
        """The metrics dictionary: JSON without NaN, None where a frame (or every frame) lacks what a metric needs.

        Keys: protocol, definitions, frames, mean, baselines, not_computed, notes, per_frame, per_frame_baselines.
        views: rows are read-only mappings in place of dicts, a tenth of the memory; `write_metrics` takes both.
        Raises VideoError when nothing was scored.
        """
        rows = self._tracks[MODEL].rows
        if not rows or self._truth is None:
            raise VideoError("no frames were scored", expected="at least one pair of frames")
        names = [*self._names(), *(name for metric in self._clip_metrics for name in metric.names)]
        answered = [
            name for name in self._baselines if any(row["psnr"] is not None for row in counted(self._tracks[name].rows))
        ]
        mean, missing = self._means(MODEL)
        missing |= {name: "it has no frame for any of the poses" for name in self._baselines if name not in answered}
        height, width = self._truth.shape[:2]

        def as_rows(kept: RowList) -> list[Row]:
            return [*kept] if views else [*map(dict, kept)]

        return {
            "protocol": self._protocol.text(width, height),
            "definitions": {name: DEFINITIONS[name] for name in names},
            "frames": len(rows),
            "mean": mean,
            "baselines": {name: self._means(name)[0] for name in answered},
            "not_computed": missing | self._not_computed,
            "notes": [*self._notes, *self._metric_notes(answered, mean)],
            "per_frame": as_rows(rows),
            "per_frame_baselines": {name: as_rows(self._tracks[name].rows) for name in answered},
        }

    def _means(self, track: str) -> tuple[dict[str, float | None], dict[str, str]]:
        """Every number of a track, and name -> reason for those that are None."""
        rows = self._tracks[track].rows
        assert self._truth is not None
        means = mean_row(rows, self._names())
        missing = {
            name: metric.why_missing(name, len(rows), self._truth)
            for metric in self._metrics
            for name in metric.names
            if means[name] is None
        }
        for clip_metric in self._clip_metrics:
            found, reasons = clip_metric.result(track)
            means |= {name: found.get(name) for name in clip_metric.names}
            missing |= reasons
        return means, missing

    def _metric_notes(self, answered: list[str], mean: Mapping[str, float | None]) -> list[str]:
        texts = [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in answered if name in BASELINE_DEFINITIONS]
        clip = [note for metric in self._clip_metrics for note in metric.notes()]
        tracks = {name: self._tracks[name].rows for name in self._baselines}
        rows = self._tracks[MODEL].rows
        flicker = [note for note in [flicker_note(mean)] if note]
        return [
            *texts,
            *coverage_notes(rows),
            *flicker,
            *clip,
            *pose_coverage_notes(rows, tracks),
            *baseline_notes(tracks),
        ]


def frame_metrics(
    points: int, lpips: Lpips | None, lpips_vgg: Lpips | None = None, *, quick: bool = False
) -> list[FrameMetric]:
    """What is taken of every frame: of poses of `points` keypoints (0: none are known), in the report's order."""
    metrics: list[FrameMetric] = [WholeFrame(), MultiScale()]
    if points:
        metrics += [Hands(points), Face(), NonManualBoxes()]
    if lpips is not None:
        metrics.append(Perceptual(lpips, points))
    if lpips_vgg is not None:
        metrics.append(Perceptual(lpips_vgg, points, "vgg", whole=not quick))
    metrics += [Flicker(), SuccessiveSsim(), WarpingError()]
    return [metric for metric in metrics if not (quick and set(metric.names) <= set(SLOW_METRICS))]


def _unavailable(points: int, absent: Mapping[str, str]) -> dict[str, str]:
    """Name -> why there is no such number, without keypoints and without networks (`lpips`, `lpips_vgg`: reason)."""
    boxed = (*HAND_METRICS, *FACE_METRICS, *NonManualBoxes.names, *LPIPS_METRICS[1:], *LPIPS_VGG_METRICS[1:])
    families = {names[0]: names for names in (LPIPS_METRICS, LPIPS_VGG_METRICS)}
    networks = {name: reason for family, reason in absent.items() for name in families[family]}
    return networks | ({} if points else dict.fromkeys(boxed, "no keypoints of the truth (--poses)"))


def coverage_notes(rows: Sequence[Row]) -> list[str]:
    """A sentence for each part that some frames lack, so that a mean over few frames is not taken for all."""
    notes = []
    for part in ("hand", "face"):
        if f"{part}_ssim" in rows[0]:
            count = sum(row[f"{part}_ssim"] is not None for row in rows)
            notes.append(f"{part} boxes in {count} of {len(rows)} frames")
    return notes


def pose_coverage_notes(rows: Sequence[Row], tracks: Mapping[str, Sequence[Row]]) -> list[str]:
    """Where joint errors of the model, whose `rows` these are, and of a baseline are means over different frames.

    An estimator may see hands in what one of them shows and not in the other. tracks: name -> rows of baselines.
    """
    notes = []
    for name in (name for name in POSE_METRICS if name.endswith("_joint_error") and name in rows[0]):
        generated = _frames_with(name, rows)
        for track, truth in ((track, _frames_with(name, others)) for track, others in tracks.items()):
            if truth and truth != generated:
                notes.append(
                    f"{name} of the model is the mean of {len(generated)} of {len(rows)} frames, of {track} of "
                    f"{len(truth)}: they are not the same frames"
                )
    return notes


def _frames_with(name: str, rows: Sequence[Row]) -> set[float | int | None]:
    return {row["frame"] for row in rows if row[name] is not None}


def baseline_notes(tracks: Mapping[str, Sequence[Row]]) -> list[str]:
    """Where a baseline's mean says less than it seems to: few frames, or the truth itself. tracks: name -> rows."""
    notes = []
    for name, rows in tracks.items():
        silent = sum(row["psnr"] is None for row in rows)
        exact = sum(row["psnr"] == image.PSNR_CAP for row in rows)
        if 0 < silent < len(rows):
            notes.append(f"{name} has no frame for {silent} of {len(rows)} frames; its means are over the others")
        own = [row for row in rows if row.get(OWN_TRUTH)]
        if own and len(own) < len(rows):
            notes.append(with_own_truth(name, own, rows, ("ssim", "psnr", "hand_ssim", "hand_psnr"), "frame"))
        elif exact:
            notes.append(f"{name} is the truth itself in {exact} of {len(rows)} frames")
    return notes
