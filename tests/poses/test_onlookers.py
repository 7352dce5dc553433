"""`poses extract` says where several people are in view, and the box that its note names leaves one of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.estimate import parse_box
from signgen.errors import OptionError
from signgen.poses import read_poses
from signgen.poses.estimators import ESTIMATORS, onlookers
from signgen.poses.estimators.onlookers import NOT_LOOKED, MediapipeFaces, Onlookers
from signgen.video.reader import open_frames, write_png
from signgen.video.writer import VideoWriter
from tests.line import Command
from tests.poses.estimating import Brightest

FRAME = np.zeros((60, 100, 3), np.uint8)
LEFT, RIGHT = (10, 10, 20, 22), (70, 12, 80, 24)


class Faces:
    """The same faces in every frame, or those of its turn."""

    def __init__(self, *turns: list[tuple[int, int, int, int]]) -> None:
        self.turns, self.frames, self.closed = turns, 0, False

    def find(self, frame: np.ndarray) -> np.ndarray:
        faces = self.turns[self.frames % len(self.turns)]
        self.frames += 1
        inside = [face for face in faces if face[2] <= frame.shape[1]]
        return np.array(inside, float).reshape(-1, 4)

    def close(self) -> None:
        self.closed = True


def noted(finder: Faces | None, frames: int = 200, corner: tuple[int, int] = (0, 0)) -> str:
    watch = Onlookers(frames, finder, corner)
    for number in range(frames):
        watch.look(number, FRAME)
    return watch.note()


def test_two_people() -> None:
    faces = Faces([LEFT, RIGHT])
    note = noted(faces)
    assert "2 people are in view in 8 of 8 frames looked at" in note
    assert "--person 0,0,45,60 or --person 45,0,100,60 looks" in note
    assert faces.frames == 8


def test_places_are_those_of_the_whole_picture() -> None:
    assert "--person 300,20,345,80 or --person 345,20,400,80 looks" in noted(Faces([LEFT, RIGHT]), corner=(300, 20))


def test_one_above_the_other() -> None:
    assert "--person 0,0,100,30 or --person 0,30,100,60 looks" in noted(Faces([(40, 4, 50, 16), (44, 44, 54, 56)]))


def test_one_person_and_who_does_not_count() -> None:
    """Nobody, a face far behind, and somebody who is there for one moment."""
    small = (70, 12, 74, 16)
    assert noted(Faces([LEFT])) == noted(Faces([])) == noted(Faces([LEFT, small])) == ""
    assert noted(Faces([LEFT, RIGHT], *[[LEFT]] * 7)) == ""
    assert "2 of 8" in noted(Faces([LEFT, RIGHT], [LEFT], [LEFT], [LEFT]))


def test_how_many_frames_are_looked_at() -> None:
    for frames, looked in ((1, 1), (5, 5), (8, 8), (240, 9), (5000, 32)):
        faces = Faces([LEFT, RIGHT])
        assert f"of {looked} frames" in noted(faces, frames)
        assert faces.frames == looked


def test_nobody_counts() -> None:
    assert noted(None) == NOT_LOOKED


def test_boxes() -> None:
    assert parse_box("10, 20,50.4,60", 100, 100) == (10, 20, 50, 60)
    assert parse_box("-5,-5,500,500", 100, 90) == (0, 0, 100, 90)
    for wrong in ("2", "1,2", "1,2,3", "a,b,c,d", "10,10,20,20", "200,0,300,50", "50,0,10,60"):
        with pytest.raises(OptionError, match=r"a box x0,y0,x1,y1 in pixels of the 100x90 picture"):
            parse_box(wrong, 100, 90)


class TestCommand:
    @pytest.fixture
    def two_spots(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """12 frames of 100x60 with a bright spot on the right and a dimmer one on the left."""
        for number in range(12):
            frame = FRAME.copy()
            frame[20 + number, 80], frame[30 + number, 15] = 255, 200
            write_png(tmp_path / "in" / f"{number:02d}.png", frame)
        monkeypatch.setitem(ESTIMATORS, "mediapipe", Brightest)
        return tmp_path / "in"

    def test_the_note_is_followed(self, two_spots: Path, command: Command, tmp_path: Path, monkeypatch) -> None:
        opened: list[Faces] = []

        def open_faces() -> Faces:
            opened.append(Faces([LEFT, RIGHT]))
            return opened[-1]

        monkeypatch.setattr(onlookers, "open_faces", open_faces)
        words = ("poses", "extract", two_spots, tmp_path / "x.poses.npz", "--enlarge", 0)
        output = " ".join(command.works(*words).split())
        assert "2 people are in view in 8 of 8 frames looked at" in output
        assert read_poses(tmp_path / "x.poses.npz").keypoints[0, 0, 0] == 80
        advice = re.search(r"(--person) (\S+) or", output)
        assert advice is not None
        again = command.works(*words, *advice.groups())
        assert "people are in view" not in again
        found = read_poses(tmp_path / "x.poses.npz")
        assert (found.width, found.height) == (100, 60)
        np.testing.assert_array_equal(found.keypoints[:, 0, 0], 15)
        np.testing.assert_array_equal(found.keypoints[:, 0, 1], 30 + np.arange(12))
        command.works(*words, "--person", "45,20,100,60")
        np.testing.assert_array_equal(read_poses(tmp_path / "x.poses.npz").keypoints[:, 0, 1], 20 + np.arange(12))
        assert all(each.closed for each in opened)

    def test_a_box_is_enlarged_as_a_frame_is(self, two_spots: Path, command: Command, tmp_path: Path) -> None:
        words = ("poses", "extract", two_spots, tmp_path / "x.poses.npz", "--enlarge", 80)
        command.works(*words, "--person", "4,20,44,60")
        found = read_poses(tmp_path / "x.poses.npz").keypoints[:, 0]
        np.testing.assert_allclose(found[:, 0], 15, atol=0.3)  # the brightest of two by two
        np.testing.assert_allclose(found[:, 1], 30 + np.arange(12), atol=0.3)

    def test_without_mediapipe(self, two_spots: Path, command: Command, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(onlookers, "open_faces", lambda: None)
        output = command.works("poses", "extract", two_spots, tmp_path / "x.poses.npz")
        assert "was not looked at" in output

    def test_no_box(self, two_spots: Path, command: Command, tmp_path: Path) -> None:
        line = command.refuses("poses", "extract", two_spots, tmp_path / "x.poses.npz", "--person", "2")
        assert "expected a box x0,y0,x1,y1 in pixels of the 100x60 picture" in line


class TestRealPeople:
    """MediaPipe's own detector."""

    @pytest.fixture
    def faces(self) -> MediapipeFaces:
        pytest.importorskip("mediapipe", reason="needs the extra pose: pip install -e '.[pose]'")
        return MediapipeFaces()

    def side_by_side(self, testdata: Path, frames: int) -> np.ndarray:
        """uint8 (T, 360, 1120, 3): two clips of a signer each."""
        left = open_frames(testdata / "signers/football.mp4").read(0, frames)
        right = open_frames(testdata / "signers/human_signer.mp4").read(0, frames)[:, :360]
        return np.concatenate([left, right], 2)

    @pytest.mark.parametrize("clip", ["football.mp4", "human_signer.mp4", "openpose_sample.mp4"])
    def test_one_signer(self, testdata: Path, faces: MediapipeFaces, clip: str) -> None:
        source = open_frames(testdata / "signers" / clip)
        watch = Onlookers(source.num_frames, faces)
        for number in range(source.num_frames):
            watch.look(number, source.read(number, number + 1)[0])
        assert watch.note() == ""
        faces.close()

    def test_two_signers(self, testdata: Path, faces: MediapipeFaces) -> None:
        watch = Onlookers(10, faces)
        for number, frame in enumerate(self.side_by_side(testdata, 10)):
            watch.look(number, frame)
        assert "2 people are in view" in watch.note()
        faces.close()

    def test_the_box_gives_what_the_clip_alone_gives(
        self, testdata: Path, faces: MediapipeFaces, command: Command, tmp_path: Path
    ) -> None:
        video = tmp_path / "two.mp4"
        with VideoWriter(video, 1120, 360, 24) as writer:
            for frame in self.side_by_side(testdata, 10):
                writer.write(frame)
        output = " ".join(command.works("poses", "extract", video, tmp_path / "x.poses.npz").split())
        box = re.search(r"--person (\S+) or", output)
        assert box is not None
        command.works("poses", "extract", video, tmp_path / "x.poses.npz", "--person", box[1])
        alone = testdata / "signers/football.mp4"
        command.works("poses", "extract", alone, tmp_path / "y.poses.npz", "--frames", "0:10")
        ours, theirs = (read_poses(tmp_path / f"{name}.poses.npz").keypoints[:, :11, :2] for name in "xy")
        assert np.nanmedian(np.linalg.norm(ours - theirs, axis=-1)) < 4  # px, of a person 100 px wide
