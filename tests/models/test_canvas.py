"""The canvas: frames and keypoints go there alike, and back."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from signgen.models.canvas import Canvas
from signgen.poses.sequence import PoseSequence
from signgen.video.reader import open_frames


@pytest.mark.parametrize("resample", ["area", "lanczos"])
@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(210, 260), (480, 480), (640, 360), (40, 30)])
def test_a_bright_spot_and_its_keypoint_stay_together(fit, size, resample):
    width, height = size
    x, y = width * 0.7, height * 0.3
    frame = np.zeros((height, width, 3), np.uint8)
    yy, xx = np.mgrid[:height, :width]
    frame[(np.abs(xx - x) < width / 10) & (np.abs(yy - y) < height / 10)] = 255
    canvas = Canvas(128, 96, fit, resample)
    image = canvas.fit_frame(frame)[..., 0].astype(float)
    point = canvas.fit_keypoints(np.array([[x, y, 0.5]], np.float32), width, height)[0]
    yy, xx = np.mgrid[:96, :128]
    centre = (image * xx).sum() / image.sum(), (image * yy).sum() / image.sum()
    assert np.allclose(centre, point[:2], atol=0.6)
    assert point[2] == 0.5
    back = canvas.restore_keypoints(point[None], width, height)[0]
    assert np.allclose(back, [x, y, 0.5], atol=1e-3)


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_restore_inverts_fit(fit):
    yy, xx = np.mgrid[:260, :210]
    frame = np.stack([xx, yy, (xx + yy) / 2], -1).astype(np.uint8)
    canvas = Canvas(256, 256, fit)
    back = canvas.restore_frame(canvas.fit_frame(frame), 210, 260)
    assert back.shape == frame.shape
    assert np.abs(back.astype(int) - frame).mean() < 1.0


def test_missing_points_stay_missing():
    point = Canvas(64, 64).fit_keypoints(np.array([[np.nan, np.nan, 0]], np.float32), 210, 260)
    assert np.isnan(point[0, :2]).all()
    assert point[0, 2] == 0


def test_resized_poses_lie_where_the_canvas_puts_them():
    keypoints = np.random.default_rng(0).uniform(0, 200, (2, 133, 3)).astype(np.float32)
    poses = PoseSequence(keypoints, 210, 260).resized(64, 48)
    assert (poses.width, poses.height) == (64, 48)
    assert np.allclose(poses.keypoints, Canvas(64, 48, "squash").fit_keypoints(keypoints, 210, 260), atol=1e-4)


def _kept(frames: np.ndarray, canvas: Canvas) -> tuple[float, float]:
    """SSIM, and gradient energy over the original's, of frames that went to the canvas and back."""
    height, width = frames.shape[1:3]
    back = np.stack([canvas.restore_frame(canvas.fit_frame(frame), width, height) for frame in frames])
    alike = [
        structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        for a, b in zip(frames, back, strict=True)
    ]
    return float(np.mean(alike)), _energy(back) / _energy(frames)


def _energy(frames: np.ndarray) -> float:
    grey = frames.astype(float).mean(-1)
    return float((np.diff(grey, axis=1) ** 2).sum() + (np.diff(grey, axis=2) ** 2).sum())


def test_resampling_keeps_what_is_there_where_one_axis_grows_and_one_shrinks(testdata):
    """210x260 through 256x256, real frames."""
    features = testdata / "phoenix" / "PHOENIX-2014-T-release-v3" / "PHOENIX-2014-T" / "features"
    clip = features / "fullFrame-210x260px" / "dev" / "25October_2010_Monday_tagesschau-17"
    frames = open_frames(clip).read()[:20]
    assert frames.shape[1:] == (260, 210, 3)
    alike, energy = _kept(frames, Canvas(256, 256, resample="lanczos"))
    assert alike > 0.998
    assert 0.97 < energy < 1.03
    before, lost = _kept(frames, Canvas(256, 256))
    assert before < 0.993
    assert lost < 0.8


def test_shrinking_by_much_has_no_aliases():
    """Stripes of one pixel become grey, not other stripes; those that the canvas can show stay."""
    stripes = np.broadcast_to((np.arange(512) % 2 * 255).astype(np.uint8)[None, :, None], (96, 512, 3))
    canvas = Canvas(200, 96, resample="lanczos")
    assert canvas.fit_frame(np.ascontiguousarray(stripes)).std() < 8
    wide = np.broadcast_to((np.arange(512) // 16 % 2 * 255).astype(np.uint8)[None, :, None], (96, 512, 3))
    assert canvas.fit_frame(np.ascontiguousarray(wide)).std() > 100


def test_a_frame_of_the_canvas_size_is_not_touched():
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    canvas = Canvas(64, 48, resample="lanczos")
    assert np.array_equal(canvas.fit_frame(frame), frame)
    assert np.array_equal(canvas.restore_frame(frame, 64, 48), frame)
