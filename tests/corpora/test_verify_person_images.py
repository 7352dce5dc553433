"""`signgen verify` for DeepFashion and Market-1501: whole sets are whole, and every kind of damage is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.findings import PAIR_KINDS, Report
from signgen.corpora.person import images as person_images
from signgen.corpora.verify import verify
from tests.corpora.person_corpora import (
    MAN,
    MARKET_NAMES,
    TEST,
    TRAIN,
    WOMAN,
    image,
    points,
    write_annotations,
    write_deepfashion,
    write_jpeg,
    write_json,
    write_market,
    write_text_pose,
)
from tests.line import Command


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.where) for finding in report.findings]


@pytest.mark.parametrize("write", [write_deepfashion, write_market])
def test_a_whole_set_is_whole(tmp_path: Path, command: Command, write: Callable[[Path], Path]) -> None:
    root, out = write(tmp_path / "set"), tmp_path / "report.json"
    for mode in ("--quick", "--full"):
        result = command("verify", root, mode, "--json", out, "--processes", 1)
        assert (result.code, "nothing is missing or damaged" in result.out) == (0, True), result.out
    report = json.loads(out.read_text())
    assert report["findings"] == []
    if write is write_deepfashion:
        assert report["counts"]["all images"] == {"images": 9, "people": 3, "keypoints": 9}
        train = {"images": 4, "people": 2, "keypoints": 4, "pairs": 3, "usable": 3}
        assert report["counts"]["train: train_pairs.json"] == train
        assert "the published split 101,966 train pairs" in " ".join(report["notes"])


def pose_of(root: Path, name: str) -> Path:
    return (root / name.replace("img/", "pose/")).with_suffix(".txt")


def absent(root: Path) -> None:
    (root / image(MAN, 2)).unlink()
    pose_of(root, image(MAN, 2)).unlink()


def another_size(root: Path) -> None:
    write_jpeg(root / image(MAN, 2), (10, 20))


def no_header(root: Path) -> None:
    (root / image(MAN, 2)).write_bytes(b"")


def no_keypoints(root: Path) -> None:
    pose_of(root, image(MAN, 2)).unlink()


def all_missing(root: Path) -> None:
    write_text_pose(pose_of(root, image(MAN, 2)), np.full((18, 2), -1))


def keypoints_alone(root: Path) -> None:
    write_text_pose(root / "pose" / "MEN/Shorts/id_00000001/01_1_front.txt", points() + np.array([40, 0]))


def outside(root: Path) -> None:
    write_text_pose(pose_of(root, image(MAN, 2)), np.array([[30, 5], [217, 5], *points()[:16] + np.array([40, 0])]))


def not_a_number(root: Path) -> None:
    write_text_pose(pose_of(root, image(MAN, 2)), np.array([[np.nan, 5], *points()[:17] + np.array([40, 0])]))


def cut_text(root: Path) -> None:
    pose_of(root, image(MAN, 2)).write_text("1 2\n")


def stray(root: Path) -> None:
    (root / "img" / "MEN" / "notes.doc").write_text("x")


def clash(root: Path) -> None:
    write_jpeg((root / image(MAN, 2)).with_suffix(".png"))


def twice(root: Path) -> None:
    write_json(root / "train_pairs.json", [*TRAIN, TRAIN[0]])


def itself(root: Path) -> None:
    write_json(root / "train_pairs.json", [*TRAIN, (image(WOMAN, 1), image(WOMAN, 1))])


def two_people(root: Path) -> None:
    write_json(root / "train_pairs.json", [*TRAIN, (image(WOMAN, 1), image(MAN, 1))])


def leak(root: Path) -> None:
    write_json(root / "train_pairs.json", [*TRAIN, TEST[0]])


def cut_list(root: Path) -> None:
    (root / "train_pairs.json").write_text((root / "train_pairs.json").read_text()[:-5])


def no_list(root: Path) -> None:
    for half in ("train", "test"):
        (root / f"{half}_pairs.json").unlink()


@pytest.mark.parametrize(
    ("damage", "kind", "where"),
    [
        (absent, "absent", f"./{image(MAN, 2)}"),
        (another_size, "size", image(MAN, 2)),
        (no_header, "unreadable", image(MAN, 2)),
        (no_keypoints, "no-keypoints", image(MAN, 2)),
        (all_missing, "no-keypoints", image(MAN, 2)),
        (keypoints_alone, "no-image", "id_00000001/01_1_front.txt"),
        (outside, "outside", "01_3_back.txt"),
        (not_a_number, "non-finite", "01_3_back.txt"),
        (cut_text, "damaged-keypoints", "01_3_back.txt"),
        (stray, "stray", "MEN"),
        (clash, "clash", "01_3_back.jpg"),
        (twice, "duplicate-pair", "train_pairs.json"),
        (itself, "self-pair", "train_pairs.json"),
        (two_people, "across", "train_pairs.json"),
        (leak, "leak", "train_pairs.json"),
        (cut_list, "damaged-list", "train_pairs.json"),
        (no_list, "annotations", "pairs"),
    ],
)
def test_damage_is_found_and_nothing_else(
    tmp_path: Path, damage: Callable[[Path], None], kind: str, where: str
) -> None:
    root = write_deepfashion(tmp_path / "set")
    damage(root)
    report = verify(root)
    assert [each[0] for each in found(report)] == [kind]
    assert found(report)[0][1].endswith(where)


def test_every_kind_of_finding_is_tested() -> None:
    mark = test_damage_is_found_and_nothing_else.pytestmark[0]  # type: ignore[attr-defined]
    assert {case[1] for case in mark.args[1]} >= set(PAIR_KINDS) - {"list-size"}  # which has a test of its own


def test_pixels_are_only_decoded_when_asked(tmp_path: Path, command: Command) -> None:
    root = write_deepfashion(tmp_path / "set")
    path = root / image(MAN, 2)
    path.write_bytes(path.read_bytes()[:-100])
    assert verify(root).findings == []
    result = command("verify", root, "--full", "--processes", 1)
    assert (result.code, "unreadable (1)" in result.out) == (1, True)


def test_an_image_of_the_other_half(tmp_path: Path) -> None:
    root = write_market(tmp_path / "set")
    one = root / "bounding_box_train" / f"{MARKET_NAMES[0]}.jpg"
    one.rename(root / "bounding_box_test" / one.name)
    assert found(verify(root)) == [("wrong-split", f"bounding_box_test/{one.name}")]


def test_a_published_list_of_another_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_market(tmp_path / "set")
    (root / "pairs-train.csv").rename(root / "market-pairs-train.csv")
    assert found(verify(root)) == [("list-size", "market-pairs-train.csv")]
    monkeypatch.setitem(person_images.MARKET.lists, "market-pairs-train.csv", 2)
    assert found(verify(root)) == []


def test_keypoints_from_elsewhere(tmp_path: Path) -> None:
    root = write_market(tmp_path / "set")
    for half in ("train", "test"):
        (root / f"market-annotation-{half}.csv").unlink()
    assert {kind for kind, _ in found(verify(root))} == {"no-keypoints"}
    poses = {f"{name}.jpg": points(number) for number, name in enumerate(MARKET_NAMES)}
    report = verify(root, write_annotations(tmp_path / "mine.csv", poses))
    assert report.findings == []


def test_what_was_looked_for_is_said(tmp_path: Path, command: Command) -> None:
    line = command.refuses("verify", tmp_path)
    for word in ("PHOENIX-2014-T", "img/WOMEN", "bounding_box_train"):
        assert word in line
    assert "no such folder" in command.refuses("verify", tmp_path / "nothing")


def test_real_lists_of_absent_images(testdata: Path) -> None:
    report = verify(testdata / "deepfashion")
    assert report.by_kind == {"absent": 3153, "no-image": 4061, "outside": 26}
    assert report.counts["all images"] == {"images": 8, "people": 3, "keypoints": 8}
