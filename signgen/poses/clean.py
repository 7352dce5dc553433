"""PoseSequence in, PoseSequence out: short gaps filled, jitter smoothed without lag, parts of the body left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from signgen.errors import PoseError, nearest
from signgen.poses.mappings import PUPILS
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import Skeleton

REPEAT = 0.25  # of the motion before and after: a frame that moves less is the one before, shown again
LONGEST_GAP = 5  # frames
BODY_WINDOW, HAND_WINDOW = 7, 5  # wider windows erase changes of the handshape
ORDER = 2
JOINED = 0.02  # px: a wrist and a hand's root that are nearer are one point of the estimator's
_LEAST_WEIGHT = 1e-3  # of the highest score: keeps a frame whose neighbours score 0 well defined

PARTS: dict[str, Callable[[Skeleton], Iterable[int]]] = {
    "legs": lambda layout: layout.legs,
    "feet": lambda layout: layout.feet,
    "face": lambda layout: layout.face,
    "left_hand": lambda layout: layout.left_hand,
    "right_hand": lambda layout: layout.right_hand,
    "hands": lambda layout: [*layout.left_hand, *layout.right_hand],
    "body": lambda layout: layout.body,
}


def mask(poses: PoseSequence, parts: Iterable[str]) -> PoseSequence:
    """The same poses without these parts (names of PARTS): their points are missing, (NaN, NaN, 0)."""
    points = poses.all_points.copy()
    for part in parts:
        if part not in PARTS:
            meant = nearest(part, list(PARTS))
            raise PoseError(
                f"unknown part of the body {part!r}",
                expected=f"one of {', '.join(PARTS)}",
                fix=f"did you mean {meant}?" if meant else None,
            )
        optional = poses.places(PUPILS) if part == "face" else ()
        points[:, [*PARTS[part](poses.layout), *optional]] = (np.nan, np.nan, 0)
    return poses.with_points(points)


def drop_doubtful(poses: PoseSequence, score: float) -> PoseSequence:
    """The same poses; points that score less are missing. HRNet gives every point a place, however little it saw."""
    points = poses.all_points.copy()
    points[~(points[..., 2] >= score)] = (np.nan, np.nan, 0)
    return poses.with_points(points)


def fill_gaps(poses: PoseSequence, longest: int = LONGEST_GAP) -> PoseSequence:
    """Points missing for at most `longest` frames between two that are there, on the straight line between them.

    A filled point scores what the lower of the two ends does. Longer gaps, and those at the start or the end of the
    clip, stay missing as a whole: nothing is invented.
    """
    points = poses.all_points
    present = _present(points)
    frame = np.arange(len(poses))[:, None]
    before = np.maximum.accumulate(np.where(present, frame, -1), 0)
    after = np.minimum.accumulate(np.where(present, frame, len(poses))[::-1], 0)[::-1]
    fillable = ~present & (before >= 0) & (after < len(poses)) & (after - before - 1 <= longest)
    row, point = np.nonzero(fillable)
    left, right = before[row, point], after[row, point]
    start, end = points[left, point], points[right, point]
    share = ((row - left) / (right - left))[:, None]
    filled = points.copy()
    filled[row, point, :2] = start[:, :2] * (1 - share) + end[:, :2] * share
    filled[row, point, 2] = np.minimum(start[:, 2], end[:, 2])
    return poses.with_points(filled)


def smooth(poses: PoseSequence, window: int = BODY_WINDOW, hand_window: int = HAND_WINDOW) -> PoseSequence:
    """Savitzky-Golay of order 2 along time, each frame weighted by its score; scores stay as they are.

    A wrist that is the same point as its hand's root stays so; where it stops being that, a new run begins.
    window, hand_window: frames, odd; 1 leaves the points alone. The window is centred, so nothing lags; at the ends
    of a run of frames in which a point is there, it is the first or last full one. It never reaches across missing
    frames, and a run shorter than the window is one parabola.
    """
    for frames in (window, hand_window):
        if frames < 1 or frames % 2 == 0:
            raise PoseError(f"a window of {frames} frames", expected="an odd number from 1, e.g. 5 or 7")
    hands = {*poses.layout.left_hand, *poses.layout.right_hand}
    points = poses.all_points
    smoothed, present = points.copy(), _present(points)
    joined = joined_wrists(poses)
    for point in range(points.shape[1]):  # one by one: all at once would take 100 MB for every 1,000 frames
        frames = hand_window if point in hands else window
        if frames > ORDER + 1:
            one = slice(point, point + 1)
            jumps = _changes(joined[point]) if point in joined else None
            smoothed[:, one, :2] = _savgol(points[:, one], present[:, one], frames, jumps)
    return _rejoined(poses.with_points(smoothed), joined)


def joined_wrists(poses: PoseSequence) -> dict[int, np.ndarray]:
    """The body's wrists, each with bool (T,): frames in which it is the same point as its hand's root.

    Many estimators take the wrist from the hand where they see one, and guess it with the body where they do not.
    """
    layout, points = poses.layout, poses.keypoints[..., :2]
    found = {}
    for wrist, hand in zip(layout.wrists, (layout.left_hand, layout.right_hand), strict=True):
        if len(hand):
            with np.errstate(invalid="ignore"):
                found[wrist] = np.linalg.norm(points[:, wrist] - points[:, hand[0]], axis=-1) <= JOINED
    return found


def _rejoined(poses: PoseSequence, joined: dict[int, np.ndarray]) -> PoseSequence:
    """Wrists put back onto their hands' roots, in the frames in which they were one point."""
    keypoints, layout = poses.keypoints.copy(), poses.layout
    roots = {
        wrist: hand[0]
        for wrist, hand in zip(layout.wrists, (layout.left_hand, layout.right_hand), strict=True)
        if len(hand)
    }
    for wrist, frames in joined.items():
        frames = frames & poses.present[:, roots[wrist]]
        keypoints[frames, wrist, :2] = keypoints[frames, roots[wrist], :2]
    return replace(poses, keypoints=keypoints)


def _present(points: np.ndarray) -> np.ndarray:
    """bool (T, K) of (T, K, 3): the point is there."""
    return np.isfinite(points[..., :2]).all(-1)


def _changes(joined: np.ndarray) -> np.ndarray:
    """bool (T,): frames in which a point comes from elsewhere than in the frame before."""
    return np.r_[False, joined[1:] != joined[:-1]]


def clean_poses(
    poses: PoseSequence,
    *,
    longest_gap: int = LONGEST_GAP,
    window: int = BODY_WINDOW,
    hand_window: int = HAND_WINDOW,
    without: Iterable[str] = (),
    min_score: float = 0.0,
) -> PoseSequence:
    """Drop what is doubtful or not wanted, fill short gaps, smooth: in this order.

    Gaps and windows are counted in frames that differ: see `repeats`.
    """
    known = drop_doubtful(mask(poses, without), min_score)
    again = repeats(poses)
    if not again.any():
        return smooth(fill_gaps(known, longest_gap), window, hand_window)
    shown = np.cumsum(~again) - 1  # of each frame: the number of the picture that it shows
    pictures = known.with_points(_surest(known.all_points, shown))
    cleaned = smooth(fill_gaps(pictures, longest_gap), window, hand_window)
    return _rejoined(cleaned.with_points(cleaned.all_points[shown]), joined_wrists(known))


def repeats(poses: PoseSequence) -> np.ndarray:
    """bool (T,): frames that show the picture before once more, as every fifth does in film played at 30 frames/s.

    An estimator sees next to no motion there, and as much as ever before and after. Smoothed along with the others,
    such a frame would move on while its picture stands still.
    """
    hands = [*poses.layout.left_hand, *poses.layout.right_hand]
    all_of_it, before_and_after = _motion(poses, range(poses.layout.points))
    of_hands, hands_around = _motion(poses, hands)
    # Hands may not be seen; where they are, they too have to stand still.
    return (all_of_it < REPEAT * before_and_after) & ~(of_hands >= REPEAT * hands_around)


def _motion(poses: PoseSequence, points: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame, (T,), the median distance of these points from the frame before, and the lesser of those of the
    frames before and after; NaN where there is none."""
    part = list(points)
    there = poses.present[:, part]
    both = there[1:] & there[:-1]
    moved = np.linalg.norm(np.diff(poses.keypoints[:, part, :2], axis=0), axis=-1)
    motion = np.full(len(poses) + 1, np.nan)
    for frame, (distances, seen) in enumerate(zip(moved, both, strict=True), 1):
        if seen.any():
            motion[frame] = np.median(distances[seen])
    return motion[:-1], np.fmin(np.r_[np.nan, motion[:-2]], motion[1:])


def _surest(keypoints: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(T, K, 3) and each frame's picture, (T,) -> (P, K, 3): of a picture's frames, each point where it scores most."""
    score = np.where(np.isfinite(keypoints[..., 0]), keypoints[..., 2], -1)
    pictures = np.empty((shown[-1] + 1, *keypoints.shape[1:]), keypoints.dtype)
    point = np.arange(keypoints.shape[1])
    for number in range(len(pictures)):
        frames = np.flatnonzero(shown == number)
        pictures[number] = keypoints[frames[score[frames].argmax(0)], point]
    return pictures


def _savgol(keypoints: np.ndarray, present: np.ndarray, window: int, jumps: np.ndarray | None = None) -> np.ndarray:
    """Smoothed x and y, (T, K, 2), of (T, K, 3); what is missing or in a run of three frames or fewer is unchanged.

    jumps: bool (T,), frames at which a new run begins although the point is there before.
    """
    frames = np.arange(len(keypoints))[:, None]
    first, last = _runs(present, jumps)
    reach = np.minimum(window, last - first + 1)
    start = np.clip(frames - window // 2, first, last - reach + 1)
    offset = start[..., None] + np.arange(window) - frames[..., None]  # (T, K, window), from the frame itself
    index = np.clip(frames[..., None] + offset, 0, len(keypoints) - 1)
    point = np.arange(keypoints.shape[1])[:, None]
    score = keypoints[..., 2].astype(np.float64)
    floor = _LEAST_WEIGHT * max(float(score.max(initial=0)), 1e-6)
    weight = np.maximum(score, floor)[index, point] * (np.arange(window) < reach[..., None])
    fit = present & (reach > ORDER + 1)
    values = keypoints[..., :2].astype(np.float64)[index, point][fit]
    smoothed = keypoints[..., :2].copy()
    smoothed[fit] = _parabola(offset[fit], weight[fit], np.nan_to_num(values))
    return smoothed


def _runs(present: np.ndarray, jumps: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame, (T, K) each, of the run of frames in which a point is there; of itself where it is not.

    jumps: see `_savgol`.
    """
    frames = np.arange(len(present))[:, None]
    alone = np.where(present, -1, frames)
    new = np.zeros((len(present), 1), bool) if jumps is None else jumps[:, None]
    begins = present & (new | ~np.vstack([np.zeros_like(present[:1]), present[:-1]]))
    ends = present & np.vstack([new[1:] | ~present[1:], np.ones_like(present[:1])])
    first = np.maximum.accumulate(np.where(begins, frames, 0), 0)
    last = np.minimum.accumulate(np.where(ends, frames, len(present))[::-1], 0)[::-1]
    return np.where(present, first, alone), np.where(present, last, alone)


def _parabola(offset: np.ndarray, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted least squares over the last-but-one axis: offset, weight (N, n), values (N, n, 2); at 0, (N, 2)."""
    powers = offset[..., None].astype(np.float64) ** np.arange(ORDER + 1)
    weighted = powers * weight[..., None]
    normal = np.einsum("tni,tnj->tij", weighted, powers)
    return np.linalg.solve(normal, np.einsum("tni,tnc->tic", weighted, values))[:, 0]
