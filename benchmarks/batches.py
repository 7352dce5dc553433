"""How a batch mixes clips, and what that costs the loader: triples a second in two orders, interleaved.

    OMP_NUM_THREADS=1 python benchmarks/batches.py [--clips 600] [--rounds 3] [--batches 300]

The corpus is one drawn clip under many names, 14 triples each, as Phoenix-2014T has them. `groups` is the order of
0.2, in which a lane shuffled eight clips with each other; `open` is in_lanes. A pass begins with cold caches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from torch.utils.data import DataLoader

from signgen.config import Augmentation
from signgen.models.canvas import Canvas
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.palettes import SIGNGEN_133
from signgen.synthetic import Identity, Motion, render_clip, write_videos
from signgen.training.data import batches
from signgen.training.data.batches import LANES, StepBatches, in_lanes
from signgen.training.data.dataset import TripleDataset

BATCH = 48


def in_groups(clips: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Lanes of clips; in a lane, the triples of eight clips at a time are shuffled; batches from the lanes in turn."""
    present, clip_of = np.unique(clips, return_inverse=True)
    place = rng.permutation(len(present))
    lane, group = place % LANES, place // LANES // 8
    order = np.lexsort((rng.random(len(clips)), group[clip_of], lane[clip_of]))
    at = lane[clip_of][order]
    within = np.arange(len(clips)) - np.searchsorted(at, at)
    return order[np.lexsort((within, at, within // batch_size))]


ORDERS = {"groups": in_groups, "open": in_lanes}


def corpus(folder: Path, clips: int) -> Path:
    """One drawn clip of 100 frames, linked under many names, and its pair set."""
    write_videos(folder / "drawn", [render_clip(Identity.random(0, "a"), Motion.random(0, 100), name="a")])
    (folder / "videos").mkdir()
    for number in range(clips):
        for suffix in (".mp4", ".mmpose.json"):
            os.link(folder / "drawn" / f"a{suffix}", folder / "videos" / f"c{number:05d}{suffix}")
    build_pairs(BuildPairsRequest(folder / "videos", folder / "pairs", count=14 * clips, holdout_tail=0.05))
    return folder / "pairs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, help="the first so many of a pass; default: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batches-") as name:
        pairs = PairSet.load(corpus(Path(name), options.clips))
        speeds: dict[str, list[float]] = {order: [] for order in ORDERS}
        for number in range(options.rounds):
            for order, function in ORDERS.items():
                with mock.patch.object(batches, "in_lanes", function):
                    speeds[order].append(speed(pairs, number, options.workers, options.batches))
            print(", ".join(f"{order} {found[-1]:.0f}" for order, found in speeds.items()), flush=True)
        clips = pairs.triples("train")["clip"]
        for order, function in ORDERS.items():
            found = clips[function(clips, BATCH, np.random.default_rng(0))]
            distinct = [len(np.unique(each)) for each in found[: len(found) // BATCH * BATCH].reshape(-1, BATCH)]
            fast = statistics.median(speeds[order])
            print(f"{order}: {fast:.0f} triples a second, {np.mean(distinct):.1f} clips in {BATCH}")
        ratios = [after / before for before, after in zip(*speeds.values(), strict=True)]
        print(f"open / groups: {statistics.median(ratios):.2f}")


def speed(pairs: PairSet, seed: int, workers: int, batches: int | None) -> float:
    """Triples a second over one pass, or its beginning."""
    dataset = TripleDataset(pairs, "train", Canvas(256, 256, resample="lanczos"), SIGNGEN_133, Augmentation(), seed)
    steps = min(len(dataset) // BATCH, batches or len(dataset))
    loader = DataLoader(
        dataset, batch_sampler=StepBatches(dataset.order_by, BATCH, seed, 0, steps), num_workers=workers
    )
    began = time.perf_counter()
    for _ in loader:
        pass
    return steps * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
