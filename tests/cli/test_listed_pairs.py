"""From images, lists of pairs and text keypoints to a trained model and a picture, by the commands a user runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.pairs.pairset import PairSet
from signgen.video.reader import read_image
from tests.corpora.person_corpora import MAN, TRAIN, image, write_csv, write_deepfashion
from tests.line import Command
from tests.tiny import set_options

STEPS = ("training.fusion.steps=2", "training.diffusion.steps=3")


@pytest.fixture
def world(tmp_path: Path, command: Command) -> Path:
    """A verified data set and its pair set."""
    root = write_deepfashion(tmp_path / "set")
    command.works("verify", root)
    command.works("build-pairs", root, "--out", tmp_path / "pairs")
    return tmp_path


def train(world: Path, *overrides: str, config: str = "nano-pictures") -> list[object]:
    options = set_options(*STEPS, *overrides)
    return ["train", world / "pairs", "--config", config, "--out", world / "run", "--device", "cpu", *options]


def test_trained_on_pairs_and_rendered_to_a_picture(
    world: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(*train(world)).code == 0
    card = json.loads((world / "run" / "model" / "signgen.json").read_text())
    assert (card["skeleton"], card["palette"]) == ("openpose-18", "fpdm-deepfashion")
    source, target = (world / "set" / image(MAN, view) for view in (0, 2))
    pose, own = (Path(str(path).replace("/img/", "/pose/")).with_suffix(".txt") for path in (target, source))
    words = ("--model", world / "run" / "model", "--device", "cpu", "--source-poses", own)
    output = command.works("render", source, pose, *words, "--out", world / "one.png")
    assert "one.png" in output
    drawn = read_image(world / "one.png")
    assert drawn.shape == (110, 75, 3)
    command.works("render", source, pose, *words, "--truth", target, "--out", world / "two.png")
    np.testing.assert_array_equal(read_image(world / "two.png"), drawn)
    scores = json.loads((world / "two.metrics.json").read_text())
    assert scores["mean"]["hand_ssim"] is None
    assert scores["not_computed"]["hand_ssim"] == "keypoints of 18 points have no hands"
    assert scores["mean"]["psnr"] is not None
    assert "nearest-pose" in scores["baselines"]
    evaluated_in_one_pass(world, command, monkeypatch)


def test_a_copy_with_the_test_list_alone_is_evaluated_on(world: Path, command: Command) -> None:
    assert command(*train(world)).code == 0
    for path in (world / "set").glob("*train*"):
        path.unlink()
    output = command.works("build-pairs", world / "set", "--out", world / "test-only")
    assert "no training pair: a set to evaluate on (signgen evaluate-model), not to train on" in output
    pairs = PairSet.load(world / "test-only")
    assert (len(pairs.triples("train")), len(pairs.triples("val"))) == (0, 0)
    model = (world / "run" / "model", world / "test-only", "--protocol", "cfld", "--threads", 1)
    command.works("evaluate-model", *model, "--out", world / "r")
    assert json.loads((world / "r" / "metrics.json").read_text())["frames"] == len(pairs.triples("test"))
    refused = command.refuses("train", world / "test-only", "--out", world / "again", "--config", "nano-pictures")
    assert "build one from a copy of the data set with its train list" in refused


def evaluated_in_one_pass(world: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs' names lead from the kept pictures to the data set's images, by its own list; sources are in it.

    The list's poses lie in one file, which is read once to render and once for views and distances, however many
    sources there are.
    """
    read, poses = list[str](), PairSet.poses
    monkeypatch.setattr(PairSet, "poses", lambda pairs, clip: read.append(clip) or poses(pairs, clip))
    triples = PairSet.load(world / "pairs").triples("test")
    model = (world / "run" / "model", world / "pairs", "--split", "test", "--threads", 1)
    scoring = ("--protocol", "cfld")
    command.works("evaluate-model", *model, *scoring, "--keep", world / "kept", "--out", world / "r")
    assert len(np.unique(triples[["clip", "source"]])) == 2
    assert read.count(PairSet.load(world / "pairs").clips[triples["clip"][0]].name) == 2
    ours = json.loads((world / "r" / "metrics.json").read_text())
    folders = (world / "kept", world / "set" / "img", "--pair-list", world / "set" / "test_pairs.json")
    out = command.works(
        *("evaluate-images", *folders, *scoring, "--keypoints", world / "set" / "pose", "--out", world / "set-r")
    )
    theirs = json.loads((world / "set-r" / "metrics.json").read_text())
    assert ours["mean"] == theirs["mean"]
    assert ours["baselines"] == theirs["baselines"]
    assert list(ours["baselines"]) == ["copy-source"]
    # DeepFashion's own views, from the names; distances by the same keypoints
    views = {cell["cell"]: cell["mean"] for cell in ours["splits"]["view"]["cells"]}
    rows = {row["generated"]: row for row in ours["per_frame"]}
    assert list(views) == ["front to back", "side to front"]
    back = next(row for name, row in rows.items() if name.endswith("3back.png"))
    assert views["front to back"]["ssim_256"] == back["ssim_256"]
    assert "DeepFashion's own" in ours["splits"]["view"]["definition"]
    assert theirs["splits"]["view"]["cells"] == ours["splits"]["view"]["cells"]
    assert [cell["count"] for cell in theirs["splits"]["pose_distance"]["cells"]] == [1, 1]
    for one, other in zip(*(r["splits"]["pose_distance"]["cells"] for r in (ours, theirs)), strict=True):
        assert one["mean"] == other["mean"]
    assert "by view, 2 cells: ssim_uniform51" in out
    assert 'id="splits"' in (world / "set-r" / "report.html").read_text()
    refused = command.refuses(
        *("evaluate-images", *folders, *scoring, "--keypoints", world / "pairs", "--out", world / "x")
    )
    assert "of none of the images; expected their keypoints, 18 points each" in refused
    assert "no training clip of the person" in ours["not_computed"]["nearest-pose"]
    refused = command.refuses("evaluate-model", *model, "--estimator", "mediapipe", "--out", world / "r")
    assert "a list of pairs has single images: no clip whose shoulder width is the unit" in refused
    # by render-set, under another tool's names
    out = world / "fpdm"
    words = ("render-set", world / "pairs", "--model", world / "run" / "model", "--threads", 1, "--names", "fpdm")
    assert "set: 2 sources of test" in command.works(*words, "--out", out)
    command.works("evaluate-images", out, *folders[1:], *scoring, "--out", world / "fpdm-r")
    again = json.loads((world / "fpdm-r" / "metrics.json").read_text())
    assert again["mean"] == ours["mean"]
    assert "by the rule fpdm" in " ".join(again["notes"])


def test_a_list_of_images_is_not_cropped_to_a_signer(world: Path, command: Command, tmp_path: Path) -> None:
    line = command.refuses("build-pairs", world / "set", "--crop", "signer", "--out", tmp_path / "p")
    assert "--crop signer is for clips" in line


def test_what_only_clips_have_is_refused(world: Path, command: Command) -> None:
    """nano starts most triples from a clip's first frame, looks at neighbouring frames, and warps 133 points."""
    line = command.refuses(*train(world, "palette=fpdm-deepfashion", config="nano"))
    for words in ("first_source", "conditions.1.options.window", "part_warp", "--config nano-pictures"):
        assert words in line
    assert "part_warp" not in command.refuses(*train(world, "conditions.1.options.window=1"))


def test_a_palette_for_signers_is_refused(world: Path, command: Command) -> None:
    assert "openpose-18" in command.refuses(*train(world, "palette=dwpose"))


def test_options_that_fit_no_data_set(world: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    listed = write_csv(tmp_path / "pairs-train.csv", TRAIN)
    line = command.refuses("build-pairs", tmp_path / "videos", "--out", tmp_path / "p", "--pair-list", listed)
    assert "neither DeepFashion nor Market-1501" in line
