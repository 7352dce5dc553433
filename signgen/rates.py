"""Two frame rates in; whether they agree out."""

from __future__ import annotations


def same_rate(of_poses: float | None, of_video: float | None) -> bool:
    """Whether two rates agree: unknown, equal to .01, or rounded to a whole number by the poses' format."""
    if of_poses is None or of_video is None or abs(of_poses - of_video) < 0.01:
        return True
    return rounded_rate(of_poses, of_video)


def rounded_rate(of_poses: float | None, of_video: float | None) -> bool:
    """Whether a format that holds whole numbers made of_poses of of_video: 29 or 30 of 29.97 (.pose 0.1 stores 29)."""
    if of_poses is None or of_video is None or of_poses == of_video:
        return False
    return float(of_poses).is_integer() and not float(of_video).is_integer() and abs(of_poses - of_video) < 1
