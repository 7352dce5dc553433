"""What `signgen render` writes beside the usual mp4, what it says before, and what `signgen info` reads back."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from signgen.rendering import outputs, plan
from signgen.video.reader import open_frames
from tests.line import Command, Line
from tests.video.test_sound import heard
from tests.worlds import figure_poses, write_mmpose

PART = ("--frames", "2:6", "--truth", "none")


def words(line: Line, out: Path, *more: object) -> list[object]:
    return ["render", line.video, line.poses, "--model", line.model, "--out", out, "--device", "cpu", *more]


def with_sound(line: Line, path: Path) -> Path:
    """The clip with a tone that is on from .2 s to .4 s."""
    t = np.arange(48000 * 64 // 100) / 48000
    tone = (np.sin(2 * np.pi * 440 * t) * ((t >= 0.2) & (t < 0.4)) * 0.5).astype(np.float32)
    with av.open(str(line.video)) as silent, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(silent.streams.video[0])
        audio = container.add_stream("aac", rate=48000, layout="mono")
        for packet in silent.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        resampler = av.AudioResampler("fltp", "mono", 48000, 1024)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(audio.encode(part))
    return path


def test_what_a_file_says_is_read_back(line: Line, command: Command, tmp_path: Path) -> None:
    command.works(*words(line, tmp_path / "o.mp4", *PART, "--seed", "7", "--save-frames", tmp_path / "f"))
    for path in (tmp_path / "o.mp4", tmp_path / "f" / "images0003.png"):
        told = command.works("info", path)
        for word in ("synthetic", "model: nano, weights ", "source: clip0.mp4", "seed: 7", "steps 2"):
            assert word in told
        assert str(line.videos).encode() not in path.read_bytes()
    assert "nothing in it says how it was made" in command.refuses("info", line.video)


def test_other_codecs_images_and_the_skeleton(line: Line, command: Command, tmp_path: Path) -> None:
    more = ("--codec", "vp9", "--skeleton-overlay", "--save-frames", tmp_path / "f", "--frames-format", "webp")
    command.works(*words(line, tmp_path / "o.webm", *PART, *more))
    assert open_frames(tmp_path / "o.webm").codec == "vp9"
    frames = open_frames(tmp_path / "f")
    assert [path.name for path in frames.images] == [f"images{n:04d}.webp" for n in range(3, 7)]
    shown, plain = open_frames(tmp_path / "o.skeleton.webm").read(), frames.read()
    differs = np.abs(shown.astype(int) - plain).max(-1) > 24
    assert 0.02 < differs.mean() < 0.6  # where the figure is, and nowhere else
    command.works(*words(line, tmp_path / "still.webp", "--frames", "3:4", "--truth", "none"))
    np.testing.assert_array_equal(open_frames(tmp_path / "still.webp").read()[0], plain[1])
    assert "seed: 0" in command.works("info", tmp_path / "still.webp")


def test_a_name_that_does_not_fit_the_codec(line: Line, command: Command, tmp_path: Path) -> None:
    assert "--codec av1 or vp9" in command.refuses(*words(line, tmp_path / "o.webm"))
    assert "ends in .mov for --codec prores" in command.refuses(*words(line, tmp_path / "o.mp4", "--codec", "prores"))
    assert "ends in .mp4" in command.refuses(*words(line, tmp_path / "o.png"))
    assert list(tmp_path.iterdir()) == []


class TestSound:
    def test_of_the_clip_for_the_frames_rendered(self, line: Line, command: Command, tmp_path: Path) -> None:
        clip = with_sound(line, tmp_path / "clip0.mp4")
        shutil.copy(line.poses, tmp_path / "clip0.mmpose.json")
        call = ["render", clip, line.poses, "--model", line.model, "--out", tmp_path / "o.mp4", "--device", "cpu"]
        command.works(*call, "--frames", "4:14", "--truth", "none", "--audio", "keep")
        begins, samples, _ = heard(tmp_path / "o.mp4")
        loud = np.flatnonzero(np.abs(samples) > 0.1) / 48000 + begins
        assert loud[0] == pytest.approx(0.2 - 4 / 25, abs=0.01)
        assert loud[-1] == pytest.approx(0.4 - 4 / 25, abs=0.01)
        assert open_frames(tmp_path / "o.mp4").num_frames == 10

    def test_of_the_driving_clip_or_a_file(self, line: Line, command: Command, tmp_path: Path) -> None:
        """Poses of another clip: its sound where --truth names it, or --audio does."""
        clip = with_sound(line, tmp_path / "driving.mp4")
        shutil.copy(line.video, tmp_path / "me.mp4")
        write_mmpose(figure_poses(15), tmp_path / "other.json")
        base = ["render", tmp_path / "me.mp4", tmp_path / "other.json", "--model", line.model, "--device", "cpu"]
        out = ["--out", tmp_path / "o.mp4", "--frames", "0:5"]
        assert "name it with --audio PATH" in command.refuses(*base, *out, "--audio", "keep")
        for more in (("--truth", clip, "--audio", "keep"), ("--audio", clip)):
            command.works(*base, *out, *more)
            _, samples, name = heard(tmp_path / "o.mp4")
            assert name == "aac"
            assert len(samples) / 48000 == pytest.approx(0.2, abs=0.05)

    def test_where_there_is_none_or_it_would_not_fit(self, line: Line, command: Command, tmp_path: Path) -> None:
        assert f"sound: {line.video} has none" in command.works(
            *words(line, tmp_path / "o.mp4", *PART, "--audio", "keep")
        )
        refused = command.refuses(*words(line, tmp_path / "o.mp4", *PART, "--audio", "keep", "--fps", "50"))
        assert "--audio with 50 frames per second; expected 25" in refused
        assert "no such file" in command.refuses(*words(line, tmp_path / "o.mp4", "--audio", tmp_path / "no.wav"))


class TestPlan:
    def test_is_said_before_and_a_dry_run_stops_there(self, line: Line, command: Command, tmp_path: Path) -> None:
        poses = figure_poses(16)
        poses.keypoints[3:6, 91:112, :2], poses.keypoints[3:6, 91:112, 2] = np.nan, 0
        np.savez(tmp_path / "x.npz", poses.keypoints)
        poses.save(tmp_path / "clip0.poses.npz")
        call = ["render", line.video, tmp_path / "clip0.poses.npz", "--model", line.model, "--out", tmp_path / "o.mp4"]
        told = command.works(*call, "--frames", "2:10", "--dry-run", "--device", "cpu", "--threads", "1")
        for word in (
            "plan: source clip0, 64x64, drawn at 32x32",
            "plan: 8 frames (2:10 of 16), 0.3 s at 25 frames per second, to ",
            "missing: the left hand in 3 of 8 frames",
            "shoulders 16 px wide, the source's 16",
            "ddim, 2 steps; cpu, 1 thread, fp32",
            "s a frame of the first 2 frames",
            "free in",
        ):
            assert word in told.replace("\n", "")
        assert {path.name for path in tmp_path.iterdir()} == {"x.npz", "clip0.poses.npz"}

    def test_a_disk_that_is_clearly_too_small(
        self, line: Line, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outputs, "PNG_BITS", 1e15)
        refused = command.refuses(*words(line, tmp_path / "o.mp4", *PART, "--save-frames", tmp_path / "f"))
        assert "GB for this rendering; free some space or choose another --out" in refused
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.2, "0.2 s"), (42, "42 s"), (600, "10 minutes"), (9000, "2.5 hours")]
    )
    def test_times_in_words(self, seconds: float, text: str) -> None:
        assert plan.time_line(seconds, 1, 1).startswith(f"about {text}, ")
