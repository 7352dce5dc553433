"""What lifts nano on unseen frames and unseen signers: variants of its recipe at equal steps; prints a table.

    python benchmarks/nano.py --out runs/nano --steps 600 --seeds 0 --testdata TESTDATA

Synthetic signers: test clips of signers seen in training, and of three whom no variant has seen. With --testdata also
the held-out last quarter of clip_b and football, each trained alone: from scratch, and from a model of synthetic
signers. Every step is a `signgen` command, printed before it runs; scores are taken at native size.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from real_clips import CLIPS, build, held_out, line, signgen

from signgen.config import load_recipe
from signgen.synthetic import frame_folders

COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_sharpness", "face_ssim")
AUGMENTATION = "training.diffusion.augmentation"


@dataclass(frozen=True)
class Corpus:
    """A synthetic corpus: signers, and training clips of each."""

    signers: int
    clips: int


FEW, MANY, STRANGERS = Corpus(4, 3), Corpus(12, 1), Corpus(3, 1)
WITHOUT_WARP = "conditions=" + json.dumps(
    [entry.model_dump() for entry in load_recipe("nano").conditions if entry.kind != "part_warp"]
)
TEST_CLIPS = 3  # of each corpus, each of another signer


@dataclass(frozen=True)
class Variant:
    """nano with `changes`, trained on `corpus`; vae: in the latents of a small VAE, trained on it before."""

    name: str
    changes: tuple[str, ...] = ()
    corpus: Corpus = field(default=FEW)
    vae: bool = False


VARIANTS = (
    Variant("nano"),
    Variant("12 signers instead of 4", corpus=MANY),
    Variant("random source frames only", (f"{AUGMENTATION}.first_source=0",)),
    Variant("first frame as the only source", (f"{AUGMENTATION}.first_source=1",)),
    Variant("nothing copied", ("diffusion.copies={layers: 0, warp: false}",)),
    Variant("no part warp", (WITHOUT_WARP, "diffusion.copies.warp=false", f"{AUGMENTATION}.references=0")),
    Variant("part warp of the first frame only", (f"{AUGMENTATION}.references=0",)),
    Variant("part warp as channels only", ("diffusion.copies.warp=false",)),
    Variant("part warp, prediction a residual to it", ("diffusion.base=warp",)),
    Variant("hands and face not weighted", ("diffusion.region_weights={hands: 1, face: 1}",)),
    Variant(
        "stronger augmentation", (f"{AUGMENTATION}.shift=8", f"{AUGMENTATION}.scale=0.08", f"{AUGMENTATION}.rotate=5")
    ),
    Variant("not mirrored", (f"{AUGMENTATION}.mirror=0",)),
    Variant("learning rate decays to zero", ("training.diffusion.decay=cosine",)),
    Variant("latents of a small VAE", vae=True),
)


def corpus_of(corpus: Corpus, frames: int, out: Path, seed: int = 0) -> Path:
    """Draw the corpus and its pair set; returns the folder of both."""
    folder = out / f"corpus-{corpus.signers}x{corpus.clips}-{seed}"
    if not (folder / "pairs" / "meta.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        sizes = ("--signers", corpus.signers, "--clips", corpus.clips, "--frames", frames, "--gaps", 0.3)
        signgen("synthesize", folder / "data", *sizes, "--seed", seed)
        signgen("build-pairs", folder / "data", "--keypoints", folder / "data/keypoints", "--out", folder / "pairs")
    return folder


def trained(pairs: Path, run: Path, steps: int, seed: int, options: tuple[object, ...]) -> Path:
    """Train nano for `steps` of stage 2 and a fifth of that of stage 1; returns the model folder."""
    if not (run / "model" / "signgen.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        lengths = ("--set", f"training.diffusion.steps={steps}", "--set", f"training.fusion.steps={max(1, steps // 5)}")
        signgen("train", pairs, "--config", "nano", "--out", run, "--seed", seed, *lengths, *options)
    return run / "model"


def on_synthetic(variant: Variant, args: argparse.Namespace, seed: int) -> Iterator[dict]:
    """Rows `seen` (test clips of trained signers) and `unseen` (of signers whom no variant was trained on)."""
    corpus = corpus_of(variant.corpus, args.frames, args.out)
    others = corpus_of(STRANGERS, args.frames, args.out, seed=1)
    run = args.out / f"{variant.name.replace(' ', '-')}-{seed}"
    changes = tuple(word for change in variant.changes for word in ("--set", change))
    if variant.vae:
        changes += ("--set", small_vae(corpus / "pairs", args.out / f"vae-{seed}", args.vae_steps, seed))
    model = trained(corpus / "pairs", run, args.steps, seed, changes)
    for place, where in ((f"seen, {variant.corpus.signers} signers", corpus), ("unseen", others)):
        clips = frame_folders(where / "data", "test")[:TEST_CLIPS]
        results = [scores(clip, where / "data", corpus / "pairs", model, run / f"{clip.name}.mp4") for clip in clips]
        yield {"on": place, "who": variant.name, "seed": seed, **mean(results)}


def small_vae(pairs: Path, out: Path, steps: int, seed: int) -> str:
    """Train it with small_vae.py; returns the recipe line that uses it."""
    if not (out / "config.json").exists():
        script = Path(__file__).with_name("small_vae.py")
        words = [script, pairs, "--out", out, "--steps", steps, "--seed", seed]
        subprocess.run([sys.executable, *(str(word) for word in words)], check=True)
    return f"image_space={{kind: vae, factor: 4, origin: {out}}}"


def scores(clip: Path, data: Path, pairs: Path, model: Path, video: Path) -> dict:
    """Render a test clip from its own first frame; its metrics."""
    keypoints = data / "keypoints" / "Phoenix-2014T.test"
    signgen("render", clip, keypoints, "--clip", clip.name, "--model", model, "--out", video, "--pairs", pairs)
    return json.loads(video.with_name(f"{video.stem}.metrics.json").read_text())


def mean(results: list[dict]) -> dict:
    """Means over clips of the model's and the baselines' means."""

    def over(means: list[dict]) -> dict:
        values = {c: [m[c] for m in means if m.get(c) is not None] for c in COLUMNS}
        return {c: sum(v) / len(v) if v else None for c, v in values.items()}

    names = results[0]["baselines"]
    baselines = {name: over([r["baselines"][name] for r in results]) for name in names}
    return {"mean": over([r["mean"] for r in results]), "baselines": baselines}


def on_real(name: str, args: argparse.Namespace, seed: int) -> Iterator[dict]:
    """Rows of a real clip's held-out quarter: from scratch, and from the synthetic model of 12 signers."""
    clip, folder = CLIPS[name], args.out / name
    pairs = build(args.testdata, clip, folder / "pairs")
    pretrained = args.out / f"{VARIANTS[1].name.replace(' ', '-')}-{seed}" / "model"
    for who, steps, init in (
        ("from scratch", args.steps, ()),
        ("from scratch, a quarter of the steps", args.steps // 4, ()),
        ("pre-trained, a quarter of the steps", args.steps // 4, ("--init", pretrained)),
        ("pre-trained", args.steps, ("--init", pretrained)),
    ):
        run = folder / f"{who.replace(' ', '-').replace(',', '')}-{seed}"
        model = trained(folder / "pairs", run, steps, seed, init)
        options = ("--model", model, "--frames", held_out(pairs, clip.name), "--pairs", folder / "pairs")
        video = run / "held-out.mp4"
        signgen("render", pairs.clip(clip.name).path, pairs.pose_path(clip.name), "--out", video, *options)
        result = json.loads((run / "held-out.metrics.json").read_text())
        yield {"on": name, "who": who, "seed": seed, **mean([result])}


def table(rows: list[dict]) -> str:
    """Markdown: baselines first for each data set, then a line for each run."""
    lines = ["| on | who | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for place in dict.fromkeys(row["on"] for row in rows):
        here = [row for row in rows if row["on"] == place]
        lines += [line(place, who, means, COLUMNS) for who, means in here[0]["baselines"].items()]
        lines += [line(place, f"{row['who']}, seed {row['seed']}", row["mean"], COLUMNS) for row in here]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600, help="of stage 2, for every variant")
    parser.add_argument("--vae-steps", type=int, default=600, help="of the small VAE")
    parser.add_argument("--frames", type=int, default=100, help="of a synthetic clip")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=[v.name for v in VARIANTS], help="only these")
    parser.add_argument("--testdata", type=Path, help="real clips; pre-training needs the variant with 12 signers")
    args = parser.parse_args()
    chosen = [v for v in VARIANTS if not args.variants or v.name in args.variants]
    rows: list[dict] = []
    for seed in args.seeds:
        for variant in chosen:
            rows += on_synthetic(variant, args, seed)
            print(table(rows), flush=True)
        if args.testdata and VARIANTS[1] in chosen:
            for name in ("clip_b", "football"):
                rows += on_real(name, args, seed)
                print(table(rows), flush=True)
    (args.out / "rows.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
