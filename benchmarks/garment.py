"""What --garment is worth: drawn people in each other's clothes, whose truth is known, scored against it.

A person of the demo's corpus performs a clip in the clothes of another one; the model is given the person in their own
clothes, and one picture of the other. Beside it: the same without --garment; copy-source; the composed source alone
(every condition sees it, and the part warp cuts it up again); the part warp of the garment's own picture by itself.

    OMP_NUM_THREADS=2 python benchmarks/garment.py MODEL [--people 12] [--frames 8] [--source 0] [--picture OUT.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from signgen.metrics.image.pixels import box_mask, masked_mean, ssim_map
from signgen.models.card import load_model
from signgen.poses.draw import SIGNGEN_133, draw_pose
from signgen.poses.parts import part_boxes
from signgen.poses.sequence import PoseSequence
from signgen.rendering.garment import banks_of, compose
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Garment, Source, fitted
from signgen.synthetic.clip import PHOENIX_SIZE, render_frames
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import FPS, Motion
from signgen.warp.compose import part_warp

LENGTH, WORN = 60, 20  # frames of a motion; the number of the garment's
SEEN = 12  # the demo's people that were trained on have the numbers 0 to 11
REGIONS = ("frame", "trunk", "face", "hands")


@dataclass(frozen=True)
class Case:
    """Pictures uint8 (h, w, 3) and poses. truth: (T, h, w, 3), the person in the other one's clothes."""

    source: Source
    garment: np.ndarray
    garment_pose: PoseSequence
    poses: PoseSequence
    truth: np.ndarray


def dressed_as(person: Identity, other: Identity) -> Identity:
    """The person in the other one's clothes."""
    clothes = {name: getattr(other, name) for name in ("cloth", "stripe", "neckline", "sleeve", "buttons")}
    return replace(person, **clothes)


def cases(count: int, frames: int, source_frame: int) -> Iterator[Case]:
    """Person n in the clothes of person n + 1, in sentences that nobody was trained on."""
    numbers = np.linspace(LENGTH // 4, LENGTH - 1, frames).round().astype(int).tolist()
    for n in range(count):
        person, other = Identity.random(n), Identity.random((n + 1) % SEEN)
        motion, theirs = Motion.random(900_000 + n, LENGTH), Motion.random(950_000 + n, LENGTH)
        own, pose = render_frames(person, motion, [source_frame])
        worn, worn_pose = render_frames(other, theirs, [WORN])
        truth, points = render_frames(dressed_as(person, other), motion, numbers)
        source = Source(own[0], sequence(pose), f"person{n}")
        yield Case(source, worn[0], sequence(worn_pose), sequence(points), truth)


def sequence(points: np.ndarray) -> PoseSequence:
    """Exact keypoints (T, 133, 3) of drawn frames."""
    return PoseSequence(points, *PHOENIX_SIZE, FPS)


def dressed_source(case: Case) -> Source:
    """As `signgen render --garment` makes it."""
    size = (case.source.frame.shape[1], case.source.frame.shape[0])
    garment, pose = fitted(case.garment, case.garment_pose, size)
    assert case.source.pose is not None
    frame, _ = compose(case.source.frame, case.source.pose, garment, pose)
    return replace(case.source, frame=frame, garment=Garment(garment, pose, case.source.frame))


def outputs(renderer: Renderer, case: Case) -> dict[str, np.ndarray]:
    """Row -> uint8 (T, h, w, 3)."""
    dressed = dressed_source(case)
    garment, pose = dressed.garment, case.source.pose
    assert garment is not None
    assert pose is not None
    bank, worn = banks_of(garment.plain, pose.all_points[0], garment.frame, garment.pose.all_points[0])
    return {
        "--garment": np.stack(list(renderer.frames(dressed, case.poses))),
        "composed source alone": np.stack(list(renderer.frames(replace(dressed, garment=None), case.poses))),
        "part warp of the garment alone": np.stack(
            [part_warp(bank, points, worn=worn).image for points in case.poses.all_points]
        ),
        "without --garment": np.stack(list(renderer.frames(case.source, case.poses))),
        "copy-source": np.stack([case.source.frame] * len(case.poses)),
    }


def scores(shown: np.ndarray, case: Case) -> dict[str, float]:
    """Mean SSIM and absolute difference (0..255) of every region over the frames."""
    found: dict[str, list[float]] = {}
    height, width = shown.shape[1:3]
    for frame, truth, points in zip(shown, case.truth, case.poses.all_points, strict=True):
        similar = ssim_map(frame, truth)
        away = np.abs(frame.astype(np.float64) - truth).mean(-1)
        for name, mask in regions(points, width, height).items():
            if mask is not None:
                found.setdefault(f"{name} ssim", []).append(masked_mean(similar, mask))
                found.setdefault(f"{name} difference", []).append(masked_mean(away, mask))
    return {name: float(np.mean(values)) for name, values in found.items()}


def regions(points: np.ndarray, width: int, height: int) -> dict[str, np.ndarray | None]:
    """Masks: the whole frame; the rectangle of shoulders and hips; face and hands as the metrics take them."""
    boxes = part_boxes(points, width, height)
    trunk = points[[5, 6, 11, 12], :2]
    low, high = np.floor(trunk.min(0)).astype(int), np.ceil(trunk.max(0)).astype(int)
    box = (max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height))
    hands = box_mask([boxes["left_hand"], boxes["right_hand"]], height, width)
    return {
        "frame": np.ones((height, width), bool),
        "trunk": box_mask([box], height, width),
        "face": box_mask([boxes["face"]], height, width),
        "hands": hands,
    }


def drawn(case: Case, number: int) -> np.ndarray:
    """The pose as a picture."""
    size = (case.truth.shape[2], case.truth.shape[1])
    return draw_pose(case.poses.all_points[number], *size, source_size=size, palette=SIGNGEN_133)


def write_picture(path: Path, rows: list[list[np.ndarray]]) -> None:
    """source | garment | pose | output | truth."""
    gap = np.full((rows[0][0].shape[0], 6, 3), 255, np.uint8)
    lines = [np.hstack([part for picture in row for part in (picture, gap)][:-1]) for row in rows]
    between = np.full((6, lines[0].shape[1], 3), 255, np.uint8)
    whole = np.vstack([part for line in lines for part in (line, between)][:-1])
    Image.fromarray(whole).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """One table; means over people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--source", type=int, default=0, help="number of the source's frame: 0 at rest, 30 in a sign")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    renderer = Renderer(*load_model(given.model))
    found: dict[str, list[dict[str, float]]] = {}
    rows = []
    for case in cases(given.people, given.frames, given.source):
        shown = outputs(renderer, case)
        for name, frames in shown.items():
            found.setdefault(name, []).append(scores(frames, case))
        middle = given.frames // 2
        pictures = [case.source.frame, case.garment, drawn(case, middle), shown["--garment"][middle]]
        rows.append([*pictures, case.truth[middle]])
    columns = [f"{region} {kind}" for region in REGIONS for kind in ("ssim", "difference")]
    print(f"| {given.people} people | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name, of_people in found.items():
        means = [np.mean([each[column] for each in of_people]) for column in columns]
        texts = [
            f"{m:.3f}" if column.endswith("ssim") else f"{m:.1f}" for m, column in zip(means, columns, strict=True)
        ]
        print(f"| {name} | {' | '.join(texts)} |")
    for column in columns:
        both = [[each[column] for each in found[name]] for name in ("--garment", "composed source alone")]
        apart = np.subtract(*both)
        up = int((apart > 0).sum())
        print(f"{column}: --garment minus composed source alone {apart.mean():+.3f}, up in {up} of {len(apart)}")
    if given.picture:
        write_picture(given.picture, rows[:3])


if __name__ == "__main__":
    main()
