"""`signgen render` with sources and poses that do not belong together, and help screens at 80 columns."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from signgen.pairs.pairset import PairSet
from signgen.poses.sequence import PoseSequence
from signgen.video.reader import image_files, open_frames
from tests.line import Command, Line, finish, start
from tests.worlds import figure_poses, write_mmpose


def words(line: Line, source: Path, poses: Path, out: Path) -> list[object]:
    return ["render", source, poses, "--model", line.model, "--out", out]


def test_the_sources_own_pose_matters_and_is_said_to_be_missing(line, command: Command, tmp_path):
    """Poses of another clip, no keypoints beside the source: its pose is not known until --source-poses gives it."""
    short, alone = tmp_path / "short.json", tmp_path / "alone.mp4"
    shutil.copy(line.video, alone)
    write_mmpose(figure_poses(3, phase=2.0), short)
    output = command.works(*words(line, alone, short, tmp_path / "a.mp4"), "--save-frames", tmp_path / "a")
    assert "frames 3 and 16" in output
    assert "--source-poses" in output
    assert open_frames(tmp_path / "a.mp4").num_frames == 3
    given = (*words(line, alone, short, tmp_path / "b.mp4"), "--save-frames", tmp_path / "b")
    assert "--source-poses" not in command.works(*given, "--source-poses", line.poses)
    frames = [open_frames(tmp_path / name).read() for name in "ab"]
    assert not np.array_equal(*frames)


def test_only_sets_pay_for_torchmetrics(line, tmp_path):
    """Its import takes seconds: neither `render`, which scores too, nor `evaluate` of a clip has it afterwards."""
    render = [*words(line, line.video, line.poses, tmp_path / "o.mp4"), "--frames", "2:4", "--device", "cpu"]
    frames = ["--save-frames", tmp_path / "frames"]
    evaluate = ["evaluate", tmp_path / "frames", line.video, "--frames", "2:4", "--out", tmp_path / "r"]
    code = "import sys\nfrom signgen.cli import main\n"
    for call in ([*render, *frames], evaluate):
        code += f"sys.argv = {['signgen', *map(str, call)]!r}\ntry:\n    main()\nexcept SystemExit as end:\n"
        code += "    assert not end.code, end.code\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print('torchmetrics' in sys.modules, 'torch' in sys.modules)"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "metrics.json").exists()
    assert done.stdout.splitlines()[-1] == "False True"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--guide-in", "0.9", "0.2"), "--guide-in: no interval"),
        (("--steady", "colour,fog"), "no such cure of flicker: fog"),
        (("--crop", "head"), "--crop"),
        (("--preset", "quick"), "--preset"),
    ],
)
def test_settings_that_cannot_be_are_one_line(line, command: Command, tmp_path, options, found):
    assert found in command.refuses(*words(line, line.video, line.poses, tmp_path / "out.mp4"), *options)
    assert not (tmp_path / "out.mp4").exists()


def test_settings_stand_over_a_preset_and_the_preset_over_the_recipe(line, command: Command, tmp_path):
    call = (*words(line, line.video, line.poses, tmp_path / "o.mp4"), "--frames", "2:6", "--preset", "paper-fpdm")
    command.works(*call, "--steps", "2", "--steady", "shimmer,background", "--guide-in", "0", "0.8")
    used = json.loads((tmp_path / "o.metrics.json").read_text())["render"]
    assert (used["solver"], used["steps"], used["w_c"], used["shared_noise"]) == ("ddpm", 2, 2.0, 0.0)
    assert (used["steady"], used["guidance_interval"]) == (["shimmer", "background"], [0.0, 0.8])


def test_truth_decides_no_pixel(line, command: Command, tmp_path):
    for truth in ("auto", "none", line.videos / "clip1.mp4"):
        options = ("--frames", "2:4", "--truth", truth, "--save-frames", tmp_path / Path(str(truth)).stem)
        command.works(*words(line, line.video, line.poses, tmp_path / "out.mp4"), *options)
    auto, none, other = (open_frames(tmp_path / name).read() for name in ("auto", "none", "clip1"))
    assert np.array_equal(auto, none)
    assert np.array_equal(auto, other)


def test_a_truth_that_does_not_fit(line, command: Command, tmp_path):
    long = tmp_path / "long.json"
    write_mmpose(figure_poses(20), long)
    call = words(line, line.video, long, tmp_path / "out.mp4")
    assert "one for each of 20 poses" in command.refuses(*call, "--truth", line.video)
    assert not (tmp_path / "out.mp4").exists()


def test_several_people_are_followed_and_named(line, command: Command, tmp_path):
    write_mmpose(figure_poses(4), tmp_path / "one.json")
    crowd = json.loads((tmp_path / "one.json").read_text())
    for record in crowd["instance_info"]:
        far = {"keypoints": [[1.0, 1.0]] * 133, "keypoint_scores": [0.1] * 133}
        record["instances"].append(far)
    (tmp_path / "two.json").write_text(json.dumps(crowd))
    outputs = []
    for name in ("one", "two"):
        call = words(line, line.video, tmp_path / f"{name}.json", tmp_path / "out.mp4")
        outputs.append(command.works(*call, "--save-frames", tmp_path / name))
    assert "several people in 4 of 4 frames" in outputs[1]
    assert "several people" not in outputs[0]
    assert np.array_equal(*(open_frames(tmp_path / name).read() for name in ("one", "two")))


def test_real_poses_on_a_real_source_of_another_size(testdata, line, command: Command, tmp_path):
    """A Phoenix frame folder driven by a split pickle, and by poses of a larger clip, which are refused."""
    miniature = testdata / "phoenix" / "PHOENIX-2014-T-release-v3" / "PHOENIX-2014-T"
    source = next(p for p in sorted(miniature.glob("features/fullFrame-210x260px/test/*")) if image_files(p))
    split = testdata / "phoenix" / "keypoints" / "Phoenix-2014T.test"
    call = [*words(line, source, split, tmp_path / "out.mp4"), "--frames", "0:2"]
    assert source.name in command.refuses(*call, "--clip", "another")
    assert f"truth: the frames of {source}" in command.works(*call, "--clip", source.name).replace("\n", "")
    video = open_frames(tmp_path / "out.mp4")
    assert (video.num_frames, video.width, video.height) == (2, 210, 260)
    football = testdata / "signers" / "football.mmpose133.json"
    assert "outside 210x260" in command.refuses(*words(line, source, football, tmp_path / "b.mp4"))


@pytest.mark.parametrize("name", [[], ["build-pairs"], ["train"], ["render"], ["evaluate"]])
def test_help_fits_80_columns(name, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    called = finish(start(*name, "--help"))
    assert called.code == 0
    assert "…" not in called.out
    assert max(map(len, called.out.splitlines())) <= 80


class TestReferences:
    """Body and hands from further frames of the person."""

    def call(self, line: Line, out: Path, *options: object) -> list[object]:
        return [*words(line, line.video, line.poses, out / "out.mp4"), "--save-frames", out / "frames", *options]

    def test_they_change_the_picture_and_the_scores_say_so(self, line, command: Command, tmp_path):
        known = ("--references", line.video, "--reference-poses", line.poses)
        assert "references: " in command.works(*self.call(line, tmp_path / "a", *known))
        command.works(*self.call(line, tmp_path / "b"))
        with_them, without = (open_frames(tmp_path / name / "frames").read() for name in "ab")
        assert not np.array_equal(with_them, without)
        notes = [json.loads((tmp_path / name / "out.metrics.json").read_text())["notes"] for name in "ab"]
        assert [sum("not comparable" in note for note in of_run) for of_run in notes] == [1, 0]
        command.works(*self.call(line, tmp_path / "part", *known, "--frames", "5:8"))
        assert np.array_equal(open_frames(tmp_path / "part" / "frames").read(), with_them[5:8])
        few = command.works(*self.call(line, tmp_path / "few", *known, "--reference-frames", "3:5"))
        assert "nearest of 2 frames" in few
        assert not np.array_equal(open_frames(tmp_path / "few" / "frames").read(), with_them)

    def test_the_training_frames_of_the_clip(self, line, command: Command, tmp_path):
        told = command.works(*self.call(line, tmp_path / "a", "--references", "training"))
        trained = PairSet.load(line.pairs).clip("clip0").train_frames
        assert f"nearest of {len(trained)} frames of clip0's training part" in told
        known = ("--references", line.video, "--reference-poses", line.poses)
        part = ("--reference-frames", f"{trained.start}:{trained.stop}")
        command.works(*self.call(line, tmp_path / "b", *known, *part))
        both = [open_frames(tmp_path / name / "frames").read() for name in "ab"]
        assert np.array_equal(*both)
        other = self.call(line, tmp_path, "--references", "training", "--reference-poses", line.poses)
        assert "the pair set's own keypoints" in command.refuses(*other)

    def test_what_does_not_go_together(self, line, command: Command, tmp_path):
        refused = self.call(line, tmp_path, "--references", line.video)
        assert "--references without --reference-poses" in command.refuses(*refused)
        refused = self.call(line, tmp_path, "--reference-frames", "0:2")
        assert "--reference-frames without --references" in command.refuses(*refused)
        refused = self.call(line, tmp_path, "--reference-poses", line.poses)
        assert "--reference-poses without --references" in command.refuses(*refused)
        short, nobody = figure_poses(3), figure_poses(16)
        nobody.keypoints[:, 5:7, 2] = 0
        for name, sequence in (("short", short), ("nobody", nobody)):
            write_mmpose(sequence, tmp_path / f"{name}.json")
        options = ("--references", line.video, "--reference-poses")
        line_of_it = command.refuses(*self.call(line, tmp_path, *options, tmp_path / "short.json"))
        assert "keypoints for 3 frames" in line_of_it
        assert "both shoulders" in command.refuses(*self.call(line, tmp_path, *options, tmp_path / "nobody.json"))
        assert not (tmp_path / "out.mp4").exists()


def test_clean_is_what_poses_clean_does(line, command: Command, tmp_path):
    """For pairs and for rendering."""
    command.works("poses", "clean", line.poses, tmp_path / "clean" / "clip0.poses.npz", "--size", "64x64")
    frames = []
    for name, poses, options in (("a", line.poses, ("--clean",)), ("b", tmp_path / "clean" / "clip0.poses.npz", ())):
        call = words(line, line.video, poses, tmp_path / f"{name}.mp4")
        command.works(*call, "--save-frames", tmp_path / name, "--frames", "2:5", *options)
        frames.append(open_frames(tmp_path / name).read())
    assert np.array_equal(*frames)
    command.works("build-pairs", line.videos, "--out", tmp_path / "pairs", "--clean")
    pairs = PairSet.load(tmp_path / "pairs")
    assert pairs.cleaned
    assert not PairSet.load(line.pairs).cleaned
    expected = PoseSequence.load(tmp_path / "clean" / "clip0.poses.npz").keypoints
    np.testing.assert_array_equal(pairs.poses("clip0").keypoints, expected)
    assert not np.array_equal(PairSet.load(line.pairs).poses("clip0").keypoints, expected)
