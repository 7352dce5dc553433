"""Metrics of single frames: whole frame, hand and face boxes, several scales, and a network's distances."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.definitions import (
    FACE_METRICS,
    HAND_METRICS,
    LPIPS_METRICS,
    LPIPS_VGG_METRICS,
    NON_MANUAL_BOXES,
    NON_MANUAL_PARTS,
    RATIOS,
    WHOLE_METRICS,
)
from signgen.metrics.image import pixels as image
from signgen.metrics.image import ssim as similarity
from signgen.metrics.image.lpips import NAMES, SMALLEST_SIDE, SMALLEST_SIDES, Lpips, Net
from signgen.poses.parts import Box
from signgen.poses.skeletons import OPENPOSE_18

Part = Literal["hand", "face"]
_BOXES: dict[Part, tuple[str, ...]] = {"hand": ("left_hand", "right_hand"), "face": ("face",)}


class WholeFrame:
    """SSIM and PSNR of all pixels."""

    names = WHOLE_METRICS

    def __call__(self, pair: FramePair) -> dict[str, float]:
        error = float(pair.squared_error.mean(dtype=np.float64))
        return {"ssim": image.frame_mean(pair.ssim_map), "psnr": image.decibel(error)}

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return "no frame was answered"


class Hands:
    """SSIM, PSNR and sharpness in the boxes of both hands. points: how many keypoints a pose has."""

    names = HAND_METRICS

    def __init__(self, points: int) -> None:
        self._points = points

    def __call__(self, pair: FramePair) -> dict[str, float]:
        mask = pair.truth.hands
        if mask is None:
            return {}
        scores = _box_scores("hand", pair, mask)
        return scores | _sharpness("hand", pair, mask)

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return no_box("hand", self._points)


class NonManualBoxes:
    """SSIM and sharpness in the boxes of mouth, eyes and brows."""

    names = NON_MANUAL_BOXES

    def __call__(self, pair: FramePair) -> dict[str, float]:
        scores: dict[str, float] = {}
        for part in NON_MANUAL_PARTS:
            mask = image.box_mask([pair.truth.face_parts.get(part)], *pair.frame.shape[:2])
            if mask is not None:
                scores[f"{part}_ssim"] = image.masked_mean(pair.ssim_map, mask)
                scores |= _sharpness(part, pair, mask)
        return scores

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return f"no frame has keypoints for a box of the {name.split('_')[0]}"


class Face:
    """SSIM and PSNR in the box of the face."""

    names = FACE_METRICS

    def __call__(self, pair: FramePair) -> dict[str, float]:
        return {} if pair.truth.face is None else _box_scores("face", pair, pair.truth.face)

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return no_box("face")


class MultiScale:
    """MS-SSIM of the whole frame."""

    names = ("ms_ssim",)

    def __call__(self, pair: FramePair) -> dict[str, float]:
        if min(pair.frame.shape[:2]) < similarity.smallest_side_ms():
            return {}
        return {"ms_ssim": similarity.ms_ssim(pair.frame, pair.truth.frame, dtype=np.float32)}

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        side = similarity.smallest_side_ms()
        return f"frames are {image.size_text(truth)}; MS-SSIM needs {side}x{side}"


class Perceptual:
    """LPIPS of the whole frame and, with keypoints, of what is in the boxes of each hand and of the face.

    net: which network it is. whole: False leaves out the whole frame, which takes most of the time. Both networks are
    shown the same pixels of a box.
    """

    def __init__(self, network: Lpips, points: int, net: Net = "alex", *, whole: bool = True) -> None:
        self._network, self._points, self._net = network, points, net
        self._suffix = "" if net == "alex" else f"_{net}"
        of_net = LPIPS_METRICS if net == "alex" else LPIPS_VGG_METRICS
        self.names = (*(of_net[:1] if whole else ()), *(of_net[1:] if points else ()))

    def __call__(self, pair: FramePair) -> dict[str, float]:
        scores = {}
        whole = f"lpips{self._suffix}"
        if whole in self.names and min(pair.frame.shape[:2]) >= SMALLEST_SIDES[self._net]:
            scores[whole] = self._network(pair.frame, pair.truth.frame)
        for part, names in _BOXES.items():
            boxes = [box for name in names if (box := pair.truth.boxes.get(name)) is not None]
            if boxes:
                scores[f"{part}_lpips{self._suffix}"] = float(np.mean([self._in_box(pair, box) for box in boxes]))
        return scores

    def _in_box(self, pair: FramePair, box: Box) -> float:
        return self._network(crop(pair.frame, box, SMALLEST_SIDE), crop(pair.truth.frame, box, SMALLEST_SIDE))

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        if name.startswith("lpips"):
            side = SMALLEST_SIDES[self._net]
            return f"frames are {image.size_text(truth)}; {NAMES[self._net]} needs {side}x{side}"
        return no_box("hand" if name.startswith("hand") else "face", self._points)


def crop(frame: np.ndarray, box: Box, shortest: int) -> np.ndarray:
    """What is in the box, uint8 (h, w, 3); enlarged, bicubic, until its shorter side has `shortest` pixels.

    Enlarging keeps what is compared: a larger box would take in background, which is easy, and dilute the hand.
    """
    x0, y0, x1, y1 = box
    inside = frame[y0:y1, x0:x1]
    scale = shortest / min(x1 - x0, y1 - y0)
    if scale <= 1:
        return inside
    size = max(shortest, round(scale * (x1 - x0))), max(shortest, round(scale * (y1 - y0)))
    return cv2.resize(inside, size, interpolation=cv2.INTER_CUBIC)


def no_box(part: Part, points: int = 0) -> str:
    """Why there are no numbers of a part."""
    if part == "hand" and points == OPENPOSE_18.points:
        return f"keypoints of {points} points have no hands"
    return f"no frame has keypoints for a {part} box"


def score_frame(frame: np.ndarray, truth: np.ndarray, hands: np.ndarray | None, face: np.ndarray | None) -> dict:
    """SSIM and PSNR of one uint8 (H, W, 3) frame, and in masks, bool (H, W), of hands and face where there are any."""
    pair = FramePair(TruthFrame(0, truth), frame)
    scores = WholeFrame()(pair)
    for part, mask in (("hand", hands), ("face", face)):
        if mask is not None:
            scores |= _box_scores(part, pair, mask)
    return scores


def _sharpness(part: str, pair: FramePair, mask: np.ndarray) -> dict[str, float]:
    """Gradient energy within the mask over the truth's, and both; nothing where the truth has none."""
    name = f"{part}_sharpness"
    ours, theirs = (float(energy[mask].sum()) for energy in (pair.gradient_energy, pair.truth.gradient_energy))
    return {} if theirs <= 0 else {name: ours / theirs, **dict(zip(RATIOS[name], (ours, theirs), strict=True))}


def _box_scores(part: str, pair: FramePair, mask: np.ndarray) -> dict[str, float]:
    return {
        f"{part}_ssim": image.masked_mean(pair.ssim_map, mask),
        f"{part}_psnr": image.decibel(image.masked_mean(pair.squared_error, mask)),
    }
