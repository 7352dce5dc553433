r"""Whether the full method learns: phoenix-256 with random weights on one real clip; SSIM of its training frames.

    python benchmarks/learns.py TESTDATA --out runs/learns                                  two CPU cores, an hour
    python benchmarks/learns.py TESTDATA --out runs/learns --size full --minutes 20 --device cuda

The small VAE of small_vae.py is trained first, on the clip's training frames; then both stages, by phoenix-256's own
noise schedule, objective and guidance, with 20 steps of its solver. mid: a UNet of 71 million parameters at 128x128,
for CPUs. full: phoenix-256's UNet at 256x256. What is there already is kept, and an interrupted run goes on. Scores are
taken at the canvas's size, where the line `vae` is the bound, and at the clip's own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from real_clips import CLIPS, build, line, signgen
from small_vae import CONFIG as VAE

from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.scorer import Baseline, FrameScorer
from signgen.models.canvas import Canvas
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.poses.sequence import PoseSequence
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.video.reader import write_png

COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_sharpness", "face_ssim")
_TOWER = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 128, "patch_size": 16}
# What phoenix-256 takes from the Hub, at random: networks in front of the UNet are small in both sizes.
BOTH: dict[str, Any] = {
    "extends": "phoenix-256",
    "source_encoder": {
        "side": 112,
        "origin": None,
        "config": {
            "hidden_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "mlp_ratio": 4,
            "image_size": 112,
            "patch_size": 14,
        },
    },
    "fusion": {
        "side": 128,
        "dropout": 0.1,
        "tower": {"origin": None, "config": {**_TOWER, "intermediate_size": 256, "projection_dim": 128}},
    },
    "diffusion": {"scheduler": {"origin": None}},
    "unet": {"origin": None},
    "training": {
        "workers": 0,
        "fusion": {"share": 0.05, "batch_size": 16, "learning_rate": 7.0e-4, "warmup": 30},
        "diffusion": {"share": 0.95, "validations": 1, "accumulation": 1, "warmup": 50},
    },
    "sampling": {"micro_batch": 8},
}


def conditions(channels: list[int]) -> list[dict[str, Any]]:
    """phoenix-256's. channels: of the pose map, one number for each halving of the canvas and one."""
    return [
        {"kind": "source_tokens", "options": {"hidden": 192, "dropout": 0.2}},
        {"kind": "pose_map", "options": {"channels": channels}},
        {"kind": "fusion_vector", "options": {"dropout": 0.2}},
    ]


SIZES: dict[str, dict[str, Any]] = {
    "mid": {
        "canvas": {"width": 128, "height": 128},
        "conditions": conditions([16, 32, 64]),
        "unet": {
            "config": {
                "block_out_channels": [64, 128, 256, 512],
                "cross_attention_dim": 256,
                "attention_head_dim": [2, 4, 8, 16],
                "upcast_attention": False,
            }
        },
        "training": {"diffusion": {"batch_size": 4, "learning_rate": 3.0e-4, "ema": 0.995}},
    },
    "full": {
        "canvas": {"width": 256, "height": 256},
        "conditions": conditions([16, 32, 96]),
        "training": {"diffusion": {"batch_size": 16, "learning_rate": 1.0e-4, "ema": 0.999}},
    },
}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`first` with what `second` says instead, key by key."""
    both = dict(first)
    for name, value in second.items():
        inner = isinstance(value, dict) and isinstance(both.get(name), dict)
        both[name] = merged(both[name], value) if inner else value
    return both


def recipe_file(size: str, vae: Path, folder: Path) -> Path:
    """The recipe of this size, in the latents of `vae`."""
    space = {"factor": 4, "origin": str(vae), "subfolder": None, "config": {**VAE, "block_out_channels": [32, 64, 64]}}
    space["config"] |= {name: list(VAE[name]) for name in ("down_block_types", "up_block_types")}
    values = merged(merged(BOTH, SIZES[size]), {"name": f"phoenix-{size}", "image_space": space})
    path = folder / f"{size}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def small_vae(pairs: Path, out: Path, steps: int, canvas: Canvas, device: str) -> None:
    if not (out / "config.json").exists():
        words = [pairs, "--out", out, "--steps", steps, "--size", f"{canvas.width}x{canvas.height}", "--device", device]
        script = Path(__file__).with_name("small_vae.py")
        subprocess.run([sys.executable, str(script), *(str(word) for word in words)], check=True)


def trained(pairs: Path, recipe: Path, run: Path, minutes: float, device: str, extra: list[str]) -> Path:
    if not (run / "model" / "signgen.json").exists():
        going_on = ("--resume",) if (run / "recipe.yaml").exists() else ()
        options = ("--config", recipe, "--out", run, "--max-minutes", minutes, "--device", device)
        signgen("train", pairs, *options, *extra, *going_on)
    return run / "model"


def scores(args: argparse.Namespace, pairs: PairSet, model: Path, canvas: Canvas) -> Iterator[str]:
    """Lines of the table: every third training and held-out frame, by the recipe's guidance and without any, at both
    sizes. Pictures beside their truth are in `frames-*.png`."""
    name = CLIPS[args.clip].name
    clip, truth, poses = pairs.clip(name), pairs.frames(name).read(), pairs.poses(name)
    pipeline, card = load_model(model)
    recipes = card.parsed_recipe().sampling
    source, device = Source(truth[0], poses[0:1], name), prepare_device(args.device)
    parts = {"training": range(1, clip.holdout_start, 3), "held out": range(clip.holdout_start, clip.num_frames, 3)}
    yield "| frames, size | who | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 2) + "|"
    for sampling in (recipes, recipes.model_copy(update={"w_c": 1.0, "w_f": 1.0})):
        renderer = Renderer(pipeline, card, sampling, device=device)
        for part, frames in parts.items():
            made = dict(zip(frames, renderer.frames(source, poses, frames), strict=True))
            rebuilt = {index: renderer.reconstruct(truth[index]) for index in frames}
            rows = [np.concatenate([truth[i], rebuilt[i], made[i]], 1) for i in frames[:: len(frames) // 4]]
            write_png(args.out / f"frames-{part.split()[0]}-{sampling.w_c:g}.png", np.concatenate(rows))
            for size in ("canvas", "native"):
                place, who = f"{part}, {size}", f"guidance {sampling.w_c:g}"
                found = scored(canvas if size == "canvas" else None, truth, poses, made, rebuilt)
                if sampling is recipes:
                    yield from (line(place, baseline, means, COLUMNS) for baseline, means in found["baselines"].items())
                yield line(place, who, found["mean"], COLUMNS)


def scored(
    canvas: Canvas | None,
    truth: np.ndarray,
    poses: PoseSequence,
    made: dict[int, np.ndarray],
    rebuilt: dict[int, np.ndarray],
) -> dict[str, Any]:
    """Scores of frames and of both baselines: the first frame, and the truth as the VAE gives it back."""

    def fitted(frame: np.ndarray) -> np.ndarray:
        return canvas.fit_frame(frame) if canvas else frame

    points = poses.resized(canvas.width, canvas.height) if canvas else poses
    baselines: dict[str, Baseline] = {
        "copy-source": CopySource(fitted(truth[0])),
        "vae": lambda index, _: fitted(rebuilt[index]),
    }
    scorer = FrameScorer(keypoints=points.keypoints, quick=True, baselines=baselines)
    for index, frame in made.items():
        scorer.update(index, fitted(frame), fitted(truth[index]))
    return scorer.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--clip", choices=sorted(CLIPS), default="clip_b")
    parser.add_argument("--size", choices=sorted(SIZES), default="mid")
    parser.add_argument("--minutes", type=float, default=60.0, help="of both stages")
    parser.add_argument("--vae-steps", type=int, default=600)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--extra", nargs="*", default=[], help="further changes of the recipe, A.B=C")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    folder = args.out / "pairs"
    if not (folder / "meta.json").exists():
        build(args.testdata, CLIPS[args.clip], args.out)
    pairs = PairSet.load(folder)
    canvas = Canvas(**SIZES[args.size]["canvas"], resample="lanczos")
    vae = args.out / f"vae-{args.size}"
    small_vae(folder, vae, args.vae_steps, canvas, args.device)
    changes = [word for change in args.extra for word in ("--set", change)]
    recipe = recipe_file(args.size, vae, args.out)
    model = trained(folder, recipe, args.out / f"run-{args.size}", args.minutes, args.device, changes)
    for row in scores(args, pairs, model, canvas):
        print(row, flush=True)
    print("steps:", json.loads((model.parent / "run.json").read_text())["steps"])


if __name__ == "__main__":
    main()
