"""Poses of one frame rate in; the same movement at another rate out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signgen.poses.sequence import PoseSequence
from signgen.rates import same_rate


def resampled(poses: PoseSequence, fps: float) -> PoseSequence:
    """The movement at `fps` frames per second: linear between frames, frame 0 at the same time, as long as before.

    A point that one of the two frames lacks is as in the nearer one; scores go with the points. A rate that a format
    rounded (29 for 29.97) is only put right, one that is not known is taken to be `fps`. A note says what was done.
    """
    if not len(poses) or poses.fps is None or same_rate(poses.fps, fps):
        return replace(poses, fps=fps)
    # times of the new frames, in frames of the old rate
    count = max(round(len(poses) * fps / poses.fps), 1)
    at = np.minimum(np.arange(count) * (poses.fps / fps), len(poses) - 1)
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, len(poses) - 1)
    share = (at - before)[:, None, None]
    # between two frames that see a point, else as the nearer one
    known = poses.all_points
    first, second = known[before], known[after]
    nearer = np.where(share < 0.5, first, second)
    both = np.isfinite(first[..., :2] + second[..., :2]).all(-1, keepdims=True)
    points = np.where(both, first + (second - first) * share, nearer).astype(np.float32)
    note = f"resampled from {poses.fps:g} to {fps:g} frames per second, {len(poses)} frames to {count}"
    return poses.with_points(points, fps=fps).noted(note)
