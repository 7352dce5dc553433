"""Inputs that once failed silently, through the commands: what is written is right, and what was decided is said."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from signgen.errors import VideoError
from signgen.evaluation.clip import ClipRequest, evaluate_clip
from signgen.pairs.pairset import PairSet
from signgen.poses.readers import read_poses
from signgen.progress import Notes
from signgen.rendering.inputs import RenderJob, RenderRequest, prepare
from signgen.video.reader import open_frames
from tests.conftest import ROOT
from tests.corpora.corpora import write_mmpose
from tests.line import Command
from tests.video.making import flipped, ramp, textured, write
from tests.video.test_times import PAUSED, shown_at

MODEL = ROOT / "tests" / "fixtures" / "house" / "model"


def aspect_of(path: Path) -> Fraction | None:
    with av.open(str(path)) as container:
        return container.streams.video[0].sample_aspect_ratio


def prepared(source: Path, poses: Path, out: Path, **options: Any) -> tuple[RenderJob, tuple[str, ...]]:
    notes = Notes()
    return prepare(RenderRequest(source, poses, MODEL, out, **options), notes), notes.kept


def clip_of(folder: Path, frames: np.ndarray, **options: Any) -> tuple[Path, Path]:
    """A video and keypoints of as many frames."""
    video = write(folder / "a.mp4", frames, **options)
    write_mmpose(folder / "a.mmpose.json", len(frames))
    return video, folder / "a.mmpose.json"


class TestSampleAspect:
    def test_drawn_rendered_and_paired(self, cases: Path, tmp_path: Path, command: Command) -> None:
        folder = cases / "sample-aspect-lost"
        stated = aspect_of(folder / "anamorphic.mp4")
        assert stated == Fraction(128, 117)
        video, poses = folder / "anamorphic.mp4", folder / "anamorphic.json"
        command.works("poses", "draw", poses, tmp_path / "o.mp4", "--over", video)
        assert aspect_of(tmp_path / "o.mp4") == stated
        out = tmp_path / "r.mp4"
        words = (video, poses, "--model", MODEL, "--out", out)
        command.works("render", *words, "--side-by-side", "--frames", "0:2", "--steps", "1")
        assert aspect_of(out) == aspect_of(tmp_path / "r.side-by-side.mp4") == stated
        clips = tmp_path / "clips"
        shutil.copytree(folder, clips, ignore=shutil.ignore_patterns("*.py"))
        command.works("build-pairs", clips, "--out", tmp_path / "p", "--count", "10", "--store")
        pairs = PairSet.load(tmp_path / "p")
        assert pairs.clips[0].sample_aspect == stated
        assert pairs.frames("anamorphic").sample_aspect == pairs.training_frames("anamorphic").sample_aspect == stated

    def test_210x260_that_states_square_pixels_keeps_them(self, tmp_path: Path) -> None:
        video, poses = clip_of(tmp_path, ramp(3, 210, 260), aspect=Fraction(1, 1))
        job, _ = prepared(video, poses, tmp_path / "o.mp4")
        assert job.outputs.sample_aspect == 1


class TestAlpha:
    def test_rendered(self, cases: Path, tmp_path: Path) -> None:
        folder = cases / "rgba-source"
        job, notes = prepared(folder / "rgba.png", folder / "poses.json", tmp_path / "o.mp4")
        assert (job.source.frame[0, 0] != (255, 0, 255)).any()
        assert any("laid over #2f3842" in note for note in notes)
        job, notes = prepared(folder / "rgba.png", folder / "poses.json", tmp_path / "o.mp4", background="white")
        assert job.source.frame[0, 0].tolist() == [255, 255, 255]

    def test_evaluated(self, tmp_path: Path, command: Command) -> None:
        picture = np.dstack([ramp(1, 64, 64)[0], np.full((64, 64), 255, np.uint8)])
        picture[:20] = (255, 0, 255, 0)
        Image.fromarray(picture).save(tmp_path / "a.png")
        said = evaluate_clip(ClipRequest(tmp_path / "a.png", tmp_path / "a.png")).notes
        assert sum("laid over #" in note for note in said) == 2
        assert command.refuses("evaluate", *[tmp_path / "a.png"] * 2, "--out", tmp_path / "r", "--background", "x")

    def test_paired(self, tmp_path: Path, command: Command) -> None:
        frames = np.concatenate([ramp(20, 64, 64), np.full((20, 64, 64, 1), 255, np.uint8)], -1)
        frames[:, :20] = (255, 0, 255, 0)
        for number, frame in enumerate(frames):
            (tmp_path / "clips" / "a").mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(tmp_path / "clips" / "a" / f"{number}.png")
        write_mmpose(tmp_path / "clips" / "a.json", 20)
        said = command.works("build-pairs", tmp_path / "clips", "--out", tmp_path / "p", "--background", "#010203")
        assert "laid over #010203" in said.replace("\n", " ")
        pairs = PairSet.load(tmp_path / "p")
        assert pairs.clips[0].background == (1, 2, 3)
        assert pairs.training_frames("a").read(0, 1)[0, 0, 0].tolist() == [1, 2, 3]


class TestOddSizes:
    def test_drawn(self, cases: Path, tmp_path: Path, command: Command) -> None:
        folder = cases / "odd-size-not-playable"
        out = tmp_path / "o.mp4"
        said = command.works("poses", "draw", folder / "odd.json", out, "--over", folder / "odd.mkv")
        assert "65x63 is odd" in said
        with av.open(str(out)) as container:
            context = container.streams.video[0].codec_context
            assert (context.pix_fmt, context.profile) == ("yuv420p", "High")
        source = open_frames(out)
        assert (source.width, source.height) == (65, 63)
        notes = evaluate_clip(ClipRequest(out, folder / "odd.mkv")).notes
        assert any("cropped to 65x63" in note for note in notes)


class TestTimes:
    def test_drawn_rendered_and_paired(self, tmp_path: Path, command: Command) -> None:
        clips = tmp_path / "clips"
        video, poses = clip_of(clips, ramp(6, 64, 64), times=PAUSED)
        command.works("poses", "draw", poses, tmp_path / "o.mp4", "--over", video)
        assert shown_at(tmp_path / "o.mp4") == pytest.approx(PAUSED, abs=2e-3)
        command.works("poses", "draw", poses, tmp_path / "p.mp4", "--over", video, "--frames", "2:5")
        assert shown_at(tmp_path / "p.mp4") == pytest.approx([0, 4, 4.04], abs=2e-3)
        words = (video, poses, "--model", MODEL, "--out", tmp_path / "r.mp4", "--steps", "1")
        said = command.works("render", *words, "--side-by-side")
        assert "the output keeps their times" in " ".join(said.split())
        for name in ("r.mp4", "r.side-by-side.mp4"):
            assert shown_at(tmp_path / name) == pytest.approx(PAUSED, abs=2e-3)
        said = command.works("render", *words, "--fps", "25")
        assert "are not kept" in " ".join(said.split())
        assert shown_at(tmp_path / "r.mp4") == pytest.approx(np.arange(6) / 25, abs=2e-3)
        command.works("build-pairs", clips, "--out", tmp_path / "pairs", "--count", "5")
        assert PairSet.load(tmp_path / "pairs").clips[0].times == pytest.approx(PAUSED, abs=1e-3)

    def test_the_case(self, cases: Path, tmp_path: Path, command: Command) -> None:
        folder = cases / "vfr-timing"
        command.works("poses", "draw", folder / "paused.json", tmp_path / "o.mp4", "--over", folder / "paused.mp4")
        assert shown_at(tmp_path / "o.mp4") == pytest.approx(PAUSED, abs=2e-3)

    def test_a_rounded_rate(self, cases: Path, testdata: Path, tmp_path: Path, command: Command) -> None:
        video, poses = testdata / "signers" / "football.mp4", cases / "pose-integer-fps" / "football.pose"
        assert read_poses(poses).fps == 29
        job, notes = prepared(video, poses, tmp_path / "o.mp4")
        assert job.truth is not None
        assert job.outputs.fps == pytest.approx(29.97)
        assert any("29 frames per second" in note and "the video's is used" in note for note in notes)
        clips = tmp_path / "clips"
        clips.mkdir()
        shutil.copy(video, clips)
        shutil.copy(poses, clips)
        said = command.works("build-pairs", clips, "--out", tmp_path / "p", "--count", "10")
        assert "the video's is used" in " ".join(said.split())
        assert PairSet.load(tmp_path / "p").poses("football").fps == pytest.approx(29.97)
        command.works("poses", "draw", poses, tmp_path / "d.mp4", "--over", video, "--frames", "0:3")
        with av.open(str(tmp_path / "d.mp4")) as container:
            assert float(container.streams.video[0].average_rate) == pytest.approx(29.97, abs=1e-3)

    def test_another_rate_is_put_aside_unless_it_is_named(self, tmp_path: Path, command: Command) -> None:
        clips = tmp_path / "clips"
        write(clips / "a.mp4", ramp(12, 64, 64), rate=25)
        poses = read_poses(write_mmpose(tmp_path / "a.json", 12), size=(64, 64), fps=50)
        poses.save(clips / "a.poses.npz")
        called = command("build-pairs", clips, "--out", tmp_path / "p")
        assert called.code == 2
        assert "50 frames per second in a.poses.npz, 25 in the video" in " ".join(called.out.split())
        (tmp_path / "pairing.csv").write_text("clip,video,keypoints\na,,a.poses.npz\n")
        said = command.works("build-pairs", clips, "--out", tmp_path / "p", "--pairing", tmp_path / "pairing.csv")
        assert "the video's is used" in " ".join(said.split())

    @pytest.mark.parametrize(("rate", "said"), [(25, False), (24, True), (50, True)])
    def test_clips_of_other_speed(self, tmp_path: Path, rate: int, said: bool) -> None:
        write(tmp_path / "a.mp4", ramp(10, 64, 64), rate=25)
        write(tmp_path / "b.mp4", ramp(10, 64, 64), rate=rate)
        notes = evaluate_clip(ClipRequest(tmp_path / "b.mp4", tmp_path / "a.mp4")).notes
        assert any("play at different speeds: 10 frames last" in note for note in notes) is said

    def test_a_pause_is_another_speed(self, tmp_path: Path) -> None:
        write(tmp_path / "a.mp4", ramp(6, 64, 64), times=PAUSED)
        write(tmp_path / "b.mp4", ramp(6, 64, 64), rate=25)
        notes = evaluate_clip(ClipRequest(tmp_path / "b.mp4", tmp_path / "a.mp4")).notes
        assert any("play at different speeds" in note for note in notes)


class TestDamage:
    @pytest.fixture
    def clips(self, tmp_path: Path) -> Path:
        """Clip a, sound; clip b with damage behind its first key frame; keypoints of both."""
        folder = tmp_path / "clips"
        sound = write(folder / "a.mp4", textured(40, 128, 96), options={"g": "12"})
        for seed in range(100):
            damaged = open_frames(flipped(sound, folder / "b.mp4", 1, seed)).damaged
            if damaged and damaged[0].start >= 12:
                break
        for name in ("a", "b"):
            write_mmpose(folder / f"{name}.mmpose.json", 40)
        return folder

    def test_the_case(self, cases: Path, tmp_path: Path, command: Command) -> None:
        folder = tmp_path / "clips"
        shutil.copytree(cases / "broken-frames-silent", folder)
        called = command("build-pairs", folder, "--out", tmp_path / "p")
        assert called.code == 2
        assert "hello.mp4: damaged: frames 12-39 (marked corrupt; the decoder logs errors) of 40" in " ".join(
            called.out.split()
        )
        said = command.works("build-pairs", folder, "--out", tmp_path / "p", "--damaged", "skip")
        assert "hello: damaged, in no triple: frames 12-39" in " ".join(said.split())
        assert "without a person" not in said
        pairs = PairSet.load(tmp_path / "p")
        for split in ("train", "val", "test"):
            rows = pairs.triples(split)
            assert not len(rows) or max(rows["source"].max(), rows["target"].max()) < 12

    def test_put_aside_or_skipped(self, clips: Path, tmp_path: Path, command: Command) -> None:
        called = command("build-pairs", clips, "--out", tmp_path / "p")
        assert called.code == 1
        assert [clip.name for clip in PairSet.load(tmp_path / "p").clips] == ["a"]
        command.works("build-pairs", clips, "--out", tmp_path / "p", "--damaged", "skip")
        pairs = PairSet.load(tmp_path / "p")
        bad = {n for damage in open_frames(clips / "b.mp4").damaged for n in range(damage.start, damage.stop)}
        used = [pairs.triples(split)[pairs.triples(split)["clip"] == 1] for split in ("train", "val")]
        assert bad
        assert not bad & {int(n) for rows in used for field in ("source", "target") for n in rows[field]}
        assert json.loads((tmp_path / "p" / "meta.json").read_text())["damaged"].keys() == {"b"}

    def test_evaluated_rendered_and_drawn(self, clips: Path, tmp_path: Path, command: Command) -> None:
        start = open_frames(clips / "b.mp4").damaged[0].start
        for pair in (("a", "b"), ("b", "a")):
            with pytest.raises(VideoError, match=r"b\.mp4: damaged"):
                evaluate_clip(ClipRequest(*(clips / f"{name}.mp4" for name in pair)))
        evaluate_clip(ClipRequest(clips / "a.mp4", clips / "b.mp4", frames=f"0:{start}"))
        job, notes = prepared(clips / "b.mp4", clips / "b.mmpose.json", tmp_path / "o.mp4")
        assert job.truth is None
        assert any("b.mp4 is damaged" in note for note in notes)
        job, _ = prepared(clips / "b.mp4", clips / "b.mmpose.json", tmp_path / "o.mp4", frames=f"0:{start}")
        assert job.truth is not None
        with pytest.raises(VideoError, match=r"b\.mp4: damaged"):
            prepared(clips / "a.mp4", clips / "a.mmpose.json", tmp_path / "o.mp4", truth=str(clips / "b.mp4"))
        words = (clips / "b.mmpose.json", tmp_path / "d.mp4", "--over", clips / "b.mp4")
        assert "pictures there may be wrong" in " ".join(command.works("poses", "draw", *words).split())
