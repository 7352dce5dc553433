"""Bank and warp on drawn signers, whose masks, keypoints and other poses are known exactly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from signgen.metrics.clip.frame_metrics import score_frame
from signgen.metrics.image.pixels import psnr
from signgen.models.canvas import Canvas
from signgen.warp.anatomy import SIDES, anatomy
from signgen.warp.bank import person_mask, source_bank
from signgen.warp.compose import part_warp, unmoved
from tests.warp.signers import SIGNERS, clip, true_mask


@pytest.mark.parametrize("signer", range(SIGNERS))
class TestBank:
    def test_the_person_is_found(self, signer):
        _, frames, points = clip(signer)
        found, true = source_bank(frames[0], points[0]).person > 127, true_mask(signer)
        assert (found & true).sum() / (found | true).sum() > 0.88

    def test_the_background_has_no_person_left(self, signer):
        _, frames, points = clip(signer)
        bank, true = source_bank(frames[0], points[0]), true_mask(signer)
        assert np.abs(bank.background[true].astype(int) - frames[0][true]).mean() > 20
        outside = ~true & (bank.person == 0)
        assert np.abs(bank.background[outside].astype(int) - frames[0][outside]).mean() < 2

    def test_in_its_own_pose_the_person_looks_as_before(self, signer):
        _, frames, points = clip(signer)
        warped = part_warp(source_bank(frames[0], points[0]), points[0])
        assert psnr(warped.image, frames[0]) > 30

    def test_another_pose_is_nearer_to_its_truth_than_the_source_is(self, signer):
        _, frames, points = clip(signer)
        bank = source_bank(frames[0], points[0])
        ours, copied = [], []
        for frame in range(8, len(frames), 8):
            ours.append(score_frame(part_warp(bank, points[frame]).image, frames[frame], None, None))
            copied.append(score_frame(frames[0], frames[frame], None, None))
        for name in ("ssim", "psnr"):
            assert np.mean([row[name] for row in ours]) > np.mean([row[name] for row in copied])


def test_a_shifted_pose_shifts_the_person():
    _, frames, points = clip(1)
    shifted = points[0] + np.float32([6, 0, 0])
    warped = part_warp(source_bank(frames[0], points[0]), shifted)
    inside = np.roll(true_mask(1), 6, 1)
    inside[:, :8] = False
    gap = np.abs(warped.image.astype(int) - np.roll(frames[0], 6, 1)).mean(-1)
    assert gap[inside].mean() < 6


def test_a_pose_turned_and_scaled_turns_and_scales_the_person():
    """Torso, head, arms and hands then all move alike: the whole picture is what OpenCV makes of the unmoved one."""
    _, frames, points = clip(1)
    bank = source_bank(frames[0], points[0])
    matrix = cv2.getRotationMatrix2D((64, 70), 12, 0.85)
    turned = points[0].copy()
    turned[:, :2] = turned[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    still, warped = part_warp(bank, points[0]), part_warp(bank, turned.astype(np.float32))
    inside = cv2.warpAffine(still.masks[0], matrix, (128, 128)) == 255
    gap = np.abs(warped.image.astype(int) - cv2.warpAffine(still.image, matrix, (128, 128)))
    assert inside.mean() > 0.15
    assert gap[inside].mean() < 0.4


def test_masks_say_what_moved_what_is_a_hand_and_what_was_painted():
    _, frames, points = clip(0)
    moved, hands, painted = part_warp(source_bank(frames[0], points[0]), points[0]).masks
    true = true_mask(0)
    assert (moved[true] > 127).mean() > 0.9
    assert (moved[~true] > 127).mean() < 0.05
    x = np.nonzero(hands > 127)[1]
    seen = points[0][91:133]
    assert x.min() >= seen[:, 0].min() - 6
    assert x.max() <= seen[:, 0].max() + 6
    assert (painted > 127).mean() < 0.1
    away = part_warp(source_bank(frames[0], points[0]), points[0] + np.float32([25, 0, 0])).masks[2]
    assert (away > 127).mean() > 0.1  # the place where the signer stood


def test_a_hand_that_either_frame_lacks_is_left_out():
    _, frames, points = clip(0)
    without = points[0].copy()
    without[91:112, 2] = 0
    bank = source_bank(frames[0], points[0])
    full = part_warp(bank, points[0]).masks[1] > 127
    assert 0 < (part_warp(bank, without).masks[1] > 127).sum() < full.sum()
    less = source_bank(frames[0], without)
    assert less.hands["left"] is None
    assert less.hands["right"] is not None
    assert 0 < (part_warp(less, points[0]).masks[1] > 127).sum() < full.sum()


def test_without_shoulders_there_is_no_person():
    _, frames, points = clip(0)
    nobody = points[0].copy()
    nobody[5] = np.nan
    assert source_bank(frames[0], nobody) is None
    bank = source_bank(frames[0], points[0])
    warped = part_warp(bank, nobody)
    assert np.array_equal(warped.image, bank.background)
    assert not warped.masks[:2].any()
    still = unmoved(frames[0])
    assert np.array_equal(still[..., :3], frames[0])
    assert not still[..., 3:].any()


def test_the_same_input_gives_the_same_bytes():
    _, frames, points = clip(2)
    first, second = (part_warp(source_bank(frames[0], points[0]), points[9]) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)


@pytest.mark.parametrize("seed", range(8))
def test_any_points_give_a_picture(seed):
    """Points anywhere, some missing: never an error, never NaN in the picture."""
    _, frames, points = clip(0)
    rng = np.random.default_rng(seed)
    wild = points[0].copy()
    wild[:, :2] += rng.normal(0, 40, wild[:, :2].shape)
    wild[rng.random(133) < 0.3] = np.nan
    wild[[5, 6]] = points[0][[5, 6]]
    bank = source_bank(frames[0], points[0] if seed % 2 else wild)
    warped = part_warp(bank, wild)
    assert warped.channels().shape == (128, 128, 6)
    assert warped.image.dtype == np.uint8


def test_anatomy_leaves_out_what_is_not_seen():
    _, _, points = clip(0)
    full = anatomy(points[0])
    assert all(full.arms[side] is not None and full.hands[side] is not None for side in SIDES)
    some = points[0].copy()
    some[9, 2], some[112, :2] = 0.1, np.nan  # the left wrist, the right hand's root
    found = anatomy(some)
    assert found.arms["left"] is None
    assert found.arms["right"] is not None
    assert found.hands["right"] is None
    with pytest.raises(KeyError):
        found.palm_size("right")


def test_a_large_frame_is_cut_like_a_small_one():
    """GrabCut sees a fraction of it; the outline is that of the person all the same."""
    made, _, _ = clip(1)
    large = Canvas(420, 520)
    frame = large.fit_frame(made.frames[0])
    points = large.fit_keypoints(made.poses.keypoints, made.poses.width, made.poses.height)
    true = true_mask(1, large)
    found = person_mask(frame, points[0])
    assert found.shape == (520, 420)
    assert (found & true).sum() / (found | true).sum() > 0.88
