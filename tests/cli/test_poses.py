"""`signgen poses` as a user calls it: every sub-command, what it says, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from signgen.poses import PoseSequence, read_poses
from signgen.poses.clean import clean_poses
from signgen.poses.draw import PALETTES, draw_pose
from signgen.poses.retarget import retarget, scales
from signgen.poses.writers import write_poses
from signgen.video.reader import image_files, open_frames, read_image, write_png
from signgen.video.writer import VideoWriter
from tests.line import Called, Command, Line, finish, start
from tests.tiny import set_options
from tests.worlds import figure_frames, figure_poses, write_mmpose

MISSING = (np.nan, np.nan, 0)


@pytest.fixture
def poses() -> PoseSequence:
    """Twelve frames on 64x64 at 25 fps, one wrist missing in two of them."""
    poses = figure_poses(12)
    poses.keypoints[4:6, 9] = MISSING
    return poses


@pytest.fixture
def file(poses: PoseSequence, tmp_path: Path) -> Path:
    write_poses(poses, tmp_path / "in" / "a clip.poses.npz")
    return tmp_path / "in" / "a clip.poses.npz"


def write_video(path: Path, poses: PoseSequence) -> Path:
    with VideoWriter(path, poses.width, poses.height, 25) as writer:
        for frame in figure_frames(poses):
            writer.write(frame)
    return path


class TestConvert:
    @pytest.mark.parametrize("suffix", [".poses.npz", ".json", ".pose"])
    def test_there_and_back(self, poses, file: Path, command: Command, tmp_path: Path, suffix: str) -> None:
        there, back = tmp_path / f"there{suffix}", tmp_path / "back.poses.npz"
        output = command.works("poses", "convert", file, there)
        assert "12 frames" in output
        assert f"there{suffix}" in output.replace("\n", "")
        options = ("--size", "64x64", "--fps", "25") if suffix == ".json" else ()
        command.works("poses", "convert", there, back, *options)
        assert back.read_bytes() == file.read_bytes()

    def test_a_clip_of_many(self, testdata: Path, command: Command, tmp_path: Path) -> None:
        name, split = "25June_2010_Friday_tagesschau-3880", testdata / "phoenix" / "keypoints" / "Phoenix-2014T.test"
        call = ("poses", "convert", split, tmp_path / "x.json", "--size", "210x260")
        assert name in command.refuses(*call, "--clip", "another")
        command.works(*call, "--clip", name)
        assert len(read_poses(tmp_path / "x.json", size=(210, 260))) == 49

    def test_without_a_size(self, poses, command: Command, tmp_path: Path) -> None:
        write_poses(poses, tmp_path / "x.json")
        line = command.refuses("poses", "convert", tmp_path / "x.json", tmp_path / "y.pose")
        assert "--size WxH" in line
        for wrong in ("64", "64x", "0x64", "-3x4", "64x70000", "axb"):
            assert "WIDTHxHEIGHT" in command.refuses(
                *("poses", "convert", tmp_path / "x.json", tmp_path / "y.pose"), f"--size={wrong}"
            )
        assert not (tmp_path / "y.pose").exists()

    def test_bad_names(self, file: Path, command: Command, tmp_path: Path) -> None:
        assert "ends in" in command.refuses("poses", "convert", file, tmp_path / "x.csv")
        assert "is an input" in command.refuses("poses", "convert", file, file)
        assert "no such file" in command.refuses("poses", "convert", tmp_path / "none", tmp_path / "x.pose")
        assert "cannot write" in command.refuses("poses", "convert", file, file / "x.pose")

    def test_what_is_there_is_replaced_as_a_whole(self, file: Path, command: Command, tmp_path: Path) -> None:
        (tmp_path / "x.pose").write_text("old")
        command.works("poses", "convert", file, tmp_path / "x.pose")
        assert len(read_poses(tmp_path / "x.pose")) == 12
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.pose"]


class TestClean:
    def test_defaults(self, poses, file: Path, command: Command, tmp_path: Path) -> None:
        assert "filled 2 points in 2 of 12 frames" in command.works("poses", "clean", file, tmp_path / "x.poses.npz")
        np.testing.assert_array_equal(read_poses(tmp_path / "x.poses.npz").keypoints, clean_poses(poses).keypoints)

    def test_options(self, poses, file: Path, command: Command, tmp_path: Path) -> None:
        options = ("--gap", 1, "--window", 5, "--hand-window", 1, "--without", "legs", "--without", "feet")
        output = command.works("poses", "clean", file, tmp_path / "x.poses.npz", *options)
        assert "filled 0 points in 0 of 12 frames, left out 120" in output
        expected = clean_poses(poses, longest_gap=1, window=5, hand_window=1, without=["legs", "feet"])
        np.testing.assert_array_equal(read_poses(tmp_path / "x.poses.npz").keypoints, expected.keypoints)

    def test_refusals(self, file: Path, command: Command, tmp_path: Path) -> None:
        call = ("poses", "clean", file, tmp_path / "x.poses.npz")
        assert "did you mean legs" in command.refuses(*call, "--without", "leg")
        assert "odd" in command.refuses(*call, "--window", 4)
        assert "is an input" in command.refuses("poses", "clean", file, file)
        assert not (tmp_path / "x.poses.npz").exists()


class TestRetarget:
    @pytest.fixture
    def person(self) -> PoseSequence:
        target = figure_poses(5, phase=1.0)
        target.keypoints[..., :2] = target.keypoints[..., :2] * 1.5 + (10, 4)
        return replace(target, width=128, height=112)

    def test_to_poses(self, poses, person, file: Path, command: Command, tmp_path: Path) -> None:
        write_poses(person, tmp_path / "person.pose")
        call = ("poses", "retarget", file, tmp_path / "x.poses.npz", "--to", tmp_path / "person.pose")
        output = command.works(*call).replace("\n", "")
        assert str(scales(poses, person)) in output
        assert "body x1.500" in output
        found = read_poses(tmp_path / "x.poses.npz")
        np.testing.assert_array_equal(found.keypoints, retarget(poses, person).keypoints)
        assert (found.width, found.height) == (128, 112)

    def test_to_a_video_with_its_keypoints_beside_it(
        self, poses, person, file: Path, command: Command, tmp_path: Path
    ) -> None:
        call = ("poses", "retarget", file, tmp_path / "x.poses.npz", "--to", tmp_path / "person.mp4")
        write_video(tmp_path / "person.mp4", person)
        assert "give the keypoints themselves" in command.refuses(*call)
        write_mmpose(person, tmp_path / "person.json")
        assert "128x112" in command.works(*call)
        np.testing.assert_allclose(
            read_poses(tmp_path / "x.poses.npz").keypoints, retarget(poses, person).keypoints, atol=1e-4
        )

    def test_nobody_to_measure(self, poses, file: Path, command: Command, tmp_path: Path) -> None:
        poses.keypoints[:, 5] = MISSING
        write_poses(poses, tmp_path / "person.pose")
        call = ("poses", "retarget", file, tmp_path / "x.poses.npz", "--to", tmp_path / "person.pose")
        assert "both shoulders" in command.refuses(*call)


class TestDraw:
    @pytest.mark.parametrize("palette", sorted(PALETTES))
    def test_png_of_one_frame(self, poses, file: Path, command: Command, tmp_path: Path, palette: str) -> None:
        call = ("poses", "draw", file, tmp_path / "x.png", "--palette", palette, "--frames", "3:4")
        output = command.works(*call, "--canvas", "96x128")
        assert ("neck" in output) == (palette == "fpdm-deepfashion")
        found = read_image(tmp_path / "x.png")
        assert found.shape == (128, 96, 3)
        if palette != "fpdm-deepfashion":
            points = poses.keypoints[3]
            expected = draw_pose(points, 96, 128, source_size=(64, 64), palette=PALETTES[palette])
            np.testing.assert_array_equal(found, expected)

    def test_folder_of_png(self, poses, file: Path, command: Command, tmp_path: Path) -> None:
        command.works("poses", "draw", file, tmp_path / "frames", "--frames", "2:5")
        files = image_files(tmp_path / "frames")
        assert [path.name for path in files] == ["images0003.png", "images0004.png", "images0005.png"]
        np.testing.assert_array_equal(read_image(files[1]), draw_pose(poses.keypoints[3], 64, 64))

    def test_mp4(self, file: Path, command: Command, tmp_path: Path) -> None:
        command.works("poses", "draw", file, tmp_path / "x.mp4")
        video = open_frames(tmp_path / "x.mp4")
        assert (video.num_frames, video.width, video.height, video.fps) == (12, 64, 64, 25)

    def test_over_the_video(self, poses, command: Command, tmp_path: Path) -> None:
        """The video gives the size; where nothing is drawn, its own pixels stay."""
        video = write_video(tmp_path / "v.mp4", figure_poses(12))
        write_mmpose(figure_poses(12), tmp_path / "v.json")
        command.works("poses", "draw", tmp_path / "v.json", tmp_path / "x.png", "--over", video, "--frames", "7:8")
        below, found = open_frames(video).read(7, 8)[0], read_image(tmp_path / "x.png")
        drawn = draw_pose(figure_poses(12).keypoints[7], 64, 64)
        lit = drawn.any(-1)
        np.testing.assert_array_equal(found[~lit], below[~lit])
        np.testing.assert_array_equal(found[lit], drawn[lit])

    @pytest.mark.parametrize(
        ("frames", "note"),
        [
            (1, "one picture, below all 12 poses"),
            (5, "5 frames for 12 poses: the last one is held from pose 5 on"),
            (20, "20 frames for 12 poses: those from frame 12 on are not drawn"),
        ],
    )
    def test_over_a_clip_of_another_length(
        self, command: Command, tmp_path: Path, file: Path, frames: int, note: str
    ) -> None:
        """Retargeted poses can be looked at on whom they were fitted to, whatever that person does."""
        below = np.stack([np.full((64, 64, 3), 10 * number, np.uint8) for number in range(frames)])
        for number, frame in enumerate(below):
            write_png(tmp_path / "target" / f"{number}.png", frame)
        over = tmp_path / "target" / "0.png" if frames == 1 else tmp_path / "target"
        output = command.works("poses", "draw", file, tmp_path / "look", "--over", over)
        assert f"over: {note}" in output
        pictures = open_frames(tmp_path / "look").read()
        assert pictures[:, 0, 0, 0].tolist() == [10 * min(number, frames - 1) for number in range(12)]

    def test_refusals(self, file: Path, command: Command, tmp_path: Path) -> None:
        call = ("poses", "draw", file)
        assert "did you mean fpdm-sign" in command.refuses(*call, tmp_path / "x.png", "--palette", "fpdm-signs")
        assert "one frame" in command.refuses(*call, tmp_path / "x.png")
        assert "X.mp4" in command.refuses(*call, tmp_path / "x.avi")
        assert "0:12" in command.refuses(*call, tmp_path / "x.mp4", "--frames", "3:40")
        short = write_video(tmp_path / "short.mp4", figure_poses(11))
        assert "is an input" in command.refuses(*call, short, "--over", short)
        assert "--canvas" in command.refuses(*call, tmp_path / "x.mp4", "--over", short, "--canvas", "9x9")
        assert not list(tmp_path.glob("x*"))

    def test_a_real_signer_lies_under_the_drawing(self, testdata: Path, command: Command, tmp_path: Path) -> None:
        """Drawn over the video, as its own authors did: the lit pixels are near those of their overlay."""
        signers = testdata / "signers"
        call = ("poses", "draw", signers / "football.mmpose133.json", tmp_path / "x.png", "--over")
        command.works(*call, signers / "football.mp4", "--frames", "30:31")
        below, found = open_frames(signers / "football.mp4").read(30, 31)[0], read_image(tmp_path / "x.png")
        theirs = open_frames(signers / "football.overlay.mp4").read(30, 31)[0]
        changed = np.abs(theirs.astype(int) - below).max(-1) > 60
        near = cv2.dilate(changed.astype(np.uint8), np.ones((9, 9))) > 0
        ours = (found != below).any(-1)
        assert ours.sum() > 1000
        assert near[ours].mean() > 0.85


class TestInfo:
    def test_one_clip(self, poses, command: Command, tmp_path: Path) -> None:
        poses.keypoints[:3, 91:112] = MISSING
        poses.keypoints[..., 2] *= 0.8
        write_poses(poses, tmp_path / "x.pose")
        output = command.works("poses", "info", tmp_path / "x.pose")
        for words in ("pose-format", "64x64", "25", "133 of 133", "75.0% of frames", "0.8 to 0.8, median 0.8"):
            assert words in output

    def test_without_a_size_the_rest_is_said(self, testdata: Path, command: Command) -> None:
        output = command.works("poses", "info", testdata / "signers" / "football.mmpose133.json")
        assert "give --size WxH" in output
        assert "62" in output

    def test_many_clips(self, testdata: Path, command: Command) -> None:
        split = testdata / "phoenix" / "keypoints" / "Phoenix-2014T.test"
        assert "25June_2010_Friday_tagesschau-3880: 49 frames" in command.works("poses", "info", split)
        output = command.works("poses", "info", split, "--clip", "25June_2010_Friday_tagesschau-3880")
        assert "coco-wholebody-133" in output

    def test_what_is_no_file_of_poses(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("{}")
        assert "not keypoints" in command.refuses("poses", "info", tmp_path / "x.json")
        assert "no such file" in command.refuses("poses", "info", tmp_path / "y.json")


class TestPalettesOfModels:
    """Training runs in processes of its own: the accelerator keeps a process's first settings."""

    @staticmethod
    def train(line: Line, out: Path, *settings: str) -> Called:
        options = set_options("sampling.steps=1", *settings)
        return finish(start("train", line.pairs, "--config", "nano", "--out", out, "--device", "cpu", *options))

    @pytest.mark.parametrize(("palette", "words"), [("fpdm-deepfashion", "openpose-18"), ("x", "dwpose, fpdm-deep")])
    def test_one_of_another_skeleton_and_an_unknown_one_are_refused(
        self, line: Line, tmp_path: Path, palette: str, words: str
    ) -> None:
        refused = self.train(line, tmp_path / "run", f"palette={palette}")
        assert refused.code == 2
        assert words in refused.err
        assert "Traceback" not in refused.err

    def test_a_model_draws_with_the_palette_of_its_recipe(self, line: Line, command: Command, tmp_path: Path) -> None:
        """Trained for a few steps with another palette, it records that one and renders poses drawn so."""
        trained = self.train(line, tmp_path / "run", "palette=fpdm-sign")
        assert trained.code == 0, trained.err
        card = json.loads((tmp_path / "run" / "model" / "signgen.json").read_text())
        assert card["palette"] == "fpdm-sign"
        assert card["palette_fingerprint"] == PALETTES["fpdm-sign"].fingerprint()
        render = ("render", line.video, line.poses, "--model", tmp_path / "run" / "model", "--frames", "0:2")
        command.works(*render, "--out", tmp_path / "x.mp4")
