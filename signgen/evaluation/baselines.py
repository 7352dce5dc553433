"""Baselines a model must beat: each maps (frame index, target keypoints) to a uint8 RGB frame, or to None."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from signgen.errors import PairSetError
from signgen.pairs.pairset import PairSet
from signgen.poses.parts import pose_distance
from signgen.poses.sequence import PoseSequence
from signgen.video.reader import FrameSource

CACHED_FRAMES = 64
_AT_ONCE = 10_000  # poses compared in one go: 133 points of them take some 20 MB per temporary


class CopySource:
    """The source frame, uint8 (H, W, 3), whatever the pose. own: the number of the truth's frame that it is, if any."""

    def __init__(self, frame: np.ndarray, own: int | None = None) -> None:
        self._frame, self.own = frame, own

    def __call__(self, frame_index: int, keypoints: np.ndarray | None) -> np.ndarray:
        return self._frame


class Reconstructed:
    """The truth as the model's image space gives it back. reconstruct: uint8 (H, W, 3) -> the same."""

    def __init__(self, truth: FrameSource, reconstruct: Callable[[np.ndarray], np.ndarray]) -> None:
        self._truth, self._reconstruct = truth, reconstruct

    def __call__(self, frame_index: int, keypoints: np.ndarray | None) -> np.ndarray:
        return self._reconstruct(self._truth.read(frame_index, frame_index + 1)[0])


class NearestPose:
    """The frame with the closest pose among known frames; frames are read when they are first needed.

    keypoints: float32 (N, K, 3) in px of the target's frame size, one row per known frame.
    places: the N pairs (clip name, frame number in that clip).
    open_clip: clip name -> its frames.
    summary: which frames these are, for the report.
    """

    def __init__(
        self,
        keypoints: np.ndarray,
        places: list[tuple[str, int]],
        open_clip: Callable[[str], FrameSource],
        summary: str = "",
    ) -> None:
        if len(keypoints) != len(places):
            raise PairSetError(f"{len(keypoints)} poses for {len(places)} frames", expected="one for each")
        self._keypoints, self._places, self._open_clip = keypoints, places, open_clip
        self.summary = summary or f"{len(places)} frames"
        self._sources: dict[str, FrameSource] = {}
        self._frames: OrderedDict[int, np.ndarray] = OrderedDict()

    def __call__(self, frame_index: int, keypoints: np.ndarray | None) -> np.ndarray | None:
        """The nearest frame, or None where the target shares no seen point with any known pose."""
        best = None if keypoints is None else self.nearest(keypoints)
        return None if best is None else self._read(best)

    def nearest(self, keypoints: np.ndarray) -> int | None:
        """Index of the closest known pose to (K, 3), the first of equals; None where nothing can be compared."""
        if not self._places:
            return None
        parts = range(0, len(self._keypoints), _AT_ONCE)
        distances = np.concatenate([pose_distance(keypoints, self._keypoints[i : i + _AT_ONCE]) for i in parts])
        best = int(np.argmin(distances))
        return best if np.isfinite(distances[best]) else None

    def _read(self, index: int) -> np.ndarray:
        if index not in self._frames:
            clip, number = self._places[index]
            if clip not in self._sources:
                self._sources[clip] = self._open_clip(clip)
            self._frames[index] = self._sources[clip].read(number, number + 1)[0]
            if len(self._frames) > CACHED_FRAMES:
                self._frames.popitem(last=False)
        self._frames.move_to_end(index)
        return self._frames[index]


def nearest_pose(pair_set: PairSet, clip: str, size: tuple[int, int], path: Path | None = None) -> NearestPose:
    """Nearest pose among the frames of `pairs` that occur in its training triples and have `size` (width, height). Of a
    clip that is cropped, whole frames are taken where they, not the crop, have it.

    They are the same signer's where the target clip is in the pair set, by its name `clip` or by its `path`, and that
    signer was trained on; otherwise everybody's, and `summary` says so. Where there are none it answers None for every
    pose.
    """
    record = pair_set.find(clip, path)
    everybody = {
        name: numbers
        for name, numbers in training_frames(pair_set).items()
        if size in ((pair_set.clip(name).width, pair_set.clip(name).height), pair_set.clip(name).frame_size)
    }

    def whole(name: str) -> bool:
        return pair_set.clip(name).frame_size == size

    def poses(name: str) -> PoseSequence:
        return pair_set.whole_poses(name) if whole(name) else pair_set.poses(name)

    def open_clip(name: str) -> FrameSource:
        return pair_set.whole_frames(name) if whole(name) else pair_set.frames(name)

    own = {n: numbers for n, numbers in everybody.items() if record and pair_set.clip(n).signer == record.signer}
    frames = own or everybody
    if record is None:
        whose = "all signers (the clip is not in the pair set)"
    elif own or not everybody:
        whose = f"signer {record.signer or '(unnamed)'}"
    else:
        whose = f"all signers (there are none of signer {record.signer or '(unnamed)'})"
    if not frames:
        summary = f"0 training frames of {whose} at {size[0]}x{size[1]}"
        return NearestPose(np.empty((0, 1, 3)), [], open_clip, summary)
    keypoints = np.concatenate([poses(name).keypoints[numbers] for name, numbers in frames.items()])
    places = [(name, int(number)) for name, numbers in frames.items() for number in numbers]
    summary = f"{len(places)} training frames of {whose} in {len(frames)} clip{'s' if len(frames) > 1 else ''}"
    return NearestPose(keypoints, places, open_clip, summary)


def training_frames(pair_set: PairSet) -> dict[str, np.ndarray]:
    """Clip name -> sorted numbers of its frames that are source or target of a training triple."""
    triples = pair_set.triples("train")
    frames = {}
    for index in np.unique(triples["clip"]):
        rows = triples[triples["clip"] == index]
        frames[pair_set.clips[index].name] = np.union1d(rows["source"], rows["target"])
    return frames
