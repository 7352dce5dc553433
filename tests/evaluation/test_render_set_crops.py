"""`signgen render-set` of a pair set whose clips are cropped: whole frames are written, crops are scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.video.crop import Crop, CropPath
from signgen.video.reader import open_frames, write_png
from signgen.video.writer import VideoWriter
from tests.line import Command, Line
from tests.pairs.test_following_crops import STUDIO, studio_frames, walking
from tests.worlds import write_mmpose


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    with VideoWriter(folder / "a.mp4", *STUDIO, 25) as writer:
        for frame in studio_frames(20, 40):
            writer.write(frame)
    write_mmpose(walking(20, 40), folder / "a.mmpose.json")
    return folder


def words(line: Line, pairs: Path, out: Path, *more: object) -> list[object]:
    return ["render-set", pairs, "--model", line.model, "--split", "val", "--threads", 1, "--out", out, *more]


def test_a_crop_is_laid_into_whole_frames_as_render_does(
    studio: Path, line: Line, command: Command, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs"
    build_pairs(BuildPairsRequest(studio, pairs, count=20))
    crop, out = PairSet.load(pairs).clips[0].crop, tmp_path / "frames"
    assert isinstance(crop, Crop)
    command.works(*words(line, pairs, out, "--layout", "frames"))
    command.works(
        *("render", studio / "a.mp4", studio / "a.mmpose.json", "--model", line.model, "--threads", 1),
        *("--frames", "15:20", "--truth", "none", "--save-frames", tmp_path / "r", "--out", tmp_path / "r.mp4"),
    )
    made, of_render = open_frames(out / "a").read(), open_frames(tmp_path / "r").read()
    assert made.shape == (5, STUDIO[1], STUDIO[0], 3)
    np.testing.assert_array_equal(made, of_render)
    # scores are the crop's, and say so
    command.works("evaluate-model", line.model, pairs, "--split", "val", "--threads", 1, "--out", tmp_path / "e")
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (out, tmp_path / "e"))
    assert {name: theirs["mean"][name] for name in ours["mean"]} == ours["mean"]
    for scores in (ours, theirs):
        assert any("1 of 1 clips are cropped" in note for note in scores["notes"])
    # in the corpus's layout the folder says the size of the frames; a set of crops alone is another one
    command.works(*words(line, pairs, tmp_path / "p", "--layout", "phoenix"))
    assert (tmp_path / "p" / "fullFrame-320x180px" / "dev" / "a" / "images0016.png").is_file()
    settings = out / "settings.json"
    kept = json.loads(settings.read_text())
    settings.write_text(json.dumps({name: value for name, value in kept.items() if name != "picture"}))
    assert "another picture (None, not whole frame)" in command.refuses(*words(line, pairs, out, "--layout", "frames"))
    # the video is gone
    (studio / "a.mp4").unlink()
    gone = command(*words(line, pairs, tmp_path / "g"))
    assert gone.code == 1
    assert "put aside a: " in gone.out
    assert "no such file" in gone.out


def test_a_crop_that_follows_is_written_as_it_is_drawn(
    studio: Path, line: Line, command: Command, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs"
    build_pairs(BuildPairsRequest(studio, pairs, count=20, crop="follow"))
    path = PairSet.load(pairs).clips[0].crop
    assert isinstance(path, CropPath)
    command.works(*words(line, pairs, tmp_path / "v"))
    video = open_frames(tmp_path / "v" / "a.mp4")
    assert (video.width, video.height) == (path.width, path.height)


def test_another_signer_is_cropped_with_a_cropped_clip_s_poses(
    studio: Path, line: Line, command: Command, tmp_path: Path
) -> None:
    pairs, who = tmp_path / "pairs", tmp_path / "who.png"
    build_pairs(BuildPairsRequest(studio, pairs, count=20))
    write_png(who, open_frames(studio / "a.mp4").read(0, 1)[0])
    signer = ("--source", who, "--source-poses", studio / "a.mmpose.json", "--layout", "frames")
    command.works(*words(line, pairs, tmp_path / "v", *signer))
    source, made = open_frames(who).read()[0], open_frames(tmp_path / "v" / "a").read()[0]
    assert np.array_equal(made[:30], source[:30])  # above the crop
    assert not np.array_equal(made, source)
