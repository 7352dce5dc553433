"""A map of guidance: w_c x w_f over {1, 1.5, 2, 3, 4}, in SSIM, hand sharpness, PCK and flicker over the truth's.

    python benchmarks/guidance.py MODEL PAIRS --out runs/guidance [--split val] [--steps 8] [--estimator mediapipe]

Every cell is one `signgen evaluate-model` with a real noise schedule (noise 1, DDIM); those that are in OUT already are
not made again. Rows are w_c (pose and source), columns w_f (fusion).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.model import ModelRequest, evaluate_model
from signgen.files import write_json

WEIGHTS = (1.0, 1.5, 2.0, 3.0, 4.0)
SHOWN = {"ssim": 3, "hand_sharpness": 2, "pck_10": 3, "hand_pck_10": 3, "flicker_excess": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--estimator")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = {(w_c, w_f): cell(options, w_c, w_f) for w_c in WEIGHTS for w_f in WEIGHTS}
    for name, digits in SHOWN.items():
        if all(means.get(name) is None for means in cells.values()):
            continue
        print(f"\n| {name}: w_c, w_f | {' | '.join(f'{w:g}' for w in WEIGHTS)} |")
        print("|---" * (len(WEIGHTS) + 1) + "|")
        for w_c in WEIGHTS:
            row = (f"{cells[w_c, w_f][name]:.{digits}f}" for w_f in WEIGHTS)
            print(f"| {w_c:g} | {' | '.join(row)} |")


def cell(options: argparse.Namespace, w_c: float, w_f: float) -> dict[str, float]:
    """Means over all frames of the split."""
    kept = options.out / f"{w_c:g}-{w_f:g}.json"
    if not kept.exists():
        sampling = {"solver": "ddim", "steps": options.steps, "noise_scale": 1.0, "w_c": w_c, "w_f": w_f}
        request = ModelRequest(
            options.model,
            options.pairs,
            split=options.split,
            sampling=sampling,
            poses=PoseRequest(None, options.estimator, None),
        )
        write_json(kept, evaluate_model(request).scores["mean"])
    return json.loads(kept.read_text())


if __name__ == "__main__":
    main()
