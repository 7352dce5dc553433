"""Optical flow: two frames of the truth in; where each pixel of the later one was in the earlier one out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SMALLEST_SIDE = 12  # of a frame that has flow: DIS compares patches of 8 pixels on a halved frame
# Sundaram et al. 2010, eq. 5: flows forth and back may differ by this share of their lengths squared, and this much.
RELATIVE, ABSOLUTE = 0.01, 0.5


@dataclass(frozen=True)
class Motion:
    """places: float32 (H, W, 2), x and y in the earlier frame of what is at each pixel of the later one.

    visible: bool (H, W), true where that place lies within the frame and the flow back from it agrees.
    """

    places: np.ndarray
    visible: np.ndarray

    def warped(self, earlier: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) of the earlier time moved to the later one, bilinear."""
        return cv2.remap(earlier, self.places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def motion_between(earlier: np.ndarray, later: np.ndarray) -> Motion | None:
    """Dense inverse search flow (Kroeger et al. 2016; OpenCV's preset `medium`) on luma; two uint8 (H, W, 3) RGB.

    None for frames with a side below SMALLEST_SIDE.
    """
    height, width = later.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return None
    before, after = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (earlier, later))
    back, forth = _flow(after, before), _flow(before, after)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    places = grid + back
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
    returned = cv2.remap(forth, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap = np.square(back + returned).sum(-1)
    tolerance = RELATIVE * (np.square(back).sum(-1) + np.square(returned).sum(-1)) + ABSOLUTE
    return Motion(places, inside & (gap <= tolerance))


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """float32 (H, W, 2): pixel p of `one` is at p + flow in `other`."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(one, other, None)
