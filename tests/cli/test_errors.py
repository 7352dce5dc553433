"""Bad input, a full disk and Ctrl-C: one clear line, the right exit code, and nothing lost that was there before."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from signgen.video.reader import write_png
from tests.line import Command, Line, finish, interrupt, lines_in, start, wait_for
from tests.tiny import set_options
from tests.worlds import figure_poses, write_mmpose, write_world

OLD = b"an earlier rendering"


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A name to render to, where something lies already that no failure may touch."""
    path = tmp_path / "out" / "out.mp4"
    path.parent.mkdir()
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]


def render_words(line: Line, **changed: object) -> list[object]:
    words = {"video": line.video, "poses": line.poses, "model": line.model, **changed}
    return ["render", words["video"], words["poses"], "--model", words["model"]]


def poses_without(frames: list[int], path: Path, count: int = 16) -> Path:
    """MMPose JSON of the figure with nobody in `frames`."""
    poses = figure_poses(count)
    poses.keypoints[frames] = np.nan
    write_mmpose(poses, path)
    return path


def broken_video(kind: str, line: Line, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(3000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        content = line.video.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [("missing", "no such file"), ("garbage", "not a video"), ("empty", "not a video"), ("truncated", "truncated")],
)
def test_a_video_that_cannot_be_read(kind, said, line, command: Command, out, tmp_path):
    video = broken_video(kind, line, tmp_path)
    for words in (
        [*render_words(line, video=video), "--out", out],
        [*render_words(line), "--truth", video, "--out", out],
        ["evaluate", video, line.video, "--out", tmp_path / "report"],
        ["evaluate", line.video, video, "--out", tmp_path / "report"],
    ):
        error = command.refuses(*words)
        assert said in error
        assert str(video) in error
    assert not (tmp_path / "report").exists()


def other_format(kind: str, line: Line, folder: Path) -> Path:
    path = folder / kind
    if kind == "text.txt":
        path.write_text("hello\n")
    elif kind == "picture.png":
        write_png(path, np.zeros((8, 8, 3), np.uint8))
    elif kind == "other.json":
        path.write_text(json.dumps({"a": [1, 2, 3]}))
    elif kind == "damaged.json":
        path.write_text('[{"frame_id": 1, "instances": [')
    elif kind == "video":
        path = line.video
    return path


@pytest.mark.parametrize("kind", ["text.txt", "picture.png", "other.json", "damaged.json", "video", "missing.json"])
def test_keypoints_of_another_format(kind, line, command: Command, out, tmp_path):
    path = other_format(kind, line, tmp_path)
    assert str(path) in command.refuses(*render_words(line, poses=path), "--out", out)
    words = ("evaluate", line.video, line.video, "--poses", path, "--out", tmp_path / "report")
    assert str(path) in command.refuses(*words)


def test_fewer_keypoint_frames_than_video_frames(line, command: Command, tmp_path):
    """An error where a pose per frame is needed; render renders the poses there are."""
    world = write_world(tmp_path / "world", clips=1)
    poses = poses_without([], world / "clip0.mmpose.json", count=9)
    error = command.refuses("evaluate", line.video, line.video, "--poses", poses, "--out", tmp_path / "report")
    assert "9 frames" in error
    built = command("build-pairs", world, "--out", tmp_path / "pairs")
    assert built.code == 2
    assert built.err.count("\n") == 1
    assert "9" in built.out
    assert "16" in built.out
    output = command.works(*render_words(line, poses=poses), "--out", tmp_path / "out.mp4")
    assert "frames 9 and 16" in output
    assert not (tmp_path / "out.metrics.json").exists()


def test_a_frame_without_a_person(line, command: Command, tmp_path):
    """build-pairs leaves it out of the triples, render holds the pose before; both say so."""
    world = write_world(tmp_path / "world", clips=1)
    poses_without([4, 6, 7], world / "clip0.mmpose.json")
    assert "3 frames without a person" in command.works("build-pairs", world, "--out", tmp_path / "pairs")
    words = render_words(line, poses=world / "clip0.mmpose.json")
    output = command.works(*words, "--out", tmp_path / "out.mp4", "--save-frames", tmp_path / "pngs")
    assert "no person in frames 4, 6-7" in output
    frames = {p.name: p.read_bytes() for p in (tmp_path / "pngs").iterdir()}
    assert frames["images0005.png"] == frames["images0004.png"]
    assert frames["images0008.png"] == frames["images0006.png"]
    rows = json.loads((tmp_path / "out.metrics.json").read_text())["per_frame"]
    assert [row["frame"] for row in rows if row["hand_ssim"] is None] == [4, 6, 7]  # no hands seen, none scored


def test_a_clip_without_any_person(line, command: Command, out, tmp_path):
    world = write_world(tmp_path / "world", clips=1)
    poses = poses_without(list(range(16)), world / "clip0.mmpose.json")
    assert "no frame of the poses has a person" in command.refuses(*render_words(line, poses=poses), "--out", out)
    built = command("build-pairs", world, "--out", tmp_path / "pairs")
    assert built.code == 2
    assert built.err.count("\n") == 1
    assert "clip0" in built.out
    assert not (tmp_path / "pairs").exists()


def test_poses_of_another_size_and_of_another_skeleton(line, command: Command, out, tmp_path):
    large = tmp_path / "large.json"
    write_mmpose(figure_poses(4, size=640), large)
    assert "outside 64x64" in command.refuses(*render_words(line, poses=large), "--out", out)
    model = shutil.copytree(line.model, tmp_path / "model")
    card = json.loads((model / "signgen.json").read_text())
    (model / "signgen.json").write_text(json.dumps({**card, "skeleton": "hands-42"}))
    error = command.refuses(*render_words(line, model=model), "--out", out)
    assert "coco-wholebody-133" in error
    assert "hands-42" in error


@pytest.mark.parametrize(
    "part", ["unet", "fusion", "conditions/config.json", "source_encoder/model.safetensors", "model_index.json"]
)
def test_a_model_folder_that_lacks_a_part(part, line, command: Command, out, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(line.model, model)
    victim = next(iter(sorted(model.glob(part))), None) or next((model / part).parent.glob("*.safetensors"))
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    error = command.refuses(*render_words(line, model=model), "--out", out)
    assert part.split("/")[0] in error


def test_a_folder_that_is_no_model(line, command: Command, out, tmp_path):
    assert "signgen.json" in command.refuses(*render_words(line, model=line.run), "--out", out)
    assert "no such model folder" in command.refuses(*render_words(line, model=tmp_path / "gone"), "--out", out)


def test_recipes_name_the_nearest_key(line, command: Command, tmp_path):
    words = ("train", line.pairs, "--out", tmp_path / "run", "--device", "cpu", "--config")
    error = command.refuses(*words, "nano", "--set", "training.fusion.stepz=3")
    assert "training.fusion.stepz" in error
    assert "steps?" in error
    assert "did you mean nano?" in command.refuses(*words, "nanno")
    assert "training.fusion.steps" in command.refuses(*words, "nano", "--set", "training.fusion.steps=many")
    assert "a.b=c" in command.refuses(*words, "nano", "--set", "steps")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["render", "a.mp4"], "Missing argument"),
        (["rendr"], "render"),
        (["render", "a", "b", "--model", "m", "--out", "o", "--side-by-sde"], "--side-by-sde"),
        (["train", "pairs", "--out", "run", "--device", "tpu"], "cpu"),
        (["train", "pairs", "--out", "run", "--max-minutes", "soon"], "--max-minutes"),
        (["evaluate", "a", "b", "--out"], "--out"),
    ],
)
def test_usage_errors_are_one_line(words, said, command: Command):
    error = command.refuses(*words)
    assert said in error
    assert "see signgen" in error


def test_frames_outside_the_poses(line, command: Command, out):
    for text in ("3:99", "5:5", "7", "a:b", "-3:-1"):
        error = command.refuses(*render_words(line), "--out", out, "--frames", text)
        assert "--frames" in error
        assert "0:16" in error or "expected A:B" in error


def test_an_out_that_cannot_be(line, command: Command, tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder.mp4").mkdir()
    for out in ("out.avi", "out", "out.png"):
        assert ".mp4" in command.refuses(*render_words(line), "--out", tmp_path / out)
    for out in (tmp_path / "file" / "out.mp4", tmp_path / "folder.mp4"):
        command.refuses(*render_words(line), "--truth", "none", "--frames", "0:2", "--out", out)
    command.refuses("train", line.pairs, "--out", tmp_path / "file", "--device", "cpu", *set_options())
    command.refuses("evaluate", line.video, line.video, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
    assert not list((tmp_path / "folder.mp4").iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "gone.mp4", "gone.mp4", "--out"],
        ["evaluate-images", "gone/", "gone/", "--protocol", "strict", "--out"],
        ["evaluate-model", "gone", "gone", "--out"],
        ["evaluate-fusion", "gone", "gone", "--out"],
        ["evaluate-reading", "gone", "gone", "--out"],
        ["evaluate-text", "gone", "gone", "--out"],
        ["robustness", "gone", "gone", "--out"],
    ],
)
def test_an_out_that_cannot_be_is_found_before_the_work(words: list[str], command: Command, tmp_path: Path) -> None:
    """What is wrong with the inputs would be said by the first thing that is done with them."""
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "report", tmp_path / "new" / ("x" * 300)):
        assert f"cannot write {out}: " in command.refuses(*words, out)
    assert "gone" in command.refuses(*words, tmp_path / "new" / "report")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_files_that_are_written_at_the_end_too(command: Command, line: Line, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    place = tmp_path / "file" / "x.json"
    for words in (["poses", "extract", line.video, place, "--estimator", "gone"], ["verify", "gone", "--json", place]):
        assert f"cannot write {place.parent}: " in command.refuses(*words)


def commands_that_write(line: Line, folder: Path, out: Path) -> list[list[object]]:
    """Each with `out`, or a file in it, for its result."""
    text = folder / "texts.json"
    text.write_text('{"clip0": "regen"}')
    model, cpu = ["--model", line.model], ["--device", "cpu"]
    whole = ["render", line.video, line.poses, *model, "--frames", "0:2", "--truth", "none"]
    studied = ["robustness", line.model, line.video, line.poses, "--frames", "12:14", "--noise", "0", "--shares", "0"]
    return [
        ["build-pairs", line.videos, "--out", out],
        ["synthesize", out, "--signers", 1, "--clips", 1, "--frames", 2, "--processes", 1],
        ["train", line.pairs, "--config", "nano", "--out", out, *cpu, *set_options()],
        [*whole, "--out", out / "o.mp4"],
        [*whole, "--out", folder / "o.mp4", "--save-frames", out],
        ["evaluate", line.video, line.video, "--out", out],
        ["evaluate-model", line.model, line.pairs, "--split", "val", *cpu, "--keep", out, "--out", folder / "x"],
        ["evaluate-fusion", line.model, line.pairs, *cpu, "--out", out],
        ["evaluate-text", text, text, "--out", out],
        ["compare", folder / "report", folder / "other", "--out", out],
        [*studied, "--sources", 1, *cpu, "--out", out],
        ["demo", "--quick", "--out", out],
        ["poses", "convert", line.poses, out / "p.pose", "--size", "64x64"],
        ["poses", "draw", line.poses, out / "p.mp4", "--size", "64x64"],
        ["study", "build", f"a={line.videos}", "--truth", line.videos, "--out", out, "--judgements", 2],
    ]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here, in which no folder can be made")
def test_a_place_that_takes_no_folder(line, command: Command, tmp_path):
    """Its error says ENOENT, as if something were missing."""
    command.works("evaluate", line.video, line.video, "--out", tmp_path / "report")
    shutil.copytree(tmp_path / "report", tmp_path / "other")
    for words in commands_that_write(line, tmp_path, Path("/proc/x")):
        error = command.refuses(*words)
        assert "cannot write /proc" in error, words
        assert "can be made there; choose another place" in error, words
    assert "no file can be made there" in command.refuses("evaluate", line.video, line.video, "--out", "/proc")


def test_an_input_is_never_overwritten(line, command: Command, tmp_path):
    video = Path(shutil.copy(line.video, tmp_path / "me.mp4"))
    write_png(tmp_path / "me.png", np.zeros((64, 64, 3), np.uint8))
    before = video.read_bytes(), (tmp_path / "me.png").read_bytes()
    assert "input" in command.refuses(*render_words(line, video=video), "--out", video)
    words = render_words(line, video=tmp_path / "me.png")
    assert "input" in command.refuses(*words, "--frames", "0:1", "--out", video)  # one pose: it would be me.png
    assert (video.read_bytes(), (tmp_path / "me.png").read_bytes()) == before


def test_a_video_of_the_pair_set_that_is_gone(command: Command, line, tmp_path):
    """Training names it; rendering another source goes on without the nearest-pose baseline, and says so."""
    world = write_world(tmp_path / "world")
    command.works("build-pairs", world, "--out", tmp_path / "pairs", "--holdout-tail", "0.25")
    run = tmp_path / "run"
    command.works("train", tmp_path / "pairs", "--out", run, "--device", "cpu", "--config", "nano", *set_options())
    (world / "clip1.mp4").unlink()
    words = ("train", tmp_path / "pairs", "--out", tmp_path / "other", "--device", "cpu", "--config", "nano")
    assert "clip1.mp4" in command.refuses(*words, *set_options())
    output = command.works(*render_words(line, model=run / "model"), "--frames", "0:2", "--out", tmp_path / "out.mp4")
    assert "nearest-pose is left out" in output
    (tmp_path / "pairs" / "poses" / "clip0.poses.npz").unlink()
    assert "clip0.poses.npz" in command.refuses(*words, *set_options())


# ---- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # libraries may still hold a log file open


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system, but for `leave` bytes."""
    path = folder / "ballast"
    path.write_bytes(bytes(shutil.disk_usage(folder).free - leave))
    return path


def test_a_disk_that_fills_up_while_rendering(line, command: Command, small_disk):
    out = small_disk / "out.mp4"
    out.write_bytes(OLD)
    fill(small_disk, 0)
    error = command.refuses(*render_words(line), "--out", out)
    assert "No space left" in error
    assert out.read_bytes() == OLD
    assert sorted(p.name for p in small_disk.iterdir()) == ["ballast", "out.mp4"]


def test_a_disk_that_fills_up_while_training(line, command: Command, small_disk):
    """The finished stage survives, and --resume goes on once there is room."""
    run = small_disk / "run"
    words = ("train", line.pairs, "--out", run, "--device", "cpu")
    command.works(*words, "--config", "nano", "--stage", "fusion", *set_options())
    state = {p: p.read_bytes() for p in (run / "state" / "fusion").rglob("*.*") if p.is_file()}
    assert state
    ballast = fill(small_disk, 40960)
    assert "No space left" in command.refuses(*words, "--resume")
    assert {p: p.read_bytes() for p in (run / "state" / "fusion").rglob("*.*") if p.is_file()} == state
    assert not (run / "model" / "signgen.json").exists()
    ballast.unlink()
    assert "model:" in command.works(*words, "--resume")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses(number, line, command: Command, out, tmp_path, monkeypatch):
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    for words in (
        [*render_words(line), "--out", out],
        ["evaluate", line.video, line.video, "--out", tmp_path / "report"],
        ["train", line.pairs, "--out", tmp_path / "run", "--device", "cpu", "--config", "nano", *set_options()],
    ):
        assert os.strerror(number) in command.refuses(*words)


# ---- Ctrl-C


def test_ctrl_c_while_training(line, command: Command, tmp_path):
    run = tmp_path / "run"
    options = ("--config", "nano", "--device", "cpu", *set_options("training.fusion.steps=150"))
    process = start("train", line.pairs, "--out", run, *options)
    wait_for(lambda: lines_in(run / "logs" / "fusion-train.csv") >= 2, process)
    interrupt(process)
    called = finish(process)
    assert called.code == 130
    assert called.err.startswith("signgen: interrupted: ")
    assert called.err.count("\n") == 1
    assert "--resume" in called.err
    (stopped,) = (run / "state" / "fusion").iterdir()
    assert 10 <= int(stopped.name) < 150
    command.works("train", line.pairs, "--out", run, *options, "--resume")
    assert (run / "model" / "signgen.json").is_file()


def test_sigterm_while_training(line, command: Command, tmp_path):
    """Schedulers send it before they kill."""
    run = tmp_path / "run"
    options = ("--config", "nano", "--device", "cpu", *set_options("training.fusion.steps=150"))
    process = start("train", line.pairs, "--out", run, *options)
    wait_for(lambda: lines_in(run / "logs" / "fusion-train.csv") >= 2, process)
    process.terminate()
    called = finish(process)
    assert called.code == 143
    assert called.err.startswith("signgen: interrupted: stage fusion stopped after step ")
    assert called.err.count("\n") == 1
    (stopped,) = (run / "state" / "fusion").iterdir()
    more = ("--set", f"training.fusion.steps={int(stopped.name) + 1}")
    out = command.works("train", line.pairs, "--out", run, "--resume", "--stage", "fusion", "--device", "cpu", *more)
    assert f"training.fusion.steps: 150 -> {int(stopped.name) + 1}" in out


def test_ctrl_c_reaches_a_command_of_a_shell_without_job_control(line, tmp_path):
    """Such a shell starts `make test &` with SIGINT ignored, and every child inherits that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(*render_words(line), "--out", tmp_path / "out.mp4", "--steps", "50")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for(lambda: any(tmp_path.iterdir()), process)
    interrupt(process)
    assert finish(process).code == 130


def test_ctrl_c_while_rendering(line, tmp_path):
    out, pngs = tmp_path / "out.mp4", tmp_path / "pngs"
    out.write_bytes(OLD)
    words = [*render_words(line), "--out", out, "--save-frames", pngs, "--steps", "250"]
    process = start(*words)
    wait_for(lambda: (pngs / "images0001.png").exists(), process)
    interrupt(process)
    called = finish(process)
    assert called.code == 130
    assert called.err == "signgen: interrupted: Ctrl-C; nothing that was already written is lost\n"
    assert out.read_bytes() == OLD
    assert {p.name for p in tmp_path.iterdir()} <= {"out.mp4", "out.partial.mp4", "pngs"}
