"""Metrics of two consecutive frames, generated and true: flicker, successive-frame SSIM, warping error."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from signgen.metrics.clip.frame_pair import FramePair
from signgen.metrics.clip.optical_flow import SMALLEST_SIDE
from signgen.metrics.image import pixels as image

ALLOWED_SHARE, ALLOWED_LEVELS = 0.1, 0.10  # of the truth's flicker, and grey levels
_ONE_FRAME = "one frame has no frame before it"


class Flicker:
    """Change where the truth stands still: closed form for a static background that flickers by a known amount."""

    names = ("flicker", "flicker_truth", "flicker_excess")

    def __call__(self, pair: FramePair) -> dict[str, float]:
        still = pair.truth.static
        if still is None or pair.previous is None or pair.truth.previous is None:
            return {}
        generated = image.masked_mean(cv2.absdiff(pair.frame, pair.previous), still)
        truth = image.masked_mean(cv2.absdiff(pair.truth.frame, pair.truth.previous), still)
        return {"flicker": generated, "flicker_truth": truth, "flicker_excess": generated - truth}

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return "no two consecutive frames with static pixels" if frames > 1 else "one frame has no flicker"


def allowed_excess(truth: float) -> float:
    """How many grey levels more than the truth a clip may flicker and be called steady."""
    return max(ALLOWED_SHARE * truth, ALLOWED_LEVELS)


def flicker_note(mean: Mapping[str, float | None]) -> str | None:
    """The verdict on flicker, beside what blur or a still picture would gain by it; None where it was not measured."""
    excess, truth = mean.get("flicker_excess"), mean.get("flicker_truth")
    if excess is None or truth is None:
        return None
    allowed = allowed_excess(truth)
    found = "it flickers" if excess > allowed else "steady"
    beside = [
        f"{name} {value:.2f}{f' (the truth {own:.2f})' if own is not None else ''}"
        for name, value, own in (
            ("hand_sharpness", mean.get("hand_sharpness"), None),
            ("warping_error", mean.get("warping_error"), mean.get("warping_error_truth")),
        )
        if value is not None
    ]
    beside_text = f"; beside it: {', '.join(beside)}" if beside else ""
    return (
        f"flicker: {found}: {excess:+.2f} grey levels over the truth's {truth:.2f}, {allowed:.2f} allowed (the larger "
        f"of {ALLOWED_SHARE:.0%} and {ALLOWED_LEVELS:.2f}){beside_text}"
    )


class SuccessiveSsim:
    """How alike consecutive frames are, against how alike they are in the truth."""

    names = ("successive_ssim", "successive_ssim_truth", "successive_ssim_difference")

    def __call__(self, pair: FramePair) -> dict[str, float]:
        truth = pair.truth.successive_ssim
        if truth is None or pair.previous is None:
            return {}
        generated = image.ssim(pair.frame, pair.previous)
        return dict(zip(self.names, (generated, truth, abs(generated - truth)), strict=True))

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return "no two consecutive frames" if frames > 1 else _ONE_FRAME


class WarpingError:
    """Change along the truth's own motion (Lai et al. 2018), over pixels that are seen in both of its frames."""

    names = ("warping_error", "warping_error_truth")

    def __call__(self, pair: FramePair) -> dict[str, float]:
        motion = pair.truth.motion
        if motion is None or pair.previous is None or pair.truth.previous is None or not motion.visible.any():
            return {}
        frames = (pair.frame, pair.previous), (pair.truth.frame, pair.truth.previous)
        changes = [image.masked_mean(cv2.absdiff(now, motion.warped(before)), motion.visible) for now, before in frames]
        return dict(zip(self.names, changes, strict=True))

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        if min(truth.shape[:2]) < SMALLEST_SIDE:
            return f"frames are {image.size_text(truth)}; optical flow needs {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        return "no two consecutive frames with pixels seen in both" if frames > 1 else _ONE_FRAME
