"""A pair set in, single frames with their keypoints on a canvas out: what a pose network learns, and is judged by."""

from __future__ import annotations

import numpy as np
import torch

from signgen.errors import PairSetError
from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.poses.joints import JOINT_MAPS, NONE, POSENET_JOINTS, JointMap, mirror_of
from signgen.poses.parts import visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133, OPENPOSE_18
from signgen.training.data.augment import move_frame, move_points, random_affine
from signgen.training.data.batches import Sample, SampleDataset
from signgen.training.data.frames import CanvasFrames
from signgen.training.posenet.recipe import PoseAugmentation

_LEAST_KNOWN = 0.01  # of the frames: a joint that is rarer is not learned


class PoseFrames(SampleDataset):
    """Frames of one split in which somebody is seen.

    train: all frames of the training triples; val, test: their targets, which no training triple has. An item, for
    Sample(epoch, row): image uint8 (3, H, W) RGB; points float32 (K, 3) in canvas pixels, of `joints`, score 0 where
    missing; epoch, index: int. Raises PairSetError where there is no frame, or none with keypoints.
    """

    def __init__(
        self,
        pairs: PairSet,
        split: str,
        canvas: Canvas,
        augmentation: PoseAugmentation,
        seed: int,
        joints: JointMap | None = None,
    ) -> None:
        self.pairs, self.split, self.canvas = pairs, split, canvas
        self.augmentation, self.seed = augmentation, seed
        self.images = CanvasFrames(pairs, canvas)
        rows = _rows(pairs, split)
        if not len(rows):
            fix = f"build one with a list of the split {split}" if pairs.listed else _FIXES[split]
            raise PairSetError(f"{pairs.folder}: no {split} frames", expected=_WANTED[split], fix=fix)
        seen = np.array([visible(self.points_of(clip, frame)) for clip, frame in rows])
        self.joints = known_joints(seen, mirrored=augmentation.mirror > 0) if joints is None else joints
        self.rows = rows[seen[:, list(self.joints)].any(1)]
        if not len(self.joints) or not len(self.rows):
            fix = "give build-pairs keypoints of the videos"
            raise PairSetError(f"{pairs.folder}: no keypoints are seen in its {split} frames", fix=fix)
        self._mirror = mirror_of(self.joints) if augmentation.mirror else ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def order_by(self) -> np.ndarray | int:
        """Each frame's clip, where any clip's frames are decoded in runs."""
        return self.rows[:, 0] if self.pairs.decoded_in_runs else len(self)

    def __getitem__(self, sample: Sample) -> dict[str, torch.Tensor]:
        # the frame; every random number is keyed by (seed, epoch, row)
        clip, frame = (int(number) for number in self.rows[sample.row])
        rng = np.random.default_rng([self.seed, *sample])
        image = self.images(self.pairs.clips[clip].name, frame)
        points = self.points_of(clip, frame)[list(self.joints)]

        # both moved or mirrored alike; the light changes the image alone
        affine = random_affine(self.augmentation, self.canvas, rng)
        image, points = move_frame(image, affine), move_points(points, affine)
        if self.augmentation.mirror and rng.random() < self.augmentation.mirror:
            image, points = mirrored(image, points, self._mirror)
        image = self._lit(image, rng)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "points": torch.from_numpy(_scored(points)),
            "epoch": torch.tensor(sample.epoch),
            "index": torch.tensor(sample.row),
        }

    def points_of(self, clip: int, frame: int) -> np.ndarray:
        """float32 (133, 3) in canvas pixels; joints that the pair set's skeleton lacks are missing."""
        return whole_body(self.images.keypoints(self.pairs.clips[clip].name)[frame])

    def _lit(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        light = self.augmentation
        if not (light.brightness or light.contrast):
            return image
        gain, shift = 1 + rng.uniform(-1, 1) * light.contrast, 255 * rng.uniform(-1, 1) * light.brightness
        return np.clip((image.astype(np.float32) - 127.5) * gain + 127.5 + shift, 0, 255).round().astype(np.uint8)


_WANTED = {"train": "training triples", "val": "validation rows, of frames that training does not see", "test": "rows"}
_FIXES = {
    "train": "build one of longer clips, or with a smaller --holdout-tail of signgen build-pairs",
    "val": "build one with a larger --holdout-tail of signgen build-pairs",
    "test": "build one that has a test split",
}


def _rows(pairs: PairSet, split: str) -> np.ndarray:
    """int (N, 2): clip and frame of the split, without repetition, in order."""
    training = _pairs_of(pairs.triples("train"), "source", "target")
    if split == "train":
        return np.unique(training, axis=0)
    rows = np.unique(_pairs_of(pairs.triples(split), "target"), axis=0)
    trained = set(map(tuple, training.tolist()))
    return np.array([row for row in rows.tolist() if tuple(row) not in trained], int).reshape(-1, 2)


def _pairs_of(triples: np.ndarray, *names: str) -> np.ndarray:
    return np.concatenate([np.stack([triples["clip"], triples[name]], 1) for name in names]).astype(int)


def known_joints(seen: np.ndarray, mirrored: bool) -> JointMap:
    """The joints that matter and are seen in frames (N, 133) often enough to be learned; left and right together where
    frames are mirrored."""
    share = seen.mean(0)
    if mirrored:
        share = np.maximum(share, share[list(COCO_WHOLEBODY_133.mirror)])
    return tuple(joint for joint in POSENET_JOINTS if share[joint] >= _LEAST_KNOWN)


def whole_body(points: np.ndarray) -> np.ndarray:
    """(K, 3) of a skeleton of 133 or 18 points -> (133, 3); those it lacks are missing."""
    if len(points) == COCO_WHOLEBODY_133.points:
        return points
    found = np.full((COCO_WHOLEBODY_133.points, 3), (np.nan, np.nan, 0), np.float32)
    for joint, point in zip(JOINT_MAPS["openpose18"], points[: OPENPOSE_18.points], strict=True):
        if joint != NONE:
            found[joint] = point
    return found


def mirrored(image: np.ndarray, points: np.ndarray, mirror: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) and its joints (K, 3), flipped: left and right ones swap places (`mirror_of`)."""
    swapped = points[list(mirror)]
    swapped[:, 0] = image.shape[1] - 1 - swapped[:, 0]
    return image[:, ::-1], swapped


def _scored(points: np.ndarray) -> np.ndarray:
    """Points that are too doubtful to be drawn are missing."""
    return np.where(visible(points)[:, None], points, (np.nan, np.nan, 0)).astype(np.float32)
