"""Exact keypoints in; keypoints as an estimator would give them out: jitter, its scores, and runs without a hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.synthetic.skeleton import PHOENIX_SHOULDERS


@dataclass(frozen=True)
class Observation:
    """jitter: standard deviation of hand points, px at Phoenix's size. gaps: 0 none, 1 as in the corpus, more."""

    jitter: float = 0.6
    gaps: float = 1.0


def observe(
    poses: PoseSequence, visible: np.ndarray, unit: float, observation: Observation, rng: np.random.Generator
) -> PoseSequence:
    """Points move a little, steadily; a hand that is fast, covered or off the frame goes missing for some frames.

    visible: bool (T, 133), the point is not behind something else. unit: pixels a shoulder width.
    """
    keypoints = poses.keypoints.copy()
    scale = np.full(LAYOUT.points, 0.8)
    scale[list(LAYOUT.face)] = 0.45
    hands = [np.array(LAYOUT.left_hand), np.array(LAYOUT.right_hand)]
    for hand in hands:
        scale[hand] = 1.0
    noise = gaussian_filter1d(rng.normal(0, 1, (*keypoints.shape[:2], 2)), 0.6, axis=0, mode="nearest") * 1.5
    hidden = np.where(visible, 1.0, 2.2)
    amount = observation.jitter * unit / PHOENIX_SHOULDERS * scale * hidden
    keypoints[..., :2] += (noise * amount[..., None]).astype(np.float32)
    certainty = rng.uniform(0.72, 1.0, keypoints.shape[:2]) * np.where(visible, 1, 0.75)
    keypoints[..., 2] *= certainty.astype(np.float32)
    for hand in hands:
        missing = _gaps(poses.keypoints[:, hand], visible[:, hand], unit, poses, observation.gaps, rng)
        keypoints[np.ix_(missing, hand)] = (np.nan, np.nan, 0)
    return replace(poses, keypoints=keypoints)


def _gaps(
    hand: np.ndarray, visible: np.ndarray, unit: float, poses: PoseSequence, rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Frame numbers in which the hand is not seen: the harder it is to see, the likelier a run of 1 to 7 begins."""
    centre = hand[:, :, :2].mean(1)
    speed = np.linalg.norm(np.gradient(centre, axis=0), axis=1) / unit if len(hand) > 1 else np.zeros(len(hand))
    inside = ((hand[..., :2] >= 0) & (hand[..., :2] < (poses.width, poses.height))).all(-1).mean(1)
    covered = 1 - visible.mean(1)
    hard = 0.5 * np.clip((speed - 0.05) / 0.06, 0, 1) + 0.5 * np.clip((covered - 0.35) / 0.4, 0, 1) + (inside < 0.5)
    chance = np.clip(rate * (0.004 + 0.35 * np.minimum(hard, 1)), 0, 0.95 if rate else 0)
    missing = np.zeros(len(hand), bool)
    for frame in np.flatnonzero(rng.random(len(hand)) < chance):
        missing[frame : frame + rng.integers(1, 8)] = True
    return np.flatnonzero(missing)
