"""The torch dataset: a pair set and a canvas in, named tensors of one training triple out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from signgen.config import Augmentation
from signgen.data.augment import mirror_points, move_frame, move_points, random_affine
from signgen.data.canvas import Canvas
from signgen.data.pairset import PairSet
from signgen.poses.draw import Palette, draw_pose
from signgen.poses.parts import part_boxes
from signgen.poses.sequence import window_frames
from signgen.poses.skeletons import SKELETONS

CACHE_BYTES = 2 << 30


class Sample(NamedTuple):
    """Which triple, in which pass over the data; together with the seed it keys every random number of a sample."""

    epoch: int
    row: int


class CanvasFrames:
    """Frames of a pair set on the canvas, kept in memory up to CACHE_BYTES, oldest clip dropped first."""

    def __init__(self, pairs: PairSet, canvas: Canvas) -> None:
        self.pairs, self.canvas = pairs, canvas
        self._clips: OrderedDict[str, np.ndarray] = OrderedDict()

    def __call__(self, clip: str, frame: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        if clip not in self._clips:
            self._clips[clip] = self._load(clip)
            while sum(c.nbytes for c in self._clips.values()) > CACHE_BYTES and len(self._clips) > 1:
                self._clips.popitem(last=False)
        self._clips.move_to_end(clip)
        return self._clips[clip][frame]

    def _load(self, clip: str) -> np.ndarray:
        source = self.pairs.frames(clip)
        runs = [source.read(i, min(i + 64, source.num_frames)) for i in range(0, source.num_frames, 64)]
        return np.stack([self.canvas.fit_frame(frame) for run in runs for frame in run])


class TripleDataset(Dataset):
    """Triples of one split.

    An item, for Sample(epoch, row):
      source, target: uint8 (3, H, W) RGB. source_pose: uint8 (3, H, W), lines on black.
      target_pose: uint8 (3 (1 + 2 window), H, W): the target frame's pose image, then its neighbours' (window_frames).
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
    ) -> None:
        self.pairs, self.canvas, self.palette = pairs, canvas, palette
        self.augmentation, self.seed, self.window = augmentation, seed, window
        self.triples = pairs.triples(split)
        self.frames = CanvasFrames(pairs, canvas)
        self._keypoints: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.triples)

    def __getitem__(self, sample: Sample) -> dict[str, torch.Tensor]:
        row = self.triples[sample.row]
        clip, source, target = int(row["clip"]), int(row["source"]), int(row["target"])
        name = self.pairs.clips[clip].name
        rng = np.random.default_rng([self.seed, *sample])
        if target != 0 and rng.random() < self.augmentation.first_source:
            source = 0
        warp = random_affine(self.augmentation, self.canvas, rng)
        mirrored = bool(self.augmentation.mirror) and rng.random() < self.augmentation.mirror
        source_image, target_image = (self._image(name, frame, warp, mirrored) for frame in (source, target))
        shown = window_frames(target, len(self._points(name)), self.window)
        source_points, target_points, *_ = moved = [
            self._moved_points(name, frame, warp, mirrored) for frame in (source, *shown)
        ]
        return {
            "source": _chw(source_image),
            "target": _chw(target_image),
            "source_pose": _chw(self._draw(source_points)),
            "target_pose": torch.cat([_chw(self._draw(self._jittered(points, rng))) for points in moved[1:]]),
            "regions": torch.from_numpy(region_masks(target_points, self.canvas)),
            "epoch": torch.tensor(sample.epoch),
            "index": torch.tensor(sample.row),
            "source_id": torch.tensor((clip << 32) + source),
            "target_id": torch.tensor((clip << 32) + target),
        }

    def _image(self, clip: str, frame: int, warp: np.ndarray | None, mirrored: bool) -> np.ndarray:
        """A frame on the canvas, augmented."""
        image = move_frame(self.frames(clip, frame), warp)
        return image[:, ::-1] if mirrored else image

    def _moved_points(self, clip: str, frame: int, warp: np.ndarray | None, mirrored: bool) -> np.ndarray:
        """Its keypoints (K, 3), augmented like it."""
        points = move_points(self._points(clip)[frame], warp)
        return mirror_points(points, self.canvas.width, SKELETONS[self.palette.skeleton]) if mirrored else points

    def _jittered(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        jitter = rng.normal(0, self.augmentation.pose_jitter, points[:, :2].shape).astype(np.float32)
        return points + np.pad(jitter, ((0, 0), (0, 1)))

    def _points(self, clip: str) -> np.ndarray:
        """float32 (T, K, 3) in canvas pixels."""
        if clip not in self._keypoints:
            poses = self.pairs.poses(clip)
            self._keypoints[clip] = self.canvas.fit_keypoints(poses.keypoints, poses.width, poses.height)
        return self._keypoints[clip]

    def _draw(self, points: np.ndarray) -> np.ndarray:
        size = (self.canvas.width, self.canvas.height)
        return draw_pose(points, *size, source_size=size, palette=self.palette)


class StepBatches(Sampler[list[Sample]]):
    """Batches of optimiser steps from `first_step` on, without state: a step's samples depend on the seed alone.

    Each epoch is a permutation keyed by (seed, epoch); a batch may span two epochs, so every batch is full.
    """

    def __init__(self, length: int, batch_size: int, seed: int, first: int, last: int) -> None:
        self.length, self.batch_size, self.seed, self.first, self.last = length, batch_size, seed, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[Sample]]:
        orders: dict[int, np.ndarray] = {}
        for step in range(self.first, self.last):
            start = step * self.batch_size
            batch = []
            for position in range(start, start + self.batch_size):
                epoch, place = divmod(position, self.length)
                if epoch not in orders:
                    orders = {epoch: np.random.default_rng([self.seed, epoch]).permutation(self.length)}
                batch.append(Sample(epoch, int(orders[epoch][place])))
            yield batch


def region_masks(points: np.ndarray, canvas: Canvas) -> np.ndarray:
    """uint8 (2, H, W): 1 inside the hand boxes, and inside the face box."""
    masks = np.zeros((2, canvas.height, canvas.width), np.uint8)
    for name, box in part_boxes(points, canvas.width, canvas.height).items():
        if box is not None:
            x0, y0, x1, y1 = box
            masks[1 if name == "face" else 0, y0:y1, x0:x1] = 1
    return masks


def spread(length: int, count: int) -> list[int]:
    """At most `count` indices evenly spread over range(length), the first and last included."""
    return sorted({round(i) for i in np.linspace(0, length - 1, min(count, length))})


def _chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
