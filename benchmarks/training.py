"""Samples a second of stage 2: frozen networks on-line against kept features, eager against compiled; the loader alone.

    OMP_NUM_THREADS=2 python benchmarks/training.py            a model of a size for CPUs, drawn signers
    python benchmarks/training.py --recipe phoenix-256 --random --batch 18 --device cuda

One interleaved run: in every round each variant makes some steps, in turn; the figure is the median of the rounds'
ratios. --random: origins are left out, so that networks have random weights, which cost the same. Beside them stand the
ratios of counted FLOPs (signgen/training/cost.py).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from signgen.config import Recipe, load_recipe, parse_recipe
from signgen.models.build import build_pipeline
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.progress import SILENT
from signgen.synthetic import Identity, Motion, render_clip, write_videos
from signgen.training.cost import stage_costs, without_origins
from signgen.training.diffusion import DiffusionStage
from signgen.training.features import build_features, feature_cache, kept_of
from signgen.training.loop import Plan, Trainer
from signgen.training.run import TrainingRun, TrainRequest

_VIT = {"hidden_size": 288, "num_hidden_layers": 12, "num_attention_heads": 9, "patch_size": 14, "image_size": 112}
# phoenix-256 with widths for a CPU. By FLOPs each frozen network has the share of the trained work that it has there:
# .48 for the VAE (.46 there), .27 for the source encoder (.27), .53 for both embeddings of stage 1 (.55).
SMALL: dict[str, Any] = {
    "extends": "phoenix-256",
    "name": "phoenix-small",
    "canvas": {"width": 128, "height": 128},
    "image_space": {
        "origin": None,
        "config": {"block_out_channels": [48, 80, 80, 80], "layers_per_block": 1, "norm_num_groups": 8},
    },
    "source_encoder": {"side": 112, "origin": None, "config": {**_VIT, "mlp_ratio": 4}},
    "fusion": {
        "side": 112,
        "tower": {
            "origin": None,
            "config": {**_VIT, "intermediate_size": 1152, "projection_dim": 128},
        },
    },
    "conditions": [
        {"kind": "source_tokens", "options": {"hidden": 128}},
        {"kind": "pose_map", "options": {"channels": [8, 16, 32, 32]}},
        {"kind": "fusion_vector"},
    ],
    "unet": {
        "origin": None,
        "config": {
            "block_out_channels": [96, 192, 192, 192],
            "layers_per_block": 1,
            "cross_attention_dim": 192,
            "attention_head_dim": [3, 6, 6, 6],
            "upcast_attention": False,
        },
    },
    "diffusion": {"scheduler": {"origin": None}},
    "training": {"precision": "fp32", "workers": 0, "diffusion": {"batch_size": 8, "accumulation": 3}},
}


def small_recipe(folder: Path) -> Recipe:
    import yaml

    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return load_recipe(str(path))


def drawn_pairs(folder: Path) -> Path:
    """Two drawn signers, stored, so that decoding is not what is measured."""
    clips = (render_clip(Identity.random(seed, f"clip{seed}"), Motion.random(seed, 40)) for seed in range(2))
    write_videos(folder / "videos", clips)
    build_pairs(BuildPairsRequest(folder / "videos", folder / "pairs", count=400, holdout_tail=0.1, store=True))
    return folder / "pairs"


class Variant:
    """A trainer that makes some steps when it is asked, and how long they take."""

    def __init__(
        self, name: str, run: TrainingRun, recipe: Recipe, pipeline: Any, cached: bool, compiled: bool
    ) -> None:
        self.name, self.times = name, []  # type: str, list[float]
        stage = DiffusionStage(recipe, copy.deepcopy(pipeline), None, run.accelerator.device)
        dataset = run._triples("train", stage.settings.augmentation, part_warp=recipe.part_warp)
        for network in stage.pipeline.networks().values():
            network.to(run.accelerator.device)
        if cached:
            cache, _ = feature_cache(recipe, stage.pipeline, dataset, run.accelerator.mixed_precision)
            assert cache is not None
            build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
            dataset.kept = kept_of(cache, recipe, stage.pipeline)
        if compiled:
            stage.pipeline.unet.compile()
        self.trainer = Trainer(stage, dataset, Plan(1 << 30), run.folder / name, run.accelerator, 0)
        self.batches: Iterator[Any] = iter(self.trainer._loader(recipe.training.workers))
        self.samples = recipe.training.diffusion.batch_size * recipe.training.diffusion.accumulation
        self.quiet = threading.Event()

    def steps(self, count: int) -> float:
        """Samples a second over `count` steps."""
        self.trainer.module.train()
        began = time.perf_counter()
        for _ in range(count):
            self.trainer._step(self.batches, self.quiet, self.quiet)
            self.trainer.at.step += 1
        if self.trainer.accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        return count * self.samples / (time.perf_counter() - began)


def loader_alone(variant: Variant, count: int) -> float:
    """Samples a second of the loader, for a model that takes no time."""
    batches = iter(variant.trainer._loader(0))
    next(batches)
    began = time.perf_counter()
    for _ in range(count):
        next(batches)
    return count * variant.trainer.settings.batch_size / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", help="a shipped name; default: a small one for CPUs")
    parser.add_argument("--random", action="store_true", help="random weights in place of the recipe's origins")
    parser.add_argument("--pairs", type=Path, help="a pair set; default: two drawn signers")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="samples in a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of each variant in a round")
    parser.add_argument("--compile", action="store_true", help="also the compiled UNet")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        folder = Path(name)
        recipe = load_recipe(options.recipe) if options.recipe else small_recipe(folder)
        if options.random:
            recipe = without_origins(recipe)
        values = recipe.model_dump(mode="json")
        values["training"]["workers"] = 0
        if options.batch:
            values["training"]["diffusion"] |= {"batch_size": options.batch, "accumulation": 1}
        recipe = parse_recipe(values, recipe.name)
        pairs = options.pairs or drawn_pairs(folder)
        run = TrainingRun(PairSet.load(pairs), recipe, TrainRequest(pairs, folder / "run", device=options.device))
        pipeline = build_pipeline(recipe)
        kinds = {"on-line": (False, False), "kept": (True, False)} | (
            {"compiled": (True, True)} if options.compile else {}
        )
        variants = [Variant(name, run, recipe, pipeline, *kind) for name, kind in kinds.items()]
        del pipeline
        for variant in variants:  # warm up
            variant.steps(2)
        for number in range(options.rounds):
            for variant in variants:
                variant.times.append(variant.steps(options.steps))
            print(f"round {number + 1}: " + ", ".join(f"{v.name} {v.times[-1]:.2f}" for v in variants), flush=True)
        report(variants, recipe, loader_alone(variants[-1], 20), options.json)


def report(variants: list[Variant], recipe: Recipe, loader: float, path: Path | None) -> None:
    cost = stage_costs(recipe)["diffusion"]
    whole = sum(cost.flops.values())
    counted = whole / (whole - sum(cost.cached.values()))
    found: dict[str, Any] = {v.name: statistics.median(v.times) for v in variants}
    for first, second in itertools.pairwise(variants):
        ratios = [after / before for before, after in zip(first.times, second.times, strict=True)]
        found[f"{second.name} / {first.name}"] = statistics.median(ratios)
    found |= {"kept / on-line by FLOPs": counted, "loader alone": loader}
    if variants[0].trainer.accelerator.device.type == "cuda":
        found["GiB at most"] = torch.cuda.max_memory_allocated() / 2**30
    for name, value in found.items():
        print(f"{name}: {value:.3g}{'' if '/' in name or 'GiB' in name else ' samples a second'}")
    if path:
        path.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
