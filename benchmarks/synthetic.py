"""Frames per second of drawing synthetic signers with their keypoints, in one process and in several.

    python benchmarks/synthetic.py [--clips 8] [--frames 100] [--processes 2]

Starting the processes is not counted: a first clip of each comes before the clock starts. Prints wall-clock rates, and
for one process that of its processor time, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import os
import time

import cv2

from signgen.data.synthetic import Take, plan_takes, render_takes


def rate(takes: list[Take], processes: int) -> float:
    """Frames per second of wall-clock time once every process has delivered."""
    clips = render_takes(takes[:processes] * 2 + takes, processes)
    for _ in range(2 * processes):
        next(clips)
    began = time.perf_counter()
    return sum(len(clip.frames) for clip in clips) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    takes = plan_takes(0, signers=args.clips, clips=1, frames=args.frames)["train"]
    began = time.process_time()
    single = rate(takes, 1)
    busy = (time.process_time() - began) / (args.frames * (args.clips + 2))
    print(f"{args.clips} clips of {args.frames} frames of 210x260")
    print(f"1 process    {single:6.1f} frames/s, {1 / busy:6.1f} a second of processor time")
    print(f"{args.processes} processes  {rate(takes, args.processes):6.1f} frames/s")


if __name__ == "__main__":
    main()
