"""DeepFashion and Market-1501: names in every spelling, lists in every form, pair sets in the lists' order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.person import images as person_images
from signgen.corpora.person.images import DEEPFASHION, MARKET, look_through, recognise
from signgen.corpora.person.pair_lists import read_pair_list, split_of
from signgen.errors import PairSetError
from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.poses.draw import PALETTES, draw_pose
from signgen.training.data.dataset import Sample, TripleDataset
from signgen.video.reader import read_image
from tests.corpora.person_corpora import (
    MAN,
    MARKET_NAMES,
    TEST,
    TRAIN,
    WOMAN,
    WRITERS,
    flattened,
    image,
    points,
    write_annotations,
    write_deepfashion,
    write_jpeg,
    write_json,
    write_market,
)
from tests.line import Command

PALETTE = PALETTES["fpdm-deepfashion"]


def build(command: Command, root: Path, out: Path, *more: object) -> PairSet:
    command.works("build-pairs", root, "--out", out, *more)
    return PairSet.load(out)


def named(pairs: PairSet, split: str) -> list[tuple[str, str]]:
    """The triples as pairs of paths below the data set."""
    rows = []
    for clip, source, target in pairs.triples(split):
        record = pairs.clips[clip]
        files = [(record.path / record.images[frame]).relative_to(pairs.meta["root"]) for frame in (source, target)]
        rows.append((files[0].as_posix(), files[1].as_posix()))
    return rows


class TestNames:
    @pytest.mark.parametrize(
        "spelling",
        [
            "img/WOMEN/Blouses_Shirts/id_00007132/04_4_full.jpg",
            "./img/WOMEN/Blouses_Shirts/id_00007132/04_4_full.jpg",
            "fashionWOMENBlouses_Shirtsid0000713204_4full.jpg",
            "fasionWOMENBlousesShirtsid0000713204_4full.jpg",
            "WOMEN/Blouses_Shirts/id_00007132/04_4_full",
            "/data/SEGMENTS/MEN/img/WOMEN/Blouses_Shirts/id_00007132/04_4_full.PNG",
            "pose/WOMEN/Blouses_Shirts/id_00007132/04_4_full.txt",
        ],
    )
    def test_one_key_for_all_spellings(self, spelling: str) -> None:
        assert DEEPFASHION.key(spelling) == "WOMENBlousesShirtsid00007132044full"
        assert DEEPFASHION.person(DEEPFASHION.key(spelling)) == "WOMENBlousesShirtsid00007132"

    def test_men_are_not_women(self) -> None:
        men, women = (DEEPFASHION.key(f"fashion{who}Pantsid0000000101_1front.jpg") for who in ("MEN", "WOMEN"))
        assert men == "MENPantsid00000001011front"
        assert women == "WOMENPantsid00000001011front"

    @pytest.mark.parametrize(
        "name", ["readme.jpg", "WOMEN/Dresses/id_0000713/04_4_full.jpg", "", "0002_c1s1_000451.jpg"]
    )
    def test_other_names_have_none(self, name: str) -> None:
        assert DEEPFASHION.key(name) is None
        assert MARKET.key(name) is None

    def test_market(self) -> None:
        assert MARKET.key("bounding_box_train/0002_c1s1_000451_03.jpg") == "0002_c1s1_000451_03"
        assert MARKET.key("0002_c1s1_000451_03.jpg.jpg") == "0002_c1s1_000451_03"
        assert MARKET.person("-1_c1s1_000451_03") == "-1"


class TestLists:
    @pytest.mark.parametrize("suffix", sorted(WRITERS))
    def test_source_and_target_in_every_form(self, tmp_path: Path, suffix: str) -> None:
        """The text lists name the target first."""
        rows = read_pair_list(WRITERS[suffix](tmp_path / f"train-pairs{suffix}", TRAIN)).rows
        found = [tuple(DEEPFASHION.key(name) for name in row) for row in rows]
        assert found == [tuple(DEEPFASHION.key(name) for name in row) for row in TRAIN]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[", "damaged JSON"),
            ("[]", "no pairs"),
            ('[{"source_image": "a.jpg"}]', "pair 0: not the names of two images"),
            ("from,to\na.jpg\n", "line 2: not the names"),
            ("from,to\na.jpg,b\n", "line 2: not the names"),
            ("a.jpg b.jpg\na.jpg\n", "line 2: not the names"),
            ("", "no pairs"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        path = tmp_path / "train.list"
        path.write_text(text)
        with pytest.raises(PairSetError, match=words):
            read_pair_list(path)

    @pytest.mark.parametrize(
        ("name", "split"), [("market-pairs-train.csv", "train"), ("test_pairs_data.json", "test"), ("a-dev.txt", "val")]
    )
    def test_split_from_the_name(self, name: str, split: str) -> None:
        assert split_of(Path(name)) == split

    @pytest.mark.parametrize("name", ["pairs.csv", "train-test.csv", "retrieval.csv"])
    def test_names_that_say_no_split(self, name: str) -> None:
        with pytest.raises(PairSetError, match="its name says"):
            split_of(Path(name))


class TestDeepFashion:
    @pytest.mark.parametrize("suffix", sorted(WRITERS))
    def test_the_lists_are_the_triples(self, tmp_path: Path, command: Command, suffix: str) -> None:
        pairs = build(command, write_deepfashion(tmp_path / "set", suffix), tmp_path / "pairs")
        assert named(pairs, "train") == TRAIN
        assert named(pairs, "test") == TEST
        assert [clip.name for clip in pairs.clips] == [
            "WOMEN-Dresses-id_00007132",
            "WOMEN-Shorts-id_00000011",
            "MEN-Tees_Tanks-id_00004047",
        ]
        assert pairs.clip("WOMEN-Dresses-id_00007132").images == ("01_1_front.jpg", "01_3_back.jpg")
        poses = pairs.poses("WOMEN-Dresses-id_00007132")
        assert (poses.skeleton, poses.width, poses.height) == ("openpose-18", 75, 110)
        np.testing.assert_allclose(poses.keypoints[1, :, :2], points(2) * (75 / 176, 110 / 256), rtol=1e-5)

    def test_same_bytes_again_and_a_part_by_lot(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        for out in ("one", "two"):
            some = build(command, root, tmp_path / out, "--count", 2)
        assert len(some.triples("train")) == 2
        assert set(named(some, "train")) < set(TRAIN)
        for name in ("triples.parquet", "clips.parquet", "meta.json"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_an_item_shows_the_pair(self, tmp_path: Path, command: Command) -> None:
        """With the neck that was annotated, which is off the middle of the shoulders."""
        pairs = build(command, write_deepfashion(tmp_path / "set"), tmp_path / "pairs")
        canvas = Canvas(75, 110)
        still = _no_augmentation()
        item = TripleDataset(pairs, "train", canvas, PALETTE, still, 0)[Sample(0, 0)]
        for name, path in zip(("source", "target"), TRAIN[0], strict=True):
            np.testing.assert_array_equal(item[name].numpy().transpose(1, 2, 0), read_image(tmp_path / "set" / path))
        expected = draw_pose(pairs.poses("WOMEN-Dresses-id_00007132").keypoints[0], 75, 110, palette=PALETTE)
        np.testing.assert_array_equal(item["target_pose"].numpy().transpose(1, 2, 0), expected)
        assert item["regions"][0].sum() == 0  # 18 points have no hands

    def test_annotations_as_csv_give_the_same_poses(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        build(command, root, tmp_path / "text")
        names = {name: number for number, name in enumerate(_all_images())}
        shutil.rmtree(root / "pose")
        write_annotations(
            root / "fasion-resize-annotation.csv",
            {flattened(n): points(k) + np.array([70, 0]) for n, k in names.items()},
        )
        found = build(command, root, tmp_path / "csv").poses("MEN-Tees_Tanks-id_00004047").keypoints
        expected = (points(3) + np.array([70, 0])) * (75 / 176, 110 / 256)
        np.testing.assert_allclose(found[0, :, :2], expected, rtol=1e-5)

    def test_flat_folders(self, tmp_path: Path, command: Command) -> None:
        """As Pose-Transfer's scripts leave it: train/ and test/ of flattened names."""
        root = write_deepfashion(tmp_path / "set", ".csv")
        for half, people in (("train", ("WOMEN",)), ("test", ("MEN",))):
            for name in _all_images():
                if name.split("/")[1] in people:
                    (root / half).mkdir(exist_ok=True)
                    (root / name).rename(root / half / flattened(name))
        shutil.rmtree(root / "img")
        pairs = build(command, root, tmp_path / "pairs")
        assert pairs.clips[0].name == "WOMENDressesid00007132"
        assert named(pairs, "test") == [tuple(f"test/{flattened(name)}" for name in row) for row in TEST]

    def test_what_cannot_be_used_is_counted_and_named(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        (root / image(MAN, 2)).unlink()
        (root / image(WOMAN, 2).replace("img", "pose").replace("jpg", "txt")).unlink()
        more = [(image(WOMAN, 0), image(WOMAN, 0)), (image(WOMAN, 0), image(MAN, 0)), TRAIN[2], TEST[0]]
        write_json(root / "train_pairs.json", [*TRAIN, *more])
        called = command("build-pairs", root, "--out", tmp_path / "pairs")
        assert called.code == 1
        pairs = PairSet.load(tmp_path / "pairs")
        assert (named(pairs, "train"), named(pairs, "test")) == ([TRAIN[2]], [TEST[0]])
        for words in (
            "1 of 2 pairs name an image that is not there",
            "2 of 7 pairs name an image without keypoints (img/WOMEN/Dresses/id_00007132/01_3_back.jpg, ...)",
            "1 of 7 pairs pair an image with itself",
            "1 of 7 pairs pair images of two people",
            "1 of 7 pairs stand there a second time",
            "1 of 7 pairs are in the test list as well",
        ):
            assert words in called.out
        assert sum(left["error"] for left in pairs.meta["left_out"]) == len(pairs.meta["left_out"]) - 1

    def test_another_size_is_put_aside(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        write_jpeg(root / image(MAN, 2), (74, 110))
        called = command("build-pairs", root, "--out", tmp_path / "pairs")
        assert (called.code, "is 74x110, most are 75x110" in called.out) == (1, True)

    def test_two_lists_of_a_split_are_not_guessed_between(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        WRITERS[".csv"](root / "fasion-pairs-test.csv", TEST)  # says the same
        build(command, root, tmp_path / "pairs")
        WRITERS[".csv"](root / "fasion-pairs-test.csv", TEST[:1])
        line = command.refuses("build-pairs", root, "--out", tmp_path / "pairs")
        assert "two lists for test" in line
        chosen = [
            word for name in ("fasion-pairs-test.csv", "train_pairs.json") for word in ("--pair-list", root / name)
        ]
        assert len(build(command, root, tmp_path / "pairs", *chosen).triples("test")) == 1

    @pytest.mark.parametrize("option", [("--min-gap", 2), ("--holdout-tail", 0.2), ("--clips", "a")])
    def test_options_for_clips_are_refused(self, tmp_path: Path, command: Command, option: tuple[str, object]) -> None:
        root = write_deepfashion(tmp_path / "set")
        assert f"{option[0]} is for clips" in command.refuses("build-pairs", root, "--out", tmp_path / "p", *option)

    def test_two_images_of_one_name(self, tmp_path: Path, command: Command) -> None:
        root = write_deepfashion(tmp_path / "set")
        write_jpeg((root / image(MAN, 2)).with_suffix(".png"))
        assert "two images of one name" in command.refuses("build-pairs", root, "--out", tmp_path / "p")

    def test_the_published_sizes_are_asserted(
        self, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = write_deepfashion(tmp_path / "set")
        short = build(command, root, tmp_path / "pairs").meta["notes"]
        assert "train_pairs.json has 3 pairs, the published split 101,966 train pairs" in short
        monkeypatch.setitem(person_images.DEEPFASHION.pairs, "train", 3)
        monkeypatch.setitem(person_images.DEEPFASHION.pairs, "test", 2)
        assert "complete: 3 train and 2 test pairs" in build(command, root, tmp_path / "pairs").meta["notes"]


def test_market(tmp_path: Path, command: Command) -> None:
    """A clip is a person's images, a few of a folder that holds everybody's."""
    pairs = build(command, write_market(tmp_path / "set"), tmp_path / "pairs")
    assert [clip.name for clip in pairs.clips] == ["0002", "0007"]
    one, other = (f"bounding_box_train/{name}.jpg" for name in MARKET_NAMES[:2])
    assert named(pairs, "train") == [(one, other), (other, one)]
    assert pairs.frames("0002").num_frames == 2
    np.testing.assert_allclose(pairs.poses("0007").keypoints[0, :, :2], points(10))


def test_a_pair_set_moves_with_its_data(tmp_path: Path, command: Command) -> None:
    """Where meta.json's root is changed, the images are found again; one that changed its size is noticed."""
    build(command, write_market(tmp_path / "set"), tmp_path / "pairs")
    (tmp_path / "set").rename(tmp_path / "moved")
    meta = tmp_path / "pairs" / "meta.json"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "root": str(tmp_path / "moved")}))
    pairs = PairSet.load(tmp_path / "pairs")
    assert pairs.frames("0002").read(0, 2).shape == (2, 128, 64, 3)
    write_jpeg(tmp_path / "moved" / "bounding_box_train" / f"{MARKET_NAMES[0]}.jpg", (32, 64))
    with pytest.raises(PairSetError, match="32x64"):
        pairs.frames("0002")


def test_other_folders_are_neither(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").touch()
    assert recognise(tmp_path) is None
    with pytest.raises(PairSetError, match="bounding_box_train"):
        look_through(tmp_path)


class TestReal:
    def test_lists_and_texts(self, testdata: Path, tmp_path: Path, command: Command) -> None:
        root = testdata / "deepfashion"
        lists = [word for half in ("train", "test") for word in ("--pair-list", root / f"{half}_pairs_data.json")]
        pairs = build(command, root, tmp_path / "pairs", *lists)
        rows = json.loads((root / "test_pairs_data.json").read_text())
        assert named(pairs, "test") == [tuple(row[k][2:] for k in ("source_image", "target_image")) for row in rows]
        poses = pairs.poses("MEN-Tees_Tanks-id_00007301")
        drawn = draw_pose(poses.keypoints[0], 750, 1101, palette=PALETTE)
        theirs = read_image(
            root / "pose_img/MEN/Tees_Tanks/id_00007301" / pairs.clip("MEN-Tees_Tanks-id_00007301").images[0]
        )
        assert np.abs(drawn.astype(float) - theirs).mean() < 0.4

    def test_the_shared_test_list_is_every_pair_of_its_images(self, testdata: Path) -> None:
        """8,670 and not 8,570: no pair twice, and all ordered pairs of each outfit's images are there."""
        rows = read_pair_list(testdata / "deepfashion/fasion-pairs-test.csv").rows
        pairs = {tuple(DEEPFASHION.key(name) or "" for name in row) for row in rows}
        outfits: dict[str, set[str]] = {}
        for key in {key for pair in pairs for key in pair}:
            outfits.setdefault(key[: len(DEEPFASHION.person(key)) + 2], set()).add(key)
        assert len(rows) == len(pairs) == 8670
        assert sum(len(keys) * (len(keys) - 1) for keys in outfits.values()) == 8670


def _all_images() -> list[str]:
    return [image(person, view) for person in (WOMAN, MAN, "WOMEN/Shorts/id_00000011") for view in range(3)]


def _no_augmentation() -> object:
    from signgen.config import Augmentation

    return Augmentation(shift=0, scale=0, rotate=0, pose_jitter=0, first_source=0)
