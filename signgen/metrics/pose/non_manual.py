"""What faces and heads do in signing: keypoints of two sequences in; how far mouth, eyes, brows and head agree, out.

Measures are taken frame by frame in units of the face, so that they do not depend on where the face is and how large:
mouth opening and width, eye opening and brow height by the distance between the eyes; yaw, pitch and roll by fitting a
rigid face of average proportions (six points, a pinhole camera) to the landmarks. Brows and mouth carry grammar and
lexicon in sign languages, blinks mark boundaries, head turns and nods mark questions, negation and topics.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from signgen.metrics.definitions import NON_MANUAL_METRICS
from signgen.metrics.pose.sequence_metric import SequenceMetric
from signgen.poses.parts import visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT

_FACE = LAYOUT.face.start  # of the 68 points of iBUG
_UPPER_LIP, _LOWER_LIP, _CORNERS = 62, 66, (48, 54)  # the inner lips, and the mouth's corners
_EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))  # corner, two upper, corner, two lower
_BROWS = tuple(range(17, 27))
# Nose tip, chin, outer corners of eyes and corners of the mouth of an average face; x right, y down, z away, any unit.
_RIGID = (30, 8, 36, 45, 48, 54)
_RIGID_3D = np.array(
    [(0, 0, 0), (0, 330, 65), (-225, -170, 135), (225, -170, 135), (-150, 150, 125), (150, 150, 125)], np.float64
)
_CLOSED = 0.6  # of the clip's median eye opening: below it an eye is closed
_LONGEST_BLINK = 0.5  # seconds; what is longer is a look down or a closed eye
_MATCH = 2  # frames by which two blinks may be apart
LEAST_FRAMES = 10  # for a correlation
_ANGLES = ("head_yaw", "head_pitch", "head_roll")
_COURSES = ("mouth_opening", "mouth_width", "eye_opening", "brow_height")


class NonManual(SequenceMetric):
    """Correlations, head errors and blinks of whole sequences; a ClipMetric.

    truth: float (T, 133, 3) px, by frame of the truth. seen: track -> the same of its frames. size: width and height of
    the frame. fps: None for 25.
    """

    names = NON_MANUAL_METRICS

    def __init__(
        self, truth: np.ndarray, seen: Mapping[str, np.ndarray], size: tuple[int, int], fps: float | None = None
    ) -> None:
        super().__init__(truth, seen)
        self._size, self._fps = size, fps or 25.0

    def compare(self, points: np.ndarray, truth: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
        return non_manual(points, truth, self._size, self._fps)


def non_manual(
    points: np.ndarray, truth: np.ndarray, size: tuple[int, int], fps: float
) -> tuple[dict[str, float], dict[str, str]]:
    """All numbers of two sequences (T, 133, 3) of the same frames, and name -> why one is missing."""
    ours, theirs = (courses(keypoints, size) for keypoints in (points, truth))
    found: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name in _COURSES:
        value = correlation(ours[name], theirs[name])
        if value is None:
            reasons[f"{name}_r"] = f"fewer than {LEAST_FRAMES} frames in which both are seen, or one never changes"
        else:
            found[f"{name}_r"] = value
    for name in _ANGLES:
        gaps = np.abs((ours[name] - theirs[name] + 180) % 360 - 180)
        if np.isfinite(gaps).any():
            found[f"{name}_error"] = float(np.nanmean(gaps))
        else:
            reasons[f"{name}_error"] = "no frame shows nose, chin, eyes and mouth in both"
    longest = max(round(_LONGEST_BLINK * fps), 1)
    score = blink_f1(blinks(ours["eye_opening"], longest), blinks(theirs["eye_opening"], longest))
    if score is None:
        reasons["blink_f1"] = "the truth does not blink"
    else:
        found["blink_f1"] = score
    return found, reasons


def courses(keypoints: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Measure -> its course over (T, 133, 3), float64 (T,), NaN where it is not seen.

    mouth_opening, mouth_width, brow_height: in distances between the middles of the eyes. eye_opening: height over
    width, of both eyes. head_yaw, head_pitch, head_roll: degrees, 0 where the face looks at the camera.
    """
    face = keypoints[:, _FACE : _FACE + 68, :2].astype(np.float64)
    face[~visible(keypoints[:, _FACE : _FACE + 68])] = np.nan
    middles = [face[:, list(eye)].mean(1) for eye in _EYES]
    across = middles[1] - middles[0]
    unit = np.linalg.norm(across, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        up = np.stack([across[:, 1], -across[:, 0]], -1) / unit[:, None]  # of the face; y grows downwards
        brows = face[:, list(_BROWS)].mean(1) - (middles[0] + middles[1]) / 2
        opening = _gap(face, _UPPER_LIP, _LOWER_LIP) / unit
        width = _gap(face, *_CORNERS) / unit
        eyes = np.mean([_eye_opening(face, eye) for eye in _EYES], 0)
        height = (brows * up).sum(-1) / unit
    angles = np.array([_head(frame[list(_RIGID)], size) for frame in face]).reshape(len(face), 3)
    found = {"mouth_opening": opening, "mouth_width": width, "eye_opening": eyes, "brow_height": height}
    return found | dict(zip(_ANGLES, angles.T, strict=True))


def _gap(face: np.ndarray, one: int, other: int) -> np.ndarray:
    return np.linalg.norm(face[:, one] - face[:, other], axis=-1)


def _eye_opening(face: np.ndarray, eye: tuple[int, ...]) -> np.ndarray:
    """Height over width (Soukupova and Cech 2016, equation 1)."""
    corner, upper, upper_too, other, lower_too, lower = eye
    return (_gap(face, upper, lower) + _gap(face, upper_too, lower_too)) / (2 * _gap(face, corner, other))


def _head(points: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from six points (6, 2); NaN where one is not seen."""
    if not np.isfinite(points).all():
        return (np.nan, np.nan, np.nan)
    width, height = size
    camera = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float64)
    try:
        solved, turn, _ = cv2.solvePnP(_RIGID_3D, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:  # points that lie on each other
        solved = False
    if not solved:
        return (np.nan, np.nan, np.nan)
    pitch, yaw, roll = cv2.RQDecomp3x3(cv2.Rodrigues(turn)[0])[0]
    return (float(yaw), float(pitch), float(roll))


def correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's r over the frames that both have; None where these are few, or either is constant."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < LEAST_FRAMES or min(np.ptp(one[both]), np.ptp(other[both])) < 1e-9:
        return None
    return float(np.corrcoef(one[both], other[both])[0, 1])


def blinks(opening: np.ndarray, longest: int) -> list[tuple[int, int]]:
    """Runs [start, stop) of at most `longest` frames in which the eyes (T,) are closed, by the clip's own median."""
    if not np.isfinite(opening).any():
        return []
    closed = np.nan_to_num(opening, nan=np.inf) < _CLOSED * np.nanmedian(opening)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a <= longest]


def blink_f1(ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> float | None:
    """F1 of blinks that overlap, or lie at most _MATCH frames apart, one to one; None where the truth has none."""
    if not theirs:
        return None
    left = list(ours)
    matched = 0
    for start, stop in theirs:
        near = next((b for b in left if b[0] <= stop + _MATCH and b[1] >= start - _MATCH), None)
        if near is not None:
            left.remove(near)
            matched += 1
    return 2 * matched / (len(ours) + len(theirs))
