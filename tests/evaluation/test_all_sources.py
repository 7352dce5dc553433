"""`robustness --all-sources` and lists of pairs: who is rendered from what, and how the choice is summed up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.person.images import outfit_of
from signgen.errors import PairSetError
from signgen.evaluation.all_sources import all_sources_jobs, rows_of_targets, spread_over_sources
from signgen.evaluation.robustness_clips import listed_clips
from signgen.pairs.pairset import PairSet, frame_name
from tests.corpora.person_corpora import write_deepfashion
from tests.line import Command
from tests.tiny import set_options


def test_outfits_by_name() -> None:
    assert outfit_of("WOMENTeesTanksid00007334032side") == "WOMENTeesTanksid0000733403"
    assert outfit_of("MENDenimid00000080011front") == "MENDenimid0000008001"
    assert outfit_of("0002_c1s1_000451_03") == "0002"
    assert outfit_of("clip-000012") is None


def test_the_spread_is_that_of_each_target_over_its_sources() -> None:
    rows = [{"target": t, "ssim": s, "psnr": None} for t, s in ((1, 0.5), (1, 0.7), (2, 0.2), (2, 0.8), (3, 0.9))]
    found = spread_over_sources({"model": rows, "copy-source": rows[:2]}, ("ssim", "psnr"))
    assert (found["targets"], found["pairs"]) == (3, 5)
    ours = found["means"]["model"]["ssim"]
    assert ours["mean"] == pytest.approx((0.6 + 0.5) / 2)  # target 3 has one source and does not count
    assert ours["spread"] == pytest.approx((np.std([0.5, 0.7], ddof=1) + np.std([0.2, 0.8], ddof=1)) / 2)
    assert (ours["best"], ours["worst"]) == (pytest.approx(0.75), pytest.approx(0.35))
    assert found["means"]["model"].keys() == {"ssim"}
    assert found["means"]["copy-source"]["ssim"]["mean"] == pytest.approx(0.6)
    sharpness = [{"target": 1, "hand_sharpness": value} for value in (0.2, 0.9, 1.6)]
    nearest = spread_over_sources({"model": sharpness}, ("hand_sharpness",))["means"]["model"]["hand_sharpness"]
    assert (nearest["best"], nearest["worst"]) == (0.9, 0.2)  # by the distance from 1


def test_equal_numbers_of_two_persons_are_two_targets() -> None:
    """A list has a clip for each person, and numbers its images from 0."""
    rows: dict[str, list] = {"model": []}
    for person, scores in (("a", (0.1, 0.3)), ("b", (0.7, 0.9))):
        for score in scores:
            result = {"per_frame": [{"frame": 0, "ssim": score}], "per_frame_baselines": {}}
            rows["model"] += rows_of_targets(person, result)["model"]
    found = spread_over_sources(rows, ("ssim",))
    assert found["targets"] == 2
    assert found["means"]["model"]["ssim"]["spread"] == pytest.approx(np.std([0.1, 0.3], ddof=1))


@pytest.fixture
def world(tmp_path: Path, command: Command) -> Path:
    root = write_deepfashion(tmp_path / "set")
    command.works("build-pairs", root, "--out", tmp_path / "pairs")
    return tmp_path


def test_every_other_image_of_the_outfit_is_a_source(world: Path) -> None:
    pair_set = PairSet.load(world / "pairs")
    jobs = all_sources_jobs(pair_set, "test")
    listed = {(int(row["clip"]), int(row["target"])) for row in pair_set.triples("test")}
    assert {(job.clip_index, target) for job in jobs for target in job.targets} <= listed
    for job in jobs:
        record = pair_set.clips[job.clip_index]
        outfit = outfit_of(frame_name(record, job.source))
        for target in job.targets:
            assert target != job.source
            assert outfit_of(frame_name(record, target)) == outfit
    clip, target = jobs[0].clip_index, jobs[0].targets[0]
    record = pair_set.clips[clip]
    outfits = [outfit_of(frame_name(record, image)) for image in range(record.num_frames)]
    same = {image for image, outfit in enumerate(outfits) if outfit == outfits[target]}
    assert {job.source for job in jobs if target in job.targets} == same - {target}
    clips = [view.clip for view in listed_clips(pair_set, jobs)]
    assert clips == [pair_set.clips[job.clip_index].name for job in jobs]
    assert len(all_sources_jobs(pair_set, "test", 1)) < len(jobs) or len({t for j in jobs for t in j.targets}) == 1


def test_the_command_measures_lists_and_every_source(world: Path, command: Command) -> None:
    steps = set_options("training.fusion.steps=2", "training.diffusion.steps=3")
    train = ("train", world / "pairs", "--config", "nano-pictures", "--out", world / "run", "--device", "cpu", *steps)
    assert command(*train).code == 0
    study = ("robustness", world / "run" / "model", world / "pairs", "--split", "test", "--clips", 2, "--steps", 1)
    out = command.works(
        *study, "--noise", "4", "--studies", "noise,source-jpeg", "--levels", "source-jpeg=90", "--all-sources",
        "--out", world / "r",
    )  # fmt: skip
    result = json.loads((world / "r" / "robustness.json").read_text())
    assert result["studies"].keys() == {"noise", "source-jpeg"}
    assert result["unharmed"]["model"]["hand_ssim"] is None
    assert result["unharmed"]["model"]["ssim"] != result["studies"]["noise"]["means"]["model"][1]["ssim"]
    views = result["all_sources"]
    assert views["targets"] == 2
    for means in views["means"].values():
        assert means["ssim"]["worst"] < means["ssim"]["mean"] < means["ssim"]["best"]
        assert means["ssim"]["spread"] > 0
    assert "best" in out
    assert "Every other image as the source" in (world / "r" / "robustness.html").read_text()
    assert "single images" in command.refuses(*study, "--studies", "held", "--out", world / "x")


@pytest.mark.slow
def test_every_source_in_two_processes(world: Path, command: Command) -> None:
    steps = set_options("training.fusion.steps=2", "training.diffusion.steps=3")
    train = ("train", world / "pairs", "--config", "nano-pictures", "--out", world / "run", "--device", "cpu", *steps)
    assert command(*train).code == 0
    study = ("robustness", world / "run" / "model", world / "pairs", "--split", "test", "--clips", 2, "--steps", 1)
    means = []
    for processes in (1, 2):
        out = world / f"r{processes}"
        command.works(*study, "--noise", "4", "--all-sources", "--processes", processes, "--out", out)
        means.append(json.loads((out / "robustness.json").read_text())["all_sources"]["means"])
    for who, found in means[0].items():
        assert means[1][who]["ssim"] == pytest.approx(found["ssim"], abs=1e-6)


def test_clips_have_no_outfits(tmp_path: Path) -> None:
    pair_set = PairSet(tmp_path, [], {"root": "", "fingerprint": "", "rule": {}}, {})
    with pytest.raises(PairSetError, match="--all-sources of clips"):
        all_sources_jobs(pair_set, "test")
