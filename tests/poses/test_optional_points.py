"""OpenPose's pupils are kept beside the 133 points: read, saved and moved with the face; no model sees them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import identify, read_poses
from signgen.poses.clean import clean_poses, fill_gaps, mask
from signgen.poses.draw import draw_pose
from signgen.poses.mappings import PUPILS
from signgen.poses.people import Crowd
from signgen.poses.resample import resampled
from signgen.poses.retarget import retarget
from signgen.poses.sequence import PoseSequence
from signgen.rendering.inputs import hold_missing
from tests.line import Command
from tests.worlds import figure_poses

EYES = (slice(59, 65), slice(65, 71))  # right, left
SIZE = (640, 480)


def signer(frames: int = 12) -> PoseSequence:
    """A signer whose eyes stand apart, without pupils."""
    poses = figure_poses(frames, size=480)
    for eye, shift in zip(EYES, (-20, 20), strict=True):
        poses.keypoints[:, eye, 0] += shift
    return replace(poses, width=640)


def write_openpose(folder: Path, poses: PoseSequence, pupils: bool = True) -> Path:
    """A folder of OpenPose's JSON; each pupil is the mean of its eye, so that every transformation can be checked."""
    folder.mkdir()
    for number, points in enumerate(poses.keypoints.astype(float)):
        body = np.zeros((25, 3))
        body[[0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]] = points[:17]
        body[19:25] = points[17:23]
        centres = [points[eye].mean(0) for eye in EYES] if pupils else []
        face = np.concatenate([points[23:91], *[centre[None] for centre in centres]])
        parts = {"pose": body, "face": face, "hand_left": points[91:112], "hand_right": points[112:133]}
        person = {f"{name}_keypoints_2d": part.ravel().tolist() for name, part in parts.items()}
        (folder / f"{number:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
    return folder


@pytest.fixture
def poses(tmp_path: Path) -> PoseSequence:
    return read_poses(write_openpose(tmp_path / "o", signer()), size=SIZE, fps=25)


def check(poses: PoseSequence, least: float = 1e-3) -> None:
    """Every pupil is where its eye is."""
    pupils = poses.extra[PUPILS]
    assert pupils.shape == (len(poses), 2, 3)
    for place, eye in enumerate(EYES):
        np.testing.assert_allclose(pupils[:, place, :2], poses.keypoints[:, eye, :2].mean(1), atol=least)


def test_read_and_saved(poses: PoseSequence, tmp_path: Path) -> None:
    check(poses)
    poses.save(tmp_path / "a.poses.npz")
    found = identify(tmp_path / "a.poses.npz")
    assert found is not None
    assert (found.format, found.points) == ("signgen", 133)
    again = read_poses(tmp_path / "a.poses.npz")
    np.testing.assert_array_equal(again.keypoints, poses.keypoints)
    np.testing.assert_array_equal(again.extra[PUPILS], poses.extra[PUPILS])
    poses.save(tmp_path / "b.poses.npz")
    assert (tmp_path / "a.poses.npz").read_bytes() == (tmp_path / "b.poses.npz").read_bytes()


def test_the_133_points_are_the_same_with_and_without(poses: PoseSequence, tmp_path: Path) -> None:
    bare = read_poses(write_openpose(tmp_path / "bare", signer(), pupils=False), size=SIZE, fps=25)
    assert bare.extra == {}
    np.testing.assert_array_equal(bare.keypoints, poses.keypoints)
    assert bare.notes == poses.notes
    np.testing.assert_array_equal(draw_pose(bare.keypoints[0], *SIZE), draw_pose(poses.keypoints[0], *SIZE))
    for change in (clean_poses, lambda p: resampled(p, 40), lambda p: p.resized(100, 90), lambda p: p[2:5]):
        np.testing.assert_array_equal(change(bare).keypoints, change(poses).keypoints)
    assert bare.all_points is bare.keypoints


def test_a_file_without_them_is_as_it_was(tmp_path: Path) -> None:
    import zipfile

    signer().save(tmp_path / "a.poses.npz")
    with zipfile.ZipFile(tmp_path / "a.poses.npz") as archive:
        assert archive.namelist() == ["keypoints.npy", "size.npy", "fps.npy", "skeleton.npy"]
    assert PoseSequence.load(tmp_path / "a.poses.npz").extra == {}


def test_moved_with_the_face(poses: PoseSequence) -> None:
    """Whatever moves the eyes' points moves the pupils alike."""
    person = replace(figure_poses(4, size=64), width=64)
    for eye, shift in zip(EYES, (-3, 3), strict=True):
        person.keypoints[:, eye, 0] += shift
    for moved in (
        poses[3:9],
        poses.resized(320, 200),
        resampled(poses, 40),
        clean_poses(poses),
        retarget(poses, person),
    ):
        check(moved, 2e-3)
    fitted = retarget(poses, person)
    assert (fitted.width, fitted.height) == (64, 64)


def test_gaps_are_filled_and_frames_held(poses: PoseSequence) -> None:
    points = poses.all_points.copy()
    points[4:6] = (np.nan, np.nan, 0)
    gap = poses.with_points(points)
    assert np.isnan(gap.extra[PUPILS][4:6, :, 0]).all()
    check(fill_gaps(gap), 1e-2)
    held, missing = hold_missing(gap)
    assert missing == [4, 5]
    check(held)


def test_left_out_with_the_face(poses: PoseSequence) -> None:
    assert np.isnan(mask(poses, ["face"]).extra[PUPILS][..., 0]).all()
    check(mask(poses, ["hands"]))


def test_they_say_nothing_about_who_somebody_is() -> None:
    points = np.full((2, 135, 3), np.nan)
    points[0, :2, :2], points[:, 133:, :2] = ((4, 5), (8, 9)), 1000
    crowd = Crowd.of(np.zeros(2, int), points, np.full(2, np.nan))
    assert crowd.boxes.tolist() == [[4, 5, 8, 9]]  # of pupils alone nobody is made


def test_other_shapes_are_refused(poses: PoseSequence, tmp_path: Path) -> None:
    with pytest.raises(PoseError, match=r"optional points pupils of shape \(11, 2, 3\)"):
        replace(poses, extra={PUPILS: poses.extra[PUPILS][1:]})
    with (tmp_path / "a.poses.npz").open("wb") as handle:
        size, fps, skeleton = np.array(SIZE, np.int32), np.array(25.0), np.array(poses.skeleton)
        np.savez(handle, keypoints=poses.keypoints, size=size, fps=fps, skeleton=skeleton, extra_pupils=np.zeros(3))
    with pytest.raises(PoseError, match="optional points pupils"):
        read_poses(tmp_path / "a.poses.npz")


def test_commands_keep_them(poses: PoseSequence, command: Command, tmp_path: Path) -> None:
    words = (tmp_path / "o", tmp_path / "a.poses.npz", "--size", "640x480")
    command.works("poses", "convert", *words)
    assert "pupils seen" in command.works("poses", "info", tmp_path / "a.poses.npz")
    command.works("poses", "clean", tmp_path / "a.poses.npz", tmp_path / "b.poses.npz")
    check(read_poses(tmp_path / "b.poses.npz"), 2e-3)
    output = command.works("poses", "convert", tmp_path / "b.poses.npz", tmp_path / "c.json")
    assert "left out, since only .poses.npz holds them: pupils" in output
    assert read_poses(tmp_path / "c.json", size=SIZE).extra == {}


@pytest.mark.parametrize(
    ("place", "least"), [("openpose_sample", 0.9), ("openpose_sample.pose", 0.9), ("how2sign_openpose/4-3", 0.9)]
)
def test_real_pupils_lie_in_their_eyes(testdata: Path, tmp_path: Path, place: str, least: float) -> None:
    poses = read_poses(testdata / "signers" / place, size=(1280, 720))
    poses.save(tmp_path / "a.poses.npz")
    for found in (poses, clean_poses(read_poses(tmp_path / "a.poses.npz"))):
        pupils = found.extra[PUPILS]
        for number, eye in enumerate(EYES):
            points = found.keypoints[:, eye, :2]
            low, high = points.min(1) - 1.5, points.max(1) + 1.5  # px
            inside = ((pupils[:, number, :2] >= low) & (pupils[:, number, :2] <= high)).all(-1)
            there = np.isfinite(pupils[:, number, 0]) & np.isfinite(points).all((1, 2))
            assert there.any()
            assert inside[there].mean() >= least
