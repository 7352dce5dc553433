"""Which points pose networks know: joint maps, from the heat maps of a network to the points of COCO-WholeBody-133."""

from __future__ import annotations

from pathlib import Path

from signgen.errors import PoseError, nearest
from signgen.files import read_json
from signgen.poses.skeletons import COCO_WHOLEBODY_133

JointMap = tuple[int, ...]  # for every heat map its point of COCO-WholeBody-133, NONE where it has none there
NONE = -1

_BODY = tuple(range(13))  # nose, eyes, ears, shoulders, elbows, wrists, hips
_FACE = (59, 62, 65, 68, 71, 77)  # corners of the eyes, of the mouth
_HAND = (0, 2, 4, 5, 8, 9, 12, 13, 16, 17, 20)  # root; knuckle (MCP) and tip of thumb to little finger
_LEFT, _RIGHT = COCO_WHOLEBODY_133.left_hand.start, COCO_WHOLEBODY_133.right_hand.start

# The points that matter, which signgen's own network learns.
POSENET_JOINTS: JointMap = (*_BODY, *_FACE, *(_LEFT + point for point in _HAND), *(_RIGHT + point for point in _HAND))

JOINT_MAPS: dict[str, JointMap] = {
    "coco17": tuple(range(17)),
    # OpenPose's 18 points in its order; its neck (1) has no point in COCO.
    "openpose18": (0, NONE, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3),
    "wholebody133": tuple(range(133)),
    "posenet": POSENET_JOINTS,
}


def mirror_of(joints: JointMap) -> tuple[int, ...]:
    """For every heat map, the one whose place it takes in a mirrored image. Raises PoseError where there is none."""
    try:
        return tuple(joints.index(COCO_WHOLEBODY_133.mirror[joint]) for joint in joints)
    except ValueError:
        raise PoseError(f"joints {list(joints)}", expected="left and right ones in pairs") from None


def read_joint_map(name: str) -> JointMap:
    """A joint map by name, or from a JSON file: a list with the WholeBody point of every heat map, null for none.

    Raises PoseError for an unknown name or another content.
    """
    if name in JOINT_MAPS:
        return JOINT_MAPS[name]
    path = Path(name)
    if path.suffix != ".json":
        meant = nearest(name, list(JOINT_MAPS))
        expected = f"one of {', '.join(JOINT_MAPS)}, or a .json file"
        raise PoseError(f"joint map {name!r}", expected=expected, fix=f"did you mean {meant}?" if meant else None)
    try:
        return _checked(read_json(path))
    except (OSError, ValueError) as error:
        raise PoseError(
            f"{path}: cannot be read as a joint map ({error})",
            expected="a JSON list: for every heat map its point of COCO-WholeBody-133, null for none",
        ) from error


def _checked(found: object) -> JointMap:
    if not isinstance(found, list) or not found:
        raise ValueError(f"holds {'an empty list' if found == [] else f'a {type(found).__name__}'}")
    for joint in found:
        if joint is not None and not (type(joint) is int and 0 <= joint < COCO_WHOLEBODY_133.points):
            raise ValueError(f"a point {joint!r}")
    known = [joint for joint in found if joint is not None]
    if len(set(known)) != len(known) or not known:
        raise ValueError("points that repeat" if known else "no point")
    return tuple(NONE if joint is None else joint for joint in found)
