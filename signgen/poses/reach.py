"""Where a signer is in all frames of a clip: keypoints in; one rectangle that holds head and hands out, or one that
follows the signer.

Build-pairs and rendering crop by the same rule, so that a model sees every signer at one scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from signgen.errors import PoseError
from signgen.poses.parts import visible
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133

Rectangle = tuple[int, int, int, int]  # x, y, width, height

# In shoulder widths.
_MARGIN, _HAIR, _CHEST = 0.3, 0.5, 1.2
_FARTHEST = 3.5  # from the neck; a hand that is farther away is a wrong keypoint
_HEADS = {133: (*range(5), *COCO_WHOLEBODY_133.face), 18: (0, 14, 15, 16, 17)}
# Of a rectangle that follows.
_CALM = 0.8  # seconds, the standard deviation of the low-pass filter
_WRONG = 5  # frames of the running median before it
_DEFAULT_FPS = 25.0
_AT_ONCE = 2048  # frames, so that a long clip takes no more memory
_PASSES = 4  # of keeping a smooth path within the frame


@dataclass(frozen=True)
class Extent:
    """What has to be in view, in pixels, margin included. low, high: float64 (T, 2), least and greatest x, y of each
    frame; NaN where nothing is seen. neck: float64 (T, 2), low-pass filtered."""

    low: np.ndarray
    high: np.ndarray
    neck: np.ndarray


def signer_rectangle(sequences: Iterable[PoseSequence]) -> Rectangle:
    """One rectangle for all poses of the sequences, which are on frames of one size: head, shoulders, chest and both
    hands in every frame, with a margin; square where the frame has room, even sides, within the frame.

    Raises PoseError where no frame shows both shoulders.
    """
    lows, highs, size = [], [], (0, 0)
    for poses in sequences:
        size = (poses.width, poses.height)
        found = extent(poses)
        if found is not None:
            lows.append(np.nanmin(found.low, 0))
            highs.append(np.nanmax(found.high, 0))
    if not lows:
        raise PoseError("no frame shows both shoulders, so that the signer's size is not known", fix="use --crop none")
    return _squared(np.min(lows, 0), np.max(highs, 0), size)


def signer_path(poses: PoseSequence) -> tuple[np.ndarray, tuple[int, int]] | None:
    """A rectangle that follows the signer: int64 (T, 2), its x, y in every frame, and its width and height.

    It holds in each frame what `signer_rectangle` holds in all of them. Its size is one for the clip, its path the
    neck's, low-pass filtered. None where no frame shows both shoulders.
    """
    found = extent(poses)
    if found is None:
        return None
    limits = np.array((poses.width, poses.height), np.float64)
    low, high = np.clip(found.low, 0, limits), np.clip(found.high, 0, limits)
    wanted = found.neck
    for _ in range(_PASSES):
        path = _calmed(wanted, poses.fps)
        before, behind = np.nanmin(low - path, 0), np.nanmax(high - path, 0)
        side = np.minimum(max(behind - before), limits)
        start = (before + behind - side) / 2  # of the rectangle, seen from the path
        wanted = np.clip(wanted, -start, limits - side - start)
    # on whole pixels
    width, height = np.minimum(2 * np.ceil((side + 1) / 2), limits).astype(int)
    starts = np.clip(np.floor(path + start), 0, limits - (width, height)).astype(np.int64)
    return starts, (int(width), int(height))


def extent(poses: PoseSequence) -> Extent | None:
    """What of the signer has to be in view in each frame; None where no frame shows both shoulders."""
    layout = poses.layout
    shoulders = _seen(poses.keypoints[:, [layout.left_shoulder, layout.right_shoulder]])
    both = np.isfinite(shoulders).all((1, 2))
    if not both.any():
        return None
    left, right = shoulders[both, 0], shoulders[both, 1]
    unit = float(np.median(np.linalg.norm(left - right, axis=1)))  # of the clip: a turn makes single frames narrow
    middle, known, every = (left + right) / 2, np.flatnonzero(both), np.arange(len(poses))
    neck = _calmed(np.stack([np.interp(every, known, axis) for axis in middle.T], 1), poses.fps)
    starts = range(0, len(poses), _AT_ONCE)
    parts = [_bounds(poses[n : n + _AT_ONCE], neck[n : n + _AT_ONCE], unit) for n in starts]
    low, high = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Extent(low - _MARGIN * unit, high + _MARGIN * unit, neck)


def _seen(keypoints: np.ndarray) -> np.ndarray:
    """float64 (T, N, 2): x and y of keypoints (T, N, 3), NaN where they are not visible."""
    return np.where(visible(keypoints)[..., None], keypoints[..., :2], np.nan).astype(np.float64)


def _bounds(poses: PoseSequence, neck: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest x, y of head, hands and chest in each frame, float64 (T, 2); NaN where nothing is seen. neck:
    (T, 2); unit: a shoulder width."""
    layout, points = poses.layout, _seen(poses.keypoints)

    def near(part: np.ndarray, above: float = 0.0, below: float = 0.0) -> list[np.ndarray]:
        far = np.linalg.norm(part - neck[:, None], axis=2) >= _FARTHEST * unit
        kept = np.where(far[..., None], np.nan, part)
        return [kept - np.array([0, above * unit]), kept + np.array([0, below * unit])]

    heads = near(points[:, list(_HEADS[layout.points])], above=_HAIR)
    hands = near(points[:, [*layout.wrists, *layout.left_hand, *layout.right_hand]])
    shoulders = near(points[:, [layout.left_shoulder, layout.right_shoulder]], below=_CHEST)
    there = np.concatenate([*heads, *hands, *shoulders], 1)
    return np.fmin.reduce(there, 1), np.fmax.reduce(there, 1)


def _calmed(path: np.ndarray, fps: float | None) -> np.ndarray:
    """float64 (T, 2) through a running median, against wrong points, and a Gaussian; its ends go on as they came."""
    spread = _CALM * (fps or _DEFAULT_FPS)
    beside, reach = _WRONG // 2, int(np.ceil(3 * spread))
    longer = np.pad(path, ((beside, beside), (0, 0)), mode="edge")
    sure = np.median(np.lib.stride_tricks.sliding_window_view(longer, _WRONG, 0), -1)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / spread))
    longer = np.pad(sure, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(axis, weights / weights.sum(), "valid") for axis in longer.T], 1)


def _squared(low: np.ndarray, high: np.ndarray, size: tuple[int, int]) -> Rectangle:
    """Grown to a square where the frame has room, moved inside of it, on even pixels."""
    limits = np.array(size)
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    side = np.minimum(float((high - low).max()), limits)
    middle = (low + high) / 2
    start = np.clip(middle - side / 2, 0, limits - side)
    x, y = (2 * np.floor(start / 2)).astype(int)
    width, height = np.minimum(2 * np.ceil((start + side - (x, y)) / 2), limits - (x, y)).astype(int)
    return int(x), int(y), int(width), int(height)
