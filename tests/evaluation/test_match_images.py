"""Matching by name: each tool's way of writing pairs; nothing without a partner is skipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signgen.corpora.person.images import image_key
from signgen.errors import PairSetError
from signgen.evaluation.match_images import match_images

SIDE = "WOMEN/Blouses_Shirts/id_00003372/03_2_side.jpg"
BACK = "WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg"
FRONT = "MEN/Tees_Tanks/id_00007301/04_1_front.jpg"


def folder(path: Path, *names: str) -> Path:
    """Empty files: only names are looked at."""
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


def listed(path: Path, *pairs: tuple[str, str]) -> Path:
    path.write_text(json.dumps([{"source_image": f"./img/{s}", "target_image": f"./img/{t}"} for s, t in pairs]))
    return path


def targets(generated: Path, truth: Path, pair_list: Path | None = None) -> tuple[str, list[tuple[str, str]]]:
    matched = match_images(generated, truth, pair_list)
    return matched.rule.name, [
        (pair.generated.name, pair.truth.relative_to(truth).as_posix()) for pair in matched.pairs
    ]


def test_same_names_in_natural_order_whatever_their_suffix(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", "a/10.jpg", "a/2.jpg", "b/2.jpg")
    generated = folder(tmp_path / "generated", "a/10.png", "a/2.png", "b/2.png", "notes.txt")
    assert targets(generated, truth) == (
        "same-name",
        [("2.png", "a/2.jpg"), ("10.png", "a/10.jpg"), ("2.png", "b/2.jpg")],
    )


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("fpdm", "{source}.jpg_2_{target}.jpg.png"),
        ("nted-pidm", "{source}_2_{target}_vis.png"),
        ("nted-pidm", "{source}_2_{target}_vis.jpg"),
        ("pcdms", "{source}_to_{target}.png"),
    ],
)
def test_each_tools_names_lead_to_their_target(tmp_path: Path, rule: str, name: str) -> None:
    """Also where the view's name holds the separator: 03_2_side."""
    truth = folder(tmp_path / "truth", SIDE, BACK)

    def flat(image: str) -> str:
        return "fashion" + image.removesuffix(".jpg").replace("/", "").replace("id_", "id")

    pairs = [(BACK, SIDE), (SIDE, BACK)]
    names = [name.format(source=flat(source), target=flat(target)) for source, target in pairs]
    generated = folder(tmp_path / "generated", *names)
    found = dict(targets(generated, truth)[1])
    assert targets(generated, truth)[0] == rule
    assert found == dict(zip(names, (SIDE, BACK), strict=True))
    in_list = match_images(generated, truth, listed(tmp_path / "any.json", (BACK, SIDE), (SIDE, BACK)))
    assert [pair.source for pair in in_list.pairs] == [image_key(BACK), image_key(SIDE)]


def test_names_of_one_image_spelled_otherwise(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", SIDE)
    generated = folder(tmp_path / "generated", "fashionWOMENBlouses_Shirtsid0000337203_2side.png")
    assert targets(generated, truth)[0] == "same-image"


def test_market_names(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", "0003_c1s6_015971_00.jpg")
    generated = folder(tmp_path / "g", "0003_c2s1_000001_01.jpg_2_0003_c1s6_015971_00.jpg_vis.jpg")
    assert targets(generated, truth)[1][0][1] == "0003_c1s6_015971_00.jpg"


def test_missing_and_extra_images_are_errors_that_name_them(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", "1.png", "2.png")
    with pytest.raises(PairSetError, match=r"truth/2\.png: no generated image .* --pair-list"):
        match_images(folder(tmp_path / "few", "1.png"), truth)
    with pytest.raises(PairSetError, match=r"many/3\.png: its name leads to no pair .*2 of 3 names"):
        match_images(folder(tmp_path / "many", "1.png", "2.png", "3.png"), truth)


def test_a_list_says_which_pairs_there_must_be(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", SIDE, BACK, FRONT)
    name = "WOMENBlouses_Shirtsid_0000337203_3_back.jpg_2_WOMENBlouses_Shirtsid_0000337203_2_side.jpg.png"
    generated = folder(tmp_path / "generated", name)
    assert targets(generated, truth, listed(tmp_path / "one.json", (BACK, SIDE))) == ("fpdm", [(name, SIDE)])
    with pytest.raises(PairSetError, match=f"no generated image of ./img/{SIDE} to ./img/{BACK}"):
        match_images(generated, truth, listed(tmp_path / "two.json", (BACK, SIDE), (SIDE, BACK)))
    with pytest.raises(PairSetError, match=r"leads to no pair of .*three\.json"):  # its source is another
        match_images(generated, truth, listed(tmp_path / "three.json", (FRONT, SIDE)))
    with pytest.raises(PairSetError, match="listed twice"):
        match_images(generated, truth, listed(tmp_path / "four.json", (BACK, SIDE), (BACK, SIDE)))


def test_a_name_that_says_only_the_target_cannot_be_two_pairs(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", SIDE, BACK, FRONT)
    generated = folder(tmp_path / "generated", SIDE)
    with pytest.raises(PairSetError, match="says the target alone"):
        match_images(generated, truth, listed(tmp_path / "list.json", (BACK, SIDE), (FRONT, SIDE)))


def test_names_that_can_be_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", "b_2_c.png", "c.png")
    with pytest.raises(PairSetError, match="its target may be b_2_c or c"):
        match_images(folder(tmp_path / "generated", "a_2_b_2_c_vis.png"), truth)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    truth = folder(tmp_path / "truth", "1.png", "1.jpg")
    with pytest.raises(PairSetError, match="two images of one name"):
        match_images(folder(tmp_path / "generated", "1.png"), truth)
    spelled = folder(tmp_path / "spelled", SIDE, "fashionWOMENBlouses_Shirtsid0000337203_2side.jpg")
    with pytest.raises(PairSetError, match="two images of one name"):
        match_images(folder(tmp_path / "generated", "1.png"), spelled)


def test_folders_must_be_there_and_hold_images(tmp_path: Path) -> None:
    with pytest.raises(PairSetError, match="no such folder"):
        match_images(tmp_path / "nowhere", tmp_path)
    with pytest.raises(PairSetError, match="a folder without images"):
        match_images(tmp_path, tmp_path)
