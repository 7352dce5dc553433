"""Keypoints of other skeletons in (..., K, 3), COCO-WholeBody-133 out; one Mapping per convention, with its source.

"Left" is the signer's own left everywhere. Points that a convention lacks stay missing and are named by `Mapping.note`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

PUPILS = "pupils"  # optional points, the right and the left one, as OpenPose has them after the 68 of the face
Sources = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Mapping:
    """Where each of the 133 points comes from.

    points: how many the other skeleton has. sources: 133 tuples of its indices; two are averaged, () is missing.
    """

    points: int
    sources: Sources

    @property
    def carried(self) -> list[int]:
        """Which of the 133 points it has."""
        return [target for target, sources in enumerate(self.sources) if sources]

    def apply(self, keypoints: np.ndarray) -> np.ndarray:
        """(..., points, 3) to float64 (..., 133, 3); a point is missing, (NaN, NaN, 0), where one of its sources is."""
        carried = self.carried
        first = np.asarray(keypoints, np.float64)[..., [self.sources[target][0] for target in carried], :]
        last = np.asarray(keypoints, np.float64)[..., [self.sources[target][-1] for target in carried], :]
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.where(first == last, first, (first + last) / 2)
            found[..., 2] = np.minimum(first[..., 2], last[..., 2])
            found[~(np.isfinite(found).all(-1) & (found[..., 2] > 0))] = (np.nan, np.nan, 0)
        out = np.full((*keypoints.shape[:-2], LAYOUT.points, 3), (np.nan, np.nan, 0.0))
        out[..., carried, :] = found
        return out

    @property
    def note(self) -> str:
        """One line on what stays missing; empty for a skeleton that has everything."""
        return missing_note(self.carried)


PARTS = {
    "body": LAYOUT.body,
    "feet": LAYOUT.feet,
    "face": LAYOUT.face,
    "left hand": LAYOUT.left_hand,
    "right hand": LAYOUT.right_hand,
}


def missing_note(carried: Iterable[int]) -> str:
    """Which of the 133 points are in no frame because the format has none; empty where it has all."""
    have, lacking = set(carried), []
    for name, part in PARTS.items():
        absent = [point for point in part if point not in have]
        if len(absent) == len(part):
            lacking.append(f"{name} ({part.start}-{part.stop - 1})")
        elif absent:
            lacking.append(f"{name} {', '.join(map(str, absent))}")
    return f"points this format does not have stay missing: {'; '.join(lacking)}" if lacking else ""


def _sources(placed: dict[int, int | tuple[int, ...]]) -> Sources:
    """133 tuples from {target: source or sources}."""
    found = [placed.get(target, ()) for target in range(LAYOUT.points)]
    return tuple((source,) if isinstance(source, int) else source for source in found)


def _run(target: range, first: int) -> dict[int, int | tuple[int, ...]]:
    """The points of `target` in order, from source `first` on."""
    return {point: first + step for step, point in enumerate(target)}


def _listed(target: range, sources: Iterable[int]) -> dict[int, int | tuple[int, ...]]:
    return dict(zip(target, sources, strict=True))


# OpenPose's output documentation: COCO has a neck at 1, BODY_25 also a middle hip at 8 and the feet from 19 on.
COCO_FROM_OPENPOSE_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
COCO_FROM_BODY_25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
FEET_FROM_BODY_25 = range(19, 25)

WHOLEBODY_133 = Mapping(133, _sources(_run(range(133), 0)))
COCO_17 = Mapping(17, _sources(_run(LAYOUT.body, 0)))
OPENPOSE_18 = Mapping(18, _sources(_listed(LAYOUT.body, COCO_FROM_OPENPOSE_18)))
BODY_25 = Mapping(25, _sources({**_listed(LAYOUT.body, COCO_FROM_BODY_25), **_listed(LAYOUT.feet, FEET_FROM_BODY_25)}))

# Halpe-FullBody's README: COCO-17, head, neck, hip, big toes, small toes, heels (left before right), face, hands.
_HALPE_BODY = {**_run(LAYOUT.body, 0), **_listed(LAYOUT.feet, (20, 22, 24, 21, 23, 25))}
HALPE_26 = Mapping(26, _sources(_HALPE_BODY))
HALPE_136 = Mapping(
    136,
    _sources({**_HALPE_BODY, **_run(LAYOUT.face, 26), **_run(LAYOUT.left_hand, 94), **_run(LAYOUT.right_hand, 115)}),
)

# The iBUG 68 points on MediaPipe's face mesh, as listed in PeizhiYan/Mediapipe_2_Dlib_Landmarks on GitHub; pairs
# are averaged. The inner lip's 61, 63, 65, 67 lie at a quarter of its width: 81, 311, 402, 178 on the mesh.
FACE_68_FROM_MESH: Sources = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),  # jaw, the signer's right to chin
    *((400,), (379,), (365,), (397, 288), (361,), (323,), (454,), (356,)),
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),  # brows
    *((168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),  # nose
    *((33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,)),  # eyes
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,)),  # outer lip
    *((78,), (81,), (13,), (311,), (308,), (402,), (14,), (178,)),  # inner lip
)

# Names of COCO-WholeBody's body and feet. MediaPipe writes them in capitals and calls a big toe FOOT_INDEX;
# MediaPipe's hands have the same 21 points in the same order, and it has no small toes.
BODY_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)

# Progressive Transformers (Saunders et al. 2020), plot_videos.py: nose, neck, an arm 2-3-4 with the hand 29-49, an arm
# 5-6-7 with the hand 8-28; the elbows go straight to the hands' roots, so these are the wrists here. The comments there
# contradict themselves on left and right. Phoenix-2014T settles it: x grows to the picture's right, 2-4 and 29-49 lie
# there, and 8-28 is the hand that signs more, as the signer's right does in the videos.
SKELS_50 = Mapping(
    50,
    _sources(
        {
            0: 0,
            5: 2,
            7: 3,
            9: 29,
            6: 5,
            8: 6,
            10: 8,
            **_run(LAYOUT.left_hand, 29),
            **_run(LAYOUT.right_hand, 8),
        }
    ),
)

BY_COUNT = {mapping.points: mapping for mapping in (WHOLEBODY_133, HALPE_136, HALPE_26, BODY_25, OPENPOSE_18, COCO_17)}
