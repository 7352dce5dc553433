"""Scores as papers on signing take them: presets by name, and the crops of face and hands that they are taken in.

The papers publish neither how large their crops are nor how they are resized; what signgen does stands in CROP, which
is printed beside the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from signgen.errors import OptionError, nearest
from signgen.metrics.clip.frame_pair import FramePair
from signgen.metrics.definitions import CROP_METRICS, CROP_REGIONS, CROP_SIDE
from signgen.metrics.image import pixels as image
from signgen.metrics.image.lpips import Lpips
from signgen.poses.parts import Box, visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

_POINTS = {"face": LAYOUT.face, "left_hand": LAYOUT.left_hand, "right_hand": LAYOUT.right_hand}


@dataclass(frozen=True)
class ClipPreset:
    """metrics: those that the paper gives, in its order. crops: whether any is of CROP_METRICS. distributions: networks
    that it needs. left_open: what the paper does not say, and what is done here."""

    name: str
    whose: str
    metrics: tuple[str, ...]
    left_open: str
    crops: bool = False
    distributions: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """For the reader of the numbers."""
        return f"preset {self.name} ({self.whose}) is {', '.join(self.metrics)}; {self.left_open}"


PRESETS = {
    "signrefine": ClipPreset(
        "signrefine",
        "SignRefine's regional scores",
        CROP_METRICS,
        f"the paper leaves open how large its crops are and how they are resized: {CROP_SIDE}x{CROP_SIDE} here, as "
        "each number's definition says; it estimates with RTMPose-X",
        crops=True,
    ),
    "signvip": ClipPreset(
        "signvip",
        "SignViP's scores",
        ("ssim", "psnr", "hand_ssim", "fvd"),
        "the paper leaves open in which size frames are compared, what of them is a hand, and the windows of FVD: the "
        "truth's own size here, boxes around the truth's keypoints, and windows as each number's definition says",
        distributions=("fvd",),
    ),
}


def preset_named(name: str) -> ClipPreset:
    """Raises OptionError for an unknown name, with the nearest known one."""
    if name not in PRESETS:
        meant = nearest(name, list(PRESETS))
        raise OptionError(
            f"no preset {name!r}", expected=" or ".join(PRESETS), fix=f"did you mean {meant}?" if meant else None
        )
    return PRESETS[name]


def with_preset(scores: dict[str, Any], preset: ClipPreset | None) -> dict[str, Any]:
    """The metrics dictionary that says which of its numbers are a preset's."""
    if preset is None:
        return scores
    about = {"name": preset.name, "whose": preset.whose, "metrics": list(preset.metrics)}
    return {**scores, "preset": about, "notes": [preset.note, *scores["notes"]]}


def crop_square(box: Box, width: int, height: int) -> Box:
    """The square around the middle of a box, as long as its longer side, moved into the frame; of a box that is longer
    than the frame is wide (or high), that width."""
    x0, y0, x1, y1 = box
    side = min(max(x1 - x0, y1 - y0), width, height)
    left = min(max((x0 + x1 - side) // 2, 0), width - side)
    top = min(max((y0 + y1 - side) // 2, 0), height - side)
    return left, top, left + side, top + side


def _crop(frame: np.ndarray, square: Box) -> np.ndarray:
    """uint8 (CROP_SIDE, CROP_SIDE, 3) of a frame (H, W, 3)."""
    x0, y0, x1, y1 = square
    rule = cv2.INTER_CUBIC if x1 - x0 < CROP_SIDE else cv2.INTER_AREA
    return cv2.resize(frame[y0:y1, x0:x1], (CROP_SIDE, CROP_SIDE), interpolation=rule)


def _squares(pair: FramePair) -> dict[str, Box]:
    """Region -> its square, of those that the truth's keypoints show."""
    height, width = pair.frame.shape[:2]
    boxes = {region: pair.truth.boxes.get(region) for region in CROP_REGIONS}
    return {region: crop_square(box, width, height) for region, box in boxes.items() if box is not None}


class CropPictures:
    """SSIM and, with a network, LPIPS-VGG of the crops; a FrameMetric."""

    def __init__(self, lpips_vgg: Lpips | None) -> None:
        self._network = lpips_vgg
        kinds = ("ssim",) if lpips_vgg is None else ("lpips_vgg", "ssim")
        self.names = tuple(name for name in CROP_METRICS if name.endswith(kinds))

    def __call__(self, pair: FramePair) -> dict[str, float]:
        scores = {}
        for region, square in _squares(pair).items():
            ours, theirs = _crop(pair.frame, square), _crop(pair.truth.frame, square)
            scores[f"crop_{region}_ssim"] = image.ssim(ours, theirs)
            if self._network is not None:
                scores[f"crop_{region}_lpips_vgg"] = self._network(ours, theirs)
        return scores

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return _no_crop(name)


class CropErrors:
    """MPJPE in pixels of the crops; a FrameMetric.

    truth: float (T, 133, 3) px, what the estimator finds on the true frames. seen: track -> what it finds on the
    track's; it may be filled in until a frame is scored.
    """

    names = tuple(name for name in CROP_METRICS if name.endswith("_mpjpe"))

    def __init__(self, truth: np.ndarray, seen: Mapping[str, np.ndarray]) -> None:
        self._truth, self._seen = truth, seen

    def __call__(self, pair: FramePair) -> dict[str, float]:
        if pair.track not in self._seen:
            return {}
        scores = {}
        for region, (x0, _, x1, _) in _squares(pair).items():
            part = list(_POINTS[region])
            ours, theirs = (points[pair.truth.index][part] for points in (self._seen[pair.track], self._truth))
            both = visible(ours) & visible(theirs)
            if both.any():
                gaps = np.linalg.norm(ours[both, :2].astype(np.float64) - theirs[both, :2], axis=-1)
                scores[f"crop_{region}_mpjpe"] = float(gaps.mean()) * CROP_SIDE / (x1 - x0)
        return scores

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        return no_points(name)


def no_points(name: str) -> str:
    """Why there is no MPJPE of a region."""
    return f"{_no_crop(name)} and points that the estimator sees in truth and generated clip"


def _no_crop(name: str) -> str:
    return f"no frame has keypoints for a box of the {name.removeprefix('crop_').rsplit('_', 1)[0].replace('_', ' ')}"
