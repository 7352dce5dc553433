"""Nearest pose: which frames it may choose from, which it chooses, and that it reads them only when asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PairSetError
from signgen.evaluation.baselines import NearestPose, nearest_pose, training_frames
from signgen.pairs.pairset import ClipRecord, PairSet
from signgen.pairs.triples import TRIPLE
from signgen.pairs.writer import PairSetWriter
from signgen.poses import PoseSequence
from signgen.video.reader import FrameSource, open_frames, write_png

SIZE = (48, 40)


def posed(xs: list[float]) -> np.ndarray:
    """(T, 133, 3): a body whose wrists lie at x, everything else fixed."""
    points = np.full((len(xs), 133, 3), np.nan, np.float32)
    points[..., 2] = 0
    points[:, 5:11] = (10, 10, 1)
    points[:, 6] = (30, 10, 1)
    for frame, x in enumerate(xs):
        points[frame, 9:11, 0] = x
    return points


def clip_on_disk(root: Path, name: str, frames: int, signer: str, split: str = "train", size=SIZE) -> ClipRecord:
    """A folder of frames whose grey value is 10 x the frame number."""
    for index in range(frames):
        write_png(root / name / f"{index:03}.png", np.full((size[1], size[0], 3), 10 * index, np.uint8))
    width, height = size
    return ClipRecord(name, split, signer, root / name, frames, width, height, 25.0, frames, f"{name}.json")


@pytest.fixture
def pairs(tmp_path: Path) -> PairSet:
    """Clip a (signer 1, 6 frames, the last two in no training triple), b (signer 2), c (signer 1, test), d (wide)."""
    clips = [
        clip_on_disk(tmp_path, "a", 6, "1"),
        clip_on_disk(tmp_path, "b", 3, "2"),
        clip_on_disk(tmp_path, "c", 2, "1", "test"),
        clip_on_disk(tmp_path, "d", 2, "1", size=(64, 40)),
    ]
    poses = {clip.name: PoseSequence(posed([5.0 * i for i in range(clip.num_frames)]), *SIZE) for clip in clips}
    poses["d"] = PoseSequence(posed([0, 5]), 64, 40)
    train = np.array([(0, 0, 1), (0, 3, 1), (0, 2, 0), (1, 0, 2), (3, 0, 1)], TRIPLE)
    empty = np.empty(0, TRIPLE)
    triples = {"train": train, "val": empty, "test": np.array([(2, 0, 1), (0, 4, 5)], TRIPLE)}
    with PairSetWriter(tmp_path / "pairs") as writer:
        for clip in clips:
            writer.add(clip.name, poses[clip.name], [(clip.path / "000.png").read_bytes()])
        writer.finish(clips, triples, {"seed": 0, "rule": {}, "root": str(tmp_path), "fingerprint": "0" * 16})
    return PairSet.load(tmp_path / "pairs")


def test_training_frames_are_those_of_training_triples(pairs: PairSet) -> None:
    found = {name: numbers.tolist() for name, numbers in training_frames(pairs).items()}
    assert found == {"a": [0, 1, 2, 3], "b": [0, 2], "d": [0, 1]}


@pytest.mark.parametrize(("clip", "by_path"), [("c", False), ("unknown name", True)])
def test_only_the_signers_own_training_frames_of_this_size(pairs: PairSet, clip: str, by_path: bool) -> None:
    path = pairs.clip("c").path if by_path else None
    baseline = nearest_pose(pairs, clip, SIZE, path)
    assert baseline.summary == "4 training frames of signer 1 in 1 clip"
    for x, expected in ((-3.0, 0), (4.0, 10), (11.0, 20), (99.0, 30)):  # never 40 or 50: not trained on
        frame = baseline(0, posed([x])[0])
        assert frame is not None
        assert frame.shape == (SIZE[1], SIZE[0], 3)
        assert (frame == expected).all()


def test_an_unknown_clip_gets_everybodys_frames_and_says_so(pairs: PairSet) -> None:
    baseline = nearest_pose(pairs, "unknown", SIZE)
    assert baseline.summary == "6 training frames of all signers (the clip is not in the pair set) in 2 clips"


def test_a_signer_who_was_not_trained_on_gets_everybodys_frames(pairs: PairSet, tmp_path: Path) -> None:
    pairs.clips[2] = replace(pairs.clip("c"), signer="3")
    baseline = nearest_pose(pairs, "c", SIZE)
    assert baseline.summary == "6 training frames of all signers (there are none of signer 3) in 2 clips"


def test_without_a_training_frame_of_this_size_there_is_no_answer(pairs: PairSet) -> None:
    baseline = nearest_pose(pairs, "a", (20, 20))
    assert baseline.summary == "0 training frames of signer 1 at 20x20"
    assert baseline(0, posed([1])[0]) is None


def test_no_pose_no_frame(pairs: PairSet) -> None:
    baseline = nearest_pose(pairs, "a", SIZE)
    assert baseline(0, None) is None
    assert baseline(0, np.full((133, 3), np.nan, np.float32)) is None


def test_clips_are_opened_when_needed_and_frames_read_once(pairs: PairSet) -> None:
    opened: list[str] = []

    def open_clip(name: str) -> FrameSource:
        opened.append(name)
        return open_frames(pairs.clip(name).path)

    baseline = NearestPose(posed([0, 20, 40]), [("a", 0), ("a", 1), ("b", 2)], open_clip)
    assert opened == []
    first = baseline(0, posed([19])[0])
    assert baseline(1, posed([21])[0]) is first
    assert opened == ["a"]
    np.testing.assert_array_equal(baseline(2, posed([50])[0]), 20)
    assert opened == ["a", "b"]


def test_many_poses_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signgen.evaluation.baselines._AT_ONCE", 3)
    xs = list(np.random.default_rng(0).permutation(20) * 2.0)
    baseline = NearestPose(posed(xs), [("a", i) for i in range(20)], never_opened)
    assert [baseline.nearest(posed([x])[0]) for x in xs] == list(range(20))


def never_opened(clip: str) -> FrameSource:
    raise AssertionError(f"{clip} was opened")


def test_poses_without_places_are_refused() -> None:
    with pytest.raises(PairSetError, match="2 poses for 1 frames"):
        NearestPose(posed([1, 2]), [("a", 0)], never_opened)
