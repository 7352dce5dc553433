"""Streaming scorer: frames in, one pair at a time; out comes the metrics dictionary that every report file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from signgen.errors import PoseError, VideoError
from signgen.metrics import image
from signgen.metrics.definitions import (
    BASELINE_DEFINITIONS,
    BOX_MARGIN,
    DEFINITIONS,
    FACE_METRICS,
    HAND_METRICS,
    STATIC_THRESHOLD,
    TIME_METRICS,
    WHOLE_METRICS,
    ScoringProtocol,
)
from signgen.metrics.lpips import SMALLEST_SIDE, Lpips
from signgen.poses.parts import part_boxes
from signgen.poses.skeletons import OPENPOSE_18

Row = dict[str, float | int | None]
# (frame index, keypoints (K, 3) of that frame or None) -> uint8 (H, W, 3), or None where there is no answer.
Baseline = Callable[[int, np.ndarray | None], np.ndarray | None]


@dataclass(frozen=True)
class Regions:
    """What a frame's scores are taken over, each bool (H, W) or None where the frame has none.

    static: the pixels where the truth did not change since the frame before; None for a first frame.
    """

    hands: np.ndarray | None = None
    face: np.ndarray | None = None
    static: np.ndarray | None = None


@dataclass
class _Track:
    """Rows of the model or of one baseline, and its frame before, for flicker."""

    rows: list[Row] = field(default_factory=list)
    previous: np.ndarray | None = None


class FrameScorer:
    """Scores generated frames against the truth as they come, and baselines with them.

    protocol: how the scores are taken; it is only told, not acted upon: frames are compared at the size they come in.
    keypoints: (T, K, 3) of a skeleton signgen knows, in pixels of the truth, by frame; None leaves out hands and
        face, and 18 points, which have no hands, the hands.
    lpips: the network, or None; then `not_computed` should say why.
    baselines: name -> callable (frame index, keypoints of that frame) -> uint8 (H, W, 3) or None.
    not_computed: metric or baseline -> reason, passed on to the report. notes: sentences for the reader of the report.
    """

    def __init__(
        self,
        protocol: ScoringProtocol | None = None,
        keypoints: np.ndarray | None = None,
        *,
        lpips: Lpips | None = None,
        baselines: Mapping[str, Baseline] | None = None,
        not_computed: Mapping[str, str] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self._protocol = protocol or ScoringProtocol()
        self._keypoints = keypoints
        self._lpips = lpips
        self._baselines = dict(baselines or {})
        self._not_computed = dict(not_computed or {})
        self._notes = list(notes)
        self._tracks = {name: _Track() for name in ("", *self._baselines)}  # "" is the model
        self._truth: np.ndarray | None = None
        self._last_index: int | None = None
        if keypoints is None:
            reason = "no keypoints of the truth (--poses)"
            for metric in (*HAND_METRICS, *FACE_METRICS):
                self._not_computed.setdefault(metric, reason)
        if lpips is None:
            self._not_computed.setdefault("lpips", "not asked for")

    def update(self, frame_index: int, generated: np.ndarray, truth: np.ndarray) -> Row:
        """Score one frame, both uint8 (H, W, 3) RGB of one size, and return its row.

        `frame_index` counts in the truth: it names the row and picks the keypoints. Flicker is taken between
        consecutive indices only. Raises VideoError when sizes differ, PoseError when the keypoints end before it.
        """
        image.check_pair(generated, truth)
        if self._lpips is not None and min(truth.shape[:2]) < SMALLEST_SIDE:
            self._lpips = None
            size = image.size_text(truth)
            self._not_computed["lpips"] = f"frames are {size}; AlexNet needs {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        if self._last_index is None or frame_index != self._last_index + 1 or self._is_new_size(truth):
            self._truth = None
            for track in self._tracks.values():
                track.previous = None
        points = self._points(frame_index)
        regions = frame_regions(points, truth, self._truth)
        for name, track in self._tracks.items():
            frame = self._baselines[name](frame_index, points) if name else generated
            if frame is not None:
                image.check_pair(frame, truth, name or "generated")
            track.rows.append({"frame": frame_index} | self._scores(frame, truth, regions, track.previous))
            # A reader may fill the same buffer again.
            track.previous = None if frame is None else frame.copy()
        self._truth, self._last_index = truth.copy(), frame_index
        return self._tracks[""].rows[-1]

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

    def _scores(
        self, frame: np.ndarray | None, truth: np.ndarray, regions: Regions, previous: np.ndarray | None
    ) -> Row:
        names = self._metrics()
        if frame is None:
            return dict.fromkeys(names)
        scores = score_frame(frame, truth, regions)
        if self._lpips is not None:
            scores["lpips"] = self._lpips(frame, truth)
        if regions.static is not None and previous is not None and self._truth is not None:
            scores["flicker"] = image.masked_mean(cv2.absdiff(frame, previous), regions.static)
            scores["flicker_truth"] = image.masked_mean(cv2.absdiff(truth, self._truth), regions.static)
        return {name: scores.get(name) for name in names}

    def _metrics(self) -> list[str]:
        parts = (*HAND_METRICS, *FACE_METRICS) if self._keypoints is not None else ()
        return [*WHOLE_METRICS, *parts, *(("lpips",) if self._lpips is not None else ()), *TIME_METRICS]

    def result(self) -> dict[str, Any]:
        """The metrics dictionary: JSON without NaN, None where a frame (or every frame) lacks what a metric needs.

        Keys: protocol, definitions, frames, mean, baselines, not_computed, notes, per_frame, per_frame_baselines.
        Raises VideoError when nothing was scored.
        """
        rows = self._tracks[""].rows
        if not rows or self._truth is None:
            raise VideoError("no frames were scored", expected="at least one pair of frames")
        metrics = self._metrics()
        mean = mean_row(rows, metrics)
        answered = [name for name in self._baselines if any(row["psnr"] is not None for row in self._tracks[name].rows)]
        baselines = {name: mean_row(self._tracks[name].rows, metrics) for name in answered}
        points = 0 if self._keypoints is None else self._keypoints.shape[1]
        missing = {metric: _why_missing(metric, len(rows), points) for metric, value in mean.items() if value is None}
        missing |= {name: "it has no frame for any of the poses" for name in self._baselines if name not in answered}
        told = [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in answered if name in BASELINE_DEFINITIONS]
        height, width = self._truth.shape[:2]
        return {
            "protocol": self._protocol.text(width, height),
            "definitions": {metric: DEFINITIONS[metric] for metric in metrics},
            "frames": len(rows),
            "mean": mean,
            "baselines": baselines,
            "not_computed": missing | self._not_computed,
            "notes": [*self._notes, *told, *_coverage(rows), *self._baseline_notes()],
            "per_frame": rows,
            "per_frame_baselines": {name: self._tracks[name].rows for name in answered},
        }

    def _baseline_notes(self) -> list[str]:
        """Where a baseline's mean says less than it seems to: few frames, or the truth itself."""
        notes = []
        for name in self._baselines:
            rows = self._tracks[name].rows
            silent = sum(row["psnr"] is None for row in rows)
            exact = sum(row["psnr"] == image.PSNR_CAP for row in rows)
            if 0 < silent < len(rows):
                notes.append(f"{name} has no frame for {silent} of {len(rows)} frames; its means are over the others")
            if exact:
                notes.append(f"{name} is the truth itself in {exact} of {len(rows)} frames")
        return notes


def frame_regions(keypoints: np.ndarray | None, truth: np.ndarray, previous_truth: np.ndarray | None) -> Regions:
    """Hand and face masks from keypoints (K, 3) in px, and the static mask from the truth and its frame before."""
    height, width = truth.shape[:2]
    hands = face = static = None
    if keypoints is not None:
        boxes = part_boxes(keypoints, width, height, margin=BOX_MARGIN)
        hands = image.box_mask([boxes["left_hand"], boxes["right_hand"]], height, width)
        face = image.box_mask([boxes["face"]], height, width)
    if previous_truth is not None:
        still = cv2.inRange(cv2.absdiff(truth, previous_truth), (0, 0, 0), (STATIC_THRESHOLD,) * 3) > 0
        static = still if still.any() else None
    return Regions(hands, face, static)


def score_frame(frame: np.ndarray, truth: np.ndarray, regions: Regions) -> dict[str, float]:
    """All scores of one uint8 (H, W, 3) frame that need no other frame; the SSIM map is computed once."""
    similarity = image.ssim_map(frame, truth)
    error = image.squared_error(frame, truth)
    scores = {
        "ssim": image.frame_mean(similarity),
        "psnr": image.decibel(float(error.mean(dtype=np.float64))),
    }
    for part, mask in (("hand", regions.hands), ("face", regions.face)):
        if mask is not None:
            scores[f"{part}_ssim"] = image.masked_mean(similarity, mask)
            scores[f"{part}_psnr"] = image.decibel(image.masked_mean(error, mask))
    if regions.hands is not None:
        energy = image.masked_mean(image.gradient_energy(truth), regions.hands)
        if energy > 0:
            scores["hand_sharpness"] = image.masked_mean(image.gradient_energy(frame), regions.hands) / energy
    return scores


def mean_row(rows: Sequence[Row], metrics: Iterable[str]) -> dict[str, float | None]:
    """Mean of each metric over the rows that have it; None where none has."""
    means: dict[str, float | None] = {}
    for metric in metrics:
        values = [value for row in rows if (value := row[metric]) is not None]
        means[metric] = float(np.mean(values)) if values else None
    return means


def _why_missing(metric: str, frames: int, points: int) -> str:
    if metric in TIME_METRICS:
        return "no two consecutive frames with static pixels" if frames > 1 else "one frame has no flicker"
    if metric in HAND_METRICS and points == OPENPOSE_18.points:
        return f"keypoints of {points} points have no hands"
    return f"no frame has keypoints for a {metric.split('_')[0]} box"


def _coverage(rows: Sequence[Row]) -> list[str]:
    """A sentence for each part that some frames lack, so that a mean over few frames is not taken for all."""
    notes = []
    for part in ("hand", "face"):
        if f"{part}_ssim" in rows[0]:
            count = sum(row[f"{part}_ssim"] is not None for row in rows)
            notes.append(f"{part} boxes in {count} of {len(rows)} frames")
    return notes
