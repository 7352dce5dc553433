"""Does augmentation help to tell drawn people from each other? The study of `signgen study reid` at a small size.

Draws a set of people as Market-1501 lays them out, and for the rows with generated images two extremes that need no
model: copies of the real images (nothing new), and further frames of the same people, as a perfect model makes them.

    OMP_NUM_THREADS=1 python benchmarks/reid.py WORK [--people 24] [--steps 120]
    OMP_NUM_THREADS=1 python benchmarks/reid.py WORK --seeds 0,1,2,3 --methods copies --shares 0.2

A seed is of the shares, the network's weights and the order. Rows of a seed differ from its row `real` by their images
alone: the second table has the mean of that difference in mAP over the seeds, and its standard error.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from signgen.console import Bars
from signgen.evaluation.reid import ReidRequest, shares_named, study_reid, table_of
from signgen.synthetic.people import write_people
from signgen.training.reid import ReidSettings

_FURTHER = 9000  # added to the numbers of further frames, which are no images of the set


def methods(work: Path, people: int, images: int) -> dict[str, Path]:
    """copies: every training image again. true: as many frames of the same people that the set does not have."""
    train = work / "set" / "bounding_box_train"
    for path in train.iterdir():
        copy = work / "copies" / f"{path.stem}_to_{path.stem}.png"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    more = write_people(work / "more", people, 2 * images + 1) / "bounding_box_train"
    for path in more.iterdir():
        person, camera, _, box = path.stem.split("_")
        number = _FURTHER + int(path.stem.split("_")[2])
        target = work / "true" / f"{person}_{camera}_{number:06d}_{box}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    return {"copies": work / "copies", "true": work / "true"}


def apart(results: list[dict]) -> list[str]:
    """Markdown: what rows gain over `real` of the same share and seed, in points of mAP."""
    lines = ["| minus real, in points of mAP | mean | standard error | seeds |", "|---|---|---|---|"]
    for key in results[0]["rows"]:
        share = key.split(" % ", 1)[0]
        found = [100 * (each["rows"][key]["mAP"] - each["rows"][f"{share} % real"]["mAP"]) for each in results]
        if key != f"{share} % real" and len(found) > 1:
            error = np.std(found, ddof=1) / len(found) ** 0.5
            lines.append(f"| {key} | {np.mean(found):+.1f} | {error:.1f} | {len(found)} |")
    return lines


def main() -> None:
    """One table, mAP / rank-1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0])
    parser.add_argument("--methods", type=lambda text: text.split(","), default=["copies", "true"])
    parser.add_argument("--shares", type=shares_named, default=(0.2, 0.8))
    given = parser.parse_args()
    write_people(given.work / "set", given.people, given.images)
    folders = methods(given.work, given.people, given.images)
    results = []
    for seed in given.seeds:
        training = ReidSettings("resnet18", None, given.steps, 16, 1e-3, 32, 64, seed=seed)
        chosen = {name: folders[name] for name in given.methods}
        out = given.work / f"out-{seed}-{'-'.join(chosen)}"
        request = ReidRequest(given.work / "set", out, chosen, shares=given.shares, training=training, device="cpu")
        results.append(study_reid(request, Bars()))
        head, rows = table_of(results[-1])
        print(f"seed {seed}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
        for row in rows:
            print(f"| {' | '.join(row)} |")
    print("", *apart(results), sep="\n")


if __name__ == "__main__":
    main()
