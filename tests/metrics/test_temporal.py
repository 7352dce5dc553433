"""Metrics of time on clips whose answer is known: frozen, shifted by known pixels, flickering, occluded, identical."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from signgen.metrics.clip.flicker import Flicker, SuccessiveSsim, WarpingError
from signgen.metrics.clip.frame_pair import FramePair, TruthFrame
from signgen.metrics.clip.optical_flow import motion_between
from tests.metrics.test_scoring import FRAMES, around, keypoints, scored, still_clip

SHIFT = 3


def texture(height: int = 120, width: int = 140, seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3), smooth enough for optical flow."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(120 + 300 * smooth, 0, 255).astype(np.uint8)


def panned() -> tuple[np.ndarray, np.ndarray]:
    """Two views of one texture: the second one has everything SHIFT pixels further right."""
    wide = texture(120, 160)
    return wide[:, 10:150], wide[:, 10 - SHIFT : 150 - SHIFT]


def pair(frame: np.ndarray, before: np.ndarray, truth: np.ndarray, truth_before: np.ndarray) -> FramePair:
    return FramePair(TruthFrame(1, truth, truth_before), frame, before)


def test_flow_finds_a_known_shift() -> None:
    motion = motion_between(*panned())
    assert motion is not None
    inner = (slice(15, -15), slice(15, -15))
    grid_x = np.arange(140)[None, :]
    assert np.median((motion.places[..., 0] - grid_x)[inner]) == pytest.approx(-SHIFT, abs=0.1)
    assert motion.visible[inner].mean() > 0.95
    assert not motion.visible[:, 0].any()  # came in over the edge


def test_a_clip_that_moves_as_the_truth_has_no_warping_error_whatever_its_colours() -> None:
    before, after = panned()
    found = WarpingError()(pair(255 - after, 255 - before, after, before))
    assert found["warping_error"] == pytest.approx(found["warping_error_truth"], abs=0.1)
    assert found["warping_error_truth"] < 1
    frozen = WarpingError()(pair(before, before, after, before))
    assert frozen["warping_error"] > 8 * found["warping_error"]  # the truth moves, it does not


def test_a_flickering_clip_has_the_error_it_flickers_by() -> None:
    still = np.full((60, 60, 3), 100, np.uint8)
    bright = pair(still + np.uint8(7), still, still, still)
    assert WarpingError()(bright) == {"warping_error": 7, "warping_error_truth": 0}
    assert Flicker()(bright) == {"flicker": 7, "flicker_truth": 0, "flicker_excess": 7}


def test_what_is_uncovered_does_not_count() -> None:
    """A patch that jumps out of the frame: the background it leaves behind was not seen before."""
    background = texture(100, 120, 1)
    before = background.copy()
    before[30:70, 40:80] = texture(40, 40, 2)
    motion = motion_between(before, background)
    assert motion is not None
    assert motion.visible[35:65, 45:75].mean() < 0.5
    assert motion.visible[:20].mean() > 0.9


def test_successive_ssim_is_scikit_images() -> None:
    first, second, third = (texture(seed=seed) for seed in range(3))
    found = SuccessiveSsim()(pair(second, first, third, first))
    options = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ours, theirs = (structural_similarity(x, first, data_range=255, **options) for x in (second, third))
    assert list(found.values()) == pytest.approx([ours, theirs, abs(ours - theirs)], abs=1e-5)


def test_a_frozen_video_is_perfect_in_time_and_bad_in_its_hands() -> None:
    """Copying a frame of a clip whose hands move: nothing flickers, and the hand boxes tell."""
    truth = still_clip()
    for index, frame in enumerate(truth):
        ys, xs = around("left", 6)
        frame[ys, xs] = np.random.default_rng(index).integers(0, 256, (12, 12, 3))
    frozen = np.repeat(truth[:1], FRAMES, 0)
    result = scored(frozen, truth, keypoints())
    mean = result["mean"]
    assert mean["flicker"] == 0
    assert mean["successive_ssim"] == pytest.approx(1)
    assert all(row["hand_ssim"] < 0.8 and row["hand_psnr"] < 20 for row in result["per_frame"][1:])
    assert mean["successive_ssim_difference"] == pytest.approx(1 - mean["successive_ssim_truth"])
    assert mean["successive_ssim_difference"] > 0.005


def test_a_flickering_background_is_seen_in_time_and_not_in_the_hands() -> None:
    truth = still_clip()
    generated = truth.copy()
    hands = np.zeros(truth.shape[1:3], bool)
    for name in ("left", "right"):
        hands[around(name, 16)] = True  # the windows of the hand boxes' SSIM lie within
    generated[1::2, ~hands] += 6
    mean = scored(generated, truth, keypoints())["mean"]
    assert mean["hand_psnr"] == 100
    assert mean["hand_ssim"] == pytest.approx(1)
    share = 1 - hands.mean()
    assert mean["flicker_excess"] == pytest.approx(6 * share, abs=0.01)
    assert mean["warping_error"] == pytest.approx(6 * share, abs=0.05)
    assert mean["successive_ssim_difference"] > 0


def test_two_identical_clips_have_the_truths_own_numbers() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 256, (FRAMES, 96, 80, 3), dtype=np.uint8)
    mean = scored(truth, truth)["mean"]
    assert mean["warping_error"] == mean["warping_error_truth"]
    assert mean["successive_ssim"] == mean["successive_ssim_truth"]
    assert mean["successive_ssim_difference"] == 0


def test_frames_too_small_for_flow_say_so() -> None:
    truth = still_clip(2)[:, :11, :11]
    result = scored(truth, truth)
    assert result["mean"]["warping_error"] is None
    assert result["not_computed"]["warping_error"] == "frames are 11x11; optical flow needs 12x12"
