"""Frames per second of drawing synthetic signers with their keypoints, in one process and in several.

    python benchmarks/synthetic.py [--clips 8] [--frames 100] [--processes 2]

The clock starts when every process has delivered a clip. Beside the wall-clock rate stands that of processor time,
which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import os
import time

import cv2

from signgen.synthetic import Take, plan_takes, render_takes


def rate(takes: list[Take], processes: int) -> tuple[float, float]:
    """Frames per second of wall-clock time, and of processor time, from the first clip's delivery on."""
    clips = render_takes([*takes[:processes], *takes], processes)
    for _ in range(processes):
        next(clips)
    wall, busy = time.perf_counter(), _processor_time()
    frames = sum(len(clip.frames) for clip in clips)
    # A process's own time is known only when it has ended, so that of several includes its start.
    return frames / (time.perf_counter() - wall), frames / (_processor_time() - busy)


def _processor_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    takes = plan_takes(0, signers=args.clips, clips=1, frames=args.frames)["train"]
    print(f"{args.clips} clips of {args.frames} frames of 210x260")
    for processes in (1, args.processes):
        wall, busy = rate(takes, processes)
        print(f"{processes} process(es) {wall:6.1f} frames/s, {busy:6.1f} a second of processor time")


if __name__ == "__main__":
    main()
