"""Trains nano on one real clip at a time and scores its held-out last quarter; prints the README's table.

    python benchmarks/real_clips.py TESTDATA --clips human_signer 25June --seeds 0 1 2 --minutes 10 --out runs/real

Every step is a `signgen` command, printed before it runs. Keypoints are cleaned first, for training and rendering
alike. Scores are taken twice: at the clip's native size, and on the model's canvas (the clip is squashed to the canvas
first; then source, truth and output all have that size).
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.video.reader import write_png

PHOENIX = "phoenix/PHOENIX-2014-T-release-v3"
COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "hand_sharpness", "face_ssim", "flicker", "flicker_truth")


@dataclass(frozen=True)
class Clip:
    """Where a test clip lies under the test data: the ROOT of build-pairs, its options, and the clip's name."""

    root: str
    name: str
    keypoints: str | None = None


CLIPS = {
    "human_signer": Clip("signers", "human_signer"),
    "football": Clip("signers", "football"),
    "clip_b": Clip(PHOENIX, "clip_b", "phoenix/keypoints"),
    "25June": Clip(PHOENIX, "25June_2010_Friday_tagesschau-3880", "phoenix/keypoints"),
}


def signgen(*words: object) -> None:
    """Print a signgen command and run it."""
    command = [str(word) for word in words]
    print("$ signgen " + shlex.join(command), flush=True)
    subprocess.run([sys.executable, "-m", "signgen", *command], check=True)


def build(data: Path, clip: Clip, out: Path) -> PairSet:
    """The clip's pair set with cleaned keypoints, last quarter held out."""
    keypoints = ["--keypoints", data / clip.keypoints] if clip.keypoints else []
    options = ("--clips", clip.name, "--holdout-tail", 0.25, "--crop", "none")  # as figures of before
    signgen("build-pairs", data / clip.root, "--out", out / "raw", *keypoints, *options)
    raw, clean = PairSet.load(out / "raw").pose_path(clip.name), out / "clean"
    clean.mkdir(exist_ok=True)
    signgen("poses", "clean", raw, clean / raw.name)
    signgen("build-pairs", data / clip.root, "--out", out / "pairs", "--keypoints", clean, *options)
    return PairSet.load(out / "pairs")


def canvas_copy(pairs: PairSet, clip: str, canvas: Canvas, folder: Path) -> tuple[Path, Path]:
    """The clip squashed to the canvas: a folder of PNGs and its keypoints."""
    frames, poses = pairs.frames(clip), pairs.poses(clip)
    for index in range(frames.num_frames):
        frame = canvas.fit_frame(frames.read(index, index + 1)[0])
        write_png(folder / "frames" / f"images{index + 1:04d}.png", frame)
    path = folder / "frames.poses.npz"
    poses.resized(canvas.width, canvas.height).save(path)
    return folder / "frames", path


def held_out(pairs: PairSet, clip: str) -> str:
    """`A:B`: the held-out frames, without a person-less end (human_signer ends on a black frame)."""
    record, there = pairs.clip(clip), pairs.poses(clip).has_person
    last = record.num_frames
    while not there[last - 1]:
        last -= 1
    return f"{record.holdout_start}:{last}"


def measure(data: Path, name: str, seed: int, minutes: float, out: Path, extra: list[str]) -> list[dict[str, object]]:
    """One run: train, render the held-out frames natively and on the canvas; a row for each size."""
    clip = CLIPS[name]
    folder = out / f"{name}-{seed}"
    pairs = build(data, clip, folder)
    began = time.monotonic()
    run = folder / "run"
    signgen(
        "train", folder / "pairs", "--config", "nano", "--out", run, "--seed", seed, "--max-minutes", minutes, *extra
    )
    seconds = time.monotonic() - began
    poses = pairs.pose_path(clip.name)
    native = pairs.clip(clip.name).path
    small, small_poses = canvas_copy(pairs, clip.name, Canvas(128, 128), folder / "canvas")
    signgen("build-pairs", folder / "canvas", "--out", folder / "canvas-pairs", "--holdout-tail", 0.25)
    rows: list[dict[str, object]] = []
    for size, source, keypoints, known in (
        ("native", native, poses, folder / "pairs"),
        ("canvas", small, small_poses, folder / "canvas-pairs"),
    ):
        video = folder / f"{size}.mp4"
        part = held_out(pairs, clip.name)
        options = ("--model", run / "model", "--frames", part, "--pairs", known, "--side-by-side")
        signgen("render", source, keypoints, "--out", video, "--save-frames", folder / f"{size}-frames", *options)
        result = json.loads((folder / f"{size}.metrics.json").read_text())
        rows.append({"clip": name, "seed": seed, "size": size, "seconds": round(seconds), "frames": part, **result})
    steps = json.loads((run / "run.json").read_text())["steps"]
    return [{**row, "steps": steps} for row in rows]


def table(rows: list[dict], columns: tuple[str, ...] = COLUMNS) -> str:
    """Markdown: one line a run, and the baselines once for every clip and size."""
    lines = ["| clip, size | who | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    seen = set()
    for row in sorted(rows, key=lambda r: (r["clip"], r["size"], r["seed"])):
        place = f"{row['clip']}, {row['size']}"
        if place not in seen:
            seen.add(place)
            lines += [line(place, who, means, columns) for who, means in row["baselines"].items()]
        lines.append(line(place, f"nano, seed {row['seed']}", row["mean"], columns))
    return "\n".join(lines)


def line(place: str, who: str, means: dict, columns: tuple[str, ...]) -> str:
    """One row of the table."""
    values = (("-" if means.get(c) is None else f"{means[c]:.{1 if 'psnr' in c else 3}f}") for c in columns)
    return f"| {place} | {who} | " + " | ".join(values) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--clips", nargs="+", choices=sorted(CLIPS), default=["human_signer", "25June"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--extra", default="", help="further options of `signgen train`, as one string")
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        for name in args.clips:
            rows += measure(args.testdata, name, seed, args.minutes, args.out, shlex.split(args.extra))
            (args.out / "rows.json").write_text(json.dumps(rows, indent=1))
            print(table(rows), flush=True)
    print(f"machine: {platform.processor() or platform.machine()}, {platform.platform()}")


if __name__ == "__main__":
    main()
