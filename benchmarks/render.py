"""Frames per second of rendering to mp4: a plain per-frame path against signgen's, interleaved in one run.

    python benchmarks/render.py MODEL VIDEO POSES [--rounds 3]

plain: one frame at a time, the source encoded anew for each. signgen: clip constants once, micro-batches. Both write
an mp4 of the source's size. Prints the frame rates, their ratio, and the PSNR between the two videos' frames.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

from signgen.metrics.image.pixels import psnr
from signgen.models.card import load_model
from signgen.poses import PoseSequence, read_poses
from signgen.rendering.inputs import hold_missing
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter

Path_ = Callable[[Renderer, Source, PoseSequence], Iterator[np.ndarray]]


def plain(renderer: Renderer, source: Source, poses: PoseSequence) -> Iterator[np.ndarray]:
    """One frame at a time, everything computed for each."""
    for index in range(len(poses)):
        yield from renderer.frames(source, poses, range(index, index + 1))


def ours(renderer: Renderer, source: Source, poses: PoseSequence) -> Iterator[np.ndarray]:
    """The renderer as `signgen render` uses it."""
    yield from renderer.frames(source, poses)


def timed(path: Path_, renderer: Renderer, source: Source, poses: PoseSequence, out: Path) -> tuple[float, np.ndarray]:
    """Frames per second to a finished mp4, and the frames."""
    height, width = source.frame.shape[:2]
    began, frames = time.perf_counter(), []
    with VideoWriter(out, width, height, poses.fps or 25) as writer:
        for frame in path(renderer, source, poses):
            writer.write(frame)
            frames.append(frame)
    return len(frames) / (time.perf_counter() - began), np.stack(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("poses", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    pipeline, card = load_model(args.model)
    sampling = card.parsed_recipe().sampling
    single = Renderer(pipeline, card, sampling.model_copy(update={"micro_batch": 1}))
    batched = Renderer(pipeline, card, sampling)
    video = open_frames(args.video)
    poses, _ = hold_missing(read_poses(args.poses, size=(video.width, video.height), fps=video.fps))
    source = Source(video.read(0, 1)[0], poses[0:1], args.video.stem)
    rates: dict[str, list[float]] = {"plain": [], "signgen": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        for _ in range(args.rounds + 1):  # the first round warms up
            plain_rate, plain_frames = timed(plain, single, source, poses, out)
            our_rate, our_frames = timed(ours, batched, source, poses, out)
            rates["plain"].append(plain_rate)
            rates["signgen"].append(our_rate)
    fps = {name: median(values[1:]) for name, values in rates.items()}
    agreement = min(psnr(a, b) for a, b in zip(our_frames, plain_frames, strict=True))
    print(
        f"{len(poses)} frames of {video.width}x{video.height}, solver steps {sampling.steps},"
        f" threads {torch.get_num_threads()}"
    )
    print(f"plain   {fps['plain']:6.1f} frames/s\nsigngen {fps['signgen']:6.1f} frames/s")
    print(f"ratio {fps['signgen'] / fps['plain']:.2f}, lowest PSNR between the two {agreement:.1f} dB")


if __name__ == "__main__":
    main()
