"""Drawing poses: frames per second of every palette at 256x256, on one thread, beside a plain loop over the points.

The plain loop is what a script would do with the same person: one OpenCV call per point and per bone, coordinates
taken from the array one by one. Both draw the same frames in turn, a block each, so that whatever else the machine does
meets both; the ratio is the median over blocks.

    OMP_NUM_THREADS=1 python benchmarks/draw.py [--poses FILE --size WxH] [--blocks 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from signgen.poses import PoseSequence, read_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.draw import PALETTES, draw_pose
from signgen.poses.palettes import Dots, Palette
from signgen.synthetic import Identity, Motion
from signgen.synthetic.skeleton import Camera, keypoints, pose

SIDE = 256
PER_BLOCK = 30  # frames
TARGET = 400  # frames/s


def synthetic() -> PoseSequence:
    """A drawn signer's exact keypoints, every point there."""
    identity = Identity.random(0)
    skeleton = pose(identity, Motion.random(0, PER_BLOCK).values)
    return PoseSequence(keypoints(skeleton, Camera(210, 260, identity)), 210, 260, 25.0)


def bones_of(palette: Palette) -> list[tuple[int, int]]:
    """The pairs of points that the palette joins; its computed points left out."""
    chains = [mark.points for mark in palette.strokes if not isinstance(mark, Dots)]
    last = 133 if palette.skeleton == "coco-wholebody-133" else 18
    return [bone for chain in chains for bone in pairwise(chain) if max(bone) < last]


def plain(points: np.ndarray, bones: list[tuple[int, int]], scale: tuple[float, float]) -> np.ndarray:
    """One cv2.circle per point and one cv2.line per bone."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y, score in points:
        if np.isfinite(x) and score >= 0.3:
            cv2.circle(image, (round(x * scale[0]), round(y * scale[1])), 2, (255, 255, 255), -1)
    for a, b in bones:
        if np.isfinite(points[a, 0]) and np.isfinite(points[b, 0]) and min(points[a, 2], points[b, 2]) >= 0.3:
            ends = [(round(points[p, 0] * scale[0]), round(points[p, 1] * scale[1])) for p in (a, b)]
            cv2.line(image, *ends, (0, 255, 0), 2)
    return image


def seconds(draw: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> float:
    started = time.process_time()
    for frame in frames:
        draw(frame)
    return time.process_time() - started


def measure(poses: PoseSequence, palette: Palette, blocks: int) -> tuple[float, float, float]:
    """Frames/s of signgen and of the plain loop, and the median ratio of the two, block by block."""
    size = (poses.width, poses.height)
    scale = (SIDE / poses.width, SIDE / poses.height)
    frames = to_skeleton(poses, palette.skeleton).keypoints
    frames = np.concatenate([frames] * -(-PER_BLOCK // len(frames)))[:PER_BLOCK]
    bones = bones_of(palette)

    def ours(frame: np.ndarray) -> np.ndarray:
        return draw_pose(frame, SIDE, SIDE, source_size=size, palette=palette)

    def theirs(frame: np.ndarray) -> np.ndarray:
        return plain(frame, bones, scale)

    seconds(ours, frames[:3]), seconds(theirs, frames[:3])
    times = [(seconds(ours, frames), seconds(theirs, frames)) for _ in range(blocks)]
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    return PER_BLOCK / fast, PER_BLOCK / slow, statistics.median(b / a for a, b in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=Path, help="keypoints to draw instead of a synthetic signer's")
    parser.add_argument("--size", help="WxH of their frame, where the format does not hold it")
    parser.add_argument("--blocks", type=int, default=20)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    size = tuple(int(side) for side in options.size.split("x")) if options.size else None
    poses = read_poses(options.poses, size=size) if options.poses else synthetic()
    print(f"{SIDE}x{SIDE}, one process, one thread; {PER_BLOCK} frames a block, {options.blocks} blocks")
    print(f"{'palette':18} {'frames/s':>9} {'plain loop':>11} {'ratio':>6}")
    for name, palette in PALETTES.items():
        rate, plain_rate, ratio = measure(poses, palette, options.blocks)
        print(f"{name:18} {rate:9.0f} {plain_rate:11.0f} {ratio:6.2f}{'' if rate >= TARGET else '  below the target'}")


if __name__ == "__main__":
    main()
