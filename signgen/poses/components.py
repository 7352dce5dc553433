"""Named components (pose-format's and MediaPipe Holistic's names) in; their Mapping to COCO-WholeBody-133 out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from signgen.poses.mappings import BODY_NAMES, FACE_68_FROM_MESH, LAYOUT, Mapping
from signgen.poses.scores import ALPHAPOSE, MEDIAPIPE, OPENPOSE, PLAIN, Thresholds

_HANDS = {
    **dict.fromkeys(("LEFT_HAND_LANDMARKS", "hand_left_keypoints_2d", "LEFT_HAND"), LAYOUT.left_hand),
    **dict.fromkeys(("RIGHT_HAND_LANDMARKS", "hand_right_keypoints_2d", "RIGHT_HAND"), LAYOUT.right_hand),
}
_BODIES = ("POSE_LANDMARKS", "pose_keypoints_2d", "BODY")
_FACES = ("face_keypoints_2d", "FACE")
_OF_ALPHAPOSE = ("_133", "_136")  # pose-format's utils/alphapose.py: BODY_136, FACE_136, LEFT_HAND_136, ...
_MESH = "FACE_LANDMARKS"


def component_mapping(names: Sequence[tuple[str, Sequence[str]]]) -> Mapping:
    """Where the 133 points are among the points of all components, one after the other.

    names: (component, its points' names) in order. Components and points that are not known are left out.
    """
    names = [(_plain(component), points) for component, points in names]
    sources: list[tuple[int, ...]] = [()] * LAYOUT.points
    first = 0
    for component, points in names:
        for target, found in _component(component, points):
            sources[target] = tuple(first + index for index in found)
        first += len(points)
    return Mapping(first, tuple(sources))


def pupil_places(names: Sequence[tuple[str, Sequence[str]]]) -> list[int]:
    """Where the right and the left pupil are among the points of all components; empty where they are not."""
    first = 0
    for component, points in names:
        if component == "face_keypoints_2d" and len(points) == 70:
            return [first + 68, first + 69]
        first += len(points)
    return []


def estimator_of(names: Sequence[tuple[str, Sequence[str]]]) -> Thresholds:
    """Whose scores the components hold: AlphaPose's, OpenPose's, MediaPipe's, or others, which are left as they are."""
    components = {component for component, _ in names}
    if any(component.endswith(_OF_ALPHAPOSE) for component in components):
        return ALPHAPOSE
    if "POSE_LANDMARKS" in components:
        return MEDIAPIPE
    return OPENPOSE if "pose_keypoints_2d" in components else PLAIN


def _plain(component: str) -> str:
    """The name without the count that AlphaPose's components end with."""
    return component[:-4] if component.endswith(_OF_ALPHAPOSE) else component


def _component(component: str, points: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(target among the 133, indices in the component) for what is known of it."""
    if component in _BODIES:
        for index, name in enumerate(points):
            target = _name_index(name)
            if target is not None:
                yield target, (index,)
    elif component in _HANDS and len(points) == 21:
        yield from ((target, (index,)) for index, target in enumerate(_HANDS[component]))
    elif component in _FACES and len(points) in (68, 70):  # the last two of 70 are pupils
        yield from ((target, (index,)) for index, target in enumerate(LAYOUT.face))
    elif component == _MESH:
        place = {name: index for index, name in enumerate(points)}
        for target, vertices in zip(LAYOUT.face, FACE_68_FROM_MESH, strict=True):
            if all(str(vertex) in place for vertex in vertices):
                yield target, tuple(place[str(vertex)] for vertex in vertices)


def _name_index(name: str) -> int | None:
    """A body point's place among the 133: `LEFT_HEEL`, `left_heel`, and OpenPose's `LHeel`."""
    plain = name.lower()
    if re.fullmatch(r"[LR][A-Z][A-Za-z]+", name) and name != name.upper():
        side = "left" if name[0] == "L" else "right"
        plain = side + re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name[1:])
    plain = plain.replace("foot_index", "big_toe")
    return BODY_NAMES.index(plain) if plain in BODY_NAMES else None
