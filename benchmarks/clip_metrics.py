"""What each metric of a clip costs, and what it says of FPDM's published clip of 25June and of one frame repeated.

    OMP_NUM_THREADS=1 python benchmarks/clip_metrics.py TESTDATA

Processor time of one thread, the best of three passes over 49 frames of 210x260, without networks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from signgen.data.video import open_frames
from signgen.metrics.baselines import CopySource
from signgen.metrics.frame_pair import FramePair, TruthFrame
from signgen.metrics.scoring import FrameScorer, frame_metrics
from signgen.poses import read_poses

NAME = "25June_2010_Friday_tagesschau-3880"
WIDTH = 210
PASSES = 3


def panel(frames: np.ndarray, number: int) -> np.ndarray:
    """(T, H, 210, 3): the panel of this number, from 0."""
    return np.ascontiguousarray(frames[:, :, number * WIDTH : (number + 1) * WIDTH])


def milliseconds(work: Callable[[], int]) -> float:
    """Of processor time for each of as many things as `work` says it has done."""
    best = float("inf")
    for _ in range(PASSES):
        start = time.process_time()
        count = work()
        best = min(best, 1000 * (time.process_time() - start) / count)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    folder = parser.parse_args().testdata / "phoenix"
    cv2.setNumThreads(1)
    frames = open_frames(folder / f"{NAME}.fourpanel.gif").read()
    truth, generated = panel(frames, 2), panel(frames, 3)
    keypoints = read_poses(folder / f"{NAME}.mmpose133.json", size=(WIDTH, truth.shape[1])).keypoints

    for metric in frame_metrics(keypoints.shape[1], None):

        def alone(metric=metric) -> int:
            for i in range(1, len(truth)):
                real = TruthFrame(i, truth[i], truth[i - 1], keypoints[i])
                metric(FramePair(real, generated[i], generated[i - 1]))
            return len(truth) - 1

        print(f"{', '.join(metric.names)}: {milliseconds(alone):.1f} ms a frame, alone")

    for quick in (True, False):
        for baselines in ({}, {"copy-source": CopySource(truth[0])}):

            def whole(quick=quick, baselines=baselines) -> int:
                scorer = FrameScorer(keypoints=keypoints, baselines=baselines, quick=quick)
                for i, pair in enumerate(zip(generated, truth, strict=True)):
                    scorer.update(i, *pair)
                whole.result = scorer.result()
                return len(truth)

            what = f"{'as render' if quick else 'as evaluate'}, {len(baselines)} baselines"
            print(f"{what}: {milliseconds(whole):.1f} ms a frame")

    print("\n| metric | FPDM | copy-source |\n|---|---|---|")
    for name, value in whole.result["mean"].items():
        print(f"| {name} | {value:.3f} | {whole.result['baselines']['copy-source'][name]:.3f} |")


if __name__ == "__main__":
    main()
