"""Frames a second of rendering and scoring a clip: FPDM's plain path against signgen's, interleaved in one run.

    OMP_NUM_THREADS=2 python benchmarks/render.py --size nano|small|full [--frames 48] [--rounds 3] [--device cuda]
    python benchmarks/render.py --model MODEL

plain: as FPDM's public code renders. The source is encoded for every frame, ten frames are a batch, guidance takes
three calls of the UNet a step, every frame becomes a PNG, and metrics are taken in a second pass that reads them again.
exact, balanced, fast: `signgen render` with that preset, mp4 and metrics in one pass. Every variant is a process of its
own, so that its peak memory is known; loading is not timed. Weights are random, which cost the same. All sample with 20
steps of UniPC and guidance 2, 2. FLOPs are counted on the meta device. Frames are compared by PSNR.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from peak_memory import peak_mb
from training import small_recipe

from signgen.config import Recipe, SamplingSettings, load_recipe
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.image.pixels import psnr
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.models.cost import counted
from signgen.models.features import Features
from signgen.models.guidance import KEPT, keep_masks
from signgen.models.noise import ClipNoise
from signgen.models.pipeline import SignerPipeline
from signgen.poses.draw import SIGNGEN_133
from signgen.presets import preset_settings
from signgen.rendering.output import Outputs, Truth, write_rendering
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.rendering.strips import to_uint8
from signgen.synthetic import Identity, Motion, render_clip, write_videos
from signgen.training.cost import without_origins
from signgen.video.reader import open_frames, write_png

PLAIN_BATCH = 10
SAMPLING: dict[str, Any] = {
    "solver": "unipc",
    "steps": 20,
    "w_c": 2.0,
    "w_f": 2.0,
    "noise_scale": 1.0,
    "micro_batch": 8,
}
VARIANTS = {
    "plain fp32": ("plain", "fp32"),
    "plain bf16": ("plain", "bf16"),
    "exact fp32": ("exact", "fp32"),
    "exact bf16": ("exact", "bf16"),
    "balanced bf16": ("balanced", "bf16"),
    "fast bf16": ("fast", "bf16"),
}


def recipe_of(size: str, folder: Path) -> Recipe:
    """nano; phoenix-256 at a size for CPUs; phoenix-256 without origins."""
    if size == "nano":
        return load_recipe("nano")
    return without_origins(small_recipe(folder) if size == "small" else load_recipe("phoenix-256"))


def make_model(size: str, folder: Path) -> Path:
    """A model folder with random weights."""
    recipe = recipe_of(size, folder)
    pipeline = build_pipeline(recipe)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # no layer that is zero at first may hide what comes before it
        for parameter in pipeline.unet.conv_in.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    save_model(
        pipeline, ModelCard.describe(recipe, {"fingerprint": "", "clips": []}, {"diffusion": 0}, 0), folder / "m"
    )
    return folder / "m"


def clip_in(folder: Path, frames: int) -> tuple[Source, Any, Any]:
    """A drawn signer: the source, the poses, and the real frames."""
    from signgen.poses import read_poses

    if not (folder / "clip.mp4").exists():
        write_videos(folder, [render_clip(Identity.random(0, "a"), Motion.random(0, frames), name="clip")])
    video = open_frames(folder / "clip.mp4")
    poses = read_poses(folder / "clip.mmpose.json", size=(video.width, video.height), fps=video.fps)
    return Source(video.read(0, 1)[0], poses[0:1], "clip"), poses, video


@torch.no_grad()
def plain_frames(renderer: Renderer, source: Source, poses: Any, numbers: range) -> np.ndarray:
    """A batch of frames, uint8 (B, h, w, 3), everything computed for each."""
    pipeline, sampling = renderer.pipeline, renderer.sampling
    # source, pose and fusion, frame by frame
    image = renderer._tensor(np.stack([renderer.canvas.fit_frame(source.frame)] * len(numbers))) * 2 - 1
    drawn = renderer._tensor(renderer.draw_windows(poses, numbers))
    own = renderer._tensor(np.concatenate([renderer.draw(source.pose)] * len(numbers)))
    warps = renderer._tensor(renderer.part_warps(source, poses)(numbers)) if renderer.warps else None
    features = Features(encoders=pipeline, source=image, source_pose=own, target_pose=drawn, warp_picture=warps)
    with renderer._running():
        values = pipeline.conditions.encode(features)
        latent = ClipNoise(renderer.seed, source.name).start(_shape(pipeline, features, renderer), numbers)
        latent = latent.to(renderer.device)
        given = {
            name: pipeline.conditions.merge(values, keep_masks([name], len(numbers), latent.device), latent)
            for name in KEPT
        }
        kept_source = features.source_latent if pipeline.reads_source_latent else None
        # three calls a step
        scheduler, timesteps = pipeline.solver_of(sampling, renderer.device)
        latent = latent * scheduler.init_noise_sigma
        for timestep in timesteps:
            scaled = scheduler.scale_model_input(latent, timestep)
            u, c, f = (
                pipeline.predict(scaled, timestep, given[name], kept_source, features.part_warp) for name in KEPT
            )
            guided = u + sampling.w_c * (c - u) + sampling.w_f * (f - c)
            latent = scheduler.step(guided, timestep, latent, return_dict=False)[0]
        images = pipeline.space.decode(
            pipeline.from_diffused(latent, pipeline.base_of(kept_source, features.part_warp))
        )
    height, width = source.frame.shape[:2]
    return np.stack([renderer.canvas.restore_frame(frame, width, height) for frame in to_uint8(images)])


def _shape(pipeline: SignerPipeline, features: Features, renderer: Renderer) -> tuple[int, ...]:
    side = (renderer.canvas.height // pipeline.space.factor, renderer.canvas.width // pipeline.space.factor)
    return (pipeline.space.channels, *side)


def plain(renderer: Renderer, source: Source, poses: Any, video: Any, out: Path) -> list[np.ndarray]:
    """PNG files, then a second pass for metrics."""
    for start in range(0, len(poses), PLAIN_BATCH):
        numbers = range(start, min(start + PLAIN_BATCH, len(poses)))
        for number, frame in zip(numbers, plain_frames(renderer, source, poses, numbers), strict=True):
            write_png(out / f"{number:05d}.png", frame)
    scorer, generated = FrameScorer(keypoints=poses.keypoints, quick=True), open_frames(out)
    frames = []
    for number in range(len(poses)):
        frames.append(generated.read(number, number + 1)[0].copy())
        scorer.update(number, frames[-1], video.read(number, number + 1)[0])
    scorer.result()
    return frames


def ours(renderer: Renderer, source: Source, poses: Any, video: Any, out: Path) -> list[np.ndarray]:
    """mp4 and metrics in one pass, as `signgen render` does it."""
    frames: list[np.ndarray] = []

    def kept() -> Any:
        for frame in renderer.frames(source, poses):
            frames.append(frame)
            yield frame

    truth = Truth(video, FrameScorer(keypoints=poses.keypoints, quick=True))
    outputs = Outputs(out / "out.mp4", video.fps)
    write_rendering(kept(), source, poses, 0, SIGNGEN_133, outputs, truth, lambda: None)
    truth.scorer.result()
    return frames


def run_variant(name: str, model: Path, folder: Path, frames: int, device: str, keep: Path) -> dict[str, float]:
    """In a process of its own: seconds, peak memory, and the frames in `keep`."""
    path, precision = VARIANTS[name]
    pipeline, card = load_model(model)
    chosen = {} if path == "plain" else preset_settings(path, SAMPLING["steps"])
    sampling = SamplingSettings(**{**SAMPLING, "precision": precision, **chosen})
    renderer = Renderer(pipeline, card, sampling, 0, torch.device(device))
    source, poses, video = clip_in(folder, frames)
    function = plain if path == "plain" else ours
    with tempfile.TemporaryDirectory() as warm:  # the first batch of a process allocates
        function(renderer, source, poses[: min(8, frames)], video, Path(warm))
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        found = function(renderer, source, poses, video, Path(out))
        took = time.perf_counter() - began
    np.save(keep, np.stack(found))
    if device == "cuda":
        return {"seconds": took, "memory": torch.cuda.max_memory_allocated() / 1e6}
    return {"seconds": took, "memory": peak_mb()}


def flops(recipe: Recipe, variant: str) -> float:
    """TFLOP a frame. plain: the clip's work for every frame, three branches, keys and values in every step."""
    with torch.device("meta"):
        pipeline = build_pipeline(recipe)
    path, _ = VARIANTS[variant]
    if path != "plain":
        chosen = preset_settings(path, SAMPLING["steps"])
        return sum(counted(pipeline, recipe, SamplingSettings(**{**SAMPLING, **chosen}))[1].values()) / 1e12
    once, frame = counted(pipeline, recipe, SamplingSettings(**{**SAMPLING, "w_c": 1.0, "w_f": 1.0}))
    steps = 3 * (frame["steps"] + SAMPLING["steps"] * once["keys and values"])
    return (once["source"] + frame["conditions"] + frame["decoder"] + steps) / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["nano", "small", "full"], default="nano")
    parser.add_argument("--model", type=Path, help="a model folder, in place of random weights")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        keep = options.folder / f"{options.variant}.npy"
        found = run_variant(options.variant, options.model, options.folder, options.frames, options.device, keep)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(prefix="render-") as name:
        compare(options, Path(name))


def compare(options: argparse.Namespace, folder: Path) -> None:
    """All variants in turn, round by round; then the table."""
    model = options.model or make_model(options.size, folder)
    recipe = load_model(model)[1].parsed_recipe()
    clip_in(folder, options.frames)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name in VARIANTS:
            words = ["--variant", name, "--model", model, "--folder", folder, "--frames", options.frames]
            call = [sys.executable, __file__, *map(str, words), "--device", options.device]
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    frames = {name: np.load(folder / f"{name}.npy") for name in VARIANTS}
    print(f"{recipe.name}, {options.frames} frames, {torch.get_num_threads()} threads, {options.device}")
    print("| variant | frames/s | times plain fp32 | times plain bf16 | TFLOP a frame | by FLOPs | peak MB | PSNR to |")
    print("|---|---|---|---|---|---|---|---|")
    base = flops(recipe, "plain fp32")
    for name in VARIANTS:
        rate = median(options.frames / each["seconds"] for each in found[name])
        ratios = [
            median(p["seconds"] / v["seconds"] for p, v in zip(found[of], found[name], strict=True))
            for of in ("plain fp32", "plain bf16")
        ]
        work, peak = flops(recipe, name), max(each["memory"] for each in found[name])
        other = _reference(name)
        near = min(psnr(a, b) for a, b in zip(frames[name], frames[other], strict=True)) if other else None
        said = f"{near:.1f} dB, {other}" if near is not None else "-"
        print(
            f"| {name} | {rate:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {work:.4g} | {base / work:.2f}"
            f" | {peak:.0f} | {said} |"
        )
    exact = median(p["seconds"] / v["seconds"] for p, v in zip(found["plain fp32"], found["exact fp32"], strict=True))
    print(f"exact / plain, fp32: {exact:.2f}; by FLOPs {base / flops(recipe, 'exact fp32'):.2f}")


def _reference(name: str) -> str | None:
    """What a variant's frames are held against: exact against plain of its precision, others against exact."""
    path, precision = VARIANTS[name]
    if path == "plain":
        return None if precision == "fp32" else "plain fp32"
    return f"plain {precision}" if path == "exact" else f"exact {precision}"


if __name__ == "__main__":
    main()
