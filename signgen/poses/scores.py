"""Scores as estimators give them in; scores on signgen's scale, on which a point is seen from .3 on, out, and back.

Palettes and saved models were made with scores of HRNet and DWPose, whose tools show points from .3 on. Another
estimator's score s with threshold t becomes .3 s / t below t, and .3 + .7 (s - t) / (1 - t) above: 0, t and 1 become
0, .3 and 1, the order stays, and `raw_scores` gives s again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.errors import PoseError
from signgen.poses.parts import SCORE_THRESHOLD
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

_PARTS = {
    "body": LAYOUT.body,
    "feet": LAYOUT.feet,
    "face": LAYOUT.face,
    "left hand": LAYOUT.left_hand,
    "right hand": LAYOUT.right_hand,
}


@dataclass(frozen=True)
class Thresholds:
    """The score from which an estimator's own tool shows a point. name: of the estimator."""

    name: str
    body: float
    face: float
    hands: float

    def per_point(self) -> np.ndarray:
        """float (133,); feet count as body."""
        out = np.full(LAYOUT.points, self.body)
        out[list(LAYOUT.face)] = self.face
        out[[*LAYOUT.left_hand, *LAYOUT.right_hand]] = self.hands
        return out


# MMPose: kpt_thr of its inferencers and demos. DWPose (dwpose/wholebody.py, util.py): a body point counts from .3 on.
PLAIN = Thresholds("MMPose", SCORE_THRESHOLD, SCORE_THRESHOLD, SCORE_THRESHOLD)
# AlphaPose, alphapose/utils/writer.py: vis_thres is .4, and .05 for the 110 points of hands and face of a whole body.
ALPHAPOSE = Thresholds("AlphaPose", 0.4, 0.05, 0.05)
# OpenPose, include/openpose/flags.hpp: render_threshold .05, face_render_threshold .4, hand_render_threshold .2.
OPENPOSE = Thresholds("OpenPose", 0.05, 0.4, 0.2)

# MediaPipe, python/solutions/drawing_utils.py: a landmark is drawn from a visibility of .5 on. What it finds of a hand
# or a face has score 1.
MEDIAPIPE = Thresholds("MediaPipe", 0.5, 0.5, 0.5)


def same_for_all(seen_from: float) -> Thresholds:
    """A threshold that the user gives (`--seen-from`). Raises PoseError."""
    if not 0 < seen_from < 1:
        raise PoseError(f"--seen-from {seen_from:g}", expected="a score between 0 and 1")
    return Thresholds("given", seen_from, seen_from, seen_from)


def on_our_scale(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """float (..., K) of an estimator whose points are seen from `thresholds` (K,) on; .3 leaves them as they are."""
    t, ours = thresholds, SCORE_THRESHOLD
    bent = np.where(scores < t, ours * scores / t, ours + (1 - ours) * (scores - t) / (1 - t))
    return np.where(t == ours, scores, bent)


def raw_scores(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The estimator's own scores again: the inverse of `on_our_scale`."""
    t, ours = thresholds, SCORE_THRESHOLD
    raw = np.where(scores < ours, t * scores / ours, t + (1 - t) * (scores - ours) / (1 - ours))
    return np.where(t == ours, scores, raw)


def scale_note(thresholds: Thresholds) -> str:
    """How scores were rescaled; empty where they were not."""
    parts = (("body", thresholds.body), ("face", thresholds.face), ("hands", thresholds.hands))
    if len({value for _, value in parts}) == 1:
        changed = "" if thresholds.body == SCORE_THRESHOLD else f"from {thresholds.body:g} on"
    else:
        changed = "from " + ", ".join(f"{value:g} ({name})" for name, value in parts) + " on"
    if not changed:
        return ""
    whose = "points count as seen" if thresholds.name == "given" else f"{thresholds.name}'s points count as seen"
    return f"{whose} {changed}, which becomes {SCORE_THRESHOLD:g}"


def doubtful_note(keypoints: np.ndarray) -> str:
    """Which share of each part's points is there and scores too little to be drawn; empty for none.

    keypoints: (T, 133, 3) on signgen's scale.
    """
    there = np.isfinite(keypoints[..., 0])
    low = there & (keypoints[..., 2] < SCORE_THRESHOLD)
    if not low.any():
        return ""
    shares = {name: (int(low[:, list(part)].sum()), int(there[:, list(part)].sum())) for name, part in _PARTS.items()}
    told = ", ".join(f"{name} {_percent(few, all_)}" for name, (few, all_) in shares.items() if few)
    shift = "signgen poses convert POSES X.poses.npz --seen-from SCORE shifts that"
    return f"points that score below {SCORE_THRESHOLD:g} count as not seen: {told} ({shift})"


def _percent(few: int, all_: int) -> str:
    return f"{few / all_:.0%}" if few * 100 >= all_ else "less than 1%"
