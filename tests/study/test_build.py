"""`signgen study build`: what is written, that nothing of it tells, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from signgen.study.design import BEST, CHECK, TRUTH
from signgen.video.reader import open_frames, read_image, write_png
from tests.line import Command
from tests.study.worlds import colour, key_of, write_clips, write_images


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_images(tmp_path, 10)
    return tmp_path


def build(command: Command, world: Path, *words: object, out: str = "study") -> dict:
    runs = [f"{name}={world / name}" for name in ("good", "poor")]
    command.works("study", "build", *runs, "--truth", world / TRUTH, "--out", world / out, *words)
    return key_of(world / out)


def page_data(study: Path) -> dict:
    page = (study / "site" / "index.html").read_text(encoding="utf-8")
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


def test_every_question_shows_what_the_key_says(command: Command, world: Path) -> None:
    key = build(command, world, "--raters", 4, "--practice", 1, "--checks", 1, "--show-truth")
    assert (key["amounts"]["judgements"], key["amounts"]["choices"]) == (8, 8)
    site = world / "study" / "site"
    for plan, told in zip(key["plans"], page_data(world / "study")["raters"], strict=True):
        for trial, asked in zip(plan["trials"], told["trials"], strict=True):
            if trial["kind"] == CHECK:
                assert asked == {"kind": CHECK, "ask": trial["shown"][0]}
                continue
            number = int(key["targets"][trial["target"]].removesuffix(".png"))
            for file, who in zip(asked["media"], trial["shown"], strict=True):
                assert tuple(read_image(site / file)[0, 0]) == colour(number, who)
            if trial["kind"] == BEST:
                ((what, file),) = asked["references"]
                assert what == TRUTH
                assert tuple(read_image(site / file)[0, 0]) == colour(number, TRUTH)


def test_nothing_that_is_published_says_what_is_generated(command: Command, world: Path) -> None:
    build(command, world)
    site = world / "study" / "site"
    assert {path.name for path in site.iterdir()} == {"index.html", "media"}
    page = (site / "index.html").read_text(encoding="utf-8")
    for word in ("good", "poor", str(world), "key"):
        assert not re.search(rf"\b{re.escape(word)}\b", json.dumps(page_data(world / "study")["raters"])), word
        assert word == "key" or f'"{word}"' not in page
    media = sorted((site / "media").iterdir())
    assert all(re.fullmatch(r"\d{4}\.png", path.name) for path in media)
    assert len({path.stat().st_mtime for path in media}) == 1
    # In the order of their names, truth, good and poor alternate as chance has it.
    reds = [int(read_image(path)[0, 0, 0]) for path in media]
    assert reds != sorted(reds)
    assert len(set(reds[: len(reds) // 3])) > 1
    for path in media:  # no text, no date, no gamma: nothing but the picture
        assert set(png_chunks(path)) == {b"IHDR", b"IDAT", b"IEND"}


def png_chunks(path: Path) -> list[bytes]:
    data, place, found = path.read_bytes(), 8, []
    while place < len(data):
        found.append(data[place + 4 : place + 8])
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return found


def test_the_same_seed_makes_the_same_study(command: Command, world: Path) -> None:
    first, again = (build(command, world, out=name) for name in ("a", "b"))
    other = build(command, world, "--seed", 1, out="c")
    assert first["study"] == again["study"] != other["study"]
    for path in sorted((world / "a" / "site").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (world / "b" / path.relative_to(world / "a")).read_bytes()


def test_jpeg_for_all(command: Command, world: Path) -> None:
    build(command, world, "--format", "jpeg")
    names = {path.suffix for path in (world / "study" / "site" / "media").iterdir()}
    assert names == {".jpg"}


def test_sizes_that_tell_are_refused_or_made_one(command: Command, world: Path) -> None:
    for target in range(10):
        write_png(world / "poor" / f"{target}.png", np.full((12, 12, 3), colour(target, "poor"), np.uint8))
    words = [f"{name}={world / name}" for name in ("good", "poor")]
    said = command.refuses("study", "build", *words, "--truth", world / TRUTH, "--out", world / "study")
    assert "12x12, its truth 24x24" in said
    assert "--size" in said
    build(command, world, "--size", "20x30")
    assert {read_image(path).shape for path in (world / "study" / "site" / "media").iterdir()} == {(30, 20, 3)}


def test_traces_of_compression_are_warned_of(command: Command, world: Path) -> None:
    words = ["study", "build", world / "good", "--truth", world / TRUTH, "--judgements", 4, "--out"]
    assert "tell them apart" not in command.works(*words, world / "a")
    for path in (world / TRUTH).iterdir():
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    assert "note: truth: stored as JPEG" in command.works(*words, world / "b")


def test_clips_are_all_encoded_alike(command: Command, tmp_path: Path) -> None:
    write_clips(tmp_path, 4)
    key = build(command, tmp_path, "--source", tmp_path / TRUTH)
    assert key["matched"] == "clips of the same name"
    assert key["seconds"] == pytest.approx(0.2)
    files = {name: file for target in key["files"] for name, file in target.items()}
    assert files["source"].endswith(".png")  # the first frame: what the methods were given
    clip = open_frames(tmp_path / "study" / "site" / "media" / files["good"])
    assert (clip.num_frames, clip.width, clip.fps) == (5, 32, 25)


def test_frames_of_two_videos_are_matched_by_number(command: Command, tmp_path: Path) -> None:
    write_clips(tmp_path, 1, frames=8)
    words = ["study", "build", f"good={tmp_path}/good/0.mp4", "--truth", tmp_path / "truth" / "0.mp4"]
    out = command.works(*words, "--out", tmp_path / "study")
    assert "8 targets; frames, matched by their number" in out
    assert "8 judgements, 3 s each, 0 choices" in out


def test_texts_can_be_replaced(command: Command, world: Path) -> None:
    (world / "mine.yaml").write_text("title: Was ist echt?\nlang: de\nreal: <b>Echt\n")
    build(command, world, "--texts", world / "mine.yaml")
    page = (world / "study" / "site" / "index.html").read_text(encoding="utf-8")
    assert '<html lang="de">' in page
    assert "<h1>Was ist echt?</h1>" in page
    assert page_data(world / "study")["texts"]["real"] == "<b>Echt"
    assert "<b>Echt" not in page
    (world / "mine.yaml").write_text("titel: Was ist echt?\n")
    words = ["study", "build", world / "good", "--truth", world / TRUTH, "--out", world / "x"]
    assert "did you mean 'title'?" in command.refuses(*words, "--texts", world / "mine.yaml")


def test_what_cannot_be_built_is_refused(command: Command, world: Path) -> None:
    def refused(*words: object, truth: Path = world / TRUTH, out: str = "x") -> str:
        said = command.refuses("study", "build", *words, "--truth", truth, "--out", world / out)
        assert not (world / out / "key.json").exists()
        return said

    assert "the name 'good' is empty or taken" in refused(f"good={world / 'good'}", world / "good")
    assert "no such file or folder" in refused(world / "nothing")
    assert "cannot be balanced" in refused(world / "good", "--judgements", 3)
    assert "expected png or jpeg" in refused(world / "good", "--format", "gif")
    (world / "empty").mkdir()
    assert "neither images nor clips" in refused(world / "good", truth=world / "empty")
    assert "neither images nor clips" in refused(world / "good", "--source", world / "empty")
    (world / "poor" / "3.png").unlink()
    assert "no generated image in" in refused(world / "poor")
    build_words = ["study", "build", world / "good", "--truth", world / TRUTH, "--out", world / "twice"]
    command.works(*build_words)
    assert "holds a study already" in command.refuses(*build_words)
