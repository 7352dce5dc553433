"""Frame numbers of files and lists: which frame of the video is which record, and what is said where it is a guess."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import identify, read_poses
from signgen.poses.numbering import Listing, fits, numbers_in, place

SIZE = (280, 120)


def seen(path: Path, frames: int | None = None, images: list[str] | None = None) -> list[int]:
    """x of the nose in each frame, -1 where nobody is there."""
    x = read_poses(path, size=SIZE, frames=frames, images=images).keypoints[:, 0, 0]
    return np.where(np.isfinite(x), x, -1).astype(int).tolist()


def body(x: float, points: int = 17) -> list[list[float]]:
    return [[x + 0.5 * point, 20 + 2.0 * point, 0.9] for point in range(points)]


def openpose(folder: Path, named: dict[str, float]) -> Path:
    folder.mkdir()
    for name, x in named.items():
        person = {"pose_keypoints_2d": [value for point in body(x, 25) for value in point]}
        (folder / f"{name}.json").write_text(json.dumps({"people": [person]}))
    return folder


def dwpose(folder: Path, named: dict[str, float]) -> Path:
    folder.mkdir()
    for name, x in named.items():
        places = [[p[0] / SIZE[0], p[1] / SIZE[1]] for p in body(x, 18)]
        person = {"body_keypoints": places, "body_scores": [0.9] * 18}
        for part, count in (("face", 68), ("left_hand", 21), ("right_hand", 21)):
            person |= {f"{part}_keypoints": [[-1, -1]] * count, f"{part}_scores": [0] * count}
        (folder / f"{name}.json").write_text(json.dumps({"num_persons": 1, "person_0": person}))
    return folder


def alphapose(path: Path, named: dict[str | int, float]) -> Path:
    records = [{"image_id": n, "keypoints": [v for p in body(x) for v in p], "score": 2} for n, x in named.items()]
    path.write_text(json.dumps(records))
    return path


def mmpose(path: Path, numbered: dict[int, float]) -> Path:
    people = {n: {"keypoints": [p[:2] for p in body(x)], "keypoint_scores": [0.9] * 17} for n, x in numbered.items()}
    path.write_text(json.dumps([{"frame_id": n, "instances": [person]} for n, person in people.items()]))
    return path


@pytest.mark.parametrize("write", [openpose, dwpose])
class TestOneFileAFrame:
    def test_numbers_without_leading_zeros(self, tmp_path: Path, write) -> None:
        folder = write(tmp_path / "k", {f"walk_{n}_keypoints": 20 + 10 * n for n in range(12)})
        assert seen(folder) == [20 + 10 * n for n in range(12)]

    def test_absent_numbers_are_frames_without_a_person(self, tmp_path: Path, write) -> None:
        folder = write(tmp_path / "k", {f"{n:012d}_keypoints": 20 + 10 * n for n in (0, 1, 2, 5, 6, 9)})
        assert seen(folder) == [20, 30, 40, -1, -1, 70, 80, -1, -1, 110]
        assert identify(folder).frames == {"": 10}

    def test_a_number_that_never_varies_is_no_frame_number(self, tmp_path: Path, write) -> None:
        folder = write(tmp_path / "k", {f"s1_{n}_rgb2": 20 + 10 * n for n in (9, 10, 12)})
        assert seen(folder) == [110, 120, -1, 140]


class TestNumbers:
    def test_the_last_one_that_varies(self) -> None:
        assert numbers_in(["a1_10_2d.json", "a1_9_2d.json"]) == (10, 9)
        assert numbers_in(["COCO_val2014_000000000459.jpg"]) == (459,)
        assert numbers_in(["frame_0001_98.json", "frame_0002_98.json", "frame_0003_97.json"]) == (1, 2, 3)
        assert numbers_in(["a1_1", "a1_2", "a2_1"]) is None
        assert numbers_in(["no", "number"]) is None

    def test_a_list_begins_at_its_first_number(self, tmp_path: Path) -> None:
        assert seen(alphapose(tmp_path / "a", {f"{n}.jpg": n - 280 for n in (300, 301, 303)})) == [20, 21, -1, 23]
        assert seen(alphapose(tmp_path / "b", {"COCO_val2014_000000000459.jpg": 20})) == [20]
        assert seen(mmpose(tmp_path / "c", {40: 20, 41: 21})) == [20, 21]

    @pytest.mark.parametrize("write", [alphapose, mmpose])
    def test_the_length_decides_on_0_or_1(self, tmp_path: Path, write) -> None:
        whole = [20, 21, 22, 23]
        assert seen(write(tmp_path / "a", {n: 20 + n for n in range(4)}), 4) == whole
        assert seen(write(tmp_path / "b", {n + 1: 20 + n for n in range(4)}), 4) == whole
        assert seen(write(tmp_path / "c", {n: 20 + n for n in range(3)}), 4) == [20, 21, 22, -1]
        assert seen(write(tmp_path / "d", {n + 1: 20 + n for n in (1, 3)}), 4) == [-1, 21, -1, 23]
        assert seen(write(tmp_path / "e", {n + 300: 20 + n for n in range(4)}), 4) == whole

    def test_what_the_length_does_not_decide_is_said(self, tmp_path: Path) -> None:
        path = alphapose(tmp_path / "a", {f"{n}.jpg": 20 + n for n in (1, 2, 3)})
        assert seen(path, 4) == [-1, 21, 22, 23]  # AlphaPose numbers a video's frames from 0
        assert "numbered from 0" in read_poses(path, size=SIZE, frames=4).notes[0]
        path = mmpose(tmp_path / "b", {n: 20 + n for n in (1, 2, 3)})
        assert seen(path, 4) == [21, 22, 23, -1]
        assert "numbered from 1" in read_poses(path, size=SIZE, frames=4).notes[0]

    @pytest.mark.parametrize("numbers", [(0, 4), (0, 1, 2, 3, 4), (300, 301), (3, 7)])
    def test_numbers_that_do_not_fit_are_refused(self, tmp_path: Path, numbers: tuple[int, ...]) -> None:
        path = mmpose(tmp_path / "a", {n: 20 + n for n in numbers})
        with pytest.raises(PoseError, match="the video has 4"):
            read_poses(path, size=SIZE, frames=4)


class TestBesideAFrameFolder:
    IMAGES = ("300.png", "301.png", "302.png", "303.png")

    def test_by_name_whatever_the_ending(self, tmp_path: Path) -> None:
        path = alphapose(tmp_path / "a", {f"{n}.jpg": n - 280 for n in (301, 302)})
        assert seen(path, images=list(self.IMAGES)) == [-1, 21, 22, -1]
        folder = openpose(tmp_path / "o", {f"{n}_keypoints": n - 280 for n in (300, 303)})
        assert seen(folder, images=list(self.IMAGES)) == [20, -1, -1, 23]

    def test_by_number(self, tmp_path: Path) -> None:
        path = mmpose(tmp_path / "a", {n: n - 280 for n in (301, 303)})
        assert seen(path, images=list(self.IMAGES)) == [-1, 21, -1, 23]

    def test_by_length_where_pictures_have_other_numbers(self, tmp_path: Path) -> None:
        path = alphapose(tmp_path / "a", {f"{n}.jpg": 20 + n for n in range(4)})
        assert seen(path, images=list(self.IMAGES)) == [20, 21, 22, 23]

    def test_names_without_numbers(self, tmp_path: Path) -> None:
        path = alphapose(tmp_path / "a", {"eins.jpg": 20, "zwei.jpg": 21})
        assert seen(path, images=["drei.png", "eins.png", "zwei.png"]) == [-1, 20, 21]


def test_a_file_fits_where_its_numbers_do() -> None:
    assert fits(Listing(5, (0, 1, 4, 7, 8), None, 0), 10, None)
    assert not fits(Listing(5, (0, 1, 2, 3, 4), None, 0), 10, None)  # half a video's length is another video's
    assert not fits(Listing(10), 11, None)
    assert place("", Listing(2, (1, 2)), 2, None).notes == ()


def test_the_cases(cases: Path) -> None:
    assert seen(cases / "unpadded-frame-numbers/clips/walk_keypoints") == list(range(20, 241, 20))
    holes = read_poses(cases / "openpose-numbers-with-holes/kp", size=(640, 480))
    assert holes.has_person.tolist() == [n not in (3, 4, 7, 8) for n in range(10)]
    for name, absent in (("first", 0), ("middle", 5), ("last", 11)):
        path = cases / f"dropped-frames/{name}_frame_nobody.alphapose.json"
        found = read_poses(path, size=(320, 240), frames=12)
        assert np.flatnonzero(~found.has_person).tolist() == [absent]
    folder = cases / "alphapose-offset-numbers"
    assert len(read_poses(folder / "alphapose-results.json", size=(640, 480))) == 3
    assert len(read_poses(folder / "one-image.json", size=(640, 480))) == 1
