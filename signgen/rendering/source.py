"""Who is rendered: a frame, its pose, and further frames of the same person."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from signgen.pairs.crops import within
from signgen.poses.sequence import PoseSequence
from signgen.video.crop import Crop, CropPath
from signgen.video.reader import FrameSource


@dataclass(frozen=True)
class ReferenceClip:
    """Further frames of the person, of any size: those from `first` on, as many as there are poses."""

    frames: FrameSource
    poses: PoseSequence
    first: int = 0


@dataclass(frozen=True)
class Garment:
    """Another person's clothes. frame: uint8 (h, w, 3), their picture at the source's size; pose: theirs in it.

    plain: the source's frame as it was, in its own clothes.
    """

    frame: np.ndarray
    pose: PoseSequence
    plain: np.ndarray

    def cropped(self, crop: Crop) -> Garment:
        """With what the model sees of the source; the garment's picture stays whole, at the size of the crop's."""
        plain = np.ascontiguousarray(crop.of(self.plain))
        height, width = plain.shape[:2]
        return Garment(cv2.resize(self.frame, (width, height)), self.pose.resized(width, height), plain)


@dataclass(frozen=True)
class Source:
    """Who is rendered. frame: uint8 (h, w, 3). pose: its keypoints (1 frame), or None where they are not known.

    crop: the model sees, and draws, only this part of the frame; the rest stays the source's. path: where what is drawn
    of each pose is laid back; None: at the crop.
    name: keys the clip's noise, so the same source and seed give the same pixels. references: where else the part warp
    may take body and hands from; without them, from the source alone. garment: whose clothes the frame shows, where
    they are not the person's own.
    """

    frame: np.ndarray
    pose: PoseSequence | None
    name: str
    references: ReferenceClip | None = None
    crop: Crop | None = None
    path: CropPath | None = None
    garment: Garment | None = None

    @property
    def plain(self) -> np.ndarray:
        """The frame with the person's own clothes."""
        return self.frame if self.garment is None else self.garment.plain

    def cropped(self) -> Source:
        """What the model sees of a source with a crop."""
        assert self.crop is not None
        pose = None if self.pose is None else within(self.pose, self.crop)
        garment = None if self.garment is None else self.garment.cropped(self.crop)
        frame = np.ascontiguousarray(self.crop.of(self.frame))
        return Source(frame, pose, self.name, self.references, garment=garment)
