"""The sign reader of `signgen evaluate-reading`: how long it takes to learn, what it reads of people whom it never saw,
and of their pictures blurred, without hands, or standing still.

    OMP_NUM_THREADS=2 python benchmarks/reading.py --processes 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from signgen.evaluation.sign_reader import (
    VIEWS,
    ReaderSettings,
    SignPictures,
    load_reader,
    sampled,
    save_reader,
    sign_pictures,
    train_reader,
)
from signgen.metrics.intervals import wilson
from signgen.poses.parts import part_boxes
from signgen.synthetic.clip import render_frames
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion

SEED = 0xBE9C << 32  # people and sentences of neither the reader nor any corpus
LENGTH = 100

Frames = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # frames, keypoints, frame 0 -> frames


def blurred(sigma: float) -> Frames:
    return lambda frames, points, first: np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


def without_hands(frames: np.ndarray, points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Both hands' boxes filled with their mean colour."""
    erased = frames.copy()
    for frame, pose in zip(erased, points, strict=True):
        boxes = part_boxes(pose, frame.shape[1], frame.shape[0])
        for name in ("left_hand", "right_hand"):
            if (box := boxes[name]) is not None:
                x0, y0, x1, y1 = box
                frame[y0:y1, x0:x1] = frame[y0:y1, x0:x1].mean((0, 1)).astype(np.uint8)
    return erased


SHOWN: dict[str, Frames] = {
    "the truth": lambda frames, points, first: frames,
    "blurred, sigma 2 px": blurred(2),
    "blurred, sigma 4 px": blurred(4),
    "blurred, sigma 8 px": blurred(8),
    "hands filled with their mean colour": without_hands,
    "the first frame, repeated": lambda frames, points, first: np.repeat(first[None], len(frames), 0),
}


def draw(sentences: int) -> tuple[list[str], dict[str, list[SignPictures]]]:
    """The signs, and what the reader is shown of them in each way."""
    said: list[str] = []
    shown: dict[str, list[SignPictures]] = {name: [] for name in SHOWN}
    for seed in range(SEED, SEED + sentences):
        who, motion = Identity.random(seed, "bench"), Motion.random(seed, LENGTH)
        first = render_frames(who, motion, [0])[0][0]
        for sign in motion.signed:
            frames, points = render_frames(who, motion, sampled(sign))
            said.append(sign.word)
            for name, change in SHOWN.items():
                shown[name].append(sign_pictures(change(frames, points, first), points))
    return said, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=60, help="that are read")
    parser.add_argument("--processes", type=int, default=1, help="that draw what the reader learns from")
    parser.add_argument("--reader", type=Path, help="kept here; taken from here where it is there")
    options = parser.parse_args()
    began, spent = time.monotonic(), time.process_time()
    if options.reader is not None and options.reader.exists():
        reader = load_reader(options.reader)
    else:
        reader = train_reader(ReaderSettings(processes=options.processes))
        took, cpu = time.monotonic() - began, time.process_time() - spent
        print(f"learnt in {took:.0f} s by the clock; {cpu:.0f} s of processor time without the drawing processes")
        if options.reader is not None:
            save_reader(reader, options.reader)
    said, shown = draw(options.sentences)
    print(f"| {len(said)} signs of {options.sentences} people | " + " | ".join(f"by {view}" for view in VIEWS) + " |")
    print("|---|" + "---|" * len(VIEWS))
    for name, pictures in shown.items():
        cells = []
        for view in VIEWS:
            right = sum(read == word for read, word in zip(reader.read(pictures, view), said, strict=True))
            low, high = wilson(right, len(said))
            cells.append(f"{right / len(said):.1%} ({low:.1%} to {high:.1%})")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
