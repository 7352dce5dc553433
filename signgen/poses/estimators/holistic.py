"""MediaPipe Holistic (extra `pose`): RGB frames in, COCO-WholeBody-133 out; small toes are what it lacks."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.components import component_mapping
from signgen.poses.estimators.quiet import kept_back, without_old_warnings
from signgen.poses.scores import MEDIAPIPE, on_our_scale, scale_note

# The 33 landmarks of MediaPipe's pose, in its order (its enum PoseLandmark).
BODY_LANDMARKS = (
    *("NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER"),
    *("LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW"),
    *("RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX"),
    *("LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE", "LEFT_ANKLE", "RIGHT_ANKLE"),
    *("LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX", "RIGHT_FOOT_INDEX"),
)
MESH_VERTICES = 468
HAND_LANDMARKS = 21
_COMPONENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("POSE_LANDMARKS", BODY_LANDMARKS),
    ("FACE_LANDMARKS", tuple(map(str, range(MESH_VERTICES)))),
    ("LEFT_HAND_LANDMARKS", tuple(map(str, range(HAND_LANDMARKS)))),
    ("RIGHT_HAND_LANDMARKS", tuple(map(str, range(HAND_LANDMARKS)))),
)
MAPPING = component_mapping(_COMPONENTS)


class Holistic:
    """One clip in video mode: the person, hands and face are followed from frame to frame.

    Scores: the body's are MediaPipe's visibility, those of a hand or face are 1 where it was found.
    """

    short_side = 600
    note = "; ".join(filter(None, (MAPPING.note, scale_note(MEDIAPIPE))))

    def __init__(self) -> None:
        try:
            from mediapipe.python.solutions import holistic
        except ImportError as error:
            raise PoseError(f"MediaPipe cannot be imported ({error})", fix=_how_to_install()) from error
        self._make = partial(holistic.Holistic, static_image_mode=False, model_complexity=1)
        self._graph: Any = None

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) RGB to float64 (133, 3); a part that is not found is missing."""
        if self._graph is None:
            with kept_back():
                self._graph = self._make()
                found = self._process(frame)
        else:
            found = self._process(frame)
        return keypoints_of(found, frame.shape[1], frame.shape[0])

    def close(self) -> None:
        """End MediaPipe's threads."""
        if self._graph is not None:
            self._graph.close()

    def _process(self, frame: np.ndarray) -> Any:
        with without_old_warnings():
            return self._graph.process(frame)


def keypoints_of(found: Any, width: int, height: int) -> np.ndarray:
    """MediaPipe's landmarks of one frame to float64 (133, 3) in pixels, scores on signgen's scale.

    Its coordinates are fractions of the frame, 0 and 1 being the outer edges of the outermost pixels.
    """
    body = _points(found.pose_landmarks, len(BODY_LANDMARKS))
    face = _points(found.face_landmarks, MESH_VERTICES)
    hands = [_points(part, HAND_LANDMARKS) for part in (found.left_hand_landmarks, found.right_hand_landmarks)]
    if found.pose_landmarks is not None:
        body[:, 2] = [mark.visibility for mark in found.pose_landmarks.landmark]
    points = np.concatenate([body, face, *hands])
    points[:, :2] = points[:, :2] * (width, height) - 0.5
    found = MAPPING.apply(points)
    found[:, 2] = on_our_scale(found[:, 2], MEDIAPIPE.per_point())
    return found


def _points(part: Any, count: int) -> np.ndarray:
    """(count, 3): x, y, 1; or NaN, NaN, 0 where the part was not found."""
    if part is None:
        return np.tile((np.nan, np.nan, 0.0), (count, 1))
    return np.array([(mark.x, mark.y, 1.0) for mark in part.landmark])


def _how_to_install() -> str:
    command = "pip install 'signgen[pose]'"
    if sys.version_info >= (3, 13):
        return f"use Python 3.10 to 3.12, which MediaPipe 0.10.14 has wheels for, and {command}; or give --onnx FILE"
    return f"{command}, or give --onnx FILE"
