"""A generated frame beside its truth, as metrics see it; what several of them need is computed once, when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np

from signgen.metrics.clip.optical_flow import Motion, motion_between
from signgen.metrics.definitions import BOX_MARGIN, STATIC_THRESHOLD
from signgen.metrics.image import pixels as image
from signgen.poses.parts import Box, face_part_boxes, part_boxes

MODEL = ""  # the track of the model; baselines are called by their names


@dataclass(frozen=True)
class TruthFrame:
    """The truth at one frame: shared by the model and all baselines.

    index: in the truth. frame: uint8 (H, W, 3) RGB. previous: the one before, None for a first frame. keypoints:
    (K, 3) in pixels, or None where they are not known.
    """

    index: int
    frame: np.ndarray
    previous: np.ndarray | None = None
    keypoints: np.ndarray | None = None

    @cached_property
    def boxes(self) -> dict[str, Box | None]:
        """Boxes of "left_hand", "right_hand" and "face"; empty without keypoints."""
        height, width = self.frame.shape[:2]
        return {} if self.keypoints is None else part_boxes(self.keypoints, width, height, margin=BOX_MARGIN)

    @cached_property
    def face_parts(self) -> dict[str, Box | None]:
        """Boxes of "brows", "eyes" and "mouth"; empty without keypoints of a face."""
        height, width = self.frame.shape[:2]
        return {} if self.keypoints is None else face_part_boxes(self.keypoints, width, height, margin=BOX_MARGIN)

    @cached_property
    def hands(self) -> np.ndarray | None:
        """Bool (H, W), true in the box of either hand; None where there is none."""
        return image.box_mask([self.boxes.get("left_hand"), self.boxes.get("right_hand")], *self.frame.shape[:2])

    @cached_property
    def face(self) -> np.ndarray | None:
        """Bool (H, W), true in the box of the face; None where there is none."""
        return image.box_mask([self.boxes.get("face")], *self.frame.shape[:2])

    @cached_property
    def gradient_energy(self) -> np.ndarray:
        """Float32 (H, W): dx^2 + dy^2 of luma."""
        return image.gradient_energy(self.frame)

    @cached_property
    def static(self) -> np.ndarray | None:
        """Bool (H, W), true where no channel changed since the frame before; None where nothing is or was."""
        if self.previous is None:
            return None
        still = cv2.inRange(cv2.absdiff(self.frame, self.previous), (0, 0, 0), (STATIC_THRESHOLD,) * 3) > 0
        return still if still.any() else None

    @cached_property
    def motion(self) -> Motion | None:
        """Where each pixel was in the frame before; None for a first frame."""
        return None if self.previous is None else motion_between(self.previous, self.frame)

    @cached_property
    def successive_ssim(self) -> float | None:
        """SSIM of the truth with its own frame before; None for a first frame."""
        return None if self.previous is None else image.ssim(self.frame, self.previous)


@dataclass(frozen=True)
class FramePair:
    """What `track` (the model, or a baseline) shows where the truth shows `truth`.

    frame: uint8 (H, W, 3) RGB. previous: the track's frame before, None for a first frame and after one without answer.
    """

    truth: TruthFrame
    frame: np.ndarray
    previous: np.ndarray | None = None
    track: str = MODEL

    @cached_property
    def ssim_map(self) -> np.ndarray:
        """Float32 (H, W, 3) in [-1, 1]."""
        return image.ssim_map(self.frame, self.truth.frame)

    @cached_property
    def gradient_energy(self) -> np.ndarray:
        """Float32 (H, W): dx^2 + dy^2 of luma."""
        return image.gradient_energy(self.frame)

    @cached_property
    def squared_error(self) -> np.ndarray:
        """uint16 (H, W, 3) in 0..65025."""
        return image.squared_error(self.frame, self.truth.frame)


class FrameMetric(Protocol):
    """Numbers of single frames; `definitions.DEFINITIONS` says what each name means."""

    @property
    def names(self) -> tuple[str, ...]:
        """In the report's order."""
        ...

    def __call__(self, pair: FramePair) -> dict[str, float]:
        """The numbers that this frame has, by name."""
        ...

    def why_missing(self, name: str, frames: int, truth: np.ndarray) -> str:
        """The reason where none of `frames` frames, of the size of `truth`, had this number."""
        ...


class ClipMetric(Protocol):
    """Numbers of a whole clip, of the model and of every baseline; memory does not grow with the frames."""

    @property
    def names(self) -> tuple[str, ...]:
        """In the report's order."""
        ...

    def update(self, pair: FramePair) -> None:
        """Take in one frame of one track; frames come in order."""
        ...

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        """The numbers of a track by name, and name -> reason for those that it does not have."""
        ...

    def notes(self) -> list[str]:
        """What the reader of the numbers should know."""
        ...
