"""Part warps from references in training: which frames they may come from, how often, and that they help."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from signgen.config import Augmentation
from signgen.errors import RecipeError
from signgen.models.canvas import Canvas
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.palettes import SIGNGEN_133
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset
from signgen.training.data.frames import CanvasFrames
from signgen.training.data.part_warps import APART, REFERENCES, PartWarps
from tests.tiny import tiny_recipe
from tests.worlds import write_world

CANVAS = Canvas(64, 64)
CLIP = "clip0"


@pytest.fixture
def pairs(tmp_path) -> PairSet:
    """Clips of 16 frames, of which 12 are trained."""
    build_pairs(BuildPairsRequest(write_world(tmp_path / "videos"), tmp_path / "pairs", holdout_tail=0.25))
    return PairSet.load(tmp_path / "pairs")


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Numbers of the frames whose banks are asked for."""
    numbers: list[int] = []
    bank = PartWarps._bank

    def note(self, clip, number):
        numbers.append(number)
        return bank(self, clip, number)

    monkeypatch.setattr(PartWarps, "_bank", note)
    return numbers


@pytest.mark.parametrize("target", [0, 3, 5, 11, 14])
def test_references_are_training_frames_apart_from_the_target(pairs, asked, target):
    warps = PartWarps(CanvasFrames(pairs, CANVAS))
    warps(CLIP, 0, target, referenced=True)
    assert len(asked) == 3  # body and two hands
    assert all(number < 12 and abs(number - target) >= APART for number in asked)


def test_of_a_long_clip_references_are_spread(pairs):
    warps = PartWarps(CanvasFrames(pairs, CANVAS))
    assert warps.reference_frames(CLIP).tolist() == list(range(12))
    record = pairs.clip(CLIP)
    object.__setattr__(record, "holdout_start", 1000)
    numbers = warps.reference_frames(CLIP)
    assert (len(numbers), numbers[0], numbers[-1]) == (REFERENCES, 0, 999)
    assert np.ptp(np.diff(numbers)) <= 1


def test_a_clip_too_short_for_references_is_warped_from_its_source(pairs, asked):
    record = pairs.clip(CLIP)
    object.__setattr__(record, "holdout_start", 3)
    warps = PartWarps(CanvasFrames(pairs, CANVAS))
    assert np.array_equal(warps(CLIP, 0, 2, referenced=True), warps(CLIP, 0, 2))
    assert set(asked) == {0}


def test_the_nearest_references_are_nearer_to_the_target_than_the_source(pairs):
    frames = CanvasFrames(pairs, CANVAS)
    warps = PartWarps(frames)

    def error(referenced: bool) -> float:
        made = [warps(CLIP, 0, target, referenced)[..., :3].astype(int) for target in range(6, 16)]
        return float(np.mean([np.abs(w - frames(CLIP, t)).mean() for w, t in zip(made, range(6, 16), strict=True)]))

    assert error(referenced=True) < error(referenced=False)


def test_warps_that_were_used_can_be_given_to_loader_processes(pairs):
    warps = PartWarps(CanvasFrames(pairs, CANVAS))
    before = warps(CLIP, 0, 9, referenced=True)
    assert np.array_equal(pickle.loads(pickle.dumps(warps))(CLIP, 0, 9, referenced=True), before)


def test_what_is_prepared_is_what_is_built_when_needed(pairs):
    one, other = PartWarps(CanvasFrames(pairs, CANVAS)), PartWarps(CanvasFrames(pairs, CANVAS))
    other.stored.writable = False
    assert list(one.prepare([CLIP, "clip1"])) == [CLIP, "clip1"]
    for target in (2, 13):
        assert np.array_equal(one(CLIP, 0, target, True), other(CLIP, 0, target, True))
    few = PartWarps(CanvasFrames(pairs, CANVAS))
    few._banks.limit = 12
    assert list(few.prepare([CLIP, "clip1"])) == [CLIP]  # the second would push out the first


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_triples_have_references_as_often_as_asked(pairs, share):
    def warped(references: float) -> list[np.ndarray]:
        augmentation = Augmentation(references=references, first_source=1)
        dataset = TripleDataset(pairs, "train", CANVAS, SIGNGEN_133, augmentation, seed=0, part_warp=True)
        row = int(np.flatnonzero(dataset.triples["target"] == 11)[0])
        return [np.asarray(dataset[Sample(epoch, row)]["part_warp"]) for epoch in range(100)]

    plain, all_of_them, some = warped(0.0), warped(1.0), warped(share)
    assert not any(np.array_equal(a, b) for a, b in zip(plain, all_of_them, strict=True))
    with_them = [np.array_equal(a, b) for a, b in zip(some, all_of_them, strict=True)]
    without = [np.array_equal(a, b) for a, b in zip(some, plain, strict=True)]
    assert all(a != b for a, b in zip(with_them, without, strict=True))
    assert abs(np.mean(with_them) - share) < 0.15


def test_references_need_the_part_warp():
    with pytest.raises(RecipeError, match="needs the condition part_warp"):
        tiny_recipe('conditions=[{"kind": "source_latent"}]', "diffusion.copies.warp=false")
    with pytest.raises(RecipeError, match="stage 1 sees no part warp"):
        tiny_recipe("training.fusion.augmentation.references=0.5")
