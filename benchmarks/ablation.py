"""What the part warp and each of its uses in nano are worth: variants at equal steps, several seeds; prints a table.

    python benchmarks/ablation.py real --testdata TESTDATA --out runs/ablation --steps 400 --seeds 0 1 2
    python benchmarks/ablation.py synthetic --out runs/ablation-synthetic --steps 300 --seeds 0 1 2

real: one model for the training parts of four clips, scored on the held-out quarter of each. synthetic: one model for
drawn signers, scored on a clip of a seen signer, of one never seen, and of a seen one in another's poses, against the
drawn truth. Stage 2 alone, canvas 128x128, cleaned keypoints; told are means over seeds and, of SSIM, their range.
With --estimator also PCK of keypoints estimated anew in output and truth. Models that are there are not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nano import AUGMENTATION, WITHOUT_WARP
from real_clips import CLIPS, build, canvas_copy, held_out, signgen

from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.pose.accuracy import PoseAccuracy
from signgen.models.canvas import Canvas
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.poses.clean import clean_poses
from signgen.poses.estimators import extract, open_estimator
from signgen.poses.readers import read_poses
from signgen.poses.sequence import PoseSequence
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import ReferenceClip, Source
from signgen.synthetic import frame_folders, signer_of
from signgen.video.reader import open_frames

CANVAS = Canvas(128, 128)
COLUMNS = (
    *("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim", "face_psnr"),
    *("hand_sharpness", "flicker", "flicker_truth", "pck_10", "hand_pck_10", "ms"),
)
FIRST_ONLY = f"{AUGMENTATION}.references=0"


@dataclass(frozen=True)
class Variant:
    """nano with `changes`; referenced: rendered with the training frames as references, too."""

    name: str
    changes: tuple[str, ...] = ()
    referenced: bool = False


VARIANTS = (
    Variant("no part warp", (WITHOUT_WARP, "diffusion.copies.warp=false", FIRST_ONLY)),
    Variant(
        "as channels, residual to the source", ("diffusion.copies.warp=false", "diffusion.base=source", FIRST_ONLY)
    ),
    Variant("as channels, residual to it", ("diffusion.copies.warp=false", "diffusion.base=warp", FIRST_ONLY)),
    Variant("and gate", (FIRST_ONLY,)),
    Variant("nano: half of the triples with references", referenced=True),
)


@dataclass(frozen=True)
class Case:
    """What is rendered and scored: frames (T, h, w, 3), their poses, which of them; the person; references, if any."""

    name: str
    truth: np.ndarray
    truth_poses: PoseSequence
    poses: PoseSequence
    part: range
    source: Source
    references: ReferenceClip | None = None


def real(args: argparse.Namespace) -> tuple[Path, list[Case]]:
    """The pair set of all four clips on the canvas, and a case for each."""
    data, pairs = args.out / "data", args.out / "pairs"
    if not (pairs / "meta.json").exists():
        for name, clip in CLIPS.items():
            own = build(args.testdata, clip, args.out / "native" / name)
            frames, poses = canvas_copy(own, clip.name, CANVAS, args.out / "copies" / name)
            data.mkdir(exist_ok=True, parents=True)
            shutil.copytree(frames, data / name)
            shutil.copy(poses, data / f"{name}.poses.npz")
        signgen("build-pairs", data, "--out", pairs, "--holdout-tail", 0.25, "--count", 4000)
    loaded = PairSet.load(pairs)
    return pairs, [held_out_case(loaded, name) for name in CLIPS]


def held_out_case(pairs: PairSet, name: str) -> Case:
    """The clip's held-out frames from its first one; its training frames are the references."""
    frames, poses = pairs.frames(name), pairs.poses(name)
    first, last = map(int, held_out(pairs, name).split(":"))
    images, known = frames.read(), pairs.clip(name).train_frames
    source = Source(images[0], poses[0:1], name)
    references = ReferenceClip(frames, poses[known.start : known.stop], known.start)
    return Case(name, images, poses, poses, range(first, last), source, references)


def synthetic(args: argparse.Namespace) -> tuple[Path, list[Case]]:
    """The pair set of a drawn corpus, and cases seen, unseen and crossed, as in `signgen demo`."""
    corpus, pairs = args.out / "corpus", args.out / "pairs"
    keypoints = corpus / "keypoints"
    if not (pairs / "meta.json").exists():
        drawn = ("--signers", 4, "--clips", 2, "--frames", 60, "--seed", 0, "--gaps", 0.3, "--cross")
        signgen("synthesize", corpus, *drawn)
        signgen("build-pairs", corpus, "--keypoints", keypoints, "--out", pairs, "--clean")
    test, crossed = frame_folders(corpus, "test"), frame_folders(corpus / "cross", "test")[0]
    like = next(c for c in frame_folders(corpus, "train") if signer_of(c.name) == signer_of(crossed.name))
    loaded = PairSet.load(pairs)
    own = [clip_poses(keypoints / "Phoenix-2014T.test", clip) for clip in (test[0], test[-1])]
    cross = clip_poses(corpus / "cross" / "keypoints" / "Phoenix-2014T.test", crossed)
    fitted = args.out / "crossed.poses.npz"
    person = ("--to", keypoints / "Phoenix-2014T.train", "--to-clip", like.name, "--to-size", "210x260")
    words = (keypoints / "Phoenix-2014T.test", "--clip", test[0].name, "--size", "210x260", "--fps", 25)
    signgen("poses", "retarget", *words, *person, fitted)
    references = ReferenceClip(loaded.frames(like.name), loaded.poses(like.name))
    return pairs, [
        drawn_case("seen signer", test[0], own[0], own[0], None),
        drawn_case("unseen signer", test[-1], own[1], own[1], None),
        drawn_case("crossed", crossed, cross, clean_poses(read_poses(fitted)), references),
    ]


def clip_poses(file: Path, clip: Path) -> PoseSequence:
    """A drawn clip's cleaned keypoints."""
    frames = open_frames(clip)
    return clean_poses(read_poses(file, clip=clip.name, size=(frames.width, frames.height), fps=25.0))


def drawn_case(
    name: str, clip: Path, truth: PoseSequence, poses: PoseSequence, references: ReferenceClip | None
) -> Case:
    """All frames but the first, which is the source, of a clip on the canvas."""
    images = np.stack([CANVAS.fit_frame(frame) for frame in open_frames(clip).read()])
    placed = [each.resized(CANVAS.width, CANVAS.height) for each in (truth, poses)]
    source = Source(images[0], placed[0][0:1], clip.name)
    return Case(name, images, *placed, range(1, len(images)), source, references)


def trained(pairs: Path, run: Path, variant: Variant, steps: int, seed: int, threads: int) -> Path:
    """The model folder."""
    if not (run / "model" / "signgen.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        changes = ("fusion.enabled=false", f"training.diffusion.steps={steps}", "training.diffusion.validations=1")
        words = [word for change in (*changes, *variant.changes) for word in ("--set", change)]
        signgen("train", pairs, "--config", "nano", "--out", run, "--seed", seed, "--threads", threads, *words)
    return run / "model"


class Scoring:
    """Scores of a case's frames; estimator: name, or None for no PCK."""

    def __init__(self, estimator: str | None) -> None:
        self.estimator = estimator
        self._truths: dict[str, np.ndarray] = {}

    def __call__(self, case: Case, frames: Iterator[np.ndarray]) -> dict[str, float]:
        """Means of a rendering, and the milliseconds that it took for a frame, scoring left out."""
        began = time.perf_counter()
        made = list(frames)
        took = time.perf_counter() - began
        scorer = FrameScorer(
            keypoints=case.truth_poses.keypoints,
            baselines={"copy-source": CopySource(case.source.frame)},
            quick=True,
            metrics=self._accuracy(case, made),
        )
        for index, frame in zip(case.part, made, strict=True):
            scorer.update(index, frame, case.truth[index])
        return {**scorer.result()["mean"], "ms": 1e3 * took / len(made)}

    def _accuracy(self, case: Case, made: list[np.ndarray]) -> list[PoseAccuracy]:
        if self.estimator is None:
            return []
        if case.name not in self._truths:
            self._truths[case.name] = self._seen(case, [case.truth[index] for index in case.part])
        return [PoseAccuracy(self._truths[case.name], {MODEL: self._seen(case, made)})]

    def _seen(self, case: Case, frames: list[np.ndarray]) -> np.ndarray:
        """(T, 133, 3) by frame of the truth."""
        placed = np.full((len(case.truth), 133, 3), (np.nan, np.nan, 0), np.float32)
        with closing(open_estimator(self.estimator)) as opened:
            placed[case.part.start : case.part.stop] = extract(frames, opened, 25.0).keypoints
        return placed


def rendered(renderer: Renderer, case: Case, referenced: bool) -> Iterator[np.ndarray]:
    """The case's frames."""
    references = case.references if referenced else None
    return renderer.frames(Source(case.source.frame, case.source.pose, case.name, references), case.poses, case.part)


def warped(renderer: Renderer, case: Case, referenced: bool) -> Iterator[np.ndarray]:
    """The part warp alone."""
    references = case.references if referenced else None
    warp = renderer.part_warps(Source(case.source.frame, case.source.pose, case.name, references), case.poses)
    return (warp(range(index, index + 1))[0, ..., :3] for index in case.part)


def rows_of(
    variant: Variant, model: Path, cases: list[Case], seed: int, threads: int, scored: Scoring
) -> Iterator[dict]:
    """A row for each case, and for each with references where the variant has them."""
    pipeline, card = load_model(model)
    renderer = Renderer(pipeline, card, device=prepare_device("cpu", threads))
    for case in cases:
        for referenced in (False, True):
            if referenced and (case.references is None or not variant.referenced):
                continue
            frames = rendered(renderer, case, referenced)
            yield {"on": case.name, "who": named(variant.name, referenced), "seed": seed, **scored(case, frames)}
            if variant.referenced and seed == 0:
                alone = scored(case, warped(renderer, case, referenced))
                yield {"on": case.name, "who": named("the part warp alone", referenced), "seed": None, **alone}


def named(who: str, referenced: bool) -> str:
    return f"{who}; with references" if referenced else who


def table(rows: list[dict]) -> str:
    """Markdown: for each case a line a variant, means over seeds; SSIM with its range."""
    lines = ["| on | who | seeds | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 3) + "|"]
    for place in dict.fromkeys(row["on"] for row in rows):
        here = [row for row in rows if row["on"] == place]
        for who in dict.fromkeys(row["who"] for row in here):
            runs = [row for row in here if row["who"] == who]
            cells = [cell(column, [run[column] for run in runs if run.get(column) is not None]) for column in COLUMNS]
            lines.append(f"| {place} | {who} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(column: str, values: list[float]) -> str:
    """The mean; of SSIM also the range."""
    if not values:
        return "-"
    digits = 1 if "psnr" in column or column == "ms" else 3
    text = f"{statistics.fmean(values):.{digits}f}"
    return f"{text} ({min(values):.3f}-{max(values):.3f})" if column == "ssim" and len(values) > 1 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("on", choices=("real", "synthetic"))
    parser.add_argument("--testdata", type=Path, help="for real")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of stage 2, for every variant")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--estimator", help="mediapipe (the extra `pose`), for PCK")
    args = parser.parse_args()
    pairs, cases = real(args) if args.on == "real" else synthetic(args)
    rows: list[dict] = []
    scored = Scoring(args.estimator)
    for seed in args.seeds:
        for number, variant in enumerate(VARIANTS):
            model = trained(pairs, args.out / f"{number}-{seed}", variant, args.steps, seed, args.threads)
            rows += rows_of(variant, model, cases, seed, args.threads, scored)
            (args.out / "rows.json").write_text(json.dumps(rows, indent=1))
            print(table(rows), flush=True)


if __name__ == "__main__":
    main()
