r"""What RePoseDM's modules are worth at nano's size: rows at equal steps on one joint data set; prints tables.

    python benchmarks/ablation_reposedm.py --out runs/reposedm --testdata TESTDATA     two CPU cores, 8 minutes a run
    python benchmarks/ablation_reposedm.py --out runs/reposedm --testdata TESTDATA --rows B1,B2 --seeds 3,4      more

B1: neither, the source by a plain CNN; B1-tokens: by FPDM's tokens; B2: by recurrent alignment (nano-repose); B3: B1
with a pose penalty in training and pose guidance in sampling; both; B1-spatial: B1 with the source, its pose and the
part warp as channels. All have nano-repose's real noise schedule and its sampling. Steps: as many as the slowest row
makes in the minutes, measured once for all rows, or --steps. Trained on drawn signers and, with --testdata, on the
first three quarters of clip_b and football; scored at 128x128 on drawn signers not trained on, and on the real clips'
last quarter, from a clip's first frame. One pose network, of the same pair set, trains and guides; another one, of
other drawn signers and another seed, judges drawn signers, MediaPipe (the extra `pose`) real ones. pck_10 is of points
that the judge sees in truth and output; found_10 counts what it sees in the truth alone as not found. reposedm_table.py
says how differences are taken. What is whole in OUT is not made again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from real_clips import CLIPS, build, canvas_copy, held_out, signgen
from reposedm_scoring import CANVAS, DRAWN_PLACE, REAL_PLACE, Case, Judge, scored
from reposedm_table import Pace, differences, equal_steps, paced, sentences, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from signgen.config import load_recipe
from signgen.errors import OptionError
from signgen.evaluation.scorer import find_lpips
from signgen.files import write_json
from signgen.metrics.image.lpips import Lpips
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.rendering.renderer import Renderer
from signgen.synthetic import plan_takes, render_takes, write_videos

REAL = ("clip_b", "football")
TRAINED, TESTED, JUDGED = 0, 1, 2  # seeds of drawn signers: no person and no movement of one is in another
GUIDE_SEED, JUDGE_SEED = 100, 200
TRIPLES = 4000
LEAST_PROBED = 20  # steps
EVERY = 3  # of a drawn clip's frames are scored


@dataclass(frozen=True)
class Row:
    """conditions: kinds, in the recipe's order. guided: with the pose penalty and pose guidance."""

    name: str
    conditions: tuple[str, ...]
    guided: bool = False


ROWS = (
    Row("B1", ("source_cnn", "pose_map")),
    Row("B1-tokens", ("source_tokens", "pose_map")),
    Row("B2", ("aligned_tokens", "pose_map")),
    Row("B3", ("source_cnn", "pose_map"), guided=True),
    Row("both", ("aligned_tokens", "pose_map"), guided=True),
    Row("B1-spatial", ("source_cnn", "pose_map", "source_latent", "source_pose_map", "part_warp")),
)
# Conditions as nano-repose has them, else as nano has.
ENTRIES = {"source_cnn": {"kind": "source_cnn", "null": "learned"}} | {
    entry.kind: entry.model_dump() for name in ("nano", "nano-repose") for entry in load_recipe(name).conditions
}


def changes(row: Row, guide: Path, penalty: float) -> list[str]:
    """What the row changes in nano-repose, as `a.b=c`."""
    found = [f"conditions={json.dumps([ENTRIES[kind] for kind in row.conditions])}"]
    if "source_tokens" in row.conditions:
        found.append("source_encoder.enabled=true")
    if "aligned_tokens" not in row.conditions:
        found += [f"diffusion.alignment.{loss}=0" for loss in ("photometric", "matching", "keypoints", "smoothness")]
    if row.guided:
        found += [f"diffusion.pose_penalty.weight={penalty}", f"diffusion.pose_penalty.network={guide}"]
    return found


@dataclass(frozen=True)
class Setting:
    """What all runs share: the joint pair set, the cases, both pose networks and the options."""

    pairs: Path
    cases: tuple[Case, ...]
    guide: Path
    judge: Path
    options: argparse.Namespace


def prepared(options: argparse.Namespace) -> Setting:
    """Data and pose networks, made where they are not there."""
    out = options.out
    pairs = drawn_pairs(out / "joint", TRAINED, options.signers, options.frames, options.testdata)
    tested = PairSet.load(drawn_pairs(out / "tested", TESTED, options.people, options.test_frames))
    judged = drawn_pairs(out / "judged", JUDGED, options.signers, options.frames)
    guide = posenet(pairs, out / "posenet-guide", GUIDE_SEED, options)
    judge = posenet(judged, out / "posenet-judge", JUDGE_SEED, options)
    cases = [Case.of(tested, clip.name, DRAWN_PLACE, range(1, clip.num_frames, EVERY)) for clip in tested.clips]
    joint = PairSet.load(pairs)
    for name in REAL if options.testdata else ():
        first, last = map(int, held_out(joint, name).split(":"))
        cases.append(Case.of(joint, name, REAL_PLACE, range(first, last)))
    return Setting(pairs, tuple(cases), guide, judge, options)


def drawn_pairs(folder: Path, seed: int, signers: int, frames: int, testdata: Path | None = None) -> Path:
    """A pair set of drawn signers, a clip of each with exact keypoints; with the real clips where there are any."""
    if not (folder / "pairs" / "meta.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        takes = plan_takes(seed, signers=signers, clips=1, frames=frames)["train"]
        write_videos(folder / "data", render_takes(takes))
        for name in REAL if testdata else ():
            own = build(testdata, CLIPS[name], folder / "native" / name)
            pictures, poses = canvas_copy(own, CLIPS[name].name, CANVAS, folder / "copies" / name)
            shutil.copytree(pictures, folder / "data" / name)
            shutil.copy(poses, folder / "data" / f"{name}.poses.npz")
        words = ("--crop", "none", "--holdout-tail", 0.25, "--count", TRIPLES)
        signgen("build-pairs", folder / "data", "--out", folder / "pairs", *words)
    return folder / "pairs"


def posenet(pairs: Path, folder: Path, seed: int, options: argparse.Namespace) -> Path:
    """A pose network of the pair set."""
    if not (folder / "posenet.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        words = ("--seed", seed, "--max-minutes", options.posenet_minutes, "--threads", options.threads)
        signgen("train-posenet", pairs, "--out", folder, *words, "--device", "cpu")
    return folder


def steps_of(setting: Setting) -> int:
    """--steps, or measured with all rows, and kept in OUT, so that rows and seeds added later have as many."""
    options, file = setting.options, setting.options.out / "steps.json"
    if options.steps:
        return options.steps
    if not file.exists():
        paces = {row.name: pace_of(row, setting) for row in ROWS}
        told = {name: asdict(pace) for name, pace in paces.items()}
        write_json(file, {"steps": equal_steps(paces, options.minutes), "paces": told})
    return json.loads(file.read_text())["steps"]


def pace_of(row: Row, setting: Setting) -> Pace:
    """Of a short training, by the times in its log."""
    run = setting.options.out / "probe"
    shutil.rmtree(run, ignore_errors=True)
    train(row, setting, run, 0, ("--set", f"training.diffusion.steps={setting.options.probe_steps}"))
    log = EventAccumulator(str(run / "logs" / "tensorboard" / "diffusion")).Reload().Scalars("train/loss")
    seconds = json.loads((run / "run.json").read_text())["seconds"]
    shutil.rmtree(run)
    return paced({each.step: each.wall_time for each in log}, seconds)


def train(row: Row, setting: Setting, run: Path, seed: int, more: tuple[object, ...]) -> None:
    """`signgen train` of a row. more: what ends it."""
    given = [*changes(row, setting.guide.resolve(), setting.options.penalty), "training.diffusion.validations=1"]
    words = [word for change in given for word in ("--set", change)]
    machine = ("--threads", setting.options.threads, "--device", "cpu")
    signgen("train", setting.pairs, "--config", "nano-repose", "--out", run, "--seed", seed, *machine, *words, *more)


def renderer_of(row: Row, model: Path, setting: Setting) -> Renderer:
    """Samples as the recipe says; with pose guidance where the row has it."""
    pipeline, card = load_model(model)
    guidance = {"pose_guidance": setting.options.guidance, "pose_network": str(setting.guide)}
    sampling = card.parsed_recipe().sampling.model_copy(update=guidance if row.guided else {})
    return Renderer(pipeline, card, sampling, device=prepare_device("cpu", setting.options.threads))


def measured(row: Row, seed: int, setting: Setting, steps: int, judge: Judge, lpips: Lpips | None) -> dict:
    """One run: trained, rendered and scored."""
    run = setting.options.out / "runs" / f"{row.name}-{seed}"
    if not (run / "run.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        train(row, setting, run, seed, ("--set", f"training.diffusion.steps={steps}"))
    renderer = renderer_of(row, run / "model", setting)
    clips = []
    for case in setting.cases:
        began = time.perf_counter()
        made = list(renderer.frames(case.source, case.poses, case.part))
        took = {"ms": 1e3 * (time.perf_counter() - began) / len(made)}
        found = scored(case, made, judge, lpips)
        clips.append({"on": case.on, "clip": case.name, **found, "model": found["model"] | took})
    done = json.loads((run / "run.json").read_text())
    trained = [renderer.pipeline.unet, renderer.pipeline.conditions, renderer.pipeline.source_encoder]
    count = sum(each.numel() for network in trained if network is not None for each in network.parameters())
    about = {"steps": done["steps"]["diffusion"], "seconds": done["seconds"], "parameters": count}
    return {"row": row.name, "seed": seed, **about, "clips": clips}


def runs_of(options: argparse.Namespace) -> Iterator[dict]:
    """All runs that are asked for, as they are done; each is kept in OUT."""
    setting = prepared(options)
    networks, missing = find_lpips(None, None)
    if "lpips" in missing:
        print(f"no LPIPS: {missing['lpips']}")
    if options.testdata and not importlib.util.find_spec("mediapipe"):
        print("no PCK of real clips: MediaPipe (the extra `pose`) is not installed")
    judge, steps = Judge(setting.judge, setting.guide), steps_of(setting)
    for seed in options.seeds:
        for row in (each for each in ROWS if each.name in options.rows):
            file = options.out / f"{row.name}-{seed}.json"
            if not file.exists():
                write_json(file, measured(row, seed, setting, steps, judge, networks.get("alex")))
            yield json.loads(file.read_text())


def keep_settings(options: argparse.Namespace) -> str | None:
    """Write down what runs of OUT have in common; where it is another than that of its first run, what differs."""
    names = ("signers", "frames", "people", "test_frames", "posenet_minutes", "minutes", "steps", "penalty", "guidance")
    asked = {name: getattr(options, name) for name in names} | {"real clips": options.testdata is not None}
    file = options.out / "settings.json"
    if not file.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(file, asked)
    known = json.loads(file.read_text())
    apart = [f"{name} {asked[name]} (there: {known[name]})" for name in asked if asked[name] != known[name]]
    return f"{options.out} has runs with other settings: {', '.join(apart)}; take another --out" if apart else None


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--testdata", type=Path, help="real clips, too")
    parser.add_argument("--rows", type=lambda text: text.split(","), default=[row.name for row in ROWS])
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=8, help="of a run of the slowest row")
    parser.add_argument("--probe-steps", type=int, default=40, help="of each row, to measure how long a step takes")
    parser.add_argument("--steps", type=int, help="of every row, in place of --minutes")
    parser.add_argument("--posenet-minutes", type=float, default=5)
    parser.add_argument("--signers", type=int, default=12, help="drawn, to train on, and as many for the judge")
    parser.add_argument("--frames", type=int, default=100, help="of a drawn clip to train on")
    parser.add_argument("--people", type=int, default=8, help="drawn, to be scored on")
    parser.add_argument("--test-frames", type=int, default=60, help="of each; every third one is scored")
    parser.add_argument("--penalty", type=float, default=0.002, help="weight of the pose penalty")
    parser.add_argument("--guidance", type=float, default=20.0, help="scale of pose guidance in sampling")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.rows) - {row.name for row in ROWS}:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; expected some of {', '.join(r.name for r in ROWS)}")
    if options.probe_steps < LEAST_PROBED:
        parser.error(f"--probe-steps {options.probe_steps}; expected {LEAST_PROBED} or more: every tenth is timed")
    if apart := keep_settings(options):
        parser.error(apart)
    return options


def main() -> int:
    runs: list[dict] = []
    try:
        for run in runs_of(parsed()):
            runs.append(run)
            print(table(runs), flush=True)
    except OptionError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{differences(runs)}\n\n" + "\n".join(sentences(runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
