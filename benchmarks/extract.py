"""Keypoints of real clips against those shipped with them: distances in shoulder widths, and how often hands are seen.

The shipped keypoints of the two Phoenix clips were estimated by MediaPipe on frames enlarged three times, football's by
MMPose, human_signer's by DWPose: what is compared is as much the estimators as the extraction.

    python benchmarks/extract.py TESTDATA [--onnx FILE] [--enlarge PX]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from signgen.poses import PoseSequence, read_poses
from signgen.poses.estimators import extract, open_estimator
from signgen.poses.parts import part_distances, seen_frames
from signgen.video.reader import open_frames

PANEL = (420, 630)  # the truth, third of four panels of 210x260


@dataclass(frozen=True)
class Clip:
    """A video, the columns of its frames that are looked at (None: all), and its keypoints."""

    name: str
    video: str
    keypoints: str
    columns: tuple[int, int] | None = None

    def frames(self, testdata: Path) -> np.ndarray:
        """uint8 (T, H, W, 3) RGB."""
        frames = open_frames(testdata / self.video).read()
        return frames if self.columns is None else frames[:, :, slice(*self.columns)]


CLIPS = (
    Clip(
        "phoenix 25June",
        "phoenix/25June_2010_Friday_tagesschau-3880.fourpanel.gif",
        "phoenix/25June_2010_Friday_tagesschau-3880.mmpose133.json",
        PANEL,
    ),
    Clip("phoenix clip_b", "phoenix/clip_b.fourpanel.mp4", "phoenix/clip_b.mmpose133.json", PANEL),
    Clip("football", "signers/football.mp4", "signers/football.mmpose133.json"),
    Clip("human_signer", "signers/human_signer.mp4", "signers/human_signer_dwpose"),
)


def shares(poses: PoseSequence, reference: PoseSequence) -> Iterator[str]:
    """Percent of frames in which each hand is seen, here and in the reference."""
    ours, theirs = seen_frames(poses), seen_frames(reference)
    for hand in ("left_hand", "right_hand"):
        yield f"{ours[hand].mean():.0%} / {theirs[hand].mean():.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--onnx", type=Path, help="a whole-body model instead of MediaPipe")
    parser.add_argument("--enlarge", type=int, help="px of the shorter side; 0: never")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print("| clip | frames | body | hands | face | left hand seen, here / shipped | right hand seen | frames/s |")
    print("|---|---|---|---|---|---|---|---|")
    for clip in CLIPS:
        frames = clip.frames(options.testdata)
        size = (frames.shape[2], frames.shape[1])
        reference = read_poses(options.testdata / clip.keypoints, size=size)
        with closing(open_estimator(model=options.onnx)) as estimator:
            started = time.perf_counter()
            found = extract(frames, estimator, short_side=options.enlarge)
            rate = len(frames) / (time.perf_counter() - started)
        distances = " | ".join(f"{value:.3f}" for value in part_distances(found, reference).values())
        seen = " | ".join(shares(found, reference))
        print(f"| {clip.name} | {len(frames)} | {distances} | {seen} | {rate:.1f} |", flush=True)


if __name__ == "__main__":
    main()
