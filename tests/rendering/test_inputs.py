"""What is rendered: whose pose the source has, and how poses of another clip come onto its frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses.retarget import retarget
from signgen.poses.sequence import PoseSequence
from signgen.progress import Notes
from signgen.rendering.inputs import RenderJob, RenderRequest, prepare
from signgen.video.reader import open_frames, write_png
from tests.line import Line
from tests.worlds import figure_poses, write_mmpose


@pytest.fixture
def photo(line: Line, tmp_path: Path) -> Path:
    """The first frame of clip0 as a picture, without keypoints."""
    write_png(tmp_path / "photo" / "me.png", open_frames(line.video).read(0, 1)[0])
    return tmp_path / "photo" / "me.png"


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    """Somebody twice as large, on a frame of twice the width and height, 7 frames."""
    poses = figure_poses(7, phase=1.0, size=128)
    poses.save(tmp_path / "larger.poses.npz")
    return tmp_path / "larger.poses.npz"


def prepared(line: Line, tmp_path: Path, source: Path, poses: Path, **more) -> tuple[RenderJob, str]:
    notes = Notes()
    job = prepare(RenderRequest(source, poses, line.model, tmp_path / "o.mp4", truth="none", **more), notes)
    return job, "\n".join(notes.kept)


def test_keypoints_beside_a_picture_are_its_pose(line, tmp_path, photo, larger) -> None:
    job, notes = prepared(line, tmp_path, photo, larger)
    assert job.source.pose is None
    assert "its face, hands and clothes" in notes
    own = figure_poses(1)
    write_mmpose(own, photo.with_suffix(".json"))
    job, notes = prepared(line, tmp_path, photo, larger)
    assert job.source.pose is not None
    np.testing.assert_allclose(job.source.pose.keypoints, own.keypoints, atol=1e-4)
    assert f"source: its pose is that of {photo.with_suffix('.json')}" in notes
    write_mmpose(own, photo.with_name("me_other.json"))
    with pytest.raises(PoseError, match="several keypoints beside it"):
        prepared(line, tmp_path, photo, larger)


def test_poses_of_another_clip_are_fitted_to_the_person(line, tmp_path, photo, larger) -> None:
    own = figure_poses(1)
    write_mmpose(own, photo.with_suffix(".json"))
    job, notes = prepared(line, tmp_path, photo, larger, retarget="auto")
    expected = retarget(PoseSequence.load(larger), own)
    assert (job.poses.width, job.poses.height, len(job.poses)) == (64, 64, 7)
    np.testing.assert_allclose(job.poses.keypoints, expected.keypoints, atol=1e-3)
    assert "retarget: body x0.500" in notes


def test_without_the_sources_pose_there_is_nothing_to_fit_to(line, tmp_path, photo, larger) -> None:
    with pytest.raises(PoseError, match=r"own pose is not known.*--source-poses"):
        prepared(line, tmp_path, photo, larger, retarget="auto")


def test_poses_are_never_stretched(line, tmp_path, photo, larger) -> None:
    """Alike frames are scaled by one factor; others are refused, and the way out works."""
    job, notes = prepared(line, tmp_path, photo, larger)
    assert "--retarget auto fits them" in notes
    assert "keypoints scaled from 128x128 to 64x64" in notes
    assert (job.poses.width, job.poses.height) == (64, 64)
    halved = (PoseSequence.load(larger).keypoints[..., :2] + 0.5) / 2 - 0.5  # whole numbers are the pixels' centres
    np.testing.assert_allclose(job.poses.keypoints[..., :2], halved, atol=1e-3)
    wide = replace(PoseSequence.load(larger), width=228)
    wide.save(tmp_path / "wide.poses.npz")
    with pytest.raises(PoseError, match=r"228x128 would be stretched to 64x64.*--retarget auto"):
        prepared(line, tmp_path, photo, tmp_path / "wide.poses.npz")
    write_mmpose(figure_poses(1), photo.with_suffix(".json"))
    job, _ = prepared(line, tmp_path, photo, tmp_path / "wide.poses.npz", retarget="auto")
    assert (job.poses.width, job.poses.height) == (64, 64)


def test_a_clips_own_poses_are_left_alone(line, tmp_path) -> None:
    job, notes = prepared(line, tmp_path, line.video, line.poses, retarget="auto")
    assert "retarget:" not in notes
    np.testing.assert_array_equal(job.poses.keypoints, job.keypoints.keypoints)


def test_a_rate_that_changes_the_speed_is_said(line, tmp_path) -> None:
    rate = PoseSequence.load(line.poses).fps if line.poses.suffix == ".npz" else 25.0
    _, notes = prepared(line, tmp_path, line.video, line.poses, fps=rate * 2)
    assert "play at 2 times their speed; signgen poses convert POSES X.poses.npz --fps N resamples them" in notes
    _, notes = prepared(line, tmp_path, line.video, line.poses, fps=rate)
    assert "their speed" not in notes


def test_landscape_poses_are_not_squashed_onto_a_square_picture(line, tmp_path, cases) -> None:
    case = cases / "poses-squashed-to-source"
    with pytest.raises(PoseError, match=r"would be stretched to .*--retarget auto"):
        prepared(line, tmp_path, case / "first.png", case / "land.poses.npz")
