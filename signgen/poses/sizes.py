"""Frame sizes and units: whether coordinates are pixels or fractions, and poses brought to the size of their video."""

from __future__ import annotations

import numpy as np

from signgen.errors import PoseError
from signgen.poses.sequence import PoseSequence

PIXELS, FRACTIONS, SIGNED = "pixels", "fractions of the frame, 0 to 1", "fractions of the frame, -1 to 1"
_FRACTION = 1.5  # what points outside the frame reach as fractions; nobody is one pixel large
_AT_ONCE = 1000  # frames looked at: a long clip's points are not copied
_SHARE = 0.95  # of the coordinates; an estimator's noise may lie farther out
_NEGATIVE = 0.1  # more of them below 0: the origin is the frame's middle
_SAME_ASPECT = 0.02  # sizes are rounded to whole pixels, often to even ones or multiples of 8
_OTHER_ASPECT = (
    "estimate this video's own: signgen poses extract VIDEO X.poses.npz;"
    " or fit another's to the person: signgen poses retarget POSES X.poses.npz --to PERSON"
)


def unit_of(points: np.ndarray) -> str:
    """PIXELS, FRACTIONS or SIGNED, of (..., 3) x, y, score; points that are missing count nothing."""
    there = points[np.isfinite(points).all(-1) & (points[..., 2] > 0), :2]
    if not there.size or not there.any() or (np.abs(there) <= _FRACTION).mean() < _SHARE:
        return PIXELS
    return SIGNED if (there < 0).mean() > _NEGATIVE else FRACTIONS


def to_pixels(points: np.ndarray, unit: str, size: tuple[int, int]) -> np.ndarray:
    """(..., 3) in pixels of a frame of `size` (width, height)."""
    if unit == PIXELS:
        return points
    if unit == SIGNED:
        points = (points + np.array((1, 1, 0))) * (0.5, 0.5, 1)
    return points * (*size, 1)


def share_inside(poses: PoseSequence) -> float:
    """The share of all points with coordinates that lie within their frame; 1 where there are none."""
    inside = there = 0
    for start in range(0, len(poses), _AT_ONCE):
        points = poses.keypoints[start : start + _AT_ONCE]
        xy = points[np.isfinite(points[..., 0]), :2]
        inside += int(np.all((xy >= 0) & (xy <= (poses.width, poses.height)), axis=-1).sum())
        there += len(xy)
    return inside / there if there else 1.0


def check_inside(poses: PoseSequence, where: object) -> None:
    """Raises PoseError where most points lie outside the frame: it is not the one they were estimated on."""
    if share_inside(poses) < 0.5:
        raise PoseError(
            f"{where}: most points lie outside {poses.width}x{poses.height}",
            expected="keypoints in pixels of this frame",
            fix="give the size of the video they were estimated on",
        )


def check_size(poses: PoseSequence, size: tuple[int, int], where: object) -> None:
    """Raises PoseError where `size`, which the user gave, is not the file's own, or most points lie outside."""
    if size != (poses.width, poses.height):
        raise PoseError(
            f"--size {size[0]}x{size[1]}: {where} was estimated on {poses.width}x{poses.height}",
            expected="the size that the file holds, or no --size",
            fix="leave --size out",
        )
    check_inside(poses, where)


def on_frame(poses: PoseSequence, size: tuple[int, int], where: object, fix: str = _OTHER_ASPECT) -> PoseSequence:
    """Poses estimated on a frame of another size, scaled to that of their video, and a note on it.

    fix: what to do about another aspect ratio.
    Raises PoseError where the two have different aspect ratios: the poses would be stretched.
    """
    width, height = size
    if (poses.width, poses.height) == size:
        return poses
    found = f"{poses.width}x{poses.height}"
    if abs(poses.width * height / (poses.height * width) - 1) > _SAME_ASPECT:
        raise PoseError(
            f"{where}: poses of {found} would be stretched to {width}x{height}",
            expected="one aspect ratio",
            fix=fix,
        )
    return poses.resized(width, height).noted(f"keypoints scaled from {found} to {width}x{height}")
