"""Which frame body and hands are taken from: against every possible choice, and on drawn signers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from signgen.metrics.clip.frame_metrics import score_frame
from signgen.metrics.image.pixels import box_mask
from signgen.poses.parts import part_boxes
from signgen.warp.bank import source_bank
from signgen.warp.compose import part_warp
from signgen.warp.references import References, cheapest_path
from tests.warp.signers import clip


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("change", [0.0, 0.3, 10.0])
def test_the_cheapest_path_of_all(seed, change):
    costs = np.random.default_rng(seed).random((5, 3))

    def total(path):
        return costs[np.arange(5), path].sum() + change * np.count_nonzero(np.diff(path))

    found = cheapest_path(costs, change)
    assert total(found) == pytest.approx(min(total(np.array(path)) for path in product(range(3), repeat=5)))


def test_a_pose_that_is_there_is_chosen_and_its_frame_comes_back():
    _, frames, points = clip(0)
    references = References(list(points[::10]), lambda number: source_bank(frames[10 * number], points[10 * number]))
    choices = references.choose(np.repeat(points[::10], 6, 0))  # long enough to be worth a change
    assert [choice.body for choice in choices[2::6]] == [0, 1, 2, 3]
    assert [choice.left for choice in choices[2::6]] == [0, 1, 2, 3]
    ours = references.warp(points[30], choices[20]).image.astype(int)
    alone = part_warp(source_bank(frames[0], points[0]), points[30]).image.astype(int)
    assert np.abs(ours - frames[30]).mean() < np.abs(alone - frames[30]).mean()


def test_a_hand_that_the_first_frame_lacks_is_found_elsewhere():
    _, frames, points = clip(1)
    hidden = points[0].copy()
    hidden[91:, 2] = 0
    known = [hidden, points[4], points[8]]
    references = References(known, lambda number: source_bank(frames[4 * number], known[number]))
    choices = references.choose(points[12:])
    assert {choice.left for choice in choices} <= {1, 2}
    scores = {"alone": [], "with": []}
    bank = source_bank(frames[0], hidden)
    for number, choice in zip(range(12, len(frames), 6), choices[::6], strict=True):
        boxes = part_boxes(points[number], 128, 128)
        hands = box_mask([boxes["left_hand"], boxes["right_hand"]], 128, 128)
        for name, image in (
            ("alone", part_warp(bank, points[number]).image),
            ("with", references.warp(points[number], choice).image),
        ):
            scores[name].append(score_frame(image, frames[number], hands, None)["hand_ssim"])
    assert np.mean(scores["with"]) > np.mean(scores["alone"]) + 0.1


def test_frames_without_shoulders_are_never_chosen_and_one_with_them_is_needed():
    _, frames, points = clip(0)
    nobody = points[0].copy()
    nobody[6] = np.nan
    references = References([nobody, points[5]], lambda number: source_bank(frames[5 * number], points[5 * number]))
    choices = references.choose(np.stack([points[0], nobody]))
    assert {number for choice in choices for number in (choice.body, choice.left, choice.right)} == {1}
    with pytest.raises(ValueError, match="both shoulders"):
        References([nobody], lambda number: source_bank(frames[number], nobody))
