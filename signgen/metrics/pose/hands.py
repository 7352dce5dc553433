"""Whether a hand can be read: fingers where the truth has them, and hands that an estimator finds at all.

SSIM rewards blur and sharpness rewards noise; a hand that the estimator places right in the picture is neither. What
the estimator finds on the truth itself is the measure: blurred and touching hands are missed there too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from signgen.metrics.clip.frame_pair import FramePair
from signgen.metrics.definitions import FINGER_METRICS, FINGER_SHARE, RATIOS
from signgen.poses.parts import visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

_HANDS = (LAYOUT.left_hand, LAYOUT.right_hand)
BLIND = 0.2  # of the truth's hands: an estimator that finds fewer cannot judge others


class HandReading:
    """Finger PCK, and hands found, of single frames; a FrameMetric.

    reference: float (T, 133, 3) px, the truth's keypoints. truth: what the estimator finds on the true frames. seen:
    track -> what it finds on the track's; it may be filled in until a frame is scored.
    """

    names = FINGER_METRICS

    def __init__(self, reference: np.ndarray, truth: np.ndarray, seen: Mapping[str, np.ndarray]) -> None:
        self._reference, self._truth, self._seen = reference, truth, seen
        self.found = _share_found(reference, truth)

    def __call__(self, pair: FramePair) -> dict[str, float]:
        if pair.track not in self._seen or self.found is None or self.found < BLIND:
            return {}
        index = pair.truth.index
        hits = hits_truth = points = hands = found = found_truth = 0
        for hand in _HANDS:
            of_frame = (self._reference[index], self._seen[pair.track][index], self._truth[index])
            reference, seen, true = (keypoints[list(hand)] for keypoints in of_frame)
            if (size := hand_size(reference)) is None:
                continue
            fingers = visible(reference)[1:]
            points += int(fingers.sum())
            hits += int((_near(seen, reference, size)[1:] & fingers).sum())
            hits_truth += int((_near(true, reference, size)[1:] & fingers).sum())
            hands += 1
            found += _is_found(seen, reference, size)
            found_truth += _is_found(true, reference, size)
        if not points:
            return {}
        sums = dict(zip(RATIOS["finger_pck_share"], (float(hits), float(hits_truth)), strict=True))
        share = {"finger_pck_share": hits / hits_truth, **sums} if hits_truth else {}
        return {
            "finger_pck": hits / points,
            "finger_pck_truth": hits_truth / points,
            "hands_found": found / hands,
            "hands_found_truth": found_truth / hands,
            **share,
        }

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        if self.found is None:
            return "no frame of the truth's keypoints has a hand"
        if self.found < BLIND:
            return f"the estimator finds {self.found:.0%} of the truth's own hands (are they drawn?): it cannot judge"
        return "no hand's finger is found in the truth by the estimator"


def reference_of(keypoints: np.ndarray | None, truth: np.ndarray) -> np.ndarray:
    """The truth's keypoints where they are those of a whole body, else what the estimator finds on the true frames."""
    return keypoints if keypoints is not None and keypoints.shape[1] == LAYOUT.points else truth


def hand_size(hand: np.ndarray) -> float | None:
    """The longer side of what is seen of (21, 3), in px; None where fewer than half of its points are seen."""
    seen = hand[visible(hand), :2]
    if 2 * len(seen) < len(hand):
        return None
    size = float((seen.max(0) - seen.min(0)).max())
    return size if size > 0 else None


def _near(points: np.ndarray, reference: np.ndarray, size: float) -> np.ndarray:
    """bool (21,): seen, and within FINGER_SHARE of the hand's size from the reference. What is not seen is missed."""
    gaps = np.linalg.norm(points[:, :2].astype(np.float64) - reference[:, :2], axis=-1)
    return visible(points) & (np.nan_to_num(gaps, nan=np.inf) <= FINGER_SHARE * size)


def _is_found(points: np.ndarray, reference: np.ndarray, size: float) -> int:
    """1 where at least half of a hand is seen, and its middle lies within a hand's size of the reference's."""
    if hand_size(points) is None:
        return 0
    middles = [np.median(hand[visible(hand), :2], axis=0) for hand in (points, reference)]
    return int(np.linalg.norm(middles[0] - middles[1]) <= size)


def _share_found(reference: np.ndarray, truth: np.ndarray) -> float | None:
    """Of the hands that the reference (T, 133, 3) has, the share that is found in the true frames; None without any.

    Frames that were not looked at have no point and are left out.
    """
    looked_at = visible(truth).any(1)
    found = []
    for hand in _HANDS:
        for frame in np.flatnonzero(looked_at):
            if (size := hand_size(reference[frame][list(hand)])) is not None:
                found.append(_is_found(truth[frame][list(hand)], reference[frame][list(hand)], size))
    return float(np.mean(found)) if found else None
