"""A map of guidance: w_c x w_f over {1, 1.5, 2, 3, 4}, in SSIM, hand sharpness, PCK and flicker over the truth's.

    python benchmarks/guidance.py MODEL PAIRS --out runs/guidance [--split val] [--steps 8] [--estimator mediapipe]
    python benchmarks/guidance.py MODEL PAIRS --out runs/presets --presets

Every cell is one `signgen evaluate-model` with a real noise schedule (noise 1, DDIM); those that are in OUT already are
not made again. Rows are w_c (pose and source), columns w_f (fusion).

--presets: what presets cost and are worth instead. They are relative to a recipe of 20 steps of UniPC with guidance 2
and 2, as phoenix-256's; milliseconds a frame are of rendering alone, one after the other.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.model import ModelRequest, evaluate_model
from signgen.files import write_json
from signgen.models.card import load_model
from signgen.models.device import prepare_device
from signgen.pairs.pairset import PairSet
from signgen.presets import PRESETS, preset_settings
from signgen.rendering.inputs import hold_missing
from signgen.rendering.pairs import source_of
from signgen.rendering.renderer import Renderer

WEIGHTS = (1.0, 1.5, 2.0, 3.0, 4.0)
SHOWN = {"ssim": 3, "psnr": 1, "hand_ssim": 3, "hand_sharpness": 2, "pck_10": 3, "hand_pck_10": 3, "flicker_excess": 2}
RECIPE: dict[str, Any] = {"solver": "unipc", "steps": 20, "noise_scale": 1.0, "w_c": 2.0, "w_f": 2.0}
MIDDLE = (0.25, 0.85)
# What balanced and fast were chosen among.
OTHERS: dict[str, dict[str, Any]] = {
    "10 steps": {"steps": 10},
    "10 steps, guided .25 to .85": {"steps": 10, "guidance_interval": MIDDLE},
    "6 steps, guided .25 to .85": {"steps": 6, "guidance_interval": MIDDLE},
    "4 steps, guided .25 to .85": {"steps": 4, "guidance_interval": MIDDLE},
    "20 steps, no guidance": {"w_c": 1.0, "w_f": 1.0},
    "1 step, no guidance": {"steps": 1, "w_c": 1.0, "w_f": 1.0},
}
TIMED = 32  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--estimator")
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.presets:
        print(presets(options))
        return
    schedule = {"solver": "ddim", "steps": options.steps, "noise_scale": 1.0}
    cells = {
        (w_c, w_f): scores(options, f"{w_c:g}-{w_f:g}", {**schedule, "w_c": w_c, "w_f": w_f})
        for w_c in WEIGHTS
        for w_f in WEIGHTS
    }
    for name in shown(cells.values()):
        print(f"\n| {name}: w_c, w_f | {' | '.join(f'{w:g}' for w in WEIGHTS)} |")
        print("|---" * (len(WEIGHTS) + 1) + "|")
        for w_c in WEIGHTS:
            row = (f"{cells[w_c, w_f][name]:.{SHOWN[name]}f}" for w_f in WEIGHTS)
            print(f"| {w_c:g} | {' | '.join(row)} |")


def presets(options: argparse.Namespace) -> str:
    """A row for each preset, and for what was not taken: Markdown."""
    chosen = {name: {**RECIPE, **preset_settings(name, RECIPE["steps"])} for name in PRESETS}
    chosen |= {name: {**RECIPE, **settings} for name, settings in OTHERS.items()}
    chosen = {name: {**settings, "fill": False} for name, settings in chosen.items()}
    rows = {name: scores(options, f"{number}", settings) for number, (name, settings) in enumerate(chosen.items())}
    columns = shown(rows.values())
    lines = [f"| sampling | ms a frame | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, settings in chosen.items():
        values = (f"{rows[name][column]:.{SHOWN[column]}f}" for column in columns)
        lines.append(f"| {name} | {milliseconds(options, settings):.0f} | {' | '.join(values)} |")
    return "\n".join(lines)


def shown(cells: Any) -> list[str]:
    """The columns that there are numbers for."""
    return [name for name in SHOWN if all(means.get(name) is not None for means in cells)]


def scores(options: argparse.Namespace, name: str, sampling: dict[str, Any]) -> dict[str, float]:
    """Means over all frames of the split; kept in OUT."""
    kept = options.out / f"{name}.json"
    if not kept.exists():
        request = ModelRequest(
            options.model,
            options.pairs,
            split=options.split,
            sampling=sampling,
            poses=PoseRequest(None, options.estimator, None),
        )
        write_json(kept, {"sampling": sampling, "mean": evaluate_model(request).scores["mean"]})
    found = json.loads(kept.read_text())
    if found["sampling"] != json.loads(json.dumps(sampling)):
        raise SystemExit(f"{kept} is of {found['sampling']}: choose another --out")
    return found["mean"]


def milliseconds(options: argparse.Namespace, sampling: dict[str, Any]) -> float:
    """Of a frame, by the renderer alone, after a first batch."""
    pair_set = PairSet.load(options.pairs)
    pipeline, card = load_model(options.model)
    renderer = Renderer(pipeline, card, card.sampling(sampling), 0, prepare_device("auto"))
    poses, _ = hold_missing(pair_set.poses(pair_set.clips[0].name))
    source = source_of(pair_set, 0, 0, poses)
    count = min(TIMED, len(poses))
    list(renderer.frames(source, poses, range(renderer.sampling.micro_batch)))
    began = time.perf_counter()
    list(renderer.frames(source, poses, range(count)))
    return 1000 * (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()
