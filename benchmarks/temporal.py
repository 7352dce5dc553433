"""Cures of flicker on held-out frames: what each costs and does, alone and together.

    python benchmarks/temporal.py NAME=PAIRS,MODEL ... --out runs/temporal [--raw NAME=PAIRS ...] [--steps 20]

PAIRS: a pair set of one clip with held-out frames (benchmarks/real_clips.py makes them), MODEL: trained on it. --raw:
the same clip's pair set with keypoints as they were estimated, for the row of poses that were not cleaned. Columns:
flicker over the truth's (grey levels, static pixels), what is allowed, warping error over the truth's, SSIM, PSNR,
hands, edges (gradient energy over the truth's), milliseconds a frame, rendering included, and of the cures alone. Rows
that are in OUT already are not made again. --cures takes only these rows of both tables.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from real_clips import held_out

from signgen.files import write_json
from signgen.metrics.clip.flicker import allowed_excess
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.image.pixels import gradient_energy
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.poses.sequence import PoseSequence
from signgen.rendering.inputs import hold_missing
from signgen.rendering.pairs import source_of
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.rendering.steady import Steady
from signgen.video.reader import frame_range, write_png

CURES: dict[str, dict[str, Any]] = {
    "none": {},
    "colour": {"steady": ("colour",)},
    "shimmer": {"steady": ("shimmer",)},
    "background": {"steady": ("background",)},
    "colour, shimmer": {"steady": ("colour", "shimmer")},
    "shimmer, background": {"steady": ("shimmer", "background")},
    "colour, shimmer, background": {"steady": ("colour", "shimmer", "background")},
}
SAMPLED: dict[str, dict[str, Any]] = {
    "one noise": {},
    "a noise for each frame": {"shared_noise": 0.0},
    "shared .95": {"shared_noise": 0.95},
    "from the source, strength .8": {"strength": 0.8},
    "one noise; shimmer": {"steady": ("shimmer",)},
    "one noise; colour, shimmer, background": {"steady": ("colour", "shimmer", "background")},
}
COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_sharpness", "edges")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=PAIRS,MODEL")
    parser.add_argument("--raw", nargs="*", default=[], metavar="NAME=PAIRS")
    parser.add_argument("--steps", type=int, default=20, help="of the sampled rows")
    parser.add_argument("--cures", nargs="*", metavar="ROW", help="names of rows: none, shimmer, ...")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    raw = dict(word.split("=") for word in options.raw)
    rows: list[dict[str, Any]] = []
    for word in options.runs:
        name, _, places = word.partition("=")
        pairs, model = (Path(place) for place in places.split(","))
        sampled = {"solver": "ddim", "steps": options.steps, "noise_scale": 1.0}
        for prefix, table, settings in (("", CURES, {}), (f"{options.steps} steps: ", SAMPLED, sampled)):
            for cure, chosen in table.items():
                if options.cures and cure not in options.cures:
                    continue
                rows.append(row(name, f"{prefix}{cure}", pairs, pairs, model, {**settings, **chosen}, options.out))
        if name in raw:
            rows.append(row(name, "poses as estimated", pairs, Path(raw[name]), model, {}, options.out))
    print(table_of(rows))


def row(
    name: str, cure: str, pairs: Path, poses_of: Path, model: Path, chosen: dict[str, Any], out: Path
) -> dict[str, Any]:
    """One rendering of the held-out frames, scored; kept in OUT."""
    kept = out / f"{name}-{''.join(c if c.isalnum() else '-' for c in cure)}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    pair_set = PairSet.load(pairs)
    clip = pair_set.clips[0]
    pipeline, card = load_model(model)
    renderer = Renderer(pipeline, card, card.sampling(chosen), 0, prepare_device("auto"))
    truth, poses = pair_set.frames(clip.name), PairSet.load(poses_of).poses(clip.name)
    poses, _ = hold_missing(poses)
    part = frame_range(held_out(pair_set, clip.name), len(poses))
    source = source_of(pair_set, 0, 0, poses)
    scorer = FrameScorer(keypoints=pair_set.poses(clip.name).resized(clip.width, clip.height).keypoints)
    numbers = range(part.start, part.stop)
    next(renderer.frames(source, poses, numbers[:1]))  # the first call allocates
    began = time.perf_counter()
    frames = [*renderer.frames(source, poses, numbers)]
    took = (time.perf_counter() - began) / len(numbers)
    cost = cost_of_cures(renderer, source, poses, numbers)
    real = [truth.read(number, number + 1)[0].copy() for number in numbers]
    for number, frame, true in zip(numbers, frames, real, strict=True):
        scorer.update(number, frame, true)
    edges = [sum(gradient_energy(frame).mean() for frame in each) for each in (frames, real)]
    middle = len(numbers) // 2
    write_png(kept.with_suffix(".png"), np.concatenate([real[middle], frames[middle]], 1))
    found = {"clip": name, "cure": cure, "milliseconds": 1000 * took, "cures": 1000 * cost, **scorer.result()["mean"]}
    found["edges"] = float(edges[0] / edges[1])
    write_json(kept, found)
    return found


def cost_of_cures(renderer: Renderer, source: Source, poses: PoseSequence, numbers: range) -> float:
    """Seconds a frame of what is done to frames that are drawn already."""
    steady = Steady(source, poses, renderer.sampling)
    if not steady.active:
        return 0.0
    needed = steady.needed(numbers, len(poses))
    drawn = [*renderer._drawn(source, poses, needed)]
    steady = Steady(source, poses, renderer.sampling)  # which has seen none of them
    began = time.perf_counter()
    for _ in steady.frames(iter(drawn), needed, numbers):
        pass
    return (time.perf_counter() - began) / len(numbers)


def table_of(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    measured = ("flicker over the truth's", "allowed", "warping over the truth's", *COLUMNS)
    heads = ("clip", "cure", *measured, "ms a frame", "of the cures")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for found in rows:
        excess, truth = found["flicker_excess"], found["flicker_truth"]
        warping = found["warping_error"] - found["warping_error_truth"]
        values = [f"{excess:+.2f}", f"{allowed_excess(truth):.2f}", f"{warping:+.2f}"]
        values += ["-" if found.get(c) is None else f"{found[c]:.{1 if c == 'psnr' else 3}f}" for c in COLUMNS]
        values += [f"{found['milliseconds']:.0f}", f"{found['cures']:.1f}"]
        lines.append(f"| {found['clip']} | {found['cure']} | {' | '.join(values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
