"""The torch dataset: a pair set and a canvas in, named tensors of one training triple out."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from signgen.config import Augmentation
from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.poses.draw import Palette, draw_pose
from signgen.poses.parts import part_boxes
from signgen.poses.sequence import window_frames
from signgen.poses.skeletons import SKELETONS
from signgen.training.data.augment import mirror_points, move_frame, move_points, random_affine
from signgen.training.data.batches import Sample
from signgen.training.data.frames import CanvasFrames
from signgen.training.data.part_warps import PartWarps


class TripleDataset(Dataset):
    """Triples of one split.

    window: frames before and after the target whose poses are drawn too. part_warp: whether items have the part warp.

    An item, for Sample(epoch, row):
      source, target: uint8 (3, H, W) RGB. source_pose: uint8 (3, H, W), lines on black.
      target_pose: uint8 (3 (1 + 2 window), H, W): the target frame's pose image, then its neighbours' (window_frames).
      part_warp, if wanted: uint8 (6, H, W), the source's parts at the target's keypoints, and masks (PartWarps).
      regions: uint8 (2, H, W), 1 inside the target's hand boxes / face box.
      epoch, index: int. source_id, target_id: int64, equal for the same frame of the same clip.
    """

    def __init__(
        self,
        pairs: PairSet,
        split: str,
        canvas: Canvas,
        palette: Palette,
        augmentation: Augmentation,
        seed: int,
        window: int = 0,
        part_warp: bool = False,
    ) -> None:
        self.pairs, self.canvas, self.palette = pairs, canvas, palette
        self.augmentation, self.seed, self.window = augmentation, seed, window
        self.triples = pairs.triples(split)
        self.frames = CanvasFrames(pairs, canvas)
        self.part_warps = PartWarps(self.frames) if part_warp else None

    def __len__(self) -> int:
        return len(self.triples)

    @property
    def order_by(self) -> np.ndarray | int:
        """What StepBatches orders by: each triple's clip, where any clip's frames are decoded in runs."""
        return self.triples["clip"] if self.pairs.decoded_in_runs else len(self)

    def __getitem__(self, sample: Sample) -> dict[str, torch.Tensor]:
        # the triple; every random number is keyed by (seed, epoch, row)
        row = self.triples[sample.row]
        clip, source, target = int(row["clip"]), int(row["source"]), int(row["target"])
        name = self.pairs.clips[clip].name
        rng = np.random.default_rng([self.seed, *sample])
        if target != 0 and rng.random() < self.augmentation.first_source:
            source = 0

        # images and keypoints, all moved or mirrored alike
        affine = random_affine(self.augmentation, self.canvas, rng)
        mirrored = bool(self.augmentation.mirror) and rng.random() < self.augmentation.mirror
        source_image, target_image = (self._image(name, frame, affine, mirrored) for frame in (source, target))
        shown = window_frames(target, len(self.frames.keypoints(name)), self.window)
        source_points, target_points, *_ = points = [
            self._points(name, frame, affine, mirrored) for frame in (source, *shown)
        ]
        item = {
            "source": _chw(source_image),
            "target": _chw(target_image),
            "source_pose": _chw(self._draw(source_points)),
            "target_pose": torch.cat([_chw(self._draw(self._jittered(each, rng))) for each in points[1:]]),
            "regions": torch.from_numpy(region_masks(target_points, self.canvas)),
            "epoch": torch.tensor(sample.epoch),
            "index": torch.tensor(sample.row),
            "source_id": torch.tensor((clip << 32) + source),
            "target_id": torch.tensor((clip << 32) + target),
        }

        # part warp, of the source or of reference frames
        if self.part_warps is not None:
            share = self.augmentation.references
            warped = self.part_warps(name, source, target, referenced=bool(share) and rng.random() < share)
            parts = [_moved(channels, affine, mirrored) for channels in (warped[..., :3], warped[..., 3:])]
            item["part_warp"] = torch.cat([_chw(part) for part in parts])
        return item

    def _image(self, clip: str, frame: int, affine: np.ndarray | None, mirrored: bool) -> np.ndarray:
        """A frame on the canvas, uint8 (H, W, 3), augmented."""
        return _moved(self.frames(clip, frame), affine, mirrored)

    def _points(self, clip: str, frame: int, affine: np.ndarray | None, mirrored: bool) -> np.ndarray:
        """Its keypoints (K, 3) in canvas pixels, augmented like it."""
        points = move_points(self.frames.keypoints(clip)[frame], affine)
        return mirror_points(points, self.canvas.width, SKELETONS[self.palette.skeleton]) if mirrored else points

    def _jittered(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Points (K, 3) with Gaussian noise of `pose_jitter` canvas pixels."""
        jitter = rng.normal(0, self.augmentation.pose_jitter, points[:, :2].shape).astype(np.float32)
        return points + np.pad(jitter, ((0, 0), (0, 1)))

    def _draw(self, points: np.ndarray) -> np.ndarray:
        """Points (K, 3) in canvas pixels -> pose image uint8 (H, W, 3)."""
        size = (self.canvas.width, self.canvas.height)
        return draw_pose(points, *size, source_size=size, palette=self.palette)


def region_masks(points: np.ndarray, canvas: Canvas) -> np.ndarray:
    """uint8 (2, H, W): 1 inside the hand boxes, and inside the face box."""
    masks = np.zeros((2, canvas.height, canvas.width), np.uint8)
    for name, box in part_boxes(points, canvas.width, canvas.height).items():
        if box is not None:
            x0, y0, x1, y1 = box
            masks[1 if name == "face" else 0, y0:y1, x0:x1] = 1
    return masks


def _moved(image: np.ndarray, affine: np.ndarray | None, mirrored: bool) -> np.ndarray:
    image = move_frame(np.ascontiguousarray(image), affine)
    return image[:, ::-1] if mirrored else image


def spread(length: int, count: int) -> list[int]:
    """At most `count` indices evenly spread over range(length), the first and last included."""
    return sorted({round(i) for i in np.linspace(0, length - 1, min(count, length))})


def _chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
