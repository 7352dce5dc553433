"""Miniatures of DeepFashion In-shop and Market-1501 in their real layouts: images, lists of pairs and keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

Pairs = list[tuple[str, str]]

VIEWS = ("1_front", "2_side", "3_back")
WOMAN, MAN, OTHER = "WOMEN/Dresses/id_00007132", "MEN/Tees_Tanks/id_00004047", "WOMEN/Shorts/id_00000011"
MARKET_NAMES = ("0002_c1s1_000451_03", "0002_c2s1_000500_01", "0007_c1s1_000001_00", "0007_c3s2_010001_02")


def write_jpeg(path: Path, size: tuple[int, int] = (75, 110), shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), shade, np.uint8))
    return path


def points(seed: int = 0) -> np.ndarray:
    """(18, 2) within 64x128, so within every annotated frame."""
    return np.random.default_rng(seed).integers((5, 5), (60, 120), (18, 2))


def write_text_pose(path: Path, xy: np.ndarray) -> Path:
    """FPDM's text: on a square of 256 whose image starts at 40."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, xy)
    return path


def write_annotations(path: Path, poses: dict[str, np.ndarray]) -> Path:
    rows = [f"{name}: {xy[:, 1].tolist()}: {xy[:, 0].tolist()}" for name, xy in poses.items()]
    path.write_text("\n".join(["name:keypoints_y:keypoints_x", *rows]) + "\n")
    return path


def flattened(name: str) -> str:
    """img/WOMEN/Dresses/id_00007132/04_4_full.jpg as lists of the GFLA kind spell it."""
    *folders, file = name.removeprefix("img/").split("/")
    return "fashion" + "".join(folders).replace("_", "") + file.replace("_", "", 1)


def write_json(path: Path, pairs: Pairs) -> Path:
    path.write_text(json.dumps([{"source_image": f"./{s}", "target_image": f"./{t}"} for s, t in pairs]))
    return path


def write_csv(path: Path, pairs: Pairs) -> Path:
    path.write_bytes("\r\n".join(["\ufefffrom,to", *(f"{flattened(s)},{flattened(t)}" for s, t in pairs), ""]).encode())
    return path


def write_text(path: Path, pairs: Pairs) -> Path:
    path.write_text("".join(f"{t.removeprefix('img/')},{s.removeprefix('img/')}\n" for s, t in pairs))
    return path


WRITERS = {".json": write_json, ".csv": write_csv, ".txt": write_text}


def image(person: str, view: int, outfit: int = 1) -> str:
    return f"img/{person}/{outfit:02d}_{VIEWS[view]}.jpg"


TRAIN: Pairs = [
    (image(WOMAN, 2), image(WOMAN, 0)),
    (image(WOMAN, 0), image(WOMAN, 2)),
    (image(OTHER, 0), image(OTHER, 1)),
]
TEST: Pairs = [(image(MAN, 1), image(MAN, 0)), (image(MAN, 0), image(MAN, 2))]


def write_deepfashion(root: Path, suffix: str = ".json") -> Path:
    """Three people of three images each, keypoints as text, pairs of two people to train on and of one to test."""
    for number, person in enumerate((WOMAN, MAN, OTHER)):
        for view in range(3):
            name = image(person, view)
            write_jpeg(root / name, shade=20 * number + 5 * view)
            xy = points(3 * number + view) + np.array([40, 0])
            write_text_pose((root / name.replace("img/", "pose/")).with_suffix(".txt"), xy)
    WRITERS[suffix](root / f"train_pairs{suffix}", TRAIN)
    WRITERS[suffix](root / f"test_pairs{suffix}", TEST)
    return root


def write_market(root: Path) -> Path:
    """A person to train on, one to test, two images each, all of 64x128."""
    halves = {"train": MARKET_NAMES[:2], "test": MARKET_NAMES[2:]}
    for seed, (half, names) in enumerate(halves.items()):
        for name in names:
            write_jpeg(root / f"bounding_box_{half}" / f"{name}.jpg", (64, 128))
        one, other = (f"{name}.jpg" for name in names)
        (root / f"pairs-{half}.csv").write_text(f"from,to\n{one},{other}\n{other},{one}\n")
        poses = {name: points(10 * seed + number) for number, name in enumerate((one, other))}
        write_annotations(root / f"market-annotation-{half}.csv", poses)
    (root / "bounding_box_test" / "Thumbs.db").write_bytes(b"")
    return root
