"""Feeding the trainer: triples per second from PNG trees, long-GOP mp4 and the store, beside a loader that seeks.

    python benchmarks/loader.py FOLDER [--signers 8 --clips 10 --frames 100] [--rounds 3]

Makes a corpus of drawn signers once in FOLDER: the same clips as mp4 (H.264, one key frame in 250) and as PNG, and
three pair sets of them: png, mp4, and mp4 with its frames stored. Each loader then feeds a whole pass over all triples,
beginning with cold caches, and in turn, so that whatever else the machine does meets all. The seeking loader is what a
script would do: cv2.VideoCapture, set to the source's and then to the target's frame; everything after decoding is the
same code. A pass that does not end within ten minutes counts as hung and ends the benchmark with an error.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import DataLoader

from signgen.config import Augmentation
from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.poses.palettes import SIGNGEN_133
from signgen.training.data.batches import StepBatches
from signgen.training.data.dataset import TripleDataset
from signgen.training.data.frames import CanvasFrames
from signgen.video.reader import open_frames, write_png

CANVAS = Canvas(256, 256)
BATCH = 10
TARGET = 5.0  # times the seeking loader, from mp4
HUNG = 600.0  # seconds
SOURCES = ("png", "mp4", "store", "seek")


class SeekedFrames(CanvasFrames):
    """Every frame by a seek of its own."""

    def __call__(self, clip: str, frame: int) -> np.ndarray:
        capture = cv2.VideoCapture(str(self.pairs.clip(clip).path))
        capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
        there, image = capture.read()
        if not there:
            raise RuntimeError(f"{clip}: frame {frame} cannot be read")
        return self.canvas.fit_frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def signgen(*words: object) -> None:
    """Print a signgen command and run it."""
    command = [str(word) for word in words]
    print("$ signgen " + " ".join(command), flush=True)
    subprocess.run([sys.executable, "-m", "signgen", *command], check=True, stdout=subprocess.DEVNULL)


def prepare(folder: Path, signers: int, clips: int, frames: int, per_clip: int) -> dict[str, PairSet]:
    """The corpus and its pair sets; what is there already is used."""
    videos, images = folder / "corpus" / "train", folder / "images"
    if not videos.is_dir():
        size = ("--signers", signers, "--clips", clips, "--frames", frames)
        signgen("synthesize", folder / "corpus", "--layout", "videos", *size)
    if not images.is_dir():
        for video in sorted(videos.glob("*.mp4")):
            for index, frame in enumerate(open_frames(video).read()):
                write_png(images / video.stem / f"images{index + 1:04d}.png", frame)
    pairs = {}
    for name, root in (("png", images), ("mp4", videos), ("store", videos)):
        out = folder / f"pairs-{name}"
        if not out.is_dir():
            count = per_clip * signers * clips
            options = ("--keypoints", videos, "--holdout-tail", 0, "--count", count)
            signgen("build-pairs", root, "--out", out, *options, *(["--store"] if name == "store" else []))
        pairs[name] = PairSet.load(out)
    return {**pairs, "seek": pairs["mp4"]}


def one_pass(name: str, pairs: PairSet, workers: int) -> float:
    """Triples per second over a whole pass, cold caches, and the time to start the workers included."""
    augmentation = Augmentation(shift=4, scale=0.02)
    dataset = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, augmentation, seed=0)
    if name == "seek":
        dataset.frames = SeekedFrames(pairs, CANVAS)
    order = len(dataset) if name == "seek" else dataset.order_by
    batches = StepBatches(order, BATCH, 0, 0, len(dataset) // BATCH)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, timeout=HUNG if workers else 0)
    began = time.monotonic()
    fed = sum(len(batch["target"]) for batch in loader)
    return fed / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--signers", type=int, default=8)
    parser.add_argument("--clips", type=int, default=10, help="of each signer")
    parser.add_argument("--frames", type=int, default=100, help="of each clip")
    parser.add_argument("--per-clip", type=int, default=14, help="triples; 100,000 over 7,096 clips are 14")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    pairs = prepare(args.folder, args.signers, args.clips, args.frames, args.per_clip)
    cv2.setNumThreads(1)
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.rounds):
        for workers in args.workers:
            for name in SOURCES:
                rates.setdefault((name, workers), []).append(one_pass(name, pairs[name], workers))
    print(f"\n{len(pairs['mp4'].triples('train'))} triples, {len(pairs['mp4'].clips)} clips of {args.frames} frames")
    print("| triples/s, median of passes | " + " | ".join(f"{w} workers" for w in args.workers) + " |")
    print("|---" * (len(args.workers) + 1) + "|")
    for name in SOURCES:
        print(f"| {name} | " + " | ".join(f"{statistics.median(rates[name, w]):.0f}" for w in args.workers) + " |")
    for name in SOURCES[:-1]:
        ratios = [statistics.median(np.divide(rates[name, w], rates["seek", w])) for w in args.workers]
        print(f"| {name}, times seek | " + " | ".join(f"{ratio:.1f}" for ratio in ratios) + " |")
    slowest = min(statistics.median(np.divide(rates["mp4", w], rates["seek", w])) for w in args.workers)
    print(f"mp4 is at least {slowest:.1f} times the seeking loader (target {TARGET:g}); {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
