"""Cost and worth of the part warp alone: milliseconds of a bank and of a warp, and scores against copy-source.

    OMP_NUM_THREADS=1 python benchmarks/part_warp.py [--signers 4] [--frames 40] [--rounds 5] [--clip VIDEO POSES]

Drawn signers with both hands in the picture and exact keypoints, or a clip of yours with its keypoints, cleaned; the
first frame as the source; one core. Of each round
the medians over signers and frames are taken; told are the least and the median of the rounds. Sizes take turns. A
stored bank is read from a file that was just written, so from the system's memory and not from a disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from signgen.metrics.clip.frame_metrics import score_frame
from signgen.metrics.image.pixels import box_mask
from signgen.models.canvas import Canvas
from signgen.poses.clean import clean_poses
from signgen.poses.parts import part_boxes
from signgen.poses.readers import read_poses
from signgen.poses.sequence import PoseSequence
from signgen.synthetic.corpus import plan_takes
from signgen.video.reader import open_frames
from signgen.warp.bank import source_bank
from signgen.warp.bank_file import bank_key, read_bank, write_bank
from signgen.warp.compose import part_warp

T = TypeVar("T")
SIZES = {128: 4.0, 256: 12.0}  # canvas side -> milliseconds that a warp may take
BANK = 150.0
METRICS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim", "face_psnr")


def drawn(signers: int, frames: int) -> list[tuple[np.ndarray, PoseSequence]]:
    """Frames and exact keypoints of each signer."""
    made = [take.render() for take in plan_takes(3, signers=signers, clips=1, frames=frames)["train"]]
    return [(clip.frames, clip.poses) for clip in made]


def filmed(video: Path, keypoints: Path, frames: int) -> tuple[np.ndarray, PoseSequence]:
    """The clip's first frames, and their cleaned keypoints."""
    source = open_frames(video)
    poses = clean_poses(read_poses(keypoints, size=(source.width, source.height)))
    frames = min(frames, source.num_frames, len(poses))
    return source.read(0, frames), poses[:frames]


def on_canvas(frames: np.ndarray, poses: PoseSequence, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, side, side, 3) and keypoints (T, 133, 3)."""
    canvas = Canvas(side, side)
    points = canvas.fit_keypoints(poses.keypoints, poses.width, poses.height)
    return np.stack([canvas.fit_frame(frame) for frame in frames]), points


def timed(frames: np.ndarray, points: np.ndarray, file: Path) -> tuple[float, float, list[float]]:
    """Milliseconds of the bank, built and read from `file`, and of each warp."""
    build, bank = stopped(lambda: source_bank(frames[0], points[0]))
    assert bank is not None
    write_bank(file, bank, bank_key(frames[0], points[0]))
    read, stored = stopped(lambda: read_bank(file, bank_key(frames[0], points[0]), points[0]))
    assert stored is not None
    return build, read, [stopped(partial(part_warp, bank, keypoints))[0] for keypoints in points]


def stopped(work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds, and what was made."""
    began = time.perf_counter()
    made = work()
    return (time.perf_counter() - began) * 1e3, made


def scored(frames: np.ndarray, points: np.ndarray) -> tuple[list[dict], list[dict]]:
    """Rows of the warp and of copy-source."""
    bank, side = source_bank(frames[0], points[0]), frames.shape[1]
    assert bank is not None
    ours, copied = [], []
    for truth, keypoints in zip(frames[1:], points[1:], strict=True):
        boxes = part_boxes(keypoints, side, side)
        hands = box_mask([boxes["left_hand"], boxes["right_hand"]], side, side)
        face = box_mask([boxes["face"]], side, side)
        ours.append(score_frame(part_warp(bank, keypoints).image, truth, hands, face))
        copied.append(score_frame(frames[0], truth, hands, face))
    return ours, copied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signers", type=int, default=4)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clip", type=Path, nargs=2, metavar=("VIDEO", "POSES"), help="instead of drawn signers")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    sizes: dict[int, int] = {}
    clips = [filmed(*args.clip, args.frames)] if args.clip else drawn(args.signers, args.frames)
    worlds = {side: [on_canvas(*clip, side) for clip in clips] for side in SIZES}
    found: dict[int, list[tuple[float, ...]]] = {side: [] for side in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bank.npz"
        for _ in range(args.rounds):
            for side, world in worlds.items():
                builds, reads, warps = zip(*(timed(*clip, file) for clip in world), strict=True)
                found[side].append(tuple(map(statistics.median, (builds, reads, [*chain(*warps)]))))
                sizes[side] = file.stat().st_size
    print(f"milliseconds, least / median of {args.rounds} rounds")
    print(f"| canvas | bank (target {BANK:g}) | bank from its file | its KB | warp | target |\n|{'---|' * 6}")
    for side, target in SIZES.items():
        build, read, warp = (f"{min(c):.1f} / {statistics.median(c):.1f}" for c in zip(*found[side], strict=True))
        print(f"| {side}x{side} | {build} | {read} | {sizes[side] / 1e3:.0f} | {warp} | {target:g} |")
    print(f"\n| 128x128 | {' | '.join(METRICS)} |\n|{'---|' * (len(METRICS) + 1)}")
    rows = [scored(*clip) for clip in worlds[128]]
    for name, index in (("part warp", 0), ("copy-source", 1)):
        means = [np.mean([row[m] for pair in rows for row in pair[index] if row.get(m) is not None]) for m in METRICS]
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


if __name__ == "__main__":
    main()
