"""What scoring costs: each metric, while rendering or from files, 64,627 frames, and beside the full-size model.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--testdata TESTDATA] [alone] [paths] [whole-set] [target]

alone: frames per second of each metric, on 210x260 frames; networks with random weights, which cost the same.
--testdata: also what each metric says of FPDM's published clip of 25June and of one frame repeated.
paths: the streaming scorer against writing PNGs and scoring them afterwards, interleaved; the numbers must be equal.
whole-set: as many frames as Phoenix-2014T's test set through the streaming scorers, with peak memory on the way.
target: counted FLOPs of rendering a frame with phoenix-256 against the processor time of scoring it.
Everything on one thread; times are of the processor, the best of three rounds, but for `paths`, which writes files.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import load_recipe
from signgen.data.video import open_frames, read_image, write_png
from signgen.metrics.baselines import CopySource
from signgen.metrics.features import FeatureStatistics
from signgen.metrics.frame_pair import FramePair, TruthFrame
from signgen.metrics.image_set import ImageSetScorer, Networks
from signgen.metrics.inception import InceptionFeatures, _up_to_pooling
from signgen.metrics.lpips import Lpips, build_network
from signgen.metrics.protocols import PROTOCOLS
from signgen.metrics.scoring import FrameScorer, frame_metrics
from signgen.metrics.similarity import SsimVariant, l1_of, ms_ssim, psnr_of, ssim_variant
from signgen.models.components import build_pipeline
from signgen.models.guidance import branch_weights, keep_masks
from signgen.poses import read_poses

NAME = "25June_2010_Friday_tagesschau-3880"
WIDTH, HEIGHT = 210, 260
TEST_FRAMES = 64_627  # of Phoenix-2014T's test split
FRAMES, ROUNDS = 40, 3
SMALL = 48  # pixels: what makes the whole set affordable
THROUGHPUTS = (1, 10, 40, 80, 150, 400, 790)  # TFLOP/s; 790: the lower bound of 10.7 ms a frame on an H200
ORIGINS = ("image_space", "source_encoder", "fusion.tower", "unet", "diffusion.scheduler")


def synthetic(frames: int, size: tuple[int, int], seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(generated, truth, keypoints (133, 3)) of a texture that wanders; generated is a little off."""
    rng = np.random.default_rng(seed)
    width, height = size
    base = cv2.resize(rng.integers(0, 255, (16, 16, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 20, (8, height, width, 3), np.uint8)
    spread = rng.normal(0, 0.08 * width, (133, 2))
    for index in range(frames):
        middle = np.array([width / 2 + width / 5 * np.sin(index / 9), height / 2 + height / 8 * np.cos(index / 7)])
        truth = np.roll(base, index // 4 % 5, axis=1)
        points = np.ones((133, 3), np.float32)
        points[:, :2] = middle + spread
        yield cv2.add(truth, noise[index % 8]), truth, points


def milliseconds(work: Callable[[], int]) -> float:
    """Of processor time for each of as many things as `work` says it has done."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        count = work()
        best = min(best, 1000 * (time.process_time() - start) / count)
    return best


def row(name: str, cost: float) -> None:
    print(f"| {name} | {cost:.2f} | {1000 / cost:.0f} |", flush=True)


def alone() -> None:
    """Frames per second of each metric of clips and of images."""
    generated, truth, keypoints = map(np.stack, zip(*synthetic(FRAMES, (WIDTH, HEIGHT)), strict=True))
    print(f"\n| metric, {WIDTH}x{HEIGHT} | ms a frame | frames/s |\n|---|---|---|")
    torch.manual_seed(0)
    alexnet = Lpips(build_network("alex"))
    for metric in frame_metrics(133, None):

        def of_clips(metric=metric) -> int:
            for i in range(1, FRAMES):
                metric(FramePair(TruthFrame(i, truth[i], truth[i - 1], keypoints[i]), generated[i], generated[i - 1]))
            return FRAMES - 1

        row(f"clips: {', '.join(metric.names)}", milliseconds(of_clips))
    perceptual = frame_metrics(133, alexnet, quick=True)[-1]

    def lpips_of_clips() -> int:
        for i in range(1, 5):
            perceptual(FramePair(TruthFrame(i, truth[i], truth[i - 1], keypoints[i]), generated[i], generated[i - 1]))
        return 4

    row(f"clips: {', '.join(perceptual.names)} (AlexNet, random weights)", milliseconds(lpips_of_clips))
    images: dict[str, tuple[Callable[[np.ndarray, np.ndarray], object], int]] = {
        "psnr": (psnr_of, FRAMES),
        "l1": (l1_of, FRAMES),
        "ssim, Gaussian 11x11": (lambda a, b: ssim_variant(a, b, PROTOCOLS["strict"].ssims["ssim"]), FRAMES),
        "ssim, uniform 51": (lambda a, b: ssim_variant(a, b, SsimVariant(51, sample_covariance=True)), FRAMES),
        "ms_ssim": (ms_ssim, FRAMES),
        "lpips, AlexNet, random weights": (alexnet, 4),
        "lpips, VGG, random weights": (Lpips(build_network("vgg")), 4),
        "fid: torchvision's Inception, random weights, and its sums": (_fid(), 4),
    }
    for name, (score, count) in images.items():

        def of_images(score=score, count=count) -> int:
            for a, b in zip(generated[:count], truth[:count], strict=True):
                score(a, b)
            return count

        row(f"images: {name}", milliseconds(of_images))
    print(f"\n| a clip, {WIDTH}x{HEIGHT}, with keypoints, without networks | ms a frame | frames/s |\n|---|---|---|")
    for quick in (True, False):
        for baselines in ({}, {"copy-source": CopySource(truth[0])}):

            def whole(quick=quick, baselines=baselines) -> int:
                scorer = FrameScorer(keypoints=keypoints, baselines=baselines, quick=quick)
                for i, pair in enumerate(zip(generated, truth, strict=True)):
                    scorer.update(i, *pair)
                return FRAMES

            name = f"as {'render' if quick else 'evaluate'}{', with copy-source' if baselines else ''}"
            row(name, milliseconds(whole))


def _fid() -> Callable[[np.ndarray, np.ndarray], object]:
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    features, statistics = InceptionFeatures(_up_to_pooling(network), signed=True), FeatureStatistics()
    return lambda generated, truth: statistics.add(features(generated))


def clips(testdata: Path) -> None:
    """FPDM's clip beside the truth's first frame repeated."""
    folder = testdata / "phoenix"
    frames = open_frames(folder / f"{NAME}.fourpanel.gif").read()
    truth, generated = (np.ascontiguousarray(frames[:, :, n * WIDTH : (n + 1) * WIDTH]) for n in (2, 3))
    keypoints = read_poses(folder / f"{NAME}.mmpose133.json", size=(WIDTH, truth.shape[1])).keypoints
    scorer = FrameScorer(keypoints=keypoints, baselines={"copy-source": CopySource(truth[0])})
    for i, pair in enumerate(zip(generated, truth, strict=True)):
        scorer.update(i, *pair)
    result = scorer.result()
    print("\n| metric | FPDM | copy-source |\n|---|---|---|")
    for name, value in result["mean"].items():
        print(f"| {name} | {value:.3f} | {result['baselines']['copy-source'][name]:.3f} |")


def paths() -> None:
    """Seconds a frame of both ways to score what was just rendered, interleaved."""
    generated, truth, keypoints = map(np.stack, zip(*synthetic(FRAMES, (WIDTH, HEIGHT)), strict=True))

    def streamed() -> dict:
        scorer = FrameScorer(keypoints=keypoints, quick=True)
        for i, pair in enumerate(zip(generated, truth, strict=True)):
            scorer.update(i, *pair)
        return scorer.result()

    def by_files() -> dict:
        with tempfile.TemporaryDirectory() as place:
            names = [Path(place) / f"images{i + 1:04}.png" for i in range(FRAMES)]
            for name, frame in zip(names, generated, strict=True):
                write_png(name, frame)
            scorer = FrameScorer(keypoints=keypoints, quick=True)
            for i, name in enumerate(names):
                scorer.update(i, read_image(name), truth[i])
            return scorer.result()

    seconds: dict[str, list[float]] = {"streamed": [], "by files": []}
    for _ in range(5):
        results = []
        for name, path in (("streamed", streamed), ("by files", by_files)):
            start = time.perf_counter()
            results.append(path())
            seconds[name].append((time.perf_counter() - start) / FRAMES)
        if results[0] != results[1]:
            raise SystemExit("the two paths do not agree")
    ratios = [slow / quick for quick, slow in zip(*seconds.values(), strict=True)]
    for name, taken in seconds.items():
        print(f"{name}: {1000 * median(taken):.1f} ms a frame")
    print(
        f"writing PNGs and scoring them takes {median(ratios):.2f} times as long (median of 5), the numbers are equal"
    )


def whole_set() -> None:
    """Peak memory of this process at 1/4, 1/2 and all of the frames."""
    source = next(synthetic(1, (SMALL, SMALL)))[1]
    points = np.stack([points for _, _, points in synthetic(1000, (SMALL, SMALL))])
    marks = [TEST_FRAMES // 4, TEST_FRAMES // 2, TEST_FRAMES]
    with tempfile.TemporaryDirectory() as folder:
        of_set = ImageSetScorer(PROTOCOLS["strict"], TEST_FRAMES, Networks(), Path(folder))
        every = points[np.arange(TEST_FRAMES) % len(points)]
        of_clips = FrameScorer(keypoints=every, quick=True, baselines={"copy-source": CopySource(source)})
        print(f"\n{SMALL}x{SMALL} frames; at the start {peak():.0f} MB")
        start = time.perf_counter()
        for index, (generated, truth, _) in enumerate(synthetic(TEST_FRAMES, (SMALL, SMALL)), 1):
            of_clips.update(index - 1, generated, truth)
            of_set.update(index - 1, generated, truth)
            if index in marks:
                taken = time.perf_counter() - start
                print(f"{index} frames: peak {peak():.0f} MB, {index / taken:.0f} frames/s", flush=True)
        of_clips.result(), of_set.result()
        print(f"with both results: peak {peak():.0f} MB")


def peak() -> float:
    """MB; Linux counts in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def target() -> None:
    """TFLOP of a frame of phoenix-256, and the share that scoring adds at several throughputs."""
    recipe = load_recipe("phoenix-256", [f"{part}.origin=null" for part in ORIGINS])
    sampling, canvas = recipe.sampling, recipe.canvas
    with torch.device("meta"), torch.no_grad():
        pipeline = build_pipeline(recipe)
        image = torch.empty(1, 3, canvas.height, canvas.width)
        with counted() as once:
            clip = pipeline.encode_clip(image)
        with counted() as frame:
            values = pipeline.encode_frames(clip, image, None)
        weights = branch_weights(sampling.w_c, sampling.w_f, pipeline.fusion is not None)
        repeated = {n: v.repeat(len(weights), *[1] * (v.dim() - 1)) for n, v in values.items()}
        noise = torch.empty_like(clip.latent).repeat(len(weights), 1, 1, 1)
        keep = keep_masks(list(weights), 1, noise.device)
        conditioning = pipeline.conditions.merge({**clip.values, **repeated}, keep, noise)
        with counted() as step:
            pipeline.predict(noise, torch.empty(()), conditioning, clip.latent)
        with counted() as decode:
            pipeline.space.decode(torch.empty_like(clip.latent))
    parts = {"conditions": tera(frame), f"{sampling.steps} steps": sampling.steps * tera(step), "decoder": tera(decode)}
    total = sum(parts.values())
    print(f"\nonce a clip {tera(once):.3f} TFLOP; a frame {total:.2f} TFLOP, {len(weights)} branches: {parts}")
    generated, truth, keypoints = map(np.stack, zip(*synthetic(FRAMES, (WIDTH, HEIGHT)), strict=True))
    costs = {}
    for name, baselines in (("model", {}), ("model and copy-source", {"copy-source": CopySource(truth[0])})):

        def scored(baselines=baselines) -> int:
            scorer = FrameScorer(keypoints=keypoints, quick=True, baselines=baselines)
            for i, pair in enumerate(zip(generated, truth, strict=True)):
                scorer.update(i, *pair)
            return FRAMES

        costs[name] = milliseconds(scored)
    print(f"\n| TFLOP/s in use | rendering, ms | {' | '.join(f'{n}, {c:.1f} ms' for n, c in costs.items())} |")
    print("|---|---|" + "---|" * len(costs))
    for throughput in THROUGHPUTS:
        rendering = 1000 * total / throughput
        print(f"| {throughput} | {rendering:.1f} | {' | '.join(f'{c / rendering:.1%}' for c in costs.values())} |")
    for name, cost in costs.items():
        print(f"{name}: at most 15 % up to {0.15 * total / cost * 1000:.0f} TFLOP/s in use, one core scoring in turn")


def counted() -> FlopCounterMode:
    return FlopCounterMode(display=False)


def tera(counter: FlopCounterMode) -> float:
    return counter.get_total_flops() / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"alone": alone, "paths": paths, "whole-set": whole_set, "target": target}
    parser.add_argument("parts", nargs="*", default=list(parts), metavar="PART", help=", ".join(parts))
    parser.add_argument("--testdata", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    for part in arguments.parts:
        parts[part]()
    if arguments.testdata is not None:
        clips(arguments.testdata)


if __name__ == "__main__":
    main()
