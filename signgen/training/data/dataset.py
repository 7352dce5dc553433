"""The torch dataset: a pair set and a canvas in, named tensors of one training triple out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from signgen.config import Augmentation
from signgen.models.canvas import Canvas, resized
from signgen.pairs.pairset import PairSet
from signgen.poses.draw import Palette, draw_pose
from signgen.poses.parts import part_boxes
from signgen.poses.sequence import window_frames
from signgen.poses.skeletons import SKELETONS
from signgen.training.data.augment import mirror_points, move_frame, move_points, random_affine
from signgen.training.data.batches import Sample, SampleDataset
from signgen.training.data.feature_cache import FeatureCache, form_of
from signgen.training.data.frames import CanvasFrames
from signgen.training.data.part_warps import PartWarps


@dataclass(frozen=True)
class Kept:
    """Features that items have in place of pictures. source: names of the source's; picture: whether the source's
    picture is needed beside them. What is of the target or of poses is among them where `cache` has it."""

    cache: FeatureCache
    source: tuple[str, ...]
    picture: bool

    def of(
        self, clip: int, source: int, halved: bool, target: int, variant: int, mirrored: bool
    ) -> dict[str, torch.Tensor]:
        """By the names of the items below."""
        form = form_of(halved, mirrored)
        found = {f"source_{name}": self.cache.get(name, clip, source, form) for name in self.source}
        if "latent" in self.cache:
            found["target_latent"] = self.cache.get("latent", clip, target, form_of(0, mirrored))
        for name, item in (("pose", "pose_embedding"), ("pose_latent", "pose_latent")):
            if name in self.cache:
                found[item] = self.cache.get(name, clip, target, form_of(variant, mirrored))
        if "source_pose_latent" in self.cache:
            found["source_pose_latent"] = self.cache.get("source_pose_latent", clip, source, form_of(0, mirrored))
        return found


class TripleDataset(SampleDataset):
    """Triples of one split.

    window: frames before and after the target whose poses are drawn too. part_warp: whether items have the part warp.
    points: whether items have keypoints. kept: features that items have in place of pictures; None: none.

    An item, for Sample(epoch, row):
      source, target: uint8 (3, H, W) RGB. source_pose: uint8 (3, H, W), lines on black. source_pose_known: bool.
      target_pose: uint8 (3 (1 + 2 window), H, W): the target frame's pose image, then its neighbours' (window_frames).
      part_warp, if wanted: uint8 (6, H, W), the source's parts at the target's keypoints, and masks (PartWarps).
      source_points, target_points, if wanted: float32 (K, 3), x and y in canvas pixels, and score; NaN is missing.
      source_<feature>, target_latent, pose_embedding, pose_latent, where they are kept: float16; no picture that none
      needs.
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
        points: bool = False,
    ) -> None:
        self.pairs, self.canvas, self.palette = pairs, canvas, palette
        self.augmentation, self.seed, self.window = augmentation, seed, window
        self.triples = pairs.triples(split)
        self.frames = CanvasFrames(pairs, canvas)
        self.part_warps = PartWarps(self.frames) if part_warp else None
        self.points = points
        self.kept: Kept | None = None

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
        if self._happens(self.augmentation.identity, rng):
            source, target = (source, source) if rng.random() < 0.5 else (target, target)
        known = not self._happens(self.augmentation.unknown_source_pose, rng)

        # images and keypoints, all moved or mirrored alike
        affine = random_affine(self.augmentation, self.canvas, rng)
        mirrored = bool(self.augmentation.mirror) and rng.random() < self.augmentation.mirror
        half = self._happens(self.augmentation.half_source, rng)
        variants = self.augmentation.pose_variants
        variant = int(rng.integers(variants)) if variants else 0
        item = {} if self.kept is None else self.kept.of(clip, source, half, target, variant, mirrored)
        if "target_latent" not in item:
            item["target"] = _chw(self._image(name, target, affine, mirrored))
        if self.kept is None or self.kept.picture:
            image = self._image(name, source, affine, mirrored)
            item["source"] = _chw(halved(image) if half else image)
        shown = window_frames(target, len(self.frames.keypoints(name)), self.window)
        source_points, target_points, *_ = points = [
            self._points(name, frame, affine, mirrored) for frame in (source, *shown)
        ]
        jitter = self._variant_rng(clip, target, variant) if variants else rng
        item |= {
            "source_pose": _chw(self._draw(source_points)),
            "source_pose_known": torch.tensor(known),
            "target_pose": torch.cat([_chw(self._draw(self._jittered(each, jitter))) for each in points[1:]]),
            "regions": torch.from_numpy(region_masks(target_points, self.canvas)),
            "epoch": torch.tensor(sample.epoch),
            "index": torch.tensor(sample.row),
            "source_id": torch.tensor((clip << 32) + source),
            "target_id": torch.tensor((clip << 32) + target),
        }

        if self.points:
            item |= {"source_points": torch.from_numpy(source_points), "target_points": torch.from_numpy(target_points)}

        # part warp, of the source or of reference frames
        if self.part_warps is not None:
            referenced = self._happens(self.augmentation.references, rng)
            still = not known or self._happens(self.augmentation.unmoved_parts, rng)
            warped = self.part_warps(name, source, target, referenced, still)
            parts = [_moved(channels, affine, mirrored) for channels in (warped[..., :3], warped[..., 3:])]
            item["part_warp"] = torch.cat([_chw(part) for part in parts])
        return item

    def _variant_rng(self, clip: int, target: int, variant: int) -> np.random.Generator:
        """A frame's jitter number `variant` is the same in every triple and epoch."""
        return np.random.default_rng([self.seed, clip, target, variant, 0x905E])

    def picture(self, clip: int, frame: int, half: bool, mirrored: bool) -> np.ndarray:
        """The frame as a source or target that nothing moves, uint8 (H, W, 3)."""
        image = self._image(self.pairs.clips[clip].name, frame, None, mirrored)
        return halved(image) if half else image

    def pose(self, clip: int, frame: int, mirrored: bool) -> np.ndarray:
        """The frame's pose image without jitter, uint8 (H, W, 3), as `source_pose` has it."""
        return self._draw(self._points(self.pairs.clips[clip].name, frame, None, mirrored))

    def pose_variant(self, clip: int, frame: int, variant: int, mirrored: bool) -> np.ndarray:
        """The frame's pose image with that jitter, uint8 (H, W, 3), as the first of `target_pose` has it."""
        points = self._points(self.pairs.clips[clip].name, frame, None, mirrored)
        return self._draw(self._jittered(points, self._variant_rng(clip, frame, variant)))

    def _happens(self, probability: float, rng: np.random.Generator) -> bool:
        """A coin; none is thrown for a probability of 0, so that recipes without it keep their random numbers."""
        return bool(probability) and rng.random() < probability

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


def halved(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) at half its resolution, at the same size."""
    height, width = image.shape[:2]
    return resized(resized(image, width // 2, height // 2, "lanczos"), width, height, "lanczos")


def spread(length: int, count: int) -> list[int]:
    """At most `count` indices evenly spread over range(length), the first and last included."""
    return sorted({round(i) for i in np.linspace(0, length - 1, min(count, length))})


def _chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
