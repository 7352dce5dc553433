"""What a message says to do is done, word for word: the failure is then over, or the next message leads on."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from signgen.pairs.pairset import PairSet
from signgen.poses import read_poses
from signgen.poses.sequence import PoseSequence
from signgen.rendering.inputs import RenderRequest, prepare
from signgen.video.reader import write_png
from signgen.video.writer import VideoWriter
from tests.corpora.person_corpora import write_market
from tests.line import Command, Line
from tests.tiny import set_options
from tests.worlds import figure_frames, figure_poses, write_mmpose, write_world

Words = list[object]


@dataclass(frozen=True)
class Failure:
    """A command that fails, and the advice that it gives. fill: what stands for the advice's words in capitals.

    advice: the part of the message that is followed. then: what the command becomes; by default it gets the advice's
    options, where those are its own, and else is tried again as it was.
    """

    words: Words
    advice: str
    fill: dict[str, object]
    then: Words | None = None


def openpose_person(poses: PoseSequence, frame: int, shift: float) -> dict:
    points = poses.keypoints[frame].astype(float) + np.array([shift, 0, 0])
    body = np.zeros((25, 3))
    body[[0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]] = points[:17]
    return {"pose_keypoints_2d": body.ravel().tolist()}


def two_people(folder: Path) -> Path:
    """OpenPose JSON of 16 frames with two people alike."""
    folder.mkdir()
    poses = figure_poses(16)
    for frame in range(16):
        people = [openpose_person(poses, frame, shift) for shift in (-16, 16)]
        (folder / f"{frame:03d}_keypoints.json").write_text(json.dumps({"people": people}))
    return folder


def wide_poses(path: Path) -> Path:
    """16 poses estimated on 128x64."""
    replace(figure_poses(16), width=128).save(path)
    return path


def pack(path: Path) -> Path:
    """An SLRT pickle of two clips of 16 frames."""
    clips = {f"train/c{n}": {"keypoints": figure_poses(16, n).keypoints.astype(np.float16)} for n in range(2)}
    path.write_bytes(pickle.dumps(clips))
    return path


def no_size(line: Line, tmp: Path) -> Failure:
    return Failure(["poses", "convert", line.poses, tmp / "x.poses.npz"], "--size WxH", {"WxH": "64x64"})


def no_size_for_everybody(line: Line, tmp: Path) -> Failure:
    words = ["poses", "draw", two_people(tmp / "two"), tmp / "x.mp4", "--people"]
    return Failure(words, "--size WxH", {"WxH": "64x64"})


def no_size_of_person(line: Line, tmp: Path) -> Failure:
    words = ["poses", "retarget", wide_poses(tmp / "a.poses.npz"), tmp / "x.poses.npz", "--to", line.poses]
    return Failure(words, "--to-size WxH", {"WxH": "64x64"})


def wrong_size_of_person(line: Line, tmp: Path) -> Failure:
    wide = wide_poses(tmp / "a.poses.npz")
    words: Words = ["poses", "retarget", wide, tmp / "x.poses.npz", "--to", wide]
    return Failure([*words, "--to-size", "640x480"], "leave --to-size out", {}, then=words)


def clip_of_person(line: Line, tmp: Path) -> Failure:
    wide, several = wide_poses(tmp / "a.poses.npz"), pack(tmp / "p.pickle")
    words = ["poses", "retarget", wide, tmp / "x.poses.npz", "--to", several, "--to-size", "64x64"]
    return Failure([*words], "--to-clip", {}, then=[*words, "--to-clip", "c1"])


def two_people_of_a_truth(line: Line, tmp: Path) -> Failure:
    two, one = two_people(tmp / "two"), tmp / "one.poses.npz"
    words: Words = ["evaluate", line.video, line.video, "--out", tmp / "report", "--poses"]
    fill = {"POSES": two, "X.poses.npz": one, "N": 2}
    advice = "signgen poses convert POSES X.poses.npz --person N"
    return Failure([*words, two], advice, fill, then=[*words, one])


def look_at_people(line: Line, tmp: Path) -> Failure:
    two = two_people(tmp / "two")
    words: Words = ["poses", "convert", two, tmp / "x.poses.npz", "--size", "64x64"]
    advice = "signgen poses draw POSES LOOK.mp4 --people"
    return Failure(words, advice, {"POSES": two, "LOOK.mp4": tmp / "look.mp4"}, then=[*words, "--person", "1"])


def clip_of_generated_poses(line: Line, tmp: Path) -> Failure:
    several, one = pack(tmp / "p.pickle"), tmp / "one.poses.npz"
    words: Words = ["evaluate", line.video, line.video, "--out", tmp / "r", "--poses", line.poses, "--generated-poses"]
    advice = "signgen poses convert POSES X.poses.npz --clip NAME"
    return Failure([*words, several], advice, {"POSES": several, "X.poses.npz": one, "NAME": "c0"}, then=[*words, one])


def another_aspect(line: Line, tmp: Path) -> Failure:
    wide, fitted = wide_poses(tmp / "a.poses.npz"), tmp / "fitted.poses.npz"
    words: Words = ["poses", "draw", wide, tmp / "x.mp4", "--over", line.video]
    advice = "signgen poses retarget POSES X.poses.npz --to PERSON"
    fill = {"POSES": wide, "X.poses.npz": fitted, "PERSON": line.video}
    return Failure(words, advice, fill, then=["poses", "draw", fitted, *words[3:]])


def ambiguous_person(line: Line, tmp: Path) -> Failure:
    """Two files beside the video; build-pairs settles that with a table, this command by naming one."""
    wide, own = wide_poses(tmp / "a.poses.npz"), tmp / "me.mp4"
    shutil.copy(line.video, own)
    for number in range(2):
        figure_poses(16, number).save(tmp / f"me_{number}.poses.npz")
    words: Words = ["poses", "retarget", wide, tmp / "x.poses.npz", "--to"]
    return Failure([*words, own], "name the keypoints themselves with --to", {}, then=[*words, tmp / "me_1.poses.npz"])


def moved_option(line: Line, tmp: Path) -> Failure:
    folder = tmp / "pictures"
    folder.mkdir()
    for number in range(2):
        write_png(folder / f"{number}.png", np.full((64, 64, 3), 90 * number + 9, np.uint8))
    words = ["evaluate", folder, folder, "--out", tmp / "r", "--protocol", "fpdm"]
    advice = "signgen evaluate-images GENERATED TRUTH --protocol NAME --out REPORT"
    fill = {"GENERATED": folder, "TRUTH": folder, "NAME": "strict", "REPORT": tmp / "r"}
    return Failure(
        words, advice, fill, then=["evaluate-images", folder, folder, "--protocol", "strict", "--out", tmp / "again"]
    )


def shorter_clip(line: Line, tmp: Path) -> Failure:
    short = tmp / "short.mp4"
    with VideoWriter(short, 64, 64, 25) as writer:
        for frame in figure_frames(figure_poses(9), 80):
            writer.write(frame)
    return Failure(["evaluate", short, line.video, "--out", tmp / "r"], "--frames A:B", {"A:B": "0:9"})


def transparent_later(line: Line, tmp: Path) -> Failure:
    folder = tmp / "frames"
    folder.mkdir()
    for number in range(16):
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.full((64, 64, 3 + (number > 4)), 90, np.uint8))
    words = ["poses", "draw", line.poses, tmp / "x.mp4", "--over", folder]
    return Failure(words, "--background COLOUR", {"COLOUR": "white"})


def too_wide_a_gap(line: Line, tmp: Path) -> Failure:
    words: Words = ["build-pairs", line.videos, "--out", tmp / "pairs"]
    return Failure([*words, "--min-gap", 50], "a smaller --min-gap", {}, then=[*words, "--min-gap", 2])


def too_large_a_tail(line: Line, tmp: Path) -> Failure:
    words: Words = ["build-pairs", line.videos, "--out", tmp / "pairs", "--holdout-tail"]
    return Failure([*words, 0.95], "a smaller --holdout-tail", {}, then=[*words, 0.25])


def keypoints_elsewhere(line: Line, tmp: Path) -> Failure:
    world = write_world(tmp / "world", clips=1)
    (world / "clip0.mmpose.json").rename(tmp / "other.json")
    table = tmp / "table.csv"
    table.write_text("clip,video,keypoints\nclip0,clip0.mp4,other.json\n")
    return Failure(["build-pairs", world, "--out", tmp / "pairs"], "--pairing FILE.csv", {"FILE.csv": table})


def another_rate(line: Line, tmp: Path) -> Failure:
    world = write_world(tmp / "world", clips=1)
    (world / "clip0.mmpose.json").unlink()
    replace(figure_poses(16), fps=12.0).save(world / "clip0.poses.npz")
    table = tmp / "table.csv"
    table.write_text("clip,video,keypoints\nclip0,clip0.mp4,clip0.poses.npz\n")
    words: Words = ["build-pairs", world, "--out", tmp / "pairs"]
    return Failure(words, "say so with --pairing", {}, then=[*words, "--pairing", table])


def keypoints_of_a_video(line: Line, tmp: Path) -> Failure:
    words: Words = ["robustness", line.model, line.video]
    more: Words = ["--out", tmp / "r", "--frames", "12:14", "--noise", "0", "--shares", "0", "--sources", 1]
    cpu: Words = ["--device", "cpu"]
    return Failure([*words, *more, *cpu], "keypoints as POSES", {}, then=[*words, line.poses, *more, *cpu])


FAILURES = (
    *(no_size, no_size_for_everybody, no_size_of_person, wrong_size_of_person, clip_of_person),
    *(two_people_of_a_truth, look_at_people, clip_of_generated_poses, another_aspect, ambiguous_person),
    *(moved_option, shorter_clip, transparent_later, too_wide_a_gap, too_large_a_tail, keypoints_elsewhere),
    *(another_rate, keypoints_of_a_video),
)


def told(command: Command, words: Words) -> str:
    """All that a failing command says, on one line."""
    called = command(*words)
    assert called.code == 2
    assert called.err.count("\n") == 1
    return " ".join((called.out + called.err).split())


@pytest.mark.parametrize("situation", FAILURES, ids=lambda each: each.__name__)
def test_advice_that_is_followed(
    situation: Callable[[Line, Path], Failure], line: Line, command: Command, tmp_path: Path
) -> None:
    failure = situation(line, tmp_path)
    message = told(command, failure.words)
    assert failure.advice in message
    typed = [str(failure.fill.get(word, word)) for word in shlex.split(failure.advice)]
    if typed[0] == "signgen":
        called = command(*typed[1:])
        if called.code:  # its message leads on, too: these keypoints do not hold their size
            assert "--size WxH" in called.err
            command.works(*typed[1:], "--size", "64x64")
    elif failure.then is None:
        assert typed[0].startswith("--")
    command.works(*(failure.then or [*failure.words, *typed]))


def test_a_pair_set_that_is_built_again(command: Command, tmp_path: Path) -> None:
    """Whatever is gone of one: its own message names the command that brings it back."""
    world, pairs = write_world(tmp_path / "world"), tmp_path / "pairs"
    build = ["build-pairs", world, "--out", pairs, "--store"]
    command.works(*build)
    for gone in ("meta.json", "clips.parquet", "triples.parquet", "poses/clip0.poses.npz"):
        (pairs / gone).unlink()
        message = told(command, ["train", pairs, "--out", tmp_path / "run", "--device", "cpu", *set_options()])
        assert "run signgen build-pairs again" in message, gone
        command.works(*build)
        assert len(PairSet.load(pairs).triples("train"))
        shutil.rmtree(tmp_path / "run", ignore_errors=True)


def test_stages_in_order(line: Line, command: Command, tmp_path: Path) -> None:
    words = ["train", line.pairs, "--out", tmp_path / "run", "--device", "cpu"]
    first = [*words, "--config", "nano", *set_options()]
    assert "train it first, with --stage fusion" in told(command, [*first, "--stage", "diffusion"])
    command.works(*words, "--stage", "fusion")
    command.works(*words, "--stage", "diffusion")
    assert "add --resume" in told(command, first)
    command.works(*words, "--resume")
    other = told(command, [*words, "--resume", "--seed", 7])
    assert "leave --config, --set, --seed and --dtype out" in other


def test_a_name_like_the_sources_does_not_hide_the_way_out(line: Line, command: Command, tmp_path: Path) -> None:
    """Keypoints that are called as the source is, but are of another film: fitted, they are rendered."""
    video, wide = tmp_path / "me.mp4", wide_poses(tmp_path / "me.poses.npz")
    shutil.copy(line.video, video)
    words = ["render", video, wide, "--model", line.model, "--out", tmp_path / "o.mp4", "--retarget", "auto"]
    message = told(command, words)
    advice = re.search(r"signgen (poses retarget POSES X\.poses\.npz --to PERSON)", message)
    assert advice is not None
    fill = {"POSES": wide, "X.poses.npz": tmp_path / "fitted.poses.npz", "PERSON": line.video}
    command.works(*(fill.get(word, word) for word in advice[1].split()))
    request = RenderRequest(video, fill["X.poses.npz"], line.model, tmp_path / "o.mp4", source_poses=line.poses)
    assert len(prepare_quietly(request)) == 16


def prepare_quietly(request: RenderRequest) -> PoseSequence:
    from signgen.progress import Notes

    return prepare(request, Notes()).poses


def test_a_rate_is_resampled_as_the_note_says(line: Line, command: Command, tmp_path: Path) -> None:
    from signgen.progress import Notes

    notes = Notes()
    own = tmp_path / "slow.poses.npz"
    replace(figure_poses(16), fps=12.5).save(own)
    request = RenderRequest(line.video, own, line.model, tmp_path / "o.mp4", fps=25.0)
    prepare(request, notes)
    advice = re.search(r"signgen (poses convert POSES X\.poses\.npz --fps N)", " ".join(notes.kept))
    assert advice is not None
    fill = {"POSES": own, "X.poses.npz": tmp_path / "x.poses.npz", "N": 25}
    command.works(*(fill.get(word, word) for word in advice[1].split()))
    notes = Notes()
    prepare(replace(request, poses=fill["X.poses.npz"]), notes)
    assert "their speed" not in " ".join(notes.kept)


def test_points_below_the_threshold_are_shown_as_the_note_says(command: Command, tmp_path: Path) -> None:
    poses = figure_poses(4)
    poses.keypoints[:, 91:, 2] = 0.2
    write_mmpose(poses, tmp_path / "a.json")
    output = " ".join(command.works("poses", "info", tmp_path / "a.json", "--size", "64x64").split())
    assert "--seen-from SCORE shifts that" in output.replace("│ ", "").replace("│", "")
    words = ("poses", "convert", tmp_path / "a.json", tmp_path / "x.poses.npz", "--seen-from", "0.1")
    command.works(*words, "--size", "64x64")
    assert (read_poses(tmp_path / "x.poses.npz").keypoints[:, 91:, 2] >= 0.3).all()


def test_advice_of_build_pairs_stays_there(line: Line, tmp_path: Path) -> None:
    """Of a source with two files beside it, render names its own option, not build-pairs' table."""
    from signgen.corpora.beside import poses_beside
    from signgen.errors import PoseError

    shutil.copy(line.video, tmp_path / "me.mp4")
    for number in range(2):
        figure_poses(16, number).save(tmp_path / f"me_{number}.poses.npz")
    with pytest.raises(PoseError, match=r"--source-poses$") as refused:
        poses_beside(tmp_path / "me.mp4", "--source-poses")
    assert "--pairing" not in str(refused.value)


def test_a_damaged_run_goes_on_as_its_message_says(line: Line, command: Command, tmp_path: Path) -> None:
    """Both stages' states, stage 1's model, and parts of the model folder."""
    run = Path(shutil.copytree(line.run, tmp_path / "run"))
    resume = ["train", line.pairs, "--out", run, "--device", "cpu", "--resume"]
    render = [
        "render",
        line.video,
        line.poses,
        "--model",
        run / "model",
        "--frames",
        "0:2",
        "--out",
        tmp_path / "o.mp4",
    ]
    shutil.rmtree(run / "model" / "unet")
    assert "run `signgen train ... --resume`, which writes it again" in told(command, render)
    command.works(*resume)
    command.works(*render)
    for damaged in ("weights.pt", "progress.json"):
        (newest,) = (run / "state" / "diffusion").iterdir()
        (newest / damaged).write_bytes(b"damaged")
        advice = re.search(r"delete the folder (\S+) to train the stage again", told(command, resume))
        assert advice is not None, damaged
        shutil.rmtree(advice[1])
        command.works(*resume)
    weights = next((run / "fusion").rglob("*.safetensors"))
    weights.write_bytes(b"damaged")
    assert "delete it, and state/fusion beside it, to train the stage again" in told(command, resume)
    weights.unlink()
    shutil.rmtree(run / "state" / "fusion")
    command.works(*resume)


def test_a_frame_store_that_is_built_again(command: Command, tmp_path: Path) -> None:
    world, pairs = write_world(tmp_path / "world"), tmp_path / "pairs"
    build = ["build-pairs", world, "--out", pairs]
    train = ["train", pairs, "--device", "cpu", "--config", "nano", *set_options(), "--stage", "fusion", "--out"]
    command.works(*build, "--store")
    for way in ("build", "delete"):
        index = pairs / "store" / "index.parquet"
        index.unlink()
        assert "run signgen build-pairs again with --store, or delete the folder store" in told(
            command, [*train, tmp_path / way]
        )
        if way == "build":
            command.works(*build, "--store")
        else:
            shutil.rmtree(pairs / "store")
        shutil.rmtree(tmp_path / way, ignore_errors=True)
        command.works(*train, tmp_path / way)


@pytest.mark.parametrize("damage", ["pictures", "keypoints"])
def test_verify_names_what_build_pairs_could_not_use(command: Command, tmp_path: Path, damage: str) -> None:
    root = write_market(tmp_path / "market")
    nothing = f"[{','.join(['-1'] * 18)}]"
    for path in root.rglob("*.jpg" if damage == "pictures" else "market-annotation-*.csv"):
        head, *rows = ["damaged"] if damage == "pictures" else path.read_text().splitlines()
        path.write_text("\n".join([head, *(f"{row.partition(':')[0]}: {nothing}: {nothing}" for row in rows)]))
    message = told(command, ["build-pairs", root, "--out", tmp_path / "pairs"])
    advice = re.search(r"signgen (verify \S+) names", message)
    assert advice is not None
    called = command(*shlex.split(advice[1]))
    assert called.code == 1
    assert {"pictures": "unreadable (4)", "keypoints": "no-keypoints (4)"}[damage] in called.out


def test_weights_are_looked_for_where_the_message_puts_them(tmp_path: Path) -> None:
    from signgen.errors import WeightsError
    from signgen.metrics.weights import WeightsFile

    file = WeightsFile("some", "some-1234.pth", "https://example.org/some-1234.pth")
    for explicit in (tmp_path / "a" / "other.pth", tmp_path / "b" / "folder", tmp_path):
        with pytest.raises(WeightsError) as missing:
            file.find(explicit)
        target = Path(shlex.split(str(missing.value).partition("get them with: ")[2])[4])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"as if curl had put it there")
        assert file.find(explicit) == target


def test_a_loss_that_is_no_number(line: Line, command: Command, tmp_path: Path) -> None:
    """A run keeps its recipe, so that the way on is another run, whose option the message holds."""
    words = ["train", line.pairs, "--config", "nano", "--device", "cpu", "--stage", "fusion", *set_options()]
    key = "training.fusion.learning_rate"
    message = told(command, [*words, "--set", f"{key}=1e30", "--out", tmp_path / "a"])
    advice = re.search(r"another --out and (--set) (\S+=)(\S+),", message)
    assert advice is not None
    assert (advice[2], float(advice[3])) == (f"{key}=", 1e29)
    command.works(*words, advice[1], f"{advice[2]}1e-05", "--out", tmp_path / "b")


def test_transparent_references_lie_over_the_colour_that_is_named(line: Line, tmp_path: Path) -> None:
    """The note on them names --background, which was not passed on."""
    from types import SimpleNamespace
    from typing import Any

    from signgen.rendering.references import ReferenceRequest, _clip

    (tmp_path / "f").mkdir()
    for number in range(16):
        cv2.imwrite(str(tmp_path / "f" / f"{number:02d}.png"), np.zeros((64, 64, 4), np.uint8))
    card: Any = SimpleNamespace(skeleton="coco-wholebody-133")
    found = _clip(ReferenceRequest(str(tmp_path / "f"), line.poses, None, (255, 128, 0)), card, False)
    assert found.frames.read(0, 1)[0, 0, 0].tolist() == [255, 128, 0]
