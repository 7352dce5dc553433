"""The canvas: frames and keypoints go there alike, and back."""

from __future__ import annotations

import numpy as np
import pytest

from signgen.models.canvas import Canvas
from signgen.poses.sequence import PoseSequence


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(210, 260), (480, 480), (640, 360), (40, 30)])
def test_a_bright_spot_and_its_keypoint_stay_together(fit, size):
    width, height = size
    x, y = width * 0.7, height * 0.3
    frame = np.zeros((height, width, 3), np.uint8)
    yy, xx = np.mgrid[:height, :width]
    frame[(np.abs(xx - x) < width / 10) & (np.abs(yy - y) < height / 10)] = 255
    canvas = Canvas(128, 96, fit)
    image = canvas.fit_frame(frame)[..., 0].astype(float)
    point = canvas.fit_keypoints(np.array([[x, y, 0.5]], np.float32), width, height)[0]
    yy, xx = np.mgrid[:96, :128]
    centre = (image * xx).sum() / image.sum(), (image * yy).sum() / image.sum()
    assert np.allclose(centre, point[:2], atol=0.6)
    assert point[2] == 0.5


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
