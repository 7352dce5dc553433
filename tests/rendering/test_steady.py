"""Cures of flicker against closed forms: noise on a still picture, a changed exposure, a background that is known."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.config import CURES, SamplingSettings
from signgen.errors import PoseError
from signgen.poses.sequence import PoseSequence
from signgen.poses.silhouette import delicate_mask, person_mask
from signgen.rendering.source import Source
from signgen.rendering.steady import REACH, Steady
from tests.rendering.test_renderer import renderer
from tests.worlds import figure_poses

COUNT, SIDE = 9, 64


@pytest.fixture
def still() -> PoseSequence:
    """One pose, nine times."""
    return figure_poses(1).with_points(np.repeat(figure_poses(1).keypoints, COUNT, 0))


@pytest.fixture
def source(still) -> Source:
    rng = np.random.default_rng(0)
    return Source(rng.integers(60, 190, (SIDE, SIDE, 3), dtype=np.uint8), still[0:1], "me")


def cured(source, poses, frames, part=None, **cures) -> np.ndarray:
    steady = Steady(source, poses, SamplingSettings(**cures))
    part = range(len(poses)) if part is None else part
    needed = steady.needed(part, len(poses))
    return np.stack([*steady.frames(iter(frames[list(needed)]), needed, part)])


def noisy(source: Source, spread: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, spread, (COUNT, SIDE, SIDE, 3))
    return np.clip(np.rint(source.frame + noise), 0, 255).astype(np.uint8)


def test_shimmer_on_a_still_picture_falls_as_the_mean_of_five_and_hands_are_left_alone(still, source):
    frames = noisy(source, 2.0)
    found = cured(source, still, frames, steady=("shimmer",))
    delicate = delicate_mask(still.keypoints[0], SIDE, SIDE)
    loose, hands = delicate == 0, delicate == 1
    assert loose.sum() > 300
    middle = slice(REACH, COUNT - REACH)
    left = (found[middle].astype(float) - source.frame)[:, loose].std() / 2.0
    assert left == pytest.approx(1 / 5**0.5, abs=0.06)  # weights are a little below 1, and rounding adds its share
    assert np.array_equal(found[:, hands], frames[:, hands])


def test_what_moves_is_not_smeared(still, source):
    frames = np.repeat(source.frame[None], COUNT, 0).copy()
    for number in range(COUNT):  # a bright block that moves on by its own width
        frames[number, 2:10, 6 * number : 6 * number + 6] = 255
    found = cured(source, still, frames, steady=("shimmer",))
    assert np.abs(found[4].astype(int) - frames[4])[3:9, 25:29].max() <= 1


def test_colour_of_a_changed_exposure_is_brought_back(still, source):
    frames = np.repeat(source.frame[None], COUNT, 0)
    changed = np.clip(np.rint(frames * 1.06 - 5.0), 0, 255).astype(np.uint8)
    found = cured(source, still, changed, steady=("colour",))
    assert np.abs(found.astype(int) - frames).mean() < 0.6
    assert np.abs(changed.astype(int) - frames).mean() > 2.5


def test_the_background_is_the_sources_own_to_the_byte(still, source):
    frames = noisy(source, 20.0)
    found = cured(source, still, frames, steady=("background",))
    mask = person_mask(still.keypoints[0], SIDE, SIDE)
    outside, inside = mask == 0, mask == 1
    assert outside.sum() > 200
    assert inside.sum() > 200
    assert (found[:, outside] == source.frame[outside]).all()
    assert (found[:, inside] == frames[:, inside]).all()


def test_a_person_who_is_not_known_is_not_taken_for_background(still, source):
    unknown = Source(source.frame, None, "me")
    with pytest.raises(PoseError, match="--source-poses"):
        Steady(unknown, still, SamplingSettings(steady=("background",)))
    assert Steady(unknown, still, SamplingSettings(steady=("shimmer",))).active


def test_a_part_is_cured_as_within_the_whole():
    """Through the renderer, whose neighbouring frames are then rendered as well."""
    poses = figure_poses(8)
    person = Source(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8), poses[0:1], "me")
    ours = renderer(window=0)
    plain = np.stack([*ours.frames(person, poses)])
    ours.sampling = ours.sampling.model_copy(update={"steady": CURES})
    whole = np.stack([*ours.frames(person, poses)])
    assert not np.array_equal(plain, whole)
    for part in (range(3), range(3, 8), [0, 4, 5], [5, 1, 1]):
        assert np.array_equal(np.stack([*ours.frames(person, poses, part)]), whole[list(part)])
