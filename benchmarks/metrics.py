"""What scoring costs: each metric, while rendering or from files, 64,627 frames, and beside the full-size model.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--testdata TESTDATA] [alone] [paths] [whole-set] [target]

--testdata: measured on FPDM's published clip of 25June, 49 frames of 210x260, instead of drawn frames of that size; and
    what each metric says of it, and of one frame repeated.
alone: frames per second of each metric; networks with random weights, which cost the same.
paths: the streaming scorer against writing PNGs and scoring them afterwards, interleaved; the numbers must be equal.
whole-set: as many frames as Phoenix-2014T's test set through the streaming scorers, with peak memory on the way.
target: counted FLOPs of rendering a frame with phoenix-256 against the processor time of scoring it; and `render`'s own
    loop, by the clock, around a stand-in for the model that takes as long: not scored, scored in the thread that drives
    the model, and scored beside it, interleaved.
Everything on one thread, but for scoring beside the model. Times are of the processor, so that other work on the
machine counts little, the best of five rounds; waiting for the disk, which only the path over files does, is not in
them. Those of the loop are by the clock: it needs two idle cores.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import load_recipe
from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.frame_metrics import Perceptual
from signgen.metrics.clip.frame_pair import FrameMetric, FramePair, TruthFrame
from signgen.metrics.clip.scorer import FrameScorer, frame_metrics
from signgen.metrics.distribution.frechet import FeatureStatistics
from signgen.metrics.distribution.inception import InceptionFeatures, _up_to_pooling
from signgen.metrics.image.lpips import Lpips, build_network
from signgen.metrics.image.ssim import SsimVariant, l1_of, ms_ssim, psnr_of, ssim_variant
from signgen.metrics.image_set.protocols import PROTOCOLS
from signgen.metrics.image_set.scorer import ImageSetScorer, Networks
from signgen.models.build import build_pipeline
from signgen.models.guidance import branch_weights, keep_masks
from signgen.poses import read_poses
from signgen.poses.draw import SIGNGEN_133
from signgen.poses.sequence import PoseSequence
from signgen.rendering.output import Truth, write_rendering
from signgen.rendering.outputs import Outputs
from signgen.rendering.source import Source
from signgen.video.reader import open_frames, read_image, write_png

NAME = "25June_2010_Friday_tagesschau-3880"
WIDTH, HEIGHT = 210, 260
TEST_FRAMES = 64_627  # of Phoenix-2014T's test split
ROUNDS = 5
SMALL = 48  # pixels: what makes the whole set affordable
THROUGHPUTS = (1, 10, 40, 80, 150, 400, 790)  # TFLOP/s; 790: the lower bound of 10.7 ms a frame on an H200
LOOP_THROUGHPUTS = (150, 400, 790)
LOOP_FRAMES = 96  # whole micro-batches, about the mean length of Phoenix-2014T's test clips: the last one's are in it
SHARES = (0.0, 0.5)  # of the stand-in's time in which Python runs
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


@dataclass(frozen=True)
class Clip:
    """generated, truth: uint8 (T, H, W, 3). keypoints: (T, 133, 3)."""

    generated: np.ndarray
    truth: np.ndarray
    keypoints: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    def pair(self, i: int) -> FramePair:
        real = TruthFrame(i, self.truth[i], self.truth[i - 1], self.keypoints[i])
        return FramePair(real, self.generated[i], self.generated[i - 1])


def clip_of(testdata: Path | None) -> Clip:
    if testdata is None:
        return Clip(*map(np.stack, zip(*synthetic(49, (WIDTH, HEIGHT)), strict=True)))
    folder = testdata / "phoenix"
    frames = open_frames(folder / f"{NAME}.fourpanel.gif").read()
    truth, generated = (np.ascontiguousarray(frames[:, :, n * WIDTH : (n + 1) * WIDTH]) for n in (2, 3))
    poses = read_poses(folder / f"{NAME}.mmpose133.json", size=(WIDTH, truth.shape[1]))
    return Clip(generated, truth, poses.keypoints)


def scored(clip: Clip, *, quick: bool, copied: bool) -> dict:
    """The whole clip through the streaming scorer."""
    baselines = {"copy-source": CopySource(clip.truth[0])} if copied else {}
    scorer = FrameScorer(keypoints=clip.keypoints, baselines=baselines, quick=quick)
    for i, pair in enumerate(zip(clip.generated, clip.truth, strict=True)):
        scorer.update(i, *pair)
    return scorer.result()


def cost_of(clip: Clip, *, quick: bool, copied: bool) -> float:
    """Milliseconds a frame."""

    def work() -> int:
        scored(clip, quick=quick, copied=copied)
        return len(clip)

    return milliseconds(work)


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


def alone(clip: Clip) -> None:
    """Frames per second of each metric of clips and of images."""
    print(f"\n| metric, {WIDTH}x{HEIGHT} | ms a frame | frames/s |\n|---|---|---|")
    torch.manual_seed(0)
    alexnet = Lpips(build_network("alex"))
    few = 5  # frames for networks, which take long

    def of_clips(metric: FrameMetric, frames: int) -> float:
        def work() -> int:
            for i in range(1, frames):
                metric(clip.pair(i))
            return frames - 1

        return milliseconds(work)

    def of_images(score: Callable[[np.ndarray, np.ndarray], object], frames: int) -> float:
        def work() -> int:
            for i in range(frames):
                score(clip.generated[i], clip.truth[i])
            return frames

        return milliseconds(work)

    for metric in frame_metrics(133, None):
        row(f"clips: {', '.join(metric.names)}", of_clips(metric, len(clip)))
    row("clips: lpips, hand_lpips, face_lpips: AlexNet, random weights", of_clips(Perceptual(alexnet, 133), few))
    ssims = {"Gaussian 11x11": PROTOCOLS["strict"].ssims["ssim"], "uniform 51": SsimVariant(51, sample_covariance=True)}
    for name, score in {"psnr": psnr_of, "l1": l1_of, "ms_ssim": ms_ssim}.items():
        row(f"images: {name}", of_images(score, len(clip)))
    for name, variant in ssims.items():
        row(f"images: ssim, {name}", of_images(partial(ssim_variant, variant=variant), len(clip)))
    row("images: lpips, AlexNet, random weights", of_images(alexnet, few))
    row("images: lpips, VGG, random weights", of_images(Lpips(build_network("vgg")), few))
    row("images: fid, torchvision's Inception, random weights", of_images(_fid(), few))
    print("\n| a clip with keypoints, without networks | ms a frame | frames/s |\n|---|---|---|")
    for quick in (True, False):
        for copied in (False, True):
            name = f"as {'render' if quick else 'evaluate'}{', with copy-source' if copied else ''}"
            row(name, cost_of(clip, quick=quick, copied=copied))


def _fid() -> Callable[[np.ndarray, np.ndarray], object]:
    from torchvision.models import inception_v3

    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    features, statistics = InceptionFeatures(_up_to_pooling(network), signed=True), FeatureStatistics()
    return lambda generated, truth: statistics.update(features(generated))


def clips(clip: Clip) -> None:
    """FPDM's clip beside the truth's first frame repeated."""
    result = scored(clip, quick=False, copied=True)
    print("\n| metric | FPDM | copy-source |\n|---|---|---|")
    for name, value in result["mean"].items():
        print(f"| {name} | {value:.3f} | {result['baselines']['copy-source'][name]:.3f} |")


def paths(clip: Clip) -> None:
    """What both ways to score what was just rendered take, interleaved."""

    def streamed() -> dict:
        return scored(clip, quick=True, copied=False)

    def by_files() -> dict:
        with tempfile.TemporaryDirectory() as place:
            names = [Path(place) / f"images{i + 1:04}.png" for i in range(len(clip))]
            for name, frame in zip(names, clip.generated, strict=True):
                write_png(name, frame)
            read = np.stack([read_image(name) for name in names])
            return scored(replace(clip, generated=read), quick=True, copied=False)

    seconds: dict[str, list[float]] = {"streamed": [], "by files": []}
    for _ in range(ROUNDS):
        results = []
        for name, path in (("streamed", streamed), ("by files", by_files)):
            start = time.process_time()
            results.append(path())
            seconds[name].append((time.process_time() - start) / len(clip))
        if results[0] != results[1]:
            raise SystemExit("the two paths do not agree")
    ratios = [slow / quick for quick, slow in zip(*seconds.values(), strict=True)]
    print()
    for name, taken in seconds.items():
        print(f"{name}: {1000 * median(taken):.1f} ms a frame")
    print(f"by files it takes {median(ratios):.2f} times as long (median of {ROUNDS} rounds); the numbers are equal")


def whole_set(_: Clip) -> None:
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
        results = of_clips.result(), of_set.result()
    rows = [
        row for r in results for rows in (r["per_frame"], *r.get("per_frame_baselines", {}).values()) for row in rows
    ]
    print(
        f"{len(rows)} rows of numbers, which both keep for the report, are {sum(map(held, rows)) / 1e6:.0f} MB of that"
    )


def held(row: dict) -> int:
    """Bytes of a row; its keys are the same for all."""
    return sys.getsizeof(row) + sum(sys.getsizeof(value) for value in row.values() if isinstance(value, (int, float)))


def peak() -> float:
    """MB; Linux counts in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def target(clip: Clip) -> None:
    """TFLOP of a frame of phoenix-256, and the share that scoring adds at several throughputs."""
    recipe = load_recipe("phoenix-256", [f"{part}.origin=null" for part in ORIGINS])
    sampling, canvas = recipe.sampling, recipe.canvas
    with torch.device("meta"), torch.no_grad():
        pipeline = build_pipeline(recipe)
        image = torch.empty(1, 3, canvas.height, canvas.width)
        with counted() as once:
            state = pipeline.encode_clip(image)
        with counted() as frame:
            values = pipeline.encode_frames(state, image).values
        weights = branch_weights(sampling.w_c, sampling.w_f, pipeline.fusion is not None)
        repeated = {n: v.repeat(len(weights), *[1] * (v.dim() - 1)) for n, v in values.items()}
        noise = torch.empty_like(state.latent).repeat(len(weights), 1, 1, 1)
        keep = keep_masks(list(weights), 1, noise.device)
        conditioning = pipeline.conditions.merge({**state.values, **repeated}, keep, noise)
        with counted() as step:
            pipeline.predict(noise, torch.empty(()), conditioning, state.latent)
        with counted() as decode:
            pipeline.space.decode(torch.empty_like(state.latent))
    parts = {"conditions": tera(frame), f"{sampling.steps} steps": sampling.steps * tera(step), "decoder": tera(decode)}
    total = sum(parts.values())
    print(f"\nonce a clip {tera(once):.3f} TFLOP; a frame {total:.2f} TFLOP, {len(weights)} branches: {parts}")
    costs = {
        "model": cost_of(clip, quick=True, copied=False),
        "model and copy-source": cost_of(clip, quick=True, copied=True),
    }
    print(f"\n| TFLOP/s in use | rendering, ms | {' | '.join(f'{n}, {c:.1f} ms' for n, c in costs.items())} |")
    print("|---|---|" + "---|" * len(costs))
    for throughput in THROUGHPUTS:
        rendering = 1000 * total / throughput
        print(f"| {throughput} | {rendering:.1f} | {' | '.join(f'{c / rendering:.1%}' for c in costs.values())} |")
    for name, cost in costs.items():
        print(f"{name}: at most 15 % up to {0.15 * total / cost * 1000:.0f} TFLOP/s in use, one core scoring in turn")
    loops(clip, total, sampling.micro_batch)


@dataclass(frozen=True)
class StandIn:
    """In place of the model: batches of what was rendered, ready after as many seconds a frame.

    interpreter: the share of that time in which Python runs, as it does to start a GPU's kernels; the rest is waited.
    """

    frames: np.ndarray
    seconds: float
    batch: int
    interpreter: float = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.frames), self.batch):
            batch = self.frames[start : start + self.batch]
            began = time.perf_counter()
            while time.perf_counter() < began + self.interpreter * self.seconds * len(batch):
                pass
            time.sleep(max(0.0, began + self.seconds * len(batch) - time.perf_counter()))
            yield from batch


def loops(clip: Clip, tera_flop: float, batch: int) -> None:
    """What scoring, with copy-source, adds to the clock time of the loop that `render` runs, mp4 included."""
    print("\n| TFLOP/s in use | rendering, ms | Python runs | in the model's thread | beside it, as render does |")
    print("|---|---|---|---|---|")
    places = np.arange(LOOP_FRAMES) % len(clip)
    clip = Clip(clip.generated[places], clip.truth[places], clip.keypoints[places])
    with tempfile.TemporaryDirectory() as folder:
        for index, frame in enumerate(clip.truth):
            write_png(Path(folder) / "truth" / f"images{index + 1:04}.png", frame)
        for share in SHARES:
            for throughput in LOOP_THROUGHPUTS:
                seconds = tera_flop / throughput
                model = StandIn(clip.generated, seconds, batch, share)
                found = " | ".join(overheads(clip, model, Path(folder)))
                print(f"| {throughput} | {1000 * seconds:.1f} | {share:.0%} | {found} |", flush=True)


def overheads(clip: Clip, model: StandIn, folder: Path) -> list[str]:
    """Of scoring in the model's thread and beside it: what the best of the rounds takes longer than without scores."""
    modes = (None, "in turn", "beside")
    seconds: dict[str | None, list[float]] = {mode: [] for mode in modes}
    for _ in range(ROUNDS):
        results = []
        for mode in modes:
            scorer = FrameScorer(
                keypoints=clip.keypoints, baselines={"copy-source": CopySource(clip.truth[0])}, quick=True
            )
            truth = Truth(open_frames(folder / "truth"), scorer)
            start = time.perf_counter()
            render_loop(clip, model, folder / "out.mp4", truth, mode)
            seconds[mode].append(time.perf_counter() - start)
            results += [scorer.result()] if mode else []
        if results[0] != results[1]:
            raise SystemExit("scores differ by where they are taken")
    return [f"{min(seconds[mode]) / min(seconds[None]) - 1:.1%}" for mode in modes[1:]]


def render_loop(clip: Clip, model: StandIn, out: Path, truth: Truth, mode: str | None) -> None:
    """`write_rendering` of the clip."""

    def in_turn() -> Iterator[np.ndarray]:
        for index, frame in enumerate(model):
            truth.scorer.update(index, frame, truth.frames.read(index, index + 1)[0])
            yield frame

    height, width = clip.truth.shape[1:3]
    poses = PoseSequence(clip.keypoints, width, height)
    source = Source(clip.truth[0], None, NAME)
    rendered = in_turn() if mode == "in turn" else model
    scored = truth if mode == "beside" else None
    write_rendering(rendered, source, poses, 0, SIGNGEN_133, Outputs(out, 25.0), scored, lambda: None)


def counted() -> FlopCounterMode:
    return FlopCounterMode(display=False)


def tera(counter: FlopCounterMode) -> float:
    return counter.get_total_flops() / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # whole-set first: peak memory would be that of the networks else
    parts = {"whole-set": whole_set, "alone": alone, "paths": paths, "target": target}
    parser.add_argument("parts", nargs="*", default=list(parts), metavar="PART", help=", ".join(parts))
    parser.add_argument("--testdata", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    clip = clip_of(arguments.testdata)
    for name, part in parts.items():
        if name in arguments.parts:
            part(clip)
    if arguments.testdata is not None:
        clips(clip)


if __name__ == "__main__":
    main()
