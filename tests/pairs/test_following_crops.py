"""A signer who walks through a studio: a rectangle of one size that follows on a smooth path."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PairSetError, PoseError, VideoError
from signgen.evaluation.baselines import nearest_pose
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.crops import crop_for, followed, within
from signgen.pairs.pairset import PairSet
from signgen.pairs.writer import PairSetWriter
from signgen.poses.parts import visible
from signgen.poses.reach import extent
from signgen.poses.sequence import PoseSequence
from signgen.rendering.source import Source
from signgen.video.crop import Crop, CropPath, CroppedFrames
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter
from tests.rendering.test_renderer import renderer
from tests.worlds import figure_frames, figure_poses, write_mmpose

STUDIO = (320, 180)


def places(frames: int, far: float) -> np.ndarray:
    """(T, 2): where the figure's frame of 64 x 64 stands; it sets off, and comes to a stop."""
    turn = (1 - np.cos(np.pi * np.arange(frames) / frames)) / 2
    return np.stack([30 + far * turn, 70 + 3 * turn], 1).round().astype(int)


def walking(frames: int, far: float) -> PoseSequence:
    poses = figure_poses(frames)
    points = poses.all_points.copy()
    points[..., :2] += places(frames, far)[:, None]
    return poses.with_points(points, width=STUDIO[0], height=STUDIO[1])


def studio_frames(frames: int, far: float) -> np.ndarray:
    wall = np.random.default_rng(0).integers(0, 255, (STUDIO[1], STUDIO[0], 3), dtype=np.uint8)
    whole = np.repeat(wall[None], frames, 0)
    for frame, figure, (x, y) in zip(whole, figure_frames(figure_poses(frames)), places(frames, far), strict=True):
        frame[y : y + 64, x : x + 64] = figure
    return whole


@pytest.mark.parametrize("far", [40, 190])
def test_the_path_is_smooth_and_holds_head_and_reach_in_every_frame(far: float) -> None:
    poses = walking(120, far)
    points = poses.keypoints.copy()
    points[..., 0] += 4 * np.sin(np.arange(120) / 2)[:, None]  # steps and estimates shake
    calm, poses = followed(poses), replace(poses, keypoints=points)
    path, standing = followed(poses), crop_for([poses], "signer")
    assert isinstance(path, CropPath)
    assert standing is not None
    assert path.width * path.height < 0.7 * standing.width * standing.height
    seen, starts = extent(poses), np.array(path.starts)
    assert seen is not None
    assert (seen.low >= starts).all()
    assert (seen.high <= starts + np.array((path.width, path.height))).all()
    inside = within(poses, path)
    upper = [*range(11), *range(23, 133)]  # feet may be left out
    points = inside.keypoints[:, upper][visible(inside.keypoints[:, upper])]
    assert (points >= 0).all()
    assert (points[:, :2] <= (path.width, path.height)).all()
    assert np.ptp(starts[:, 0]) == pytest.approx(far, rel=0.15)
    # the signer shakes by eight pixels twice a second; the path does not
    assert isinstance(calm, CropPath)
    assert np.ptp(starts - calm.starts, axis=0).max() <= 3
    assert np.abs(np.diff(starts, 2, axis=0)).max() <= 2  # a pixel a frame, and what whole pixels round


def test_a_signer_who_stays_has_the_standing_rectangle() -> None:
    for far in (0, 4):
        poses = walking(60, far)
        assert followed(poses) == crop_for([poses], "signer")


def test_wrong_shoulders_and_frames_without_a_person_do_not_move_it() -> None:
    poses = walking(60, 150)
    points = poses.keypoints.copy()
    points[20:22, 5:7, :2] = (310, 5)
    points[40, :, :2], points[40, :, 2] = np.nan, 0
    path, found = followed(poses), followed(replace(poses, keypoints=points))
    assert isinstance(path, CropPath)
    assert isinstance(found, CropPath)
    assert np.abs(np.array(found.starts) - path.starts).max() <= 1
    points[:, 5] = (np.nan, np.nan, 0)
    with pytest.raises(PoseError, match="--crop none"):
        followed(replace(poses, keypoints=points))


def test_a_path_lies_in_the_frame_and_has_a_place_for_each_frame() -> None:
    for starts in ([[0, 0], [300, 0]], [[-1, 0]], []):
        with pytest.raises(VideoError):
            CropPath.through(np.array(starts).reshape(-1, 2), 40, 40, *STUDIO)
    path = CropPath.through(np.array([[0, 0], [3, 1]]), 40, 40, *STUDIO)
    assert path.at(1) == Crop(3, 1, 40, 40, *STUDIO)
    with pytest.raises(PoseError, match="one for each place"):
        within(walking(3, 0), path)


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, far in (("a", 60), ("b", 0)):
        with VideoWriter(folder / f"{name}.mp4", *STUDIO, 25) as writer:
            for frame in studio_frames(40, far):
                writer.write(frame)
        write_mmpose(walking(40, far), folder / f"{name}.mmpose.json")
    return folder


def test_a_pair_set_follows_the_one_who_walks(studio: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    built = build_pairs(BuildPairsRequest(studio, pairs, count=20, crop="follow", store=True))
    assert any("following" in note for note in built.notes)
    pair_set = PairSet.load(pairs)
    path, standing = (record.crop for record in pair_set.clips)
    assert path == followed(walking(40, 60))
    assert isinstance(path, CropPath)
    assert isinstance(standing, Crop)
    frames, poses = pair_set.frames("a"), pair_set.poses("a")
    assert isinstance(frames, CroppedFrames)
    assert (frames.width, frames.height) == (poses.width, poses.height) == (path.width, path.height)
    whole = open_frames(studio / "a.mp4")
    for number in (0, 17, 39):
        expected = path.at(number).of(whole.read(number, number + 1)[0])
        assert np.array_equal(frames.read(number, number + 1)[0], expected)
        moved = walking(40, 60).keypoints[number, :, :2] - path.starts[number]
        assert np.abs(poses.keypoints[number, :, :2] - moved).max() < 1e-3
    used = pair_set.used_frames()["a"]
    assert np.array_equal(pair_set.training_frames("a").pick(used), frames.pick(used))
    assert np.array_equal(pair_set.whole_frames("a").read(3, 4), whole.read(3, 4))


def test_another_place_of_the_same_size_is_another_data_set(studio: Path, tmp_path: Path) -> None:
    build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", count=20, crop="follow"))
    record = PairSet.load(tmp_path / "pairs").clips[0]
    assert isinstance(record.crop, CropPath)
    with PairSetWriter(tmp_path / "other") as writer:
        writer.add("a", walking(40, 60), [b"footage"])
        found = {writer.fingerprint([replace(record, crop=crop)]) for crop in (record.crop, record.crop.at(0), None)}
    assert len(found) == 3


def test_a_damaged_path_is_named(studio: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", count=20, crop="follow"))
    place = tmp_path / "pairs" / "clips.parquet"
    table = pq.read_table(place)
    number = table.column_names.index("crop_path")
    for wrong in ([0, 0], [999, 0] * 40):
        pq.write_table(table.set_column(number, "crop_path", pa.array([wrong, None], pa.list_(pa.int32()))), place)
        with pytest.raises(PairSetError, match="build-pairs again"):
            PairSet.load(tmp_path / "pairs")


def test_what_is_drawn_is_laid_back_where_the_signer_is() -> None:
    poses, frame = walking(40, 20), studio_frames(40, 20)[0]
    path = CropPath.through(np.array([(24 + number // 4, 60) for number in range(40)]), 80, 80, *STUDIO)
    ours = renderer(window=1)
    source = Source(frame, poses[0:1], "me", crop=path.at(0), path=path)
    found = [*ours.frames(source, poses, [3, 30])]
    inside = within(poses, path)
    alone = [*ours.frames(Source(path.at(0).of(frame).copy(), inside[0:1], "me"), inside, [3, 30])]
    for number, whole, inner in zip((3, 30), found, alone, strict=True):
        assert np.array_equal(whole, path.at(number).paste(inner, frame))


def test_render_follows_or_says_why_it_cannot(studio, line, command, tmp_path):
    call = ("render", studio / "a.mp4", studio / "a.mmpose.json", "--model", line.model, "--crop", "follow")
    files = ("--out", tmp_path / "o.mp4", "--save-frames", tmp_path / "o")
    out = command.works(*call, *files, "--frames", "0:3")
    assert "following" in out
    source, path = open_frames(studio / "a.mp4").read(0, 1)[0], followed(walking(40, 60))
    for number, found in enumerate(open_frames(tmp_path / "o").read(0, 3)):
        crop = path.at(number)
        outside = np.ones(source.shape[:2], bool)
        outside[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width] = False
        assert np.array_equal(found[outside], source[outside])
        assert not np.array_equal(found, source)
    # the source's person is no longer under the rectangle
    refused = command.refuses(*call, *files, "--frames", "0:40")
    assert "would be seen beside the one that is drawn" in refused
    assert "--crop signer takes one rectangle for all poses" in refused
    # of a model that was trained so, it is the default
    trained = Path(shutil.copytree(line.model, tmp_path / "trained"))
    card = json.loads((trained / "signgen.json").read_text())
    card["data"]["crop"] = "follow"
    (trained / "signgen.json").write_text(json.dumps(card))
    by_default = (*call[:4], trained, *files, "--frames", "0:2")
    assert "following" in command.works(*by_default)


def test_another_clip_s_poses_are_followed_from_where_the_source_stands(studio, line, command, tmp_path):
    call = ("render", studio / "b.mp4", studio / "a.mmpose.json", "--model", line.model, "--crop", "follow")
    files = ("--truth", "none", "--frames", "0:2", "--out", tmp_path / "o.mp4")
    own = ("--source-poses", studio / "b.mmpose.json")
    with_source = command.works(*call[:1], _still(studio, tmp_path), *call[2:], *own, *files)
    assert "following" in with_source


def _still(studio: Path, tmp_path: Path) -> Path:
    """b's first frame, whose name has no keypoints beside it."""
    from signgen.video.reader import write_png

    write_png(tmp_path / "who.png", open_frames(studio / "b.mp4").read(0, 1)[0])
    return tmp_path / "who.png"


def test_a_camera_that_pans_is_noticed(studio, line, command, tmp_path):
    """What is outside of the crop stays the source's; the video's own last frame says whether that is right."""
    call = ("--model", line.model, "--crop", "signer", "--frames", "0:40", "--out", tmp_path / "o.mp4")
    assert "panned" not in command.works("render", studio / "a.mp4", studio / "a.mmpose.json", *call)
    frames = studio_frames(40, 60)
    frames[20:, :60] = 255 - frames[20:, :60] // 2
    with VideoWriter(studio / "c.mp4", *STUDIO, 25) as writer:
        for frame in frames:
            writer.write(frame)
    shutil.copy(studio / "a.mmpose.json", studio / "c.mmpose.json")
    assert "panned" in command.works("render", studio / "c.mp4", studio / "c.mmpose.json", *call)


def test_nearest_pose_has_whole_frames_where_whole_frames_are_scored(studio: Path, tmp_path: Path) -> None:
    build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", clips=("a",), crop="follow"))
    pair_set, target = PairSet.load(tmp_path / "pairs"), walking(40, 60).keypoints[20]
    whole = nearest_pose(pair_set, "a", STUDIO)(20, target)
    assert np.array_equal(whole, open_frames(studio / "a.mp4").read(20, 21)[0])
    record = pair_set.clips[0]
    seen = nearest_pose(pair_set, "a", (record.width, record.height))(20, pair_set.poses("a").keypoints[20])
    assert np.array_equal(seen, pair_set.frames("a").read(20, 21)[0])
