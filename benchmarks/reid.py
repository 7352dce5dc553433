"""Does augmentation help to tell drawn people from each other? The study of `signgen study reid` at a small size.

Draws a set of people as Market-1501 lays them out, and for the rows with generated images two extremes that need no
model: copies of the real images (nothing new), and further frames of the same people, as a perfect model makes them.

    OMP_NUM_THREADS=2 python benchmarks/reid.py WORK [--people 24] [--steps 120]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from signgen.console import Bars
from signgen.evaluation.reid import ReidRequest, study_reid, table_of
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


def main() -> None:
    """One table, mAP / rank-1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write_people(given.work / "set", given.people, given.images)
    training = ReidSettings("resnet18", None, given.steps, 16, 1e-3, 32, 64, seed=given.seed)
    result = study_reid(
        ReidRequest(
            given.work / "set",
            given.work / f"out-{given.seed}",
            methods(given.work, given.people, given.images),
            shares=(0.2, 0.8),
            training=training,
            device="cpu",
        ),
        Bars(),
    )
    head, rows = table_of(result)
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
