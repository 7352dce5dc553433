"""Kills training at random moments, and checks that what comes out in the end is what an uninterrupted run writes.

    OMP_NUM_THREADS=1 python benchmarks/kill.py --kills 6        minutes
    OMP_NUM_THREADS=1 python benchmarks/kill.py --kills 200
    OMP_NUM_THREADS=1 python benchmarks/kill.py render --frames 20000 --kills 20       rendering instead: kill_render.py

A tiny FPDM with a VAE, dropout everywhere, accumulation and an average of its weights trains both stages on drawn
signers, and saves every tenth of a second. Each run gets SIGKILL again and again: while the features of frames are
computed, inside a step, or while a state is written, and goes on with --resume; between two runs, and sometimes between
two kills, the features are deleted. A run that ends is compared with the uninterrupted one, bit by bit.

Its last line is the figure; exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

PHASES = ("features", "writing", "anything")
LONGEST = 120.0  # seconds for one leg; it is a failure to hang

_VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
RECIPE = {
    "extends": "phoenix-256",
    "name": "killed",
    "canvas": {"width": 32, "height": 32},
    "image_space": {
        "factor": 4,
        "origin": None,
        "config": {
            "block_out_channels": [8, 8, 8],
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
            "norm_num_groups": 4,
            "layers_per_block": 1,
        },
    },
    "source_encoder": {"side": 32, "origin": None, "config": {**_VIT, "mlp_ratio": 2}},
    "fusion": {
        "side": 32,
        "dropout": 0.2,
        "tower": {"origin": None, "config": {**_VIT, "intermediate_size": 32, "projection_dim": 16}},
    },
    "conditions": [
        {"kind": "source_tokens", "options": {"hidden": 16, "dropout": 0.2}},
        {"kind": "pose_map", "options": {"channels": [8, 8, 8]}},
        {"kind": "fusion_vector", "options": {"dropout": 0.2}},
    ],
    "unet": {
        "origin": None,
        "config": {
            "sample_size": 8,
            "block_out_channels": [16, 32],
            "layers_per_block": 1,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "cross_attention_dim": 16,
            "attention_head_dim": 2,
            "norm_num_groups": 8,
        },
    },
    "diffusion": {"scheduler": {"origin": None}},
    "training": {
        "precision": "fp32",
        "workers": 0,
        "save_every": 0.1,
        "fusion": {"steps": 40, "batch_size": 8, "learning_rate": 1e-3, "warmup": 5, "validations": 1},
        "diffusion": {
            "steps": 60,
            "batch_size": 4,
            "accumulation": 2,
            "learning_rate": 1e-3,
            "warmup": 5,
            "validations": 1,
            "ema": 0.9,
        },
    },
    "sampling": {"precision": "fp32", "steps": 2, "micro_batch": 2},
}


def trained(pairs: Path, recipe: Path, out: Path, resume: bool) -> None:
    """One leg, in a process of its own."""
    from signgen.training.run import TrainRequest, train

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  as long as the process
    train(TrainRequest(pairs, out, str(recipe), resume=resume, device="cpu", threads=1))


def weights(model: Path) -> dict[str, bytes]:
    """Every tensor of a model folder, by file and name."""
    from safetensors.numpy import load_file

    found = {}
    for path in sorted(model.rglob("*.safetensors")):
        found |= {f"{path.relative_to(model)}:{name}": value.tobytes() for name, value in load_file(path).items()}
    return found


def moment(run: Path, pairs: Path, process: ForkServerProcess) -> str:
    """What the process is doing, by what lies on the disk."""
    if list((run / "state").glob("*/.*.new")):
        return "writing"
    done = [*(pairs / "cache" / "features").glob("*/*-done.npy")]
    if (run / "fusion" / "config.json").exists() and not (run / "state" / "diffusion").exists() and done:
        return "features"
    return "a step" if (run / "logs").exists() else "the beginning"


def killed(process: ForkServerProcess, run: Path, pairs: Path, rng: random.Random) -> str | None:
    """Kill the process at a random moment; which one that was, or None where it ended before."""
    phase, began = rng.choice(PHASES), time.monotonic()
    at = began + rng.uniform(0.05, 2.5)
    while process.is_alive() and time.monotonic() - began < LONGEST:
        found = moment(run, pairs, process)
        if found == phase or (phase == "anything" and time.monotonic() > at) or time.monotonic() > at + 3:
            time.sleep(rng.uniform(0, 0.004))
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            return found
        time.sleep(0.0005)
    process.join(1)
    if process.is_alive():
        process.kill()
        raise SystemExit(f"a leg hung for {LONGEST:.0f} s in {run}")
    return None


def world(folder: Path) -> tuple[Path, Path]:
    """A pair set of drawn signers, and the recipe."""
    import yaml

    from signgen.pairs.build import BuildPairsRequest, build_pairs
    from signgen.synthetic import Identity, Motion, render_clip, write_videos

    drawn = (render_clip(Identity.random(seed, f"clip{seed}"), Motion.random(seed, 16)) for seed in range(2))
    write_videos(folder / "videos", drawn)
    build_pairs(BuildPairsRequest(folder / "videos", folder / "pairs", count=60, holdout_tail=0.25))
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    return folder / "pairs", recipe


def legs(context: ForkServerContext, pairs: Path, recipe: Path, run: Path, most: int, rng: random.Random) -> Counter:
    """Train to the end through at most `most` kills; how many there were, by moment."""
    kills: Counter = Counter()
    while True:
        process = context.Process(target=trained, args=(pairs, recipe, run, (run / "recipe.yaml").exists()))
        process.start()
        if kills.total() == most:
            process.join()
            found = None
        else:
            found = killed(process, run, pairs, rng)
        if found is None:
            if process.exitcode:
                raise SystemExit(f"a leg ended with exit code {process.exitcode} in {run}")
            return kills
        kills[found] += 1
        if rng.random() < 0.2:
            shutil.rmtree(pairs / "cache", ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--each", type=int, default=6, help="kills of one run at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the counts")
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["signgen.training.run", "diffusers.models.unets.unet_2d_condition"])
    rng, began = random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as name:
        folder = Path(name)
        pairs, recipe = world(folder)
        legs(context, pairs, recipe, folder / "whole", 0, rng)
        expected = weights(folder / "whole" / "model")
        kills: Counter = Counter()
        runs = differing = 0
        while kills.total() < options.kills:
            shutil.rmtree(pairs / "cache", ignore_errors=True)
            run = folder / f"run{runs}"
            kills += legs(context, pairs, recipe, run, min(options.each, options.kills - kills.total()), rng)
            found = weights(run / "model")
            different = [name for name in expected if found.get(name) != expected[name]]
            runs, differing = runs + 1, differing + bool(different or found.keys() != expected.keys())
            print(f"run {runs}: {dict(kills)}, {len(different)} of {len(expected)} tensors differ", flush=True)
            shutil.rmtree(run)
    seconds = round(time.monotonic() - began)
    if options.json:
        options.json.write_text(json.dumps({"kills": kills, "runs": runs, "differing": differing, "seconds": seconds}))
    moments = ", ".join(f"{count} in {name}" for name, count in sorted(kills.items()))
    print(f"{kills.total()} kills ({moments}) in {runs} runs, {differing} of them differ, {seconds} s")
    return 1 if differing else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["render"]:
        from kill_render import main as main_of_rendering

        sys.exit(main_of_rendering(sys.argv[2:]))
    sys.exit(main())
