"""Who is rendered: a frame, its pose, and further frames of the same person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from signgen.pairs.crops import crop_for, within
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
        """With what the model sees of the source, to whose size the garment's picture is fitted anew."""
        plain = np.ascontiguousarray(crop.of(self.plain))
        return Garment(*fitted(self.frame, self.pose, (plain.shape[1], plain.shape[0])), plain)


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


def fitted(frame: np.ndarray, pose: PoseSequence, size: tuple[int, int]) -> tuple[np.ndarray, PoseSequence]:
    """The garment's picture at the source's size: the part that its person reaches, its edges repeated to the source's
    aspect ratio, so that no canvas squashes one otherwise than the other."""
    pose = pose.resized(frame.shape[1], frame.shape[0])
    if (crop := crop_for([pose], "auto")) is not None:
        frame, pose = np.ascontiguousarray(crop.of(frame)), within(pose, crop)
    height, width = frame.shape[:2]
    wide = max(width, round(height * size[0] / size[1]))
    high = max(height, round(width * size[1] / size[0]))
    left, top = (wide - width) // 2, (high - height) // 2
    frame = cv2.copyMakeBorder(frame, top, high - height - top, left, wide - width - left, cv2.BORDER_REPLICATE)
    points = pose.all_points + np.array([left, top, 0], np.float32)
    rule = cv2.INTER_AREA if wide > size[0] else cv2.INTER_CUBIC
    padded = replace(pose.with_points(points), width=wide, height=high)
    return cv2.resize(frame, size, interpolation=rule), padded.resized(*size)
