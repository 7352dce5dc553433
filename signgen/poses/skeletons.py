"""Skeletons: which point is which. COCO-WholeBody-133 is the one every whole-body format is mapped to.

OpenPose-18 has a neck of its own, which DeepFashion's pose pictures need and COCO lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """Named index ranges of a keypoint layout. "left" is the signer's own left, as in COCO.

    arms: shoulders, elbows and wrists. wrists: the body's left and right one; a hand has a root of its own.
    mirror: for every point, the one whose place it takes in a mirrored image.
    """

    name: str
    points: int
    body: range
    feet: range
    face: range
    left_hand: range
    right_hand: range
    left_shoulder: int
    right_shoulder: int
    arms: range
    wrists: tuple[int, int]
    legs: tuple[int, ...]  # knees and ankles: emitted by estimators even where they are out of frame
    mirror: tuple[int, ...]


def _swapped(points: int, *pairs: tuple[Iterable[int], Iterable[int]]) -> tuple[int, ...]:
    """The mirror of a skeleton from its left and right points, in corresponding order."""
    mirror = list(range(points))
    for left, right in pairs:
        for one, other in zip(left, right, strict=True):
            mirror[one], mirror[other] = other, one
    return tuple(mirror)


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
    arms=range(5, 11),
    wrists=(9, 10),
    legs=(13, 14, 15, 16),
    mirror=_swapped(
        133,
        (range(1, 17, 2), range(2, 17, 2)),  # body
        (range(17, 20), range(20, 23)),  # feet
        (range(23, 31), range(39, 31, -1)),  # jaw
        (range(40, 45), range(49, 44, -1)),  # brows
        (range(54, 56), range(58, 56, -1)),  # nostrils
        ((59, 60, 61, 62, 63, 64), (68, 67, 66, 65, 70, 69)),  # eyes
        ((71, 72, 73, 82, 81), (77, 76, 75, 78, 79)),  # outer mouth
        ((83, 84, 90), (87, 86, 88)),  # inner mouth
        (range(91, 112), range(112, 133)),  # hands
    ),
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
    arms=range(2, 8),
    wrists=(7, 4),
    legs=(9, 10, 12, 13),
    mirror=_swapped(18, (range(2, 5), range(5, 8)), (range(8, 11), range(11, 14)), ((14, 16), (15, 17))),
)

SKELETONS = {s.name: s for s in (COCO_WHOLEBODY_133, OPENPOSE_18)}
