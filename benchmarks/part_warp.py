"""Cost and worth of the part warp alone: milliseconds of a bank and of a warp, and scores against copy-source.

    OMP_NUM_THREADS=1 python benchmarks/part_warp.py [--signers 4] [--frames 40] [--rounds 3]

Drawn signers with both hands in the picture, exact keypoints, the first frame as the source; one core. Times are
medians over all frames of the fastest round, sizes in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time

import cv2
import numpy as np

from signgen.data.canvas import Canvas
from signgen.data.synthetic.corpus import plan_takes
from signgen.metrics.frame_scores import score_frame
from signgen.metrics.image import box_mask
from signgen.poses.parts import part_boxes
from signgen.warp.bank import source_bank
from signgen.warp.compose import part_warp

SIZES = {128: 4.0, 256: 12.0}  # canvas side -> milliseconds that a warp may take
BANK = 150.0
METRICS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim", "face_psnr")


def clips(signers: int, frames: int, side: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames (T, side, side, 3) and keypoints (T, 133, 3) of each signer."""
    canvas = Canvas(side, side)
    made = [take.render() for take in plan_takes(3, signers=signers, clips=1, frames=frames)["train"]]
    return [
        (
            np.stack([canvas.fit_frame(frame) for frame in clip.frames]),
            canvas.fit_keypoints(clip.poses.keypoints, clip.poses.width, clip.poses.height),
        )
        for clip in made
    ]


def timed(frames: np.ndarray, points: np.ndarray) -> tuple[float, list[float]]:
    """Milliseconds of the bank and of each warp."""
    began = time.perf_counter()
    bank = source_bank(frames[0], points[0])
    middle = time.perf_counter()
    assert bank is not None
    warps = []
    for keypoints in points:
        start = time.perf_counter()
        part_warp(bank, keypoints)
        warps.append((time.perf_counter() - start) * 1e3)
    return (middle - began) * 1e3, warps


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
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    worlds = {side: clips(args.signers, args.frames, side) for side in SIZES}
    found: dict[int, list[tuple[float, float]]] = {side: [] for side in SIZES}
    for _ in range(args.rounds):
        for side, world in worlds.items():
            times = [timed(*clip) for clip in world]
            warps = [value for _, values in times for value in values]
            found[side].append((statistics.median(bank for bank, _ in times), statistics.median(warps)))
    print("| canvas | bank, ms (target 150) | warp, ms | target |\n|---|---|---|---|")
    for side, target in SIZES.items():
        bank, warp = (min(column) for column in zip(*found[side], strict=True))
        print(f"| {side}x{side} | {bank:.0f} | {warp:.1f} | {target:g} |")
    print(f"\n| 128x128 | {' | '.join(METRICS)} |\n|{'---|' * (len(METRICS) + 1)}")
    rows = [scored(*clip) for clip in worlds[128]]
    for name, index in (("part warp", 0), ("copy-source", 1)):
        means = [np.mean([row[m] for pair in rows for row in pair[index] if row.get(m) is not None]) for m in METRICS]
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


if __name__ == "__main__":
    main()
