"""Synthetic clips on disk: the readers of the real corpus and of videos take them as they are."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PairSetError
from signgen.pairs.pairset import PairSet
from signgen.poses import identify, read_poses
from signgen.synthetic import (
    Observation,
    SyntheticClip,
    frame_folders,
    plan_cross,
    plan_takes,
    render_takes,
    signer_of,
    write_phoenix,
    write_videos,
)
from signgen.video.reader import open_frames
from tests.conftest import ROOT
from tests.line import Command, finish, interrupt, start, wait_for

FRAMES = 10


@pytest.fixture(scope="module")
def clips() -> dict[str, list[SyntheticClip]]:
    """Two signers with one training clip each, dev and test, and a third signer in test."""
    plan = plan_takes(3, signers=2, clips=1, frames=FRAMES, observation=Observation(gaps=2))
    return {split: list(render_takes(takes)) for split, takes in plan.items()}


@pytest.fixture(scope="module")
def corpus(clips: dict[str, list[SyntheticClip]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    write_phoenix(root, clips)
    return root


def test_build_pairs_reads_the_corpus_as_phoenix(
    corpus: Path, clips: dict[str, list[SyntheticClip]], command: Command, tmp_path: Path
) -> None:
    out = command.works("build-pairs", corpus, "--keypoints", corpus / "keypoints", "--out", tmp_path / "pairs")
    assert "7 clips" in out
    pairs = PairSet.load(tmp_path / "pairs")
    assert pairs.meta["kind"] == "phoenix"
    assert pairs.meta["left_out"] == []
    assert pairs.meta["triples"] == {"train": 2 * FRAMES * (FRAMES - 1), "val": 2 * FRAMES, "test": 3 * FRAMES}
    made = {clip.name: clip for members in clips.values() for clip in members}
    for record in pairs.clips:
        clip = made[record.name]
        assert (record.signer, record.num_frames, record.fps) == (clip.signer, FRAMES, 25)
        assert np.array_equal(pairs.frames(record.name).read(0, FRAMES), clip.frames)
        poses = pairs.poses(record.name)
        assert np.array_equal(poses.keypoints, clip.observed.keypoints, equal_nan=True)


def test_the_exact_keypoints_are_beside_the_observed_ones(corpus: Path, clips: dict[str, list[SyntheticClip]]) -> None:
    for clip in clips["train"]:
        path = corpus / "keypoints_exact" / "Phoenix-2014T.train"
        poses = read_poses(path, clip=clip.name, size=(210, 260), fps=25)
        assert np.array_equal(poses.keypoints, clip.poses.keypoints)
    observed = identify(corpus / "keypoints" / "Phoenix-2014T.train")
    assert observed is not None
    assert (observed.format, observed.points) == ("mska", 133)
    missing = [~clip.observed.present.all() for members in clips.values() for clip in members]
    assert any(missing)


def test_signers_and_splits(clips: dict[str, list[SyntheticClip]]) -> None:
    signers = {split: {clip.signer for clip in members} for split, members in clips.items()}
    assert signers["train"] == signers["dev"] == {"Signer01", "Signer02"}
    assert signers["test"] == {"Signer01", "Signer02", "Signer03"}
    names = [clip.name for members in clips.values() for clip in members]
    assert len(set(names)) == len(names) == 7
    first = [clip.poses.keypoints.tobytes() for members in clips.values() for clip in members]
    assert len(set(first)) == 7


def test_a_corpus_is_never_written_over_another(corpus: Path, clips: dict[str, list[SyntheticClip]]) -> None:
    with pytest.raises(PairSetError, match="a corpus is there"):
        write_phoenix(corpus, clips)
    with pytest.raises(PairSetError, match="split training"):
        write_phoenix(corpus / "new", {"training": []})


def test_videos_with_mmpose_json_are_paired(
    clips: dict[str, list[SyntheticClip]], command: Command, tmp_path: Path
) -> None:
    videos = write_videos(tmp_path / "videos", clips["train"])
    assert "2 clips" in command.works("build-pairs", tmp_path / "videos", "--out", tmp_path / "pairs")
    for video, clip in zip(videos, clips["train"], strict=True):
        decoded = open_frames(video).read()
        assert decoded.shape == clip.frames.shape
        assert np.abs(decoded.astype(int) - clip.frames).mean() < 3
        poses = read_poses(video.with_suffix(".mmpose.json"), size=(210, 260), fps=25)
        assert np.abs(poses.keypoints - clip.poses.keypoints).max() < 1e-3


def test_observed_keypoints_in_videos_keep_their_gaps(clips: dict[str, list[SyntheticClip]], tmp_path: Path) -> None:
    members = [clip for clip in clips["train"] + clips["test"] if not clip.observed.present.all()]
    write_videos(tmp_path, members, exact=False)
    for clip in members:
        poses = read_poses(tmp_path / f"{clip.name}.mmpose.json", size=(210, 260), fps=25)
        assert np.array_equal(poses.present, clip.observed.present)


SMALL = ("--signers", "1", "--clips", "1", "--frames", "2", "--width", "64", "--height", "80", "--processes", "1")


def test_the_command_writes_videos(command: Command, tmp_path: Path) -> None:
    result = command("synthesize", tmp_path / "out", *SMALL, "--layout", "videos")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "out" / "test").glob("*.mp4"))) == 2
    record = json.loads(next((tmp_path / "out" / "train").glob("*.mmpose.json")).read_text())
    assert len(record["instance_info"]) == 2


def test_the_script_is_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["synthetic_corpus.py", str(tmp_path / "out"), *SMALL])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "data_tools" / "synthetic_corpus.py"), run_name="__main__")
    assert ended.value.code == 0
    assert [path.name for path in frame_folders(tmp_path / "out", "train")] == ["synthetic_0_Signer01-0000"]
    assert len(list(frame_folders(tmp_path / "out", "train")[0].glob("images000[12].png"))) == 2


def test_a_corpus_is_not_written_over(command: Command, tmp_path: Path) -> None:
    assert command("synthesize", tmp_path / "out", *SMALL).code == 0
    result = command("synthesize", tmp_path / "out", *SMALL)
    assert result.code == 2
    assert "a corpus is there" in result.err


def test_crossed_takes_are_the_next_signers_with_the_same_motion() -> None:
    takes = plan_takes(3, signers=2, clips=1, frames=FRAMES)["test"]
    crossed = plan_cross(takes)
    assert [take.motion for take in crossed] == [take.motion for take in takes]
    assert [take.identity.name for take in takes] == ["Signer01", "Signer02", "Signer03"]
    assert [take.identity.name for take in crossed] == ["Signer02", "Signer03", "Signer01"]
    assert crossed[0].name == f"{takes[0].name}_by_Signer02"


def test_ctrl_c_ends_in_one_line(tmp_path: Path) -> None:
    """A terminal sends it to the command and to every process that it has begun."""
    process = start("synthesize", tmp_path / "out", "--frames", "200", "--processes", "2")
    wait_for(lambda: any((tmp_path / "out").rglob("*.png")), process)
    interrupt(process)
    called = finish(process)
    assert called.code == 130
    assert called.err.count("\n") == 1
    assert called.err.startswith("signgen: interrupted:")


def test_the_signer_of_a_clip_is_its_performer():
    takes = plan_takes(0, signers=2, clips=1, frames=4)["test"]
    assert [signer_of(take.name) for take in takes] == [take.identity.name for take in takes]
    crossed = plan_cross(takes)
    assert [signer_of(take.name) for take in crossed] == [take.identity.name for take in crossed]
    assert signer_of(crossed[0].name) != signer_of(takes[0].name)
