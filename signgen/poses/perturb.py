"""Poses made worse on purpose: a PoseSequence, how much, and a generator in; what a poor estimator produces.

Draws do not depend on how much: noise is one field, scaled; what a small share drops, a larger one drops too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from signgen.poses.sequence import PoseSequence


def add_noise(
    poses: PoseSequence, pixels: float, rng: np.random.Generator, *, correlation: float = 0.0
) -> PoseSequence:
    """Every coordinate moved by a normal draw with a standard deviation of `pixels` of the poses' frame.

    correlation: of a frame's draw with the next one's, in [0, 1): x_t = correlation x_{t-1} + sqrt(1 - correlation^2)
    e_t, whose variance is that of e; 0: independent. Missing points stay missing, scores stay.
    """
    field = rng.standard_normal((*poses.keypoints.shape[:2], 2), np.float32)
    for frame in range(1, len(field) if correlation else 0):
        fresh = np.sqrt(1 - correlation**2) * field[frame]
        field[frame] = correlation * field[frame - 1] + fresh
    keypoints = poses.keypoints.copy()
    keypoints[..., :2] += np.float32(pixels) * field
    return replace(poses, keypoints=keypoints)


def drop_hands(poses: PoseSequence, frames: Sequence[int], share: float, rng: np.random.Generator) -> PoseSequence:
    """In `share` of `frames`, drawn at random, all points of both hands are missing; wrists of the body stay."""
    hands = [*poses.layout.left_hand, *poses.layout.right_hand]
    keypoints = poses.keypoints.copy()
    keypoints[np.ix_(_chosen(frames, share, rng), hands)] = (np.nan, np.nan, 0)
    return replace(poses, keypoints=keypoints)


def drop_frames(
    poses: PoseSequence, frames: Sequence[int], share: float, rng: np.random.Generator, *, interpolated: bool
) -> PoseSequence:
    """In `share` of `frames`, drawn at random, the pose is lost; frame 0 never is.

    It is replaced by the last pose before that is not lost; or, interpolated, by the point on the line between that and
    the next that is not lost (a point that is missing in either is missing), and after the last by the last.
    """
    lost = np.zeros(len(poses), bool)
    lost[_chosen([frame for frame in frames if frame > 0], share, rng)] = True
    kept, places = np.flatnonzero(~lost), np.arange(len(poses))
    before = kept[np.searchsorted(kept, places, side="right") - 1]
    keypoints = poses.keypoints[before]
    if interpolated:
        after = kept[np.minimum(np.searchsorted(kept, places), len(kept) - 1)]
        weight = ((places - before) / np.maximum(after - before, 1)).astype(np.float32)[:, None, None]
        between = lost & (after > before)
        keypoints[between] = ((1 - weight) * keypoints + weight * poses.keypoints[after])[between]
        keypoints[..., 2] = np.where(np.isnan(keypoints[..., 0]), 0, keypoints[..., 2])
    return replace(poses, keypoints=keypoints)


def _chosen(frames: Sequence[int], share: float, rng: np.random.Generator) -> np.ndarray:
    """round(share N) of the N frames, sorted."""
    return np.sort(rng.permutation(np.asarray(frames, np.int64))[: round(share * len(frames))])
