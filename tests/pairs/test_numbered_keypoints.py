"""Keypoints whose frames are numbered, and clips of several people, through build-pairs and poses draw."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from signgen.pairs.pairset import PairSet
from signgen.poses import read_poses
from signgen.video.reader import open_frames, read_image, write_png
from signgen.video.writer import VideoWriter
from tests.line import Command

SIZE = 64

WHOLE = ("--crop", "none")  # points are compared in pixels of the video


def picture(x: float) -> np.ndarray:
    """uint8 (SIZE, SIZE, 3): black, a white square around (x, 20)."""
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame[17:24, int(x) - 3 : int(x) + 4] = 255
    return frame


def folder_of_frames(folder: Path, numbers: list[int]) -> Path:
    folder.mkdir(parents=True)
    for place, number in enumerate(numbers):
        write_png(folder / f"{number}.png", picture(10 + 3 * place))
    return folder


def video(path: Path, frames: int) -> Path:
    with VideoWriter(path, SIZE, SIZE, 25) as writer:
        for place in range(frames):
            writer.write(picture(10 + 3 * place))
    return path


def figure(x: float, scale: float = 1.0) -> list[float]:
    """17 points, x, y, score; the first one at (x, 20)."""
    return [v for p in range(17) for v in (x + scale * (p % 4), 20 + scale * p, 0.9)]


def alphapose(path: Path, named: dict[str, list[list[float]]]) -> Path:
    records = [{"image_id": name, "keypoints": p, "score": 2} for name, people in named.items() for p in people]
    path.write_text(json.dumps(records))
    return path


def noses(pairs: Path, clip: str) -> list[int]:
    x = PairSet.load(pairs).poses(clip).keypoints[:, 0, 0]
    return np.where(np.isfinite(x), x, -1).round().astype(int).tolist()


def test_frames_in_which_nobody_was_seen_are_absent_at_both_ends(tmp_path: Path, command: Command) -> None:
    (tmp_path / "clips").mkdir()
    video(tmp_path / "clips" / "x.mp4", 10)
    alphapose(tmp_path / "clips" / "x.json", {f"{n}.jpg": [figure(10 + 3 * n)] for n in range(1, 9) if n != 4})
    called = command("build-pairs", tmp_path / "clips", "--out", tmp_path / "p", *WHOLE)
    assert called.code == 0, called.err
    assert noses(tmp_path / "p", "x") == [-1, 13, 16, 19, -1, 25, 28, 31, 34, -1]
    assert "3 of 10 frames are not in the file and without a person: 0, 4, 9" in " ".join(called.out.split())


def test_pictures_300_to_305_and_their_list(tmp_path: Path, command: Command) -> None:
    folder_of_frames(tmp_path / "clips" / "x", list(range(300, 306)))
    alphapose(tmp_path / "clips" / "x.json", {f"{n}.jpg": [figure(10 + 3 * (n - 300))] for n in range(300, 306)})
    called = command("build-pairs", tmp_path / "clips", "--out", tmp_path / "p", *WHOLE)
    assert called.code == 0, called.err
    assert noses(tmp_path / "p", "x") == [10, 13, 16, 19, 22, 25]


def test_a_file_that_does_not_fit_is_told_from_a_new_estimate(tmp_path: Path, command: Command) -> None:
    (tmp_path / "clips").mkdir()
    video(tmp_path / "clips" / "x.mp4", 4)
    alphapose(tmp_path / "clips" / "x.json", {f"{n}.jpg": [figure(10)] for n in range(9)})
    called = command("build-pairs", tmp_path / "clips", "--out", tmp_path / "p", *WHOLE)
    said = " ".join((called.out + called.err).split())
    assert called.code == 2
    assert "x.json holds 9 frames, the video 4 (9 frames numbered 0 to 8)" in said
    assert "estimate" not in said


class TestTwoPeopleAlike:
    @pytest.fixture
    def clips(self, tmp_path: Path) -> Path:
        (tmp_path / "clips").mkdir()
        video(tmp_path / "clips" / "x.mp4", 6)
        alphapose(tmp_path / "clips" / "x.json", {f"{n}.jpg": [figure(14), figure(44)] for n in range(6)})
        return tmp_path / "clips"

    def test_put_aside_until_somebody_is_named(self, clips: Path, tmp_path: Path, command: Command) -> None:
        refused = command("build-pairs", clips, "--out", tmp_path / "p", *WHOLE)
        assert refused.code == 2
        assert "2 people could be the signer" in " ".join((refused.out + refused.err).split())
        assert command("build-pairs", clips, "--out", tmp_path / "p", *WHOLE, "--person", "45,25").code == 0
        assert set(noses(tmp_path / "p", "x")) == {44}
        (tmp_path / "pairing.csv").write_text('clip,video,keypoints,person\nx,,x.json,"15,25"\n')
        assert (
            command("build-pairs", clips, "--out", tmp_path / "q", *WHOLE, "--pairing", tmp_path / "pairing.csv").code
            == 0
        )
        assert set(noses(tmp_path / "q", "x")) == {14}

    def test_draw_shows_everybody(self, clips: Path, tmp_path: Path, command: Command) -> None:
        called = command("poses", "draw", clips / "x.json", tmp_path / "o", "--over", clips / "x.mp4", "--people")
        assert called.code == 0, called.err
        assert "person 2: in 6 of 6 frames" in called.out
        drawn = read_image(tmp_path / "o" / "images0001.png").astype(int)
        bare = open_frames(clips / "x.mp4").read(0, 1)[0]
        changed = (np.abs(drawn - bare).max(-1) > 40).any(0)
        assert changed[:30].any()
        assert changed[34:].any()

    def test_convert_takes_the_one_that_is_named(self, clips: Path, tmp_path: Path, command: Command) -> None:
        given = (clips / "x.json", tmp_path / "o.poses.npz", "--size", "64x64")
        assert command("poses", "convert", *given).code == 2
        assert command("poses", "convert", *given, "--person", "40,20,50,40").code == 0
        assert set(read_poses(tmp_path / "o.poses.npz").keypoints[:, 0, 0].tolist()) == {44.0}


class TestSizesOnTheCommandLine:
    def canvas(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for n in range(4):
            body = [2 * v if i % 3 < 2 else v for i, v in enumerate(figure(10 + 3 * n) + [0.0] * 24)]
            frame = {"canvas_width": 128, "canvas_height": 128, "people": [{"pose_keypoints_2d": body}]}
            (folder / f"x_{n}_keypoints.json").write_text(json.dumps(frame))
        return folder

    def test_the_files_own_size_is_scaled_to_the_videos(self, tmp_path: Path, command: Command) -> None:
        self.canvas(tmp_path / "clips" / "x")
        video(tmp_path / "clips" / "x.mp4", 4)
        called = command("build-pairs", tmp_path / "clips", "--out", tmp_path / "p", *WHOLE)
        assert called.code == 0, called.err
        assert noses(tmp_path / "p", "x") == [10, 13, 16, 19]
        assert "scaled from 128x128" in " ".join(called.out.split())

    def test_sizes_that_contradict_are_refused(self, tmp_path: Path, command: Command) -> None:
        folder = self.canvas(tmp_path / "x")
        for wrong in ("64x64", "128x64"):
            called = command("poses", "info", folder, "--size", wrong)
            assert called.code == 2
            assert "was estimated on 128x128" in called.err
        path = alphapose(tmp_path / "a.json", {"0.jpg": [figure(300)]})
        called = command("poses", "convert", path, tmp_path / "o.pose", "--size", "64x64")
        assert (called.code, "most points lie outside 64x64" in called.err) == (2, True)

    def test_another_aspect_ratio_is_never_stretched(self, tmp_path: Path, command: Command) -> None:
        folder = self.canvas(tmp_path / "x")
        with VideoWriter(tmp_path / "wide.mp4", 96, 64, 25) as writer:
            for _ in range(4):
                writer.write(np.zeros((64, 96, 3), np.uint8))
        called = command("poses", "draw", folder, tmp_path / "o.mp4", "--over", tmp_path / "wide.mp4")
        assert called.code == 2
        assert "would be stretched to 96x64" in called.err
        assert not (tmp_path / "o.mp4").exists()


def test_the_cases(cases: Path, tmp_path: Path, command: Command) -> None:
    for name, frames in (("alphapose-offset-numbers", 3), ("unpadded-frame-numbers", 12), ("openpose-canvas-size", 5)):
        shutil.copytree(cases / name / "clips", tmp_path / name)
        called = command("build-pairs", tmp_path / name, "--out", tmp_path / f"{name}-pairs", *WHOLE)
        assert called.code == 0, called.err
        (clip,) = PairSet.load(tmp_path / f"{name}-pairs").clips
        assert clip.num_frames == frames
    assert noses(tmp_path / "unpadded-frame-numbers-pairs", "walk") == list(range(20, 241, 20))


def test_openpose_files_beside_the_video_are_moved_into_a_folder(tmp_path: Path, command: Command) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    video(clips / "x.mp4", 6)
    for number in range(6):
        body = [v for p in range(25) for v in (10 + 3 * number + p, 20 + p, 0.9)]
        frame = {"people": [{"pose_keypoints_2d": body}]}
        (clips / f"x_{number:012d}_keypoints.json").write_text(json.dumps(frame))
    called = command("build-pairs", clips, "--out", tmp_path / "p", *WHOLE)
    assert called.code == 2
    said = " ".join(called.err.split())
    assert "6 keypoint files of one frame each" in said
    assert "move them into a folder named x beside x.mp4" in said
    # the advice works
    (clips / "x").mkdir()
    for file in clips.glob("*.json"):
        file.rename(clips / "x" / file.name)
    called = command("build-pairs", clips, "--out", tmp_path / "p", *WHOLE)
    assert called.code == 0, called.err
    assert noses(tmp_path / "p", "x") == [10, 13, 16, 19, 22, 25]
