"""True correspondences of drawn signers: what they warp together is the picture, and keypoints lead to keypoints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from signgen.models.flow import flow_sample
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.synthetic.clip import render_frames
from signgen.synthetic.correspondence import correspondence
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion

SIZE = (128, 128)
IDENTITY, MOTION = Identity.random(3, "Signer"), Motion.random(5, 60)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.transpose(2, 0, 1).astype(np.float32))[None]


def test_a_frame_corresponds_to_itself():
    found = correspondence(IDENTITY, MOTION, 20, 20, SIZE)
    assert found.body.sum() > 2000
    assert found.hands.sum() > 60
    assert np.abs(found.flow[found.body]).max() < 1e-3
    assert (np.isfinite(found.flow).all(2) == found.body).all()


@pytest.mark.parametrize(("source", "target"), [(0, 25), (18, 40)])
def test_the_source_warped_by_it_is_the_target_where_it_is_visible(source, target):
    found = correspondence(IDENTITY, MOTION, source, target, SIZE)
    frames, _ = render_frames(IDENTITY, MOTION, [source, target], SIZE)
    warped = flow_sample(as_tensor(frames[0]), as_tensor(np.nan_to_num(found.flow)))[0].numpy().transpose(1, 2, 0)
    inner = found.body & ~np.isnan(np.roll(found.flow, (1, 1), (0, 1))).any(2)
    warped_error = np.abs(warped - frames[1])[inner].mean()
    still_error = np.abs(frames[0].astype(float) - frames[1])[inner].mean()
    assert warped_error < 0.4 * still_error
    assert warped_error < 6  # grey levels: edges are blurred, and light does not turn with a limb


def test_it_leads_from_joint_to_joint():
    found = correspondence(IDENTITY, MOTION, 0, 25, SIZE)
    _, points = render_frames(IDENTITY, MOTION, [0, 25], SIZE)
    seen = 0
    for joint in LAYOUT.arms:
        x, y = points[1, joint, :2]
        column, row = round(float(x)), round(float(y))
        if 0 <= column < SIZE[0] and 0 <= row < SIZE[1] and found.body[row, column]:
            seen += 1
            assert np.abs(points[1, joint, :2] + found.flow[row, column] - points[0, joint, :2]).max() < 2
    assert seen >= 2
