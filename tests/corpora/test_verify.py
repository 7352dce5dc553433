"""`signgen verify`: a whole corpus is said to be whole, and every kind of damage is named where it is."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.findings import CLIP_KINDS, Report
from signgen.corpora.phoenix import verify as phoenix
from signgen.corpora.phoenix.layout import FRAMES, PUBLISHED, find_root
from signgen.corpora.phoenix.verify import verify_phoenix
from signgen.errors import PairSetError
from signgen.pairs.pairset import PairSet
from signgen.video.reader import write_png
from tests.corpora.corpora import person, write_phoenix, write_slrt
from tests.line import Command

CLIPS = {"train": ["one", "two"], "dev": ["three"], "test": ["four"]}
FRAMES_EACH = 3


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A whole one; its keypoints are in `keypoints` beside it."""
    root = write_phoenix(tmp_path, CLIPS, FRAMES_EACH, size=(210, 260))
    for split, names in CLIPS.items():
        write_slrt(tmp_path / "keypoints" / f"pack.{split}.pkl", dict.fromkeys(names, FRAMES_EACH))
    return root


def clip(corpus: Path, split: str, name: str) -> Path:
    folder = find_root(corpus)
    assert folder is not None
    return folder / FRAMES / split / name


def keypoints(corpus: Path) -> Path:
    return corpus.parent / "keypoints"


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.where) for finding in report.findings]


def test_a_whole_corpus_is_whole(corpus: Path, command: Command, tmp_path: Path) -> None:
    for mode in ("--quick", "--full"):
        result = command(
            "verify", corpus, "--keypoints", keypoints(corpus), mode, "--json", tmp_path / "r.json", "--processes", 1
        )
        assert result.code == 0, result.out + result.err
        assert "nothing is missing or damaged" in result.out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"]["train"] == {"listed": 2, "clips": 2, "frames": 6, "keypoints": 2}
    assert (report["mode"], report["findings"]) == ("full", [])


def missing_in_the_middle(corpus: Path) -> None:
    (clip(corpus, "train", "one") / "images0002.png").unlink()


def another_size(corpus: Path) -> None:
    write_png(clip(corpus, "dev", "three") / "images0001.png", np.zeros((26, 21, 3), np.uint8))


def no_header(corpus: Path) -> None:
    (clip(corpus, "dev", "three") / "images0001.png").write_bytes(b"")


def stray_file(corpus: Path) -> None:
    (clip(corpus, "test", "four") / "python.lprof").write_text("x")


def absent(corpus: Path) -> None:
    clip(corpus, "train", "two").rename(corpus / "elsewhere")


def unlisted(corpus: Path) -> None:
    absent(corpus)
    (corpus / "elsewhere").rename(clip(corpus, "train", "five"))


def no_frames(corpus: Path) -> None:
    for image in clip(corpus, "test", "four").iterdir():
        image.unlink()


def other_count(corpus: Path) -> None:
    write_slrt(keypoints(corpus) / "pack.test.pkl", {"four": FRAMES_EACH + 1})


def not_finite(corpus: Path) -> None:
    arrays = np.stack([person(number) for number in range(FRAMES_EACH)])
    arrays[1, 7, 0], arrays[2, 8, :2] = np.inf, np.nan
    (keypoints(corpus) / "pack.test.pkl").write_bytes(pickle.dumps({"four": {"keypoints": arrays}}))


def of_another_split(corpus: Path) -> None:
    write_slrt(keypoints(corpus) / "pack.dev.pkl", {"three": FRAMES_EACH, "four": FRAMES_EACH})


def no_keypoints(corpus: Path) -> None:
    (keypoints(corpus) / "pack.dev.pkl").unlink()


def damaged_keypoints(corpus: Path) -> None:
    path = keypoints(corpus) / "pack.dev.pkl"
    path.write_bytes(path.read_bytes()[:-40] + b".")


def no_list(corpus: Path) -> None:
    folder = find_root(corpus)
    assert folder is not None
    (folder / "annotations" / "manual" / "PHOENIX-2014-T.dev.corpus.csv").unlink()


def in_two_splits(corpus: Path) -> None:
    folder = find_root(corpus)
    assert folder is not None
    with (folder / "annotations" / "manual" / "PHOENIX-2014-T.test.corpus.csv").open("a") as handle:
        handle.write("one|one/1/*.png|-1|-1|Signer01|A|b\n")
    clip(corpus, "test", "four").rename(clip(corpus, "test", "one"))


def whole(monkeypatch: pytest.MonkeyPatch, **other: tuple[int, int]) -> None:
    """The small corpus has as much as was published, but for `other`: split -> (clips, frames)."""
    published = {split: (len(names), FRAMES_EACH * len(names)) for split, names in CLIPS.items()}
    monkeypatch.setattr("signgen.corpora.phoenix.verify.PUBLISHED", {**published, **other})


def test_the_published_counts_add_up_to_the_corpus() -> None:
    """8,257 clips and 947,756 frames, as its authors count the whole of it."""
    assert [sum(counts) for counts in zip(*PUBLISHED.values(), strict=True)] == [8257, 947756]


def test_complete_is_said(corpus: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    whole(monkeypatch)
    report = verify_phoenix(corpus)
    assert (report.findings, report.differences, report.to_json()["complete"]) == ([], {}, True)
    out = command.works("verify", corpus)
    assert "complete, as published: train 2 clips, 6 frames; dev 1 clips, 3 frames; test 1 clips, 3 frames" in out


def test_a_part_of_the_corpus_is_no_finding(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer clips are listed than were published: nothing is damaged."""
    whole(monkeypatch, train=(7, 30))
    report = verify_phoenix(corpus)
    assert report.findings == []
    assert report.differences == {"train": "2 of 7 clips, 6 of 30 frames"}
    assert report.to_json()["complete"] is False


def test_frames_missing_at_the_end_are_found_by_the_count(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole(monkeypatch)
    (clip(corpus, "train", "one") / "images0003.png").unlink()
    report = verify_phoenix(corpus)
    assert found(report) == [("counts", "train")]
    assert report.findings[0].what == "all 2 clips, but 5 frames; the corpus has 6"
    assert report.differences == {"train": "2 of 2 clips, 5 of 6 frames"}


def test_a_gap_explains_the_count(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole(monkeypatch)
    missing_in_the_middle(corpus)
    report = verify_phoenix(corpus)
    assert found(report) == [("gap", "train/one")]
    assert report.counts["train"]["missing"] == 1


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (missing_in_the_middle, [("gap", "train/one"), ("keypoint-frames", "train/one")]),
        (another_size, [("size", "dev/three")]),
        (no_header, [("unreadable", "dev/three")]),
        (stray_file, [("stray", "test/four")]),
        (absent, [("absent", "train/two")]),
        (unlisted, [("absent", "train/two"), ("unlisted", "train/five")]),
        (no_frames, [("empty", "test/four")]),
        (other_count, [("keypoint-frames", "test/four")]),
        (not_finite, [("non-finite", "pack.test.pkl: four")]),
        (of_another_split, [("wrong-split", "pack.dev.pkl: four")]),
        (no_keypoints, [("no-keypoints", "dev/three")]),
        (damaged_keypoints, [("damaged-keypoints", "pack.dev.pkl"), ("no-keypoints", "dev/three")]),
        (no_list, [("annotations", "dev"), ("unlisted", "dev/three")]),
        (in_two_splits, [("absent", "test/four"), ("twice", "one"), ("no-keypoints", "test/one")]),
    ],
)
def test_damage_is_named(corpus: Path, damage: Callable[[Path], None], expected: list[tuple[str, str]]) -> None:
    damage(corpus)
    report = verify_phoenix(corpus, keypoints(corpus))
    assert sorted(found(report)) == sorted(expected)
    assert all(finding.what for finding in report.findings)


def test_every_kind_of_finding_is_tested() -> None:
    mark = next(mark for mark in test_damage_is_named.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    shown = {kind for case in mark.args[1] for kind, _ in case[1]}
    assert shown == set(CLIP_KINDS) - {"counts"}  # of whole corpora, tested above


def test_only_the_full_look_decodes(corpus: Path) -> None:
    image = clip(corpus, "train", "two") / "images0002.png"
    image.write_bytes(image.read_bytes()[:60])
    write_png(clip(corpus, "train", "one") / "images0003.png", np.zeros((26, 21, 3), np.uint8))
    assert verify_phoenix(corpus).findings == []
    for processes in (1, 2):
        report = verify_phoenix(corpus, full=True, processes=processes)
        assert found(report) == [("unreadable", "train/one"), ("unreadable", "train/two")]
        assert "21x26" in report.findings[0].what
        assert "images0002.png" in report.findings[1].what


def test_the_command_names_what_it_found(corpus: Path, command: Command) -> None:
    missing_in_the_middle(corpus)
    result = command("verify", corpus)
    assert result.code == 1
    assert "gap (1)" in result.out
    assert "train/one: images 0002 are missing; 2 are there" in result.out


@pytest.mark.parametrize("root", ["nowhere", "keypoints"])
def test_no_corpus_is_one_line(corpus: Path, command: Command, root: str) -> None:
    result = command("verify", corpus.parent / root)
    assert result.code == 2
    assert "annotations/manual/PHOENIX-2014-T" in result.err
    assert "Traceback" not in result.err


def test_keypoints_that_are_not_there(corpus: Path) -> None:
    with pytest.raises(PairSetError, match="no such file"):
        verify_phoenix(corpus, corpus / "nowhere")


def test_build_pairs_leaves_out_what_is_damaged(corpus: Path, command: Command, tmp_path: Path) -> None:
    missing_in_the_middle(corpus)
    write_slrt(keypoints(corpus) / "pack.train.pkl", {"one": FRAMES_EACH - 1, "two": FRAMES_EACH})
    result = command("build-pairs", corpus, "--keypoints", keypoints(corpus), "--out", tmp_path / "pairs")
    assert result.code == 1, result.err
    assert "train/one: images 0002 are missing" in result.out
    pairs = PairSet.load(tmp_path / "pairs")
    assert [record.name for record in pairs.clips] == ["two", "three", "four"]
    assert {"name": "train/one", "error": True} in [
        {key: left[key] for key in ("name", "error")} for left in pairs.meta["left_out"]
    ]


def stray_picture(corpus: Path) -> None:
    write_png(clip(corpus, "train", "one") / "montage.png", np.zeros((5, 5, 3), np.uint8))


@pytest.mark.parametrize(
    ("damage", "left_out", "error"),
    [
        (stray_file, None, False),
        (stray_picture, None, False),
        (another_size, None, False),
        (not_finite, None, False),
        (absent, "train/two", False),
        (no_header, "dev/three", True),
        (no_frames, "test/four", True),
        (other_count, "test/four", True),
        (no_keypoints, "dev/three", False),
        (damaged_keypoints, "pack.dev.pkl", True),
        (in_two_splits, "test/four", False),
    ],
)
def test_build_pairs_verifies_first(
    corpus: Path, command: Command, tmp_path: Path, damage: Callable[[Path], None], left_out: str | None, error: bool
) -> None:
    """What is damaged is left out and said; what is merely odd is used, said and recorded as well."""
    damage(corpus)
    report = verify_phoenix(corpus, keypoints(corpus))
    result = command("build-pairs", corpus, "--keypoints", keypoints(corpus), "--out", tmp_path / "pairs")
    assert result.code == (1 if error else 0), result.out + result.err
    pairs = PairSet.load(tmp_path / "pairs")
    assert pairs.meta["verified"] == json.loads(json.dumps(report.to_json()))
    assert all(f"{kind} {number}" in result.out for kind, number in report.by_kind.items())
    assert "not the whole data set: train" in result.out
    listed = {(left["name"], left["error"]) for left in pairs.meta["left_out"]}
    assert ((left_out, error) in listed) if left_out else not listed
    for record in pairs.clips:
        assert pairs.frames(record.name).num_frames == record.num_frames == FRAMES_EACH
        assert f"{record.split}/{record.name}" != left_out


def test_each_clip_is_looked_at_once(corpus: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One list of names and one header a clip."""
    listed, opened = [], []
    scandir, image_size = os.scandir, phoenix.image_size
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    monkeypatch.setattr(phoenix, "image_size", lambda path: opened.append(path) or image_size(path))
    command.works("build-pairs", corpus, "--keypoints", keypoints(corpus), "--out", corpus.parent / "pairs")
    for split, names in CLIPS.items():
        for name in names:
            assert listed.count(str(clip(corpus, split, name))) == 1
    assert sorted(path.parent.name for path in opened) == sorted(name for names in CLIPS.values() for name in names)


def test_named_clips_alone_are_looked_at(corpus: Path, command: Command, tmp_path: Path) -> None:
    """Nothing is said of the rest, nor of the whole."""
    stray_file(corpus)
    out = command.works(
        "build-pairs", corpus, "--keypoints", keypoints(corpus), "--out", tmp_path / "pairs", "--clips", "one"
    )
    assert "whole data set" not in out
    assert "stray" not in out
    verified = PairSet.load(tmp_path / "pairs").meta["verified"]
    assert (verified["counts"]["train"]["listed"], verified["complete"], verified["findings"]) == (1, None, [])


@pytest.mark.parametrize("harm", [b"\xff\xfe", b"x/y|", b"a\x00b|", b"n" * 400 + b"|"])
def test_a_list_of_another_kind(corpus: Path, command: Command, harm: bytes) -> None:
    """Not UTF-8, a folder within a folder, a name that no file can have: one line, or a clip that is not there."""
    path = next(corpus.rglob("*.dev.corpus.csv"))
    path.write_bytes(path.read_bytes().replace(b"\nthree|", b"\n" + harm))
    called = command("verify", corpus)
    assert called.code in (1, 2)
    assert called.err.count("\n") == called.code - 1
