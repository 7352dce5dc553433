"""Which drawn signs a reader reads: its pictures, its training at tiny size, baselines, and the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from signgen.errors import WeightsError
from signgen.evaluation import reading, sign_reader
from signgen.evaluation.reading import SeenSigns, can_read, reading_result
from signgen.evaluation.sign_reader import (
    FRAMES,
    VIEWS,
    ReaderSettings,
    SignPictures,
    SignReader,
    load_reader,
    sampled,
    save_reader,
    sign_pictures,
    train_reader,
    words,
)
from signgen.poses.parts import part_boxes
from signgen.synthetic import Identity, Motion, Take, render_clip, write_phoenix
from signgen.synthetic.clip import render_frames
from signgen.synthetic.motion import Signed
from signgen.synthetic.skeleton import Camera, keypoints, pose
from tests.line import Command, Line

TINY = ReaderSettings(sentences=5, held_out=1, epochs=60)


@pytest.fixture(scope="module")
def learned() -> tuple[SignReader, list[list[tuple[str, SignPictures]]]]:
    """A reader of a few sentences, and these, then one that it never saw."""
    drawn: list[list[tuple[str, SignPictures]]] = []
    whole = sign_reader._drawn

    def remembered(settings: ReaderSettings, count: int) -> Iterator[list[tuple[str, SignPictures]]]:
        for sentence in whole(settings, count):
            drawn.append(sentence)
            yield sentence

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_reader, "_drawn", remembered)
        reader = train_reader(TINY)
    return reader, drawn


def test_what_the_reader_is_shown() -> None:
    """The body's square is REACH shoulders wide around them; a hand's fills its picture; a missing one is black."""
    who, motion = Identity.random(3, "a"), Motion.random(3, 100)
    numbers = sampled(motion.signed[0])
    frames, points = render_frames(who, motion, numbers)
    clip = render_clip(who, motion)
    np.testing.assert_array_equal(frames, clip.frames[numbers])
    np.testing.assert_array_equal(points, clip.poses.keypoints[numbers])
    points[0, 91:112] = np.nan
    shown = sign_pictures(frames, points)
    assert shown.body.shape == (FRAMES, 64, 64, 3)
    assert not shown.hands[0, 0].any()
    x0, y0, x1, y1 = part_boxes(points[1], 210, 260)["right_hand"] or (0, 0, 0, 0)
    side = min(max(x1 - x0, y1 - y0), 210)
    left, top = np.clip((x0 + x1 - side) // 2, 0, 210 - side), np.clip((y0 + y1 - side) // 2, 0, 260 - side)
    square = frames[1, top : top + side, left : left + side]
    rule = cv2.INTER_AREA if side > 32 else cv2.INTER_LINEAR
    np.testing.assert_array_equal(shown.hands[1, 1], cv2.resize(square, (32, 32), interpolation=rule))
    width = np.median(np.linalg.norm(points[:, 5, :2] - points[:, 6, :2], axis=-1))
    middle = np.median(points[:, [5, 6], :2].mean(1), axis=0) + np.array([0, 0.1 * width])
    x, y = (middle - 1.3 * width).round().astype(int)
    reach = np.arange(round(2.6 * width))
    columns, rows = np.clip(x + reach, 0, 209), np.clip(y + reach, 0, 259)
    expected = cv2.resize(frames[2][np.ix_(rows, columns)], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.body[2].astype(int) - expected).mean() < 2  # a pixel's rounding


def test_frames_of_a_sign() -> None:
    assert sampled(Signed("X", 10, 25)) == [10, 12, 14, 16, 18, 20, 22, 24]
    assert sampled(Signed("X", 4, 6)) == [4, 4, 4, 4, 5, 5, 5, 5]


def test_it_learns_what_it_is_shown_and_copy_source_reads_at_chance(
    learned: tuple[SignReader, list[list[tuple[str, SignPictures]]]],
) -> None:
    """Of the very sentences that the reader has learnt by heart it reads next to nothing where a person stands still;
    another person, since it knows by heart who said what."""
    reader, drawn = learned
    signs = [pair for sentence in drawn[: TINY.sentences] for pair in sentence]
    still = []
    for seed in range(sign_reader._OF_READER, sign_reader._OF_READER + TINY.sentences):
        who, motion = Identity.random(seed + 1_000_000, "another"), Motion.random(seed, 100)
        first, _ = render_frames(who, motion, [0])
        points = keypoints(pose(who, motion.values), Camera(210, 260, who))
        still += [sign_pictures(np.repeat(first, FRAMES, 0), points[sampled(sign)]) for sign in motion.signed]
    seen = SeenSigns([("c", Signed(word, 0, 9)) for word, _ in signs])
    shown = [pictures for _, pictures in signs]
    seen.tracks = {"": [*shown], "truth": [*shown], "copy-source": [*still]}
    sure = replace(reader, tested=dict.fromkeys(VIEWS, reader.signs))  # whatever its own test says
    result = reading_result(sure, seen)
    assert result["mean"]["read_body_share"] == 1
    for view in VIEWS:
        read = reader.read(shown, view)
        right = sum(one == word for one, (word, _) in zip(read, signs, strict=True))
        assert right / len(signs) > 0.7
        assert result["reading"][view]["model"]["right"] == right
        assert result["mean"][f"read_{view}"] == pytest.approx(right / len(signs))
        assert result["baselines"]["copy-source"][f"read_{view}"] <= 0.25  # it knows some ten words
        assert sum(n for counts in result["confusion"][view].values() for n in counts.values()) == len(signs)
        assert sum(counts.get(sign, 0) for sign, counts in result["confusion"][view].items()) == right
    assert result["reading"]["body"]["chance"] == 1 / 60 == 1 / len(words())


def test_a_reader_that_cannot_read_does_not_judge(learned: tuple[SignReader, list]) -> None:
    reader, drawn = learned
    seen = SeenSigns([("c", Signed(word, 0, 9)) for word, _ in drawn[0]])
    seen.tracks = {"": [shown for _, shown in drawn[0]], "truth": [shown for _, shown in drawn[0]]}
    blind = replace(reader, tested={"body": 20, "hands": 2}, signs=100)
    assert can_read(blind, "body")
    assert not can_read(blind, "hands")
    result = reading_result(blind, seen)
    assert "read_hands" not in result["mean"]
    assert "2 of 100 signs of people whom it never saw" in result["not_computed"]["read_hands_share"]
    assert result["mean"]["read_body"] is not None


def test_the_same_settings_the_same_reader_and_it_can_be_kept(learned: tuple[SignReader, list], tmp_path: Path) -> None:
    reader, drawn = learned
    shown = [pictures for sentence in drawn for _, pictures in sentence]
    small = ReaderSettings(sentences=2, held_out=1, epochs=2)
    before = torch.random.get_rng_state()
    one, other = train_reader(small), train_reader(small)
    assert torch.equal(torch.random.get_rng_state(), before)
    for view in VIEWS:
        for a, b in zip(one.networks[view].parameters(), other.networks[view].parameters(), strict=True):
            assert torch.equal(a, b)
    back = load_reader(save_reader(reader, tmp_path / "new" / "r.safetensors"))
    assert (back.tested, back.signs, back.settings) == (reader.tested, reader.signs, reader.settings)
    assert all(back.read(shown, view) == reader.read(shown, view) for view in VIEWS)
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no sign reader"):
        load_reader(tmp_path / "other")


class TestCommand:
    @pytest.fixture
    def corpus(self, tmp_path: Path, command: Command) -> Path:
        """A drawn signer of two clips of 75 frames at 64x64, and its pair set."""
        takes = {
            split: [Take(f"{split}_one", Identity.random(1, "Signer01"), Motion.random(seed, 75), (64, 64))]
            for split, seed in (("train", 5), ("test", 6))
        }
        write_phoenix(tmp_path / "corpus", {s: [take.render() for take in each] for s, each in takes.items()})
        command.works(
            *("build-pairs", tmp_path / "corpus", "--keypoints", tmp_path / "corpus" / "keypoints_exact"),
            *("--out", tmp_path / "pairs"),
        )
        return tmp_path

    def test_a_row_for_every_sign(
        self, corpus: Path, command: Command, line: Line, learned: tuple[SignReader, list]
    ) -> None:
        reader = replace(learned[0], tested=dict.fromkeys(VIEWS, learned[0].signs))
        kept = save_reader(reader, corpus / "r.safetensors")
        words_ = ("evaluate-reading", line.model, corpus / "pairs", "--threads", 1, "--reader", kept)
        out = command.works(*words_, "--out", corpus / "r")
        result = json.loads((corpus / "r" / "metrics.json").read_text())
        signed = Motion.random(6, 75).signed
        expected = [sign for sign in signed if 0 not in sampled(sign)]
        assert [(row["clip"], row["sign"]) for row in result["per_frame"]] == [("test_one", s.word) for s in expected]
        assert f"Of {len(expected)} signs the reader reads" in out
        truth = render_clip(Identity.random(1, "Signer01"), Motion.random(6, 75), size=(64, 64))
        shown = [sign_pictures(truth.frames[sampled(s)], truth.poses.keypoints[sampled(s)]) for s in expected]
        read = reader.read(shown, "body")
        right = [int(word == sign.word) for word, sign in zip(read, expected, strict=True)]
        assert [row["read_body_truth"] for row in result["per_frame"]] == right
        assert set(result["baselines"]) == {"copy-source", "nearest-pose"}
        with (corpus / "r" / "per_frame.csv").open(newline="") as handle:
            assert [row["body_as"] for row in csv.DictReader(handle)] == [row["body_as"] for row in result["per_frame"]]
        assert (corpus / "r" / "report.html").exists()

    def test_it_trains_where_none_is_given_and_keeps_it(
        self, corpus: Path, command: Command, line: Line, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = ReaderSettings(sentences=2, held_out=1, epochs=1)
        monkeypatch.setattr(reading, "ReaderSettings", lambda processes: small)
        out = command.works("evaluate-reading", line.model, corpus / "pairs", "--threads", 1, "--out", corpus / "r")
        assert out.count("it cannot judge") >= 1
        assert load_reader(corpus / "r" / "reader.safetensors").settings == small

    def test_wrong_input_is_one_line(self, corpus: Path, command: Command, line: Line) -> None:
        words_ = ("evaluate-reading", line.model, "--out", corpus / "x")
        assert "no signs.csv" in command.refuses(*words_, line.pairs, "--split", "val")
        (corpus / "corpus" / "signs.csv").write_text("clip,sign,start_frame,end_frame\ntest_one,HELLO,3,9\n")
        assert "'HELLO' is no sign of the lexicon" in command.refuses(*words_, corpus / "pairs")
        (corpus / "corpus" / "signs.csv").write_text("clip,sign,start_frame,end_frame\n")
        assert "no sign of its corpus lies wholly in the test pairs" in command.refuses(*words_, corpus / "pairs")
        assert not (corpus / "x").exists()
