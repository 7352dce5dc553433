"""What fine-tuning on a clip gains: a model of one clip, on another clip's held-out quarter, before and after.

    python benchmarks/adapt.py TESTDATA --model runs/real/clip_b-0/run/model --clip football --out runs/adapt

Rows: the model as it is; all weights fine-tuned (`--from`); an adapter (`--lora`); nano from scratch, stage 2 with as
many steps. Every step is a `signgen` command, printed before it runs; what is there already is kept.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from real_clips import CLIPS, build, held_out, line, signgen

from signgen.pairs.pairset import PairSet

COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_sharpness", "face_ssim")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="of another clip, of the recipe nano")
    parser.add_argument("--clip", choices=sorted(CLIPS), default="football")
    parser.add_argument("--steps", type=int, default=500, help="of stage 2")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    folder, clip = args.out / "pairs", CLIPS[args.clip]
    pairs = PairSet.load(folder) if (folder / "meta.json").exists() else build(args.testdata, clip, args.out)
    steps = ("--set", f"training.diffusion.steps={args.steps}", "--set", "training.diffusion.validations=1")
    scratch = ("--config", "nano", "--set", f"training.fusion.steps={args.steps // 5}")
    lora = ("--from", args.model, "--lora", args.rank)
    runs = {
        "as it is": None,
        "all weights": ("--from", args.model),
        f"adapter of rank {args.rank}": lora,
        "from scratch": scratch,
    }
    print("| on | who | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 2) + "|")
    lines, poses, part = [], pairs.pose_path(clip.name), held_out(pairs, clip.name)
    for who, options in runs.items():
        run, began = args.out / who.replace(" ", "-"), time.monotonic()
        if options is not None and not (run / "model").exists() and not (run / "lora").exists():
            signgen("train", folder, "--out", run, *options, *steps)
        trained = time.monotonic() - began
        adapted = (run / "lora").exists()
        model = run / "model" if options is not None and not adapted else args.model
        words = ("--model", model, "--frames", part, "--pairs", folder, *(("--lora", run / "lora") if adapted else ()))
        video = args.out / f"{run.name}.mp4"
        signgen("render", pairs.clip(clip.name).path, poses, "--out", video, "--side-by-side", *words)
        found = json.loads(video.with_name(f"{video.stem}.metrics.json").read_text())
        if not lines:
            lines += [line(args.clip, name, means, COLUMNS) for name, means in found["baselines"].items()]
        lines.append(line(args.clip, f"{who}, {trained:.0f} s", found["mean"], COLUMNS))
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
