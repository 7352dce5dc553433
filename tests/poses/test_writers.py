"""Writers against the readers, and a file of theirs against the libraries whose formats they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, identify, read_poses
from signgen.poses.convert import to_skeleton
from signgen.poses.writers import WRITERS, write_poses

MISSING = (np.nan, np.nan, 0)
FORMATS = {".poses.npz": "signgen", ".json": "mmpose", ".pose": "pose-format"}


def poses(fps: float | None = 29.97) -> PoseSequence:
    """Six frames: no one in the first, third and last, no left hand in the second; scores above 1, places outside."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0.001, 1.85, (6, 133, 3)).astype(np.float32)
    keypoints[..., :2] = rng.uniform(-50, 700, (6, 133, 2))
    keypoints[[0, 2, 5]] = MISSING
    keypoints[1, 91:112] = MISSING
    return PoseSequence(keypoints, 640, 360, fps)


def test_every_writer_has_its_reader() -> None:
    assert set(WRITERS) == set(FORMATS)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a b.v2{suffix}"
    write_poses(poses(), path)
    assert identify(path).format == FORMATS[suffix]
    back = read_poses(path, size=(640, 360), fps=29.97)
    np.testing.assert_array_equal(back.keypoints, poses().keypoints)
    assert (back.width, back.height) == (640, 360)
    assert back.fps == pytest.approx(29.97, rel=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".poses.npz", ".pose"])
def test_size_and_fps_are_in_the_file(tmp_path: Path, suffix: str) -> None:
    for fps in (25.0, None):
        write_poses(poses(fps), tmp_path / f"x{suffix}")
        back = read_poses(tmp_path / f"x{suffix}")
        assert (back.width, back.height, back.fps) == (640, 360, fps)


def test_the_json_is_strict_and_says_what_it_is(tmp_path: Path) -> None:
    write_poses(poses(), tmp_path / "x.json")
    data = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    assert data["meta_info"]["dataset_name"] == "coco_wholebody"
    assert [len(frame["instances"]) for frame in data["instance_info"]] == [0, 1, 0, 1, 1, 0]
    assert data["instance_info"][1]["instances"][0]["keypoints"][100] == [0, 0]


def test_the_pose_file_is_pose_formats(tmp_path: Path) -> None:
    from pose_format import Pose

    write_poses(poses(), tmp_path / "x.pose")
    with (tmp_path / "x.pose").open("rb") as handle:
        pose = Pose.read(handle)
    assert pose.body.data.shape == (6, 1, 133, 2)
    assert [component.name for component in pose.header.components] == ["BODY", "FACE", "LEFT_HAND", "RIGHT_HAND"]
    assert pose.body.data.mask[1, 0, 91:112].all()
    wrist = pose.body.data[3, 0, pose.header._get_point_index("RIGHT_HAND", "right_hand_0")]
    np.testing.assert_array_equal(wrist, poses().keypoints[3, 112, :2])


def test_real_clips_survive(testdata: Path, tmp_path: Path) -> None:
    real = read_poses(testdata / "signers" / "football.mmpose133.json", size=(640, 360))
    for suffix in FORMATS:
        write_poses(real, tmp_path / f"x{suffix}")
        back = read_poses(tmp_path / f"x{suffix}", size=(640, 360))
        np.testing.assert_array_equal(back.keypoints, real.keypoints)


@pytest.mark.parametrize("name", ["x.npz", "x.txt", "x", ".json", "x.pose.gz"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PoseError, match="ends in"):
        write_poses(poses(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".json", ".pose"])
def test_another_skeleton_has_no_place_in_them(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(PoseError, match="openpose-18"):
        write_poses(to_skeleton(poses(), "openpose-18"), tmp_path / f"x{suffix}")
    write_poses(to_skeleton(poses(), "openpose-18"), tmp_path / "x.poses.npz")
    assert read_poses(tmp_path / "x.poses.npz").skeleton == "openpose-18"


def test_to_openpose_and_back() -> None:
    there = to_skeleton(poses(), "openpose-18")
    np.testing.assert_allclose(there.keypoints[3, 1, :2], poses().keypoints[3, 5:7, :2].mean(0), rtol=1e-6)
    assert there.keypoints[3, 1, 2] == poses().keypoints[3, 5:7, 2].min()
    assert "neck" in there.notes[-1]
    back = to_skeleton(there, "coco-wholebody-133")
    np.testing.assert_array_equal(back.keypoints[:, :17], poses().keypoints[:, :17])
    assert not back.present[:, 17:].any()
    assert to_skeleton(there, "openpose-18") is there


def test_a_neck_needs_both_shoulders() -> None:
    one = poses()
    one.keypoints[3, 5] = MISSING
    found = to_skeleton(one, "openpose-18")
    assert not found.present[3, 1]
    assert found.present[4, 1]
    with pytest.raises(PoseError, match="expected another"):
        to_skeleton(one, "another")
