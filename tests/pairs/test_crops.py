"""A signer who is small in the frame: one rectangle for the clip, by which pair sets and renderings crop alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import OptionError, PoseError, VideoError
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.crops import FILLED, crop_for
from signgen.pairs.pairset import PairSet
from signgen.poses.parts import visible
from signgen.poses.sequence import PoseSequence
from signgen.rendering.source import Source
from signgen.video.crop import Crop, CroppedFrames
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter
from tests.rendering.test_renderer import renderer
from tests.worlds import figure_frames, figure_poses, write_mmpose

STUDIO = (320, 180)
AT = (190, 70)  # where the figure's frame of 64 x 64 stands in the studio


def in_studio(poses: PoseSequence) -> PoseSequence:
    points = poses.all_points.copy()
    points[..., :2] += AT
    return poses.with_points(points, width=STUDIO[0], height=STUDIO[1])


def studio_frames(frames: np.ndarray) -> np.ndarray:
    whole = np.random.default_rng(0).integers(0, 255, (1, STUDIO[1], STUDIO[0], 3), dtype=np.uint8)
    whole = np.repeat(whole, len(frames), 0)
    whole[:, AT[1] : AT[1] + 64, AT[0] : AT[0] + 64] = frames
    return whole


def test_the_rectangle_holds_all_points_of_all_frames_and_is_a_square():
    poses = in_studio(figure_poses(16))
    crop = crop_for([poses], "auto")
    assert crop is not None
    assert crop.width == crop.height
    assert crop.share < FILLED
    points = poses.keypoints[visible(poses.keypoints)]
    upper = points[points[:, 1] < poses.keypoints[:, 5:7, 1].mean() + 10]  # feet may be left out
    assert (upper[:, 0] >= crop.x).all()
    assert (upper[:, 0] < crop.x + crop.width).all()
    assert (upper[:, 1] >= crop.y).all()


def test_a_wrong_keypoint_far_away_does_not_widen_it():
    poses = in_studio(figure_poses(16))
    points = poses.keypoints.copy()
    points[7, 95] = (3, 3, 1)
    assert crop_for([poses.with_points(points)], "auto") == crop_for([poses], "auto")


def test_a_signer_who_fills_the_frame_is_left_whole_unless_asked_for():
    poses = figure_poses(16)
    assert crop_for([poses], "auto") is None
    assert crop_for([poses], "none") is None
    asked = crop_for([poses], "signer")
    assert asked is not None
    assert asked.share >= FILLED


def test_without_shoulders_the_size_is_not_known():
    points = figure_poses(4).keypoints.copy()
    points[:, 5] = (np.nan, np.nan, 0)
    poses = replace(figure_poses(4), keypoints=points)
    assert crop_for([poses], "auto") is None
    with pytest.raises(PoseError, match="--crop none"):
        crop_for([poses], "signer")


def test_a_crop_is_written_and_read_again_and_lies_in_the_frame():
    crop = Crop(190, 70, 64, 64, *STUDIO)
    assert Crop.parse(str(crop)) == crop
    for text in ("64x64+300+70/320x180", "0x64+1+1/320x180", "64x64"):
        with pytest.raises(VideoError):
            Crop.parse(text)


def test_pasting_leaves_every_byte_outside_and_takes_the_middle_from_inside():
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 255, (180, 320, 3), dtype=np.uint8)
    inner = rng.integers(0, 255, (100, 80, 3), dtype=np.uint8)
    crop = Crop(0, 40, 80, 100, *STUDIO)
    whole = crop.paste(inner, frame)
    outside = np.ones((180, 320), bool)
    outside[40:140, :80] = False
    assert np.array_equal(whole[outside], frame[outside])
    assert np.array_equal(whole[44:136, :76], inner[4:96, :76])  # the left side is the frame's own: no edge there
    assert np.array_equal(whole[40, :80], frame[40, :80])  # the first row of the edge


@pytest.fixture
def studio(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    with VideoWriter(folder / "a.mp4", *STUDIO, 25) as writer:
        for frame in studio_frames(figure_frames(figure_poses(16))):
            writer.write(frame)
    write_mmpose(in_studio(figure_poses(16)), folder / "a.mmpose.json")
    return folder


def test_a_pair_set_of_a_small_signer_holds_the_crop_and_its_poses(studio, tmp_path):
    built = build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", count=20))
    assert any("cropped to the signer" in note for note in built.notes)
    pair_set = PairSet.load(tmp_path / "pairs")
    record = pair_set.clips[0]
    assert pair_set.crop_rule == "auto"
    assert record.crop == crop_for([in_studio(figure_poses(16))], "auto")
    frames, poses = pair_set.frames("a"), pair_set.poses("a")
    assert (frames.width, frames.height) == (poses.width, poses.height) == (record.width, record.height)
    assert np.array_equal(frames.read(3, 5), record.crop.of(open_frames(studio / "a.mp4").read(3, 5)))
    kept = PoseSequence.load(pair_set.pose_path("a"))
    assert (kept.width, kept.height) == STUDIO  # so that the file fits the video
    whole = in_studio(figure_poses(16)).keypoints[..., :2] - (record.crop.x, record.crop.y)
    assert np.nanmax(np.abs(poses.keypoints[..., :2] - whole)) < 1e-3


def test_stored_frames_are_the_crop_too(studio, tmp_path):
    build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", count=20, store=True))
    pair_set = PairSet.load(tmp_path / "pairs")
    assert isinstance(pair_set.frames("a"), CroppedFrames)
    assert np.array_equal(pair_set.training_frames("a").read(0, 1), pair_set.frames("a").read(0, 1))


def test_whole_frames_where_that_is_wanted(studio, tmp_path):
    build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", count=20, crop="none"))
    pair_set = PairSet.load(tmp_path / "pairs")
    assert pair_set.clips[0].crop is None
    assert (pair_set.frames("a").width, pair_set.frames("a").height) == STUDIO
    with pytest.raises(OptionError, match="--crop"):
        build_pairs(BuildPairsRequest(studio, tmp_path / "pairs", crop="head"))


def test_a_cropped_source_is_drawn_as_the_crop_alone_and_the_rest_stays():
    poses = in_studio(figure_poses(5))
    frame = studio_frames(figure_frames(figure_poses(5)))[0]
    crop = crop_for([poses], "auto")
    ours = renderer(window=1)
    found = [*ours.frames(Source(frame, poses[0:1], "me", crop=crop), poses, range(1, 4))]
    inside = poses.cropped((crop.x, crop.y), crop.width, crop.height)
    alone = [*ours.frames(Source(crop.of(frame).copy(), inside[0:1], "me"), inside, range(1, 4))]
    for whole, inner in zip(found, alone, strict=True):
        assert np.array_equal(whole, crop.paste(inner, frame))
        assert not np.array_equal(whole, frame)


def test_render_crops_as_its_model_was_trained(studio, line, command, tmp_path):
    """The line's pair set was built by the rule; a model of whole frames says how small the signer is."""
    call = ("render", studio / "a.mp4", studio / "a.mmpose.json", "--model", line.model, "--frames", "2:4")
    out = command.works(*call, "--out", tmp_path / "o.mp4", "--save-frames", tmp_path / "o")
    assert "the model sees and draws" in out
    source, found = open_frames(studio / "a.mp4").read(0, 1)[0], open_frames(tmp_path / "o").read(0, 1)[0]
    crop = crop_for([in_studio(figure_poses(16))], "auto")
    outside = np.ones(source.shape[:2], bool)
    outside[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width] = False
    assert np.array_equal(found[outside], source[outside])
    assert not np.array_equal(found, source)
    whole = Path(shutil.copytree(line.model, tmp_path / "whole"))
    card = json.loads((whole / "signgen.json").read_text())
    del card["data"]["crop"]
    (whole / "signgen.json").write_text(json.dumps(card))
    out = command.works(*call[:4], whole, *call[5:], "--out", tmp_path / "w.mp4", "--save-frames", tmp_path / "w")
    assert "--crop signer" in out
    assert not np.array_equal(open_frames(tmp_path / "w").read(0, 1)[0][outside], source[outside])
