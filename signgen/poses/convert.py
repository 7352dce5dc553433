"""A PoseSequence of one skeleton in, of another out: to draw poses with the palette of a skeleton that has a neck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_FROM_OPENPOSE_18, OPENPOSE_18
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133

_WHOLE_BODY, _OPENPOSE = COCO_WHOLEBODY_133.name, "openpose-18"
_NECK = 1


def to_skeleton(poses: PoseSequence, skeleton: str) -> PoseSequence:
    """The same poses on another skeleton, with a note on what is not the same; themselves on their own.

    Openpose-18's neck becomes the middle of the shoulders, with the lower of their scores, where both are there; an
    own neck, which lies some pixels off it, is lost on the way to coco-wholebody-133. Raises PoseError for other pairs.
    """
    if poses.skeleton == skeleton:
        return poses
    if (poses.skeleton, skeleton) == (_WHOLE_BODY, _OPENPOSE):
        return _replaced(poses, _with_neck(poses), skeleton, "the neck is the middle of the shoulders")
    if (poses.skeleton, skeleton) == (_OPENPOSE, _WHOLE_BODY):
        return _replaced(poses, OPENPOSE_18.apply(poses.keypoints), skeleton, OPENPOSE_18.note)
    raise PoseError(f"poses of skeleton {poses.skeleton}", expected=skeleton)


def _replaced(poses: PoseSequence, keypoints: np.ndarray, skeleton: str, note: str) -> PoseSequence:
    return replace(poses, keypoints=keypoints.astype(np.float32), skeleton=skeleton, notes=(*poses.notes, note))


def _with_neck(poses: PoseSequence) -> np.ndarray:
    """(T, 18, 3)."""
    out = np.full((len(poses), 18, 3), (np.nan, np.nan, 0))
    out[:, list(COCO_FROM_OPENPOSE_18)] = poses.keypoints[:, :17]
    left, right = poses.keypoints[:, poses.layout.left_shoulder], poses.keypoints[:, poses.layout.right_shoulder]
    neck = np.concatenate([(left[:, :2] + right[:, :2]) / 2, np.minimum(left[:, 2:], right[:, 2:])], 1)
    neck[np.isnan(neck[:, 0])] = (np.nan, np.nan, 0)
    out[:, _NECK] = neck
    return out
