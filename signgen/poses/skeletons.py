"""Skeletons: which point is which. COCO-WholeBody-133 is the one every whole-body format is mapped to.

OpenPose-18 has a neck of its own, which DeepFashion's pose pictures need and COCO lacks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """Named index ranges of a keypoint layout. "left" is the signer's own left, as in COCO."""

    name: str
    points: int
    body: range
    feet: range
    face: range
    left_hand: range
    right_hand: range
    left_shoulder: int
    right_shoulder: int
    legs: tuple[int, ...]  # knees and ankles: emitted by estimators even where they are out of frame


COCO_WHOLEBODY_133 = Skeleton(
    name="coco-wholebody-133",
    points=133,
    body=range(17),
    feet=range(17, 23),
    face=range(23, 91),
    left_hand=range(91, 112),
    right_hand=range(112, 133),
    left_shoulder=5,
    right_shoulder=6,
    legs=(13, 14, 15, 16),
)

OPENPOSE_18 = Skeleton(
    name="openpose-18",
    points=18,
    body=range(18),
    feet=range(0),
    face=range(0),
    left_hand=range(0),
    right_hand=range(0),
    left_shoulder=5,
    right_shoulder=2,
    legs=(9, 10, 12, 13),
)

SKELETONS = {s.name: s for s in (COCO_WHOLEBODY_133, OPENPOSE_18)}
