"""Keypoints seen in the generated clip against the truth's: PCK, joint errors frame by frame, DTW-MJE of the sequence.

Only points that are seen in both are compared, and nothing is filled in; how many the generated clip lacks is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from signgen.errors import PoseError
from signgen.metrics.clip.frame_pair import MODEL, FramePair
from signgen.metrics.definitions import PCK_SHARES, POSE_METRICS
from signgen.metrics.pose.sequence_metric import SequenceMetric
from signgen.poses.parts import joint_parts, shoulder_widths, visible


class PoseAccuracy:
    """PCK and joint errors of single frames; a FrameMetric.

    truth: float (T, K, 3) px, by frame of the truth. seen: track -> the same of its frames; a track that is not in it
    has no numbers. A frame of it is looked at when it is scored, and may be filled in until then.
    """

    names = POSE_METRICS

    def __init__(self, truth: np.ndarray, seen: Mapping[str, np.ndarray]) -> None:
        for points in seen.values():
            _check_shape(points, truth)
        self._truth, self._seen = truth, seen
        self._unit = shoulder_width_of(truth)
        self._parts = joint_parts(truth.shape[1])

    def __call__(self, pair: FramePair) -> dict[str, float]:
        if pair.track not in self._seen:
            return {}
        index = pair.truth.index
        errors = _errors(self._seen[pair.track][index], self._truth[index], self._unit)
        body, hands, face = (errors[self._parts[part]] for part in ("body", "hands", "face"))
        parts = {"body": body, "hand": hands, "face": face}
        scores = {f"{part}_joint_error": _mean(compared) for part, compared in parts.items()}
        for name, share in PCK_SHARES.items():
            scores[name] = _share_within(np.concatenate([body, hands]), share)
            scores[f"hand_{name}"] = _share_within(hands, share)
        return {name: score for name, score in scores.items() if score is not None}

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        part = "body or hand" if name in PCK_SHARES else name.split("_")[0]
        return f"no frame has a {part} point that is seen in truth and generated clip"


class SequenceAccuracy(SequenceMetric):
    """DTW-MJE of whole sequences; a ClipMetric. truth, seen: as of PoseAccuracy."""

    names = ("dtw_mje",)

    def compare(self, points: np.ndarray, truth: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
        found = dtw_mje(points, truth)
        if found is None:
            return {}, {"dtw_mje": "no frame has a body or hand point in truth or generated clip"}
        return {"dtw_mje": found}, {}

    def notes(self) -> list[str]:
        """How much of what is seen in the truth is seen in the model's frames too."""
        pair = self._sequences(MODEL)
        return [] if pair is None else [seen_note(seen_counts(*pair))]


def seen_counts(points: np.ndarray, truth: np.ndarray) -> dict[str, tuple[int, int]]:
    """Part -> how many of its points in all frames of (T, K, 3) are seen in both, and how many in the truth."""
    seen, true = visible(points), visible(truth)
    return {
        part: (int((seen & true)[:, joints].sum()), int(true[:, joints].sum()))
        for part, joints in joint_parts(truth.shape[1]).items()
    }


def seen_note(counts: Mapping[str, tuple[int, int]]) -> str:
    """The counts as shares, of the parts that the truth shows."""
    shares = [f"{part} {both / there:.1%}" for part, (both, there) in counts.items() if there]
    return f"of the points seen in the truth, seen in the generated clip too: {', '.join(shares)}"


def joint_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances of (T, K, 3) px from the truth's, float64 (T, K) in shoulder widths of the truth, NaN where unseen.

    The unit is the truth's median shoulder width over the clip: a frame's own shrinks as the signer turns. Raises
    PoseError for other shapes, and where no frame of the truth has both shoulders.
    """
    _check_shape(points, truth)
    return _errors(points, truth, shoulder_width_of(truth))


def _check_shape(points: np.ndarray, truth: np.ndarray) -> None:
    if points.shape != truth.shape:
        raise PoseError(f"keypoints {points.shape}", expected=f"{truth.shape}, as the truth's")


def _errors(points: np.ndarray, truth: np.ndarray, unit: float) -> np.ndarray:
    """float64 (..., K) of (..., K, 3), in `unit` px."""
    gaps = np.linalg.norm(points[..., :2].astype(np.float64) - truth[..., :2], axis=-1)
    return np.where(visible(points) & visible(truth), gaps / unit, np.nan)


def shoulder_width_of(truth: np.ndarray) -> float:
    """Median over the frames of (T, K, 3) that have two shoulders, in px. Raises PoseError where none has."""
    if not has_shoulders(truth):
        raise PoseError("keypoints of the truth without shoulders", expected="two, apart, as the unit of distances")
    return float(np.median(_known(shoulder_widths(truth))))


def has_shoulders(truth: np.ndarray) -> bool:
    """Whether the clip (T, K, 3) has a unit of distances: two shoulders, apart in most of the frames that have them."""
    widths = _known(shoulder_widths(truth))
    return bool(widths.size) and float(np.median(widths)) > 0


def placed(keypoints: np.ndarray, where: slice | list[int], frames: int) -> np.ndarray:
    """Those of some frames of a clip, as (frames, K, 3), missing in all others."""
    found = np.full((frames, *keypoints.shape[1:]), (np.nan, np.nan, 0), np.float32)
    found[where] = keypoints
    return found


def repeated(keypoints: np.ndarray, frames: int) -> np.ndarray:
    """(K, 3) of a frame that is shown again and again: (frames, K, 3)."""
    return np.repeat(keypoints[None], frames, 0)


def dtw_mje(points: np.ndarray, truth: np.ndarray) -> float | None:
    """Mean joint error along the path of dynamic time warping that has the least sum of them, in shoulder widths.

    points (T, K, 3), truth (U, K, 3): sequences of any lengths; frames without a body or hand point are left out. A
    step advances either or both by a frame. None where nothing can be compared along any path.
    """
    unit = shoulder_width_of(truth)
    parts = joint_parts(truth.shape[1])
    joints = [*parts["body"], *parts["hands"]]
    seen, true = _with_points(points[:, joints]), _with_points(truth[:, joints])
    if not len(seen) or not len(true):
        return None
    total, steps = warping_path(pairwise_errors(seen, true))
    return total / steps / unit if np.isfinite(total) else None


def pairwise_errors(points: np.ndarray, truth: np.ndarray) -> Iterator[np.ndarray]:
    """For each frame of (T, J, 3) its mean distance in px from every one of (U, J, 3), over joints seen in both: (U,).

    inf where two frames share no joint.
    """
    there, others = visible(truth), np.nan_to_num(truth[..., :2].astype(np.float64))
    for frame in points:
        shared = there & visible(frame)
        gaps = np.linalg.norm(others - np.nan_to_num(frame[:, :2]), axis=-1)
        counts = shared.sum(-1)
        yield np.where(counts > 0, np.where(shared, gaps, 0).sum(-1) / np.maximum(counts, 1), np.inf)


def warping_path(costs: Iterable[np.ndarray]) -> tuple[float, int]:
    """Least sum from corner to corner of a matrix given row by row, and how many cells that path has.

    A step goes a row, a column or both further; of equal sums the path of fewest cells. One row is kept in memory.
    """
    best: list[tuple[float, int]] = []
    for row in costs:
        above, best = best, []
        for j, cost in enumerate(row.tolist()):
            ways = [above[j], *above[j - 1 : j]] if above else []
            ways += best[-1:]
            total, steps = min(ways, default=(0.0, 0))
            best.append((total + cost, steps + 1))
    return best[-1]


def _with_points(points: np.ndarray) -> np.ndarray:
    return points[visible(points).any(1)]


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _mean(errors: np.ndarray) -> float | None:
    known = _known(errors)
    return float(known.mean()) if known.size else None


def _share_within(errors: np.ndarray, share: float) -> float | None:
    known = _known(errors)
    return float((known <= share).mean()) if known.size else None
