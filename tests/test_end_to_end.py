"""The four commands as a user types them, at tiny size: what they write, and that its numbers and pixels hold."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from signgen.poses import read_poses
from signgen.video.reader import image_files, open_frames, read_image, write_png
from tests.line import Called, Command, Line, finish, start
from tests.worlds import SIZE, figure_frames, figure_poses, write_mmpose

FRAMES = 16


@dataclass(frozen=True)
class Rendered:
    """clip0 rendered with its own poses and scored, by two processes."""

    video: Path
    pngs: Path
    report: Path
    render: Called
    evaluate: Called

    def metrics(self) -> dict:
        return json.loads(self.video.with_suffix(".metrics.json").read_text())


@pytest.fixture(scope="module")
def rendered(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    root = tmp_path_factory.mktemp("rendered")
    video, pngs, report = root / "out.mp4", root / "pngs", root / "report"
    render = finish(
        start("render", line.video, line.poses, "--model", line.model, "--out", video, "--side-by-side",
              "--save-frames", pngs)
    )  # fmt: skip
    evaluate = finish(
        start("evaluate", video, line.video, "--poses", line.poses, "--pairs", line.pairs, "--out", report)
    )
    return Rendered(video, pngs, report, render, evaluate)


def pixels(path: Path) -> np.ndarray:
    """uint8 (T, H, W, 3) of a video, a folder or an image."""
    return open_frames(path).read()


def write_mska(path: Path, clips: dict[str, np.ndarray]) -> Path:
    """A split pickle as MSKA distributes them: keypoints are torch tensors."""
    content = {
        name: {"name": name, "gloss": "", "text": "", "num_frames": len(points), "keypoint": torch.from_numpy(points)}
        for name, points in clips.items()
    }
    path.write_bytes(pickle.dumps(content))
    return path


def test_every_command_succeeds_with_nothing_on_stderr(line, rendered):
    for called in (line.built, line.trained, rendered.render, rendered.evaluate):
        assert (called.code, called.err) == (0, "")
    assert "clip0.mp4 + clip0.mmpose.json (mmpose, 133 points, 16 frames)" in line.built.out
    assert f"model: {line.model}" in line.trained.out.replace("\n", "")
    assert f"truth: the frames of {line.video}" in rendered.render.out
    assert "copy-source" in rendered.evaluate.out


def test_the_video_has_the_poses_count_and_the_sources_size_and_rate(line, rendered):
    video, truth = open_frames(rendered.video), open_frames(line.video)
    assert (video.num_frames, video.width, video.height, video.fps) == (FRAMES, SIZE, SIZE, 25)
    assert (truth.num_frames, truth.fps) == (FRAMES, 25)
    beside = pixels(rendered.video.with_name("out.side-by-side.mp4"))
    assert beside.shape == (FRAMES, SIZE, 4 * SIZE, 3)
    source, output, real = (beside[:, :, SIZE * i : SIZE * (i + 1)].astype(int) for i in (0, 2, 3))
    assert np.abs(source - truth.read(0, 1)).mean() < 4
    assert np.abs(real - truth.read()).mean() < 4
    assert np.abs(output - pixels(rendered.pngs)).mean() < 8


def test_the_mp4_shows_the_rendered_frames(rendered):
    exact = pixels(rendered.pngs).astype(int)
    assert [path.name for path in image_files(rendered.pngs)][::15] == ["images0001.png", "images0016.png"]
    assert np.abs(exact - pixels(rendered.video)).mean() < 8
    assert np.abs(np.diff(exact, axis=0)).max() > 0  # the poses move, and so does the picture


def test_metrics_have_the_documented_shape(rendered):
    for metrics in (rendered.metrics(), json.loads((rendered.report / "metrics.json").read_text())):
        assert {"protocol", "definitions", "frames", "mean", "baselines", "per_frame"} <= set(metrics)
        assert isinstance(metrics["protocol"], str)
        assert metrics["frames"] == len(metrics["per_frame"]) == FRAMES
        assert [row["frame"] for row in metrics["per_frame"]] == list(range(FRAMES))
        assert {"ssim", "psnr", "hand_ssim", "hand_sharpness"} <= set(metrics["mean"])
        assert set(metrics["baselines"]) == {"copy-source", "nearest-pose"}
        assert all({"ssim", "psnr", "hand_ssim"} <= set(means) for means in metrics["baselines"].values())
        assert set(metrics["mean"]) <= set(metrics["definitions"])
        assert all(isinstance(text, str) and text for text in metrics["definitions"].values())
        ssims = [row["ssim"] for row in metrics["per_frame"]]
        assert metrics["mean"]["ssim"] == pytest.approx(np.mean(ssims))
    assert rendered.video.with_name("out.per_frame.csv").read_text().startswith("frame,ssim,psnr")
    assert (rendered.report / "per_frame.csv").read_text().startswith("frame,ssim,psnr")


def test_render_and_evaluate_agree(line, rendered, command: Command, tmp_path):
    """On the mp4 up to what H.264 loses; on the very frames that were rendered, exactly."""
    scored = rendered.metrics()
    of_video = json.loads((rendered.report / "metrics.json").read_text())
    assert of_video["mean"]["ssim"] == pytest.approx(scored["mean"]["ssim"], abs=0.1)
    assert of_video["mean"]["psnr"] == pytest.approx(scored["mean"]["psnr"], abs=1)
    # render leaves out the slow metrics
    for name, means in scored["baselines"].items():
        assert of_video["baselines"][name].items() >= means.items()
    command.works("evaluate", rendered.pngs, line.video, "--poses", line.poses, "--out", tmp_path / "report")
    of_pngs = json.loads((tmp_path / "report" / "metrics.json").read_text())
    for ours, theirs in zip(of_pngs["per_frame"], scored["per_frame"], strict=True):
        assert ours.items() >= theirs.items()


def test_a_part_is_the_same_part_of_the_whole(line, rendered, command: Command, tmp_path):
    out, pngs = tmp_path / "part.mp4", tmp_path / "pngs"
    words = ("render", line.video, line.poses, "--model", line.model, "--out", out, "--save-frames", pngs)
    command.works(*words, "--frames", "5:8")
    assert [path.name for path in image_files(pngs)] == [f"images{n:04d}.png" for n in (6, 7, 8)]
    assert np.array_equal(pixels(pngs), pixels(rendered.pngs)[5:8])
    assert open_frames(out).num_frames == 3
    part, whole = json.loads(out.with_suffix(".metrics.json").read_text()), rendered.metrics()
    assert [row["frame"] for row in part["per_frame"]] == [5, 6, 7]
    assert [row["ssim"] for row in part["per_frame"]] == [row["ssim"] for row in whole["per_frame"][5:8]]


def test_the_same_command_gives_the_same_pixels(line, rendered, command: Command, tmp_path):
    words = ("render", line.video, line.poses, "--model", line.model, "--out", tmp_path / "again.mp4")
    command.works(*words, "--truth", "none", "--save-frames", tmp_path / "pngs")
    assert np.array_equal(pixels(tmp_path / "pngs"), pixels(rendered.pngs))
    assert (tmp_path / "again.mp4").read_bytes() == rendered.video.read_bytes()
    command.works(*words, "--truth", "none", "--save-frames", tmp_path / "other", "--seed", "1")
    assert not np.array_equal(pixels(tmp_path / "other"), pixels(rendered.pngs))


def test_a_single_pose_gives_a_png(line, rendered, command: Command, tmp_path):
    words = ("render", line.video, line.poses, "--model", line.model, "--out", tmp_path / "one.mp4", "--side-by-side")
    output = command.works(*words, "--frames", "4:5")
    assert not (tmp_path / "one.mp4").exists()
    assert np.array_equal(read_image(tmp_path / "one.png"), pixels(rendered.pngs)[4])
    assert read_image(tmp_path / "one.side-by-side.png").shape == (SIZE, 4 * SIZE, 3)
    assert json.loads((tmp_path / "one.metrics.json").read_text())["frames"] == 1
    assert "one.png" in output


def test_an_image_or_a_frame_folder_may_be_the_source(line, rendered, command: Command, tmp_path):
    """Named as the video, given its first frame and that frame's pose: the same pixels."""
    frames = pixels(line.video)
    image, folder = tmp_path / "clip0.png", tmp_path / "frames" / "clip0"
    write_png(image, frames[0])
    for number, frame in enumerate(frames, 1):
        write_png(folder / f"images{number:04d}.png", frame)
    words = (line.poses, "--model", line.model, "--frames", "0:3", "--save-frames")
    output = command.works(
        "render", image, *words, tmp_path / "a", "--source-poses", line.poses, "--out", tmp_path / "a.mp4"
    )
    assert "truth: none" in output
    assert "single image" in output
    output = command.works("render", folder, *words, tmp_path / "b", "--out", tmp_path / "b.mp4")
    assert f"truth: the frames of {folder}" in output
    for name in ("a", "b"):
        assert np.array_equal(pixels(tmp_path / name), pixels(rendered.pngs)[:3])
    assert open_frames(tmp_path / "b.mp4").fps == 25  # neither images nor this keypoint format have a rate
    command.works("render", folder, *words, tmp_path / "c", "--out", tmp_path / "c.mp4", "--fps", "12.5")
    assert open_frames(tmp_path / "c.mp4").fps == 12.5


def test_a_clip_of_a_split_pickle(line, rendered, command: Command, tmp_path):
    clips = {f"clip{i}": read_poses(line.videos / f"clip{i}.mmpose.json", size=(SIZE, SIZE)) for i in range(2)}
    split = write_mska(tmp_path / "Own.test", {name: poses.keypoints for name, poses in clips.items()})
    words = ("render", line.video, split, "--model", line.model, "--out", tmp_path / "out.mp4", "--frames", "0:2")
    command.works(*words, "--clip", "clip0", "--save-frames", tmp_path / "pngs")
    assert np.array_equal(pixels(tmp_path / "pngs"), pixels(rendered.pngs)[:2])
    assert "clip1" in command.refuses(*words, "--clip", "clip7")
    assert "--clip" in command.refuses(*words)


def test_source_poses_of_a_split_pickle_are_the_clip_of_the_sources_name(line, command: Command, tmp_path):
    clips = {f"clip{i}": read_poses(line.videos / f"clip{i}.mmpose.json", size=(SIZE, SIZE)) for i in range(2)}
    split = write_mska(tmp_path / "Own.test", {name: poses.keypoints for name, poses in clips.items()})
    words = ("render", line.video, line.poses, "--model", line.model, "--truth", "none", "--frames", "0:2")
    for name, source_poses in (("one", line.poses), ("split", split)):
        out = ("--out", tmp_path / f"{name}.mp4", "--save-frames", tmp_path / name)
        command.works(*words, *out, "--source-poses", source_poses)
    assert np.array_equal(pixels(tmp_path / "one"), pixels(tmp_path / "split"))


def test_truth_is_what_is_asked_for(line, rendered, command: Command, tmp_path):
    metrics = tmp_path / "out.metrics.json"
    words = ("render", line.video, line.poses, "--model", line.model, "--out", tmp_path / "out.mp4", "--side-by-side")
    assert "truth:" not in command.works(*words, "--frames", "0:2", "--truth", "none")
    assert not metrics.exists()
    assert open_frames(tmp_path / "out.side-by-side.mp4").width == 3 * SIZE
    copy = shutil.copy(line.video, tmp_path / "copy.mp4")
    command.works(*words, "--frames", "0:2", "--truth", copy)
    assert json.loads(metrics.read_text())["per_frame"] == rendered.metrics()["per_frame"][:2]
    command.works(*words, "--frames", "0:2", "--truth", line.videos / "clip1.mp4")
    assert json.loads(metrics.read_text())["mean"]["ssim"] < rendered.metrics()["mean"]["ssim"]


def test_phoenix_material_carries_its_sample_aspect(line, command: Command, tmp_path):
    """210x260 pixels are 13:15; in the side-by-side video too. Everything else is square."""
    frame = cv2.resize(pixels(line.video)[0], (210, 260))
    poses = figure_poses(2).resized(210, 260)
    write_png(tmp_path / "signer.png", frame)
    write_mmpose(poses, tmp_path / "poses.json")
    words = ("render", tmp_path / "signer.png", tmp_path / "poses.json", "--model", line.model)
    command.works(*words, "--out", tmp_path / "out.mp4", "--side-by-side")
    for name, width in (("out.mp4", 210), ("out.side-by-side.mp4", 630)):
        with av.open(str(tmp_path / name)) as container:
            context = container.streams.video[0].codec_context
            assert (context.width, context.height) == (width, 260)
            assert context.sample_aspect_ratio == Fraction(13, 15)


def test_a_video_with_more_and_larger_frames_trains_and_renders_at_its_own_size(line, command: Command, tmp_path):
    """The model's canvas is its own affair: output has the source's size, whatever the model was trained on."""
    poses = figure_poses(3, size=96)
    write_png(tmp_path / "big.png", figure_frames(poses)[0])
    write_mmpose(poses, tmp_path / "big.json")
    words = ("render", tmp_path / "big.png", tmp_path / "big.json", "--model", line.model)
    command.works(*words, "--out", tmp_path / "out.mp4")
    video = open_frames(tmp_path / "out.mp4")
    assert (video.num_frames, video.width, video.height) == (3, 96, 96)
