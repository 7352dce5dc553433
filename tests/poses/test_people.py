"""Several people in view: whom a clip's poses follow, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import Wanted, read_people, read_poses
from signgen.poses.people import Crowd, find_tracks

SIZE = (200, 200)
SIGNER, BYSTANDER = (100.0, 3.0), (30.0, 1.2)  # x of the middle, size


def person(x: float, scale: float, score: float = 0.9) -> np.ndarray:
    """(17, 3): a body of 20 x 40 units around (x, 100)."""
    places = np.random.default_rng(0).uniform((-10, -20), (10, 20), (17, 2))
    return np.concatenate([places * scale + (x, 100), np.full((17, 1), score)], 1)


def mmpose(path: Path, frames: list[list[np.ndarray]]) -> Path:
    listed = [
        {"frame_id": n, "instances": [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()} for p in f]}
        for n, f in enumerate(frames)
    ]
    path.write_text(json.dumps(listed))
    return path


def nose_of(x: float, scale: float) -> float:
    return float(person(x, scale)[0, 0])


class TestWhoIsFollowed:
    def test_a_frame_in_which_the_signer_was_missed_has_nobody(self, tmp_path: Path) -> None:
        both = [person(*SIGNER), person(*BYSTANDER)]
        path = mmpose(tmp_path / "a", [both, [both[1]], both, both[::-1], both, both])
        poses = read_poses(path, size=SIZE)
        assert poses.has_person.tolist() == [True, False, True, True, True, True]
        np.testing.assert_allclose(poses.keypoints[[0, 2, 3, 4, 5], 0, 0], nose_of(*SIGNER), rtol=1e-6)
        assert "without a person: 1 frame (1)" in poses.notes[0]

    def test_also_where_the_bystander_is_never_seen_together_with_the_signer(self, tmp_path: Path) -> None:
        path = mmpose(tmp_path / "a", [[person(*(BYSTANDER if n == 3 else SIGNER))] for n in range(8)])
        assert read_poses(path, size=SIZE).has_person.tolist() == [n != 3 for n in range(8)]

    def test_a_sharper_bystander_in_the_first_frame_changes_nothing(self, tmp_path: Path) -> None:
        frames = [[person(*SIGNER, 0.6 if n == 0 else 0.9), person(*BYSTANDER, 1)] for n in range(6)]
        poses = read_poses(mmpose(tmp_path / "a", frames), size=SIZE)
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], nose_of(*SIGNER), rtol=1e-6)

    def test_one_person_who_runs_is_one_person(self, tmp_path: Path) -> None:
        path = mmpose(tmp_path / "a", [[person(20 + 14 * n, 1.2)] for n in range(12)])
        poses = read_poses(path, size=SIZE)
        assert poses.has_person.all()
        assert not any("people" in note for note in poses.notes)

    def test_a_single_wild_point_does_not_make_somebody_else(self, tmp_path: Path) -> None:
        frames = [[person(*SIGNER)] for _ in range(5)]
        frames[2][0][16, :2] = (-5000, 7000)
        assert read_poses(mmpose(tmp_path / "a", frames), size=SIZE).has_person.all()

    def test_a_long_absence_is_bridged(self, tmp_path: Path) -> None:
        frames = [[person(*SIGNER), person(*BYSTANDER)] if not 5 <= n < 45 else [person(*BYSTANDER)] for n in range(50)]
        poses = read_poses(mmpose(tmp_path / "a", frames), size=SIZE, person="100,100")
        assert poses.has_person.tolist() == [not 5 <= n < 45 for n in range(50)]


class TestWhoIsNamed:
    @pytest.fixture
    def alike(self, tmp_path: Path) -> Path:
        return mmpose(tmp_path / "a", [[person(60, 2), person(140, 2)] for _ in range(4)])

    def test_two_alike_are_refused_with_what_helps(self, alike: Path) -> None:
        with pytest.raises(PoseError, match=r"2 people could be the signer: 1 \(4 frames.*--person N, x,y or x0,y0,x1"):
            read_poses(alike, size=SIZE)

    @pytest.mark.parametrize(("named", "x"), [("60,100", 60), ("141,95", 140), ("120,60,160,140", 140)])
    def test_by_point_or_box(self, alike: Path, named: str, x: float) -> None:
        poses = read_poses(alike, size=SIZE, person=named)
        np.testing.assert_allclose(poses.keypoints[:, 0, 0], nose_of(x, 2), rtol=1e-6)

    def test_numbers_are_those_of_everybody(self, alike: Path) -> None:
        everybody = read_people(alike, Wanted(size=SIZE))
        assert len(everybody) == 2
        for number, poses in enumerate(everybody, start=1):
            named = read_poses(alike, size=SIZE, person=str(number))
            np.testing.assert_array_equal(named.keypoints, poses.keypoints)

    @pytest.mark.parametrize("named", ["0", "3", "1.5", "a", "1,2,3", "199,1", ""])
    def test_nobody_of_that_name(self, alike: Path, named: str) -> None:
        with pytest.raises(PoseError, match=r"--person|no person"):
            read_poses(alike, size=SIZE, person=named)

    def test_a_point_is_one_of_the_video_where_the_file_has_a_canvas_of_its_own(self, tmp_path: Path) -> None:
        body = [0.0] * 54
        people = []
        for x in (60, 140):
            body = [v for p in person(x, 2) for v in p] + [0.0] * 3
            people.append({"pose_keypoints_2d": body})
        frame = {"canvas_width": 200, "canvas_height": 200, "people": people}
        (tmp_path / "a.json").write_text(json.dumps(frame))
        poses = read_poses(tmp_path / "a.json", size=(100, 100), person="70,50")
        assert poses.keypoints[0, :, 0][poses.present[0]].mean() > 100


def test_the_score_is_what_the_documentation_says() -> None:
    """Frames seen x median box area / frame area x (1 - median distance from the middle / half diagonal)."""
    points = np.full((4, 133, 3), np.nan)
    points[:, 0], points[:, 1] = (80, 80, 1), (120, 140, 1)
    crowd = Crowd.of(np.array([0, 1, 2, 4]), points, np.full(4, np.nan))
    (track,) = find_tracks(crowd, 5, (200, 200))
    assert track.score == pytest.approx(4 * (40 * 60) / 200**2 * (1 - 10 / np.hypot(100, 100)))


def test_the_cases(cases: Path) -> None:
    for name in ("signer_missed_once", "bystander_sharper_in_frame_0"):
        x = read_poses(cases / "bystander-takes-over" / f"{name}.json", size=(64, 64)).keypoints[:, 0, 0]
        assert set(x[np.isfinite(x)].tolist()) == {32.0}


def test_a_single_point_is_followed_too() -> None:
    """Where no more than one point of somebody is seen, its box has no size; that makes nobody of it."""
    points = np.full((10, 133, 3), np.nan)
    points[:, 0] = [(20 + frame, 30 - frame, 1) for frame in range(10)]
    tracks = find_tracks(Crowd.of(np.arange(10), points, np.full(10, np.nan)), 10, (64, 64))
    assert [len(track.rows) for track in tracks] == [10]
