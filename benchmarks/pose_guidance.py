r"""What pose guidance gains in sampling, by mode and scale: PCK by another network, SSIM, time; prints a table.

    python benchmarks/pose_guidance.py --ablation runs/reposedm --testdata TESTDATA --run B1-10 --out runs/guidance

--ablation, --testdata: as benchmarks/ablation_reposedm.py was called: its pair sets, its pose network that guides, the
other one that judges drawn signers (or MediaPipe, by --judge; it judges real clips always), and the model of one of its
runs. All settings are rendered in turn for each clip, so that their times can be compared; `off` is rendered twice, at
the beginning and at the end, which says what times are worth. found_10: the share of body's and hands' points that the
judge sees in the truth and, within a tenth of a shoulder's width, in the output. Intervals: 95 %, percentile bootstrap
of the difference to `off`, over clips and, within them, frames. Choose a setting with one run, and report it with
others. What is whole in OUT is not made again: another judge, another OUT.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
from ablation_reposedm import EVERY, REAL
from real_clips import held_out
from reposedm_scoring import DRAWN_PLACE, REAL_PLACE, SHARE, Case, Judge

from signgen.config import SamplingSettings
from signgen.files import write_json
from signgen.metrics.image import pixels as image
from signgen.metrics.pose.accuracy import joint_errors, visible
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.poses.parts import joint_parts
from signgen.rendering.renderer import Renderer

DRAWS = 4000
OFF, AGAIN = "off", "off again"


def settings_of(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Name -> what it changes in the model's sampling."""
    guide = {"pose_network": str(options.ablation / "posenet-guide")}
    shared = {"pose_interval": (0.0, options.until), "pose_clip": options.clip, "pose_every": options.every}
    guided = {
        f"{mode} {scale:g}": {"pose_guidance": scale, "pose_mode": mode, **guide, **shared}
        for mode, scale in itertools.product(options.modes, options.scales)
    }
    return {OFF: {}, **guided, AGAIN: {}}


def cases_of(options: argparse.Namespace) -> list[Case]:
    """Drawn people not trained on, and the held-out parts of real clips."""
    tested = PairSet.load(options.ablation / "tested" / "pairs")
    names = [clip.name for clip in tested.clips][: options.people]
    cases = [
        Case.of(tested, name, DRAWN_PLACE, range(1, tested.poses(name).keypoints.shape[0], EVERY)) for name in names
    ]
    joint = PairSet.load(options.ablation / "joint" / "pairs")
    for name in REAL if options.testdata else ():
        first, last = map(int, held_out(joint, name).split(":"))
        cases.append(Case.of(joint, name, REAL_PLACE, range(first, last, EVERY)))
    return cases


def frames_of(case: Case, made: list[np.ndarray], judge: Judge) -> list[tuple[int, int, float]]:
    """Of each frame: points found, points there, SSIM."""
    truth, seen = judge.truth(case), judge.seen(case, made)
    parts = joint_parts(truth.shape[1])
    joints = [*parts["body"], *parts["hands"]]
    near, there = (joint_errors(seen, truth) <= SHARE)[:, joints].sum(1), visible(truth)[:, joints].sum(1)
    return [
        (int(near[index]), int(there[index]), float(image.frame_mean(image.ssim_map(frame, case.truth[index]))))
        for index, frame in zip(case.part, made, strict=True)
    ]


def measured(case: Case, name: str, changes: dict, options: argparse.Namespace, judge: Judge) -> dict:
    """A clip rendered in one setting."""
    pipeline, card = load_model(options.ablation / "runs" / options.run / "model")
    base = card.parsed_recipe().sampling.model_dump()
    sampling = SamplingSettings.model_validate(base | changes)
    renderer = Renderer(pipeline, card, sampling, device=prepare_device("cpu", options.threads))
    began = time.perf_counter()
    made = list(renderer.frames(case.source, case.poses, case.part))
    ms = 1e3 * (time.perf_counter() - began) / len(made)
    return {"on": case.on, "clip": case.name, "setting": name, "ms": ms, "frames": frames_of(case, made, judge)}


def interval(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[float, float, float]]:
    """pairs: of each clip, frames (n, 3) of a setting and of `off`. Differences of PCK and SSIM: mean, low, high."""
    rng = np.random.default_rng(0)

    def difference(chosen: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
        ours, theirs = (np.concatenate(each) for each in zip(*chosen, strict=True))
        shares = [each[:, 0].sum() / max(1, each[:, 1].sum()) for each in (ours, theirs)]
        return shares[0] - shares[1], float((ours[:, 2] - theirs[:, 2]).mean())

    drawn = []
    for _ in range(DRAWS):
        clips = [pairs[number] for number in rng.integers(len(pairs), size=len(pairs))]
        rows = [rng.integers(len(each[0]), size=len(each[0])) for each in clips]
        drawn.append(difference([(a[row], b[row]) for (a, b), row in zip(clips, rows, strict=True)]))
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    mean = difference(pairs)
    return {name: (mean[n], float(low[n]), float(high[n])) for n, name in enumerate(("found_10", "ssim"))}


def table(rows: list[dict]) -> str:
    """Markdown, for each place a line a setting."""
    lines = ["| on | setting | found_10 | minus off | ssim | minus off | time to off |", "|---" * 7 + "|"]
    for on in dict.fromkeys(row["on"] for row in rows):
        by = {(row["setting"], row["clip"]): row for row in rows if row["on"] == on}
        clips = [clip for setting, clip in by if setting == OFF]
        for setting in dict.fromkeys(setting for setting, _ in by):
            frames = [np.array(by[setting, clip]["frames"]) for clip in clips if (setting, clip) in by]
            plain = [np.array(by[OFF, clip]["frames"]) for clip in clips if (setting, clip) in by]
            both = np.concatenate(frames)
            apart = interval(list(zip(frames, plain, strict=True)))
            times = [by[setting, clip]["ms"] / by[OFF, clip]["ms"] for clip in clips if (setting, clip) in by]
            told = ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*apart[name]) for name in ("found_10", "ssim")]
            shares = f"{both[:, 0].sum() / both[:, 1].sum():.3f}", f"{both[:, 2].mean():.3f}"
            lines.append(
                f"| {on} | {setting} | {shares[0]} | {told[0]} | {shares[1]} | {told[1]} | {np.median(times):.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ablation", type=Path, required=True)
    parser.add_argument("--run", required=True, help="of --ablation, as B1-0")
    parser.add_argument("--testdata", type=Path, help="real clips, too")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["cheap", "full"])
    parser.add_argument("--scales", type=lambda text: [float(each) for each in text.split(",")], default=[10, 30, 100])
    parser.add_argument("--until", type=float, default=0.5, help="share of the time steps that is guided")
    parser.add_argument("--clip", type=float, default=0.1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--judge", choices=("own", "mediapipe"), default="own", help="of drawn signers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    everywhere = None if options.judge == "own" else options.judge
    judge = Judge(options.ablation / "posenet-judge", options.ablation / "posenet-guide", everywhere)
    cases, settings = cases_of(options), settings_of(options)
    rows = []
    for case in cases:
        if not judge.judges(case):
            continue
        for name, changes in settings.items():
            file = options.out / f"{options.run}-{case.name}-{name.replace(' ', '-')}.json"
            if not file.exists():
                write_json(file, measured(case, name, changes, options, judge))
            rows.append(json.loads(file.read_text()))
        print(table(rows), flush=True)


if __name__ == "__main__":
    main()
