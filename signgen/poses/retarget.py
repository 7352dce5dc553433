"""Poses of one person and those of another in; the first one's movement on the second one's body and frame out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import PUPILS
from signgen.poses.parts import SCORE_THRESHOLD
from signgen.poses.sequence import PoseSequence

_WHOLE_BODY = "coco-wholebody-133"
_HEAD = (*range(5), *range(23, 91))  # nose, eyes and ears of the body, and the face
_EYES = (range(59, 65), range(65, 71))
_BODY_EYES = (2, 1)
_HANDS = ((9, range(91, 112)), (10, range(112, 133)))  # the body's wrist, and the hand, whose first point is its own
_KNUCKLES = (5, 9, 13, 17)  # of a hand
_SHOULDERS, _HIPS, _NOSE, _CHIN = (5, 6), (11, 12), 0, 31
_EDGE = 0.02  # of the frame's height: hips this near to its lower edge are the estimator's guess
_FEW = 5  # frames: fewer do not show a palm from all sides
# How far a width may differ from a height before it is taken for a turned person's: a torso keeps its length, a head
# also nods.
_TURNED = {"torso": 1.1, "head": 1.25, "face": 1.1, "body": 1.25}
_NAMED = 1.5  # measures that differ by more are told to the user


@dataclass(frozen=True)
class Proportions:
    """Of a person over a clip, in pixels; NaN where the clip never shows it.

    Widths, which shrink when the person turns: shoulders; eyes, between their middles. Heights, which do not: torso,
    from the middle of the shoulders to that of the hips; head, from the nose to the middle of the shoulders; face,
    from the eyes to the chin. palm: the longest line from the wrist to a knuckle, its upper quartile; palms: in how
    many frames one is seen. The others are medians.
    anchor: (2,), the median middle of the shoulders; eyes_at: (2,), that of the eyes.
    """

    shoulders: float
    torso: float
    head: float
    palm: float
    palms: int
    eyes: float
    face: float
    anchor: np.ndarray
    eyes_at: np.ndarray


@dataclass(frozen=True)
class Scales:
    """Target over driving person, 1 where they are alike; how far the middles of the shoulders and of the eyes move,
    in px. notes: measures that disagree, and which of them was used."""

    body: float
    hands: float
    face: float
    shift: tuple[float, float]
    head_shift: tuple[float, float] = (0.0, 0.0)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        shoulders, head = (f"{x:+.1f}, {y:+.1f} px" for x, y in (self.shift, self.head_shift))
        return (
            f"body x{self.body:.3f}, shoulders moved by {shoulders}; face x{self.face:.3f}, eyes moved by {head}; "
            f"hands x{self.hands:.3f}, with the wrists"
        )


def measure(poses: PoseSequence) -> Proportions:
    """Lengths and places of a person: medians over all frames, so that a few broken frames change nothing.

    A palm's upper quartile counts: hands that point at the camera look short, in some clips more often than not.
    Raises PoseError when both shoulders are never seen in one frame, or the skeleton is not the whole body.
    """
    if poses.skeleton != _WHOLE_BODY:
        raise PoseError(f"poses of skeleton {poses.skeleton}", expected=f"{_WHOLE_BODY} to retarget")
    points = poses.keypoints[..., :2].astype(np.float64)
    points[~(poses.present & (poses.keypoints[..., 2] >= SCORE_THRESHOLD))] = np.nan
    # widths
    left, right = (points[:, shoulder] for shoulder in _SHOULDERS)
    shoulders = _median(np.linalg.norm(left - right, axis=-1))
    if not shoulders > 0:
        raise PoseError("no frame shows both shoulders", expected="poses whose shoulders are seen, to retarget")
    one, other = _eyes(points)
    # heights
    middle, eyes_at = (left + right) / 2, (one + other) / 2
    hips = points[:, list(_HIPS)].mean(1)
    hips[hips[:, 1] > (1 - _EDGE) * (poses.height - 1)] = np.nan
    # hands
    palms = [
        np.linalg.norm(points[:, [hand[knuckle] for knuckle in _KNUCKLES]] - points[:, hand[:1]], axis=-1).max(1)
        for _, hand in _HANDS
    ]
    return Proportions(
        shoulders=shoulders,
        torso=_median(np.linalg.norm(hips - middle, axis=-1)),
        head=_median(np.linalg.norm(points[:, _NOSE] - middle, axis=-1)),
        palm=_quantile(np.concatenate(palms), 0.75),
        palms=int(np.isfinite(np.stack(palms)).any(0).sum()),
        eyes=_median(np.linalg.norm(one - other, axis=-1)),
        face=_median(_across(points[:, _CHIN] - eyes_at, other - one)),
        anchor=_median(middle),
        eyes_at=_median(eyes_at),
    )


def _across(line: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(T,): how far the vectors `line` (T, 2) reach at right angles to `direction`, from one eye to the other."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(line[:, 0] * direction[:, 1] - line[:, 1] * direction[:, 0]) / np.linalg.norm(direction, axis=-1)


def scales(poses: PoseSequence, target: PoseSequence) -> Scales:
    """How `poses` are scaled and moved to fit the person of `target`.

    The body is scaled by the shoulders' width, or by the torso's (else the head's) height where the width says another
    size: one of the two has turned then, and a turn leaves heights alone. Where no torso is seen and the face is as
    high as the shoulders are wide, nobody has turned. The face likewise, by the eyes' distance or
    by the height from eyes to chin. A hand is scaled by the palms; where the target shows them in a few frames only,
    perhaps edge-on, by no less than the body. What is never seen of either is scaled as the body is.
    """
    return _scales(measure(poses), measure(target))


def retarget(poses: PoseSequence, target: PoseSequence) -> PoseSequence:
    """`poses` performed by the person of `target`, on the target's frame; pixels are taken to be square in both.

    The body is scaled about the middle of the shoulders, whose usual place comes to lie where the target's does. The
    head gets its own size about the middle of the eyes, whose usual place comes to lie where the target's does; a hand
    about its wrist. Scores, missing points and fps stay those of `poses`; what disagrees is added to the notes.
    """
    own, other = measure(poses), measure(target)
    scale = _scales(own, other)
    points = poses.all_points[..., :2].astype(np.float64)
    # body
    moved = (points - own.anchor) * scale.body + other.anchor
    # head
    one, second = _eyes(points)
    eyes_at = _or_middle((one + second) / 2, points, _HEAD)
    from_, to = (own.anchor, other.anchor) if _unknown(own, other) else (own.eyes_at, other.eyes_at)
    head = (*_HEAD, *poses.places(PUPILS))
    parts = [(eyes_at, (eyes_at - from_) * scale.body + to, head, scale.face)]
    # hands
    for wrist, hand in _HANDS:
        root = np.where(np.isfinite(points[:, hand[0]]), points[:, hand[0]], points[:, wrist])
        anchor = _or_middle(root, points, hand)
        parts.append((anchor, (anchor - own.anchor) * scale.body + other.anchor, tuple(hand), scale.hands))
    for anchor, place, part, size in parts:
        moved[:, list(part)] = place[:, None] + (points[:, list(part)] - anchor[:, None]) * size
    fitted = poses.all_points.copy()
    fitted[..., :2] = moved
    notes = (*poses.notes, *scale.notes)
    return poses.with_points(fitted, width=target.width, height=target.height, notes=notes)


def _unknown(own: Proportions, other: Proportions) -> bool:
    """Whether either of them never shows the eyes."""
    return not (np.isfinite(own.eyes_at).all() and np.isfinite(other.eyes_at).all())


def _scales(own: Proportions, other: Proportions) -> Scales:
    notes: list[str] = []
    # body: a width, or a height where the width says another size
    heights = {name: _ratio(getattr(other, name), getattr(own, name)) for name in ("torso", "head", "face")}
    shoulders = other.shoulders / own.shoulders
    body = _upright("shoulders", shoulders, _decisive(shoulders, heights), notes)
    # face
    eyes = _ratio(other.eyes, own.eyes)
    face = _upright("eyes", eyes, {"face": heights["face"], "body": body}, notes) if eyes else body
    # hands
    palms = _ratio(other.palm, own.palm)
    hands = palms or body
    if min(own.palms, other.palms) < _FEW and hands < body:
        notes += _disagree("palms", hands, "body", body)
        hands = body
    # places
    shift = other.anchor - own.anchor
    head_shift = shift if _unknown(own, other) else other.eyes_at - own.eyes_at
    shoulders_by, eyes_by = ((float(x), float(y)) for x, y in (shift, head_shift))
    return Scales(body, hands, face, shoulders_by, eyes_by, tuple(notes))


def _ratio(target: float, driving: float) -> float | None:
    return float(target / driving) if target > 0 and driving > 0 else None


def _decisive(width: float, heights: dict[str, float | None]) -> dict[str, float | None]:
    """The heights that tell the body's size: the torso's; where it is not seen, the face's if it agrees with the width.

    From the nose to the shoulders a raised chin and a camera above or below count as much as a size: alone it does not
    outvote shoulders and face. Where the face says another size than the shoulders, it is the head's height.
    """
    torso, face = heights["torso"], heights["face"]
    if torso is None and face is not None and 1 / _TURNED["body"] <= width / face <= _TURNED["body"]:
        return {}
    return {name: heights[name] for name in ("torso", "head")}


def _upright(width_name: str, width: float, heights: dict[str, float | None], notes: list[str]) -> float:
    """The width's scale, or that of the first height known where the width differs from it by more than _TURNED."""
    for name, height in heights.items():
        if height is None:
            continue
        if 1 / _TURNED[name] <= width / height <= _TURNED[name]:
            return width
        notes += _disagree(width_name, width, name, height)
        return height
    return width


def _disagree(left_out: str, found: float, used: str, instead: float) -> list[str]:
    """A note where two measures of one size differ by more than _NAMED."""
    apart = max(found / instead, instead / found)
    note = f"the {left_out} say x{found:.2f}, the {used} says x{instead:.2f}: {used} is used (somebody is turned)"
    return [note] if apart > _NAMED else []


def _eyes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the two eyes, (T, 2) each: the face's, where both are there, else the body's."""
    first, second = (_mean(points[:, list(eye)], whole=True) for eye in _EYES)
    there = np.isfinite(first + second)
    one, other = (points[:, eye] for eye in _BODY_EYES)
    return np.where(there, first, one), np.where(there, second, other)


def _or_middle(anchor: np.ndarray, points: np.ndarray, part: Iterable[int]) -> np.ndarray:
    """(T, 2): the anchor, or where it is missing the middle of what is there of the part."""
    return np.where(np.isfinite(anchor), anchor, _mean(points[:, list(part)]))


def _mean(points: np.ndarray, whole: bool = False) -> np.ndarray:
    """Mean over axis 1 of (T, n, 2) without missing points, or only where none is missing; NaN where there is none."""
    there = np.isfinite(points)
    count = there.sum(1)
    enough = count == points.shape[1] if whole else count > 0
    return np.where(enough, np.where(there, points, 0).sum(1) / np.maximum(count, 1), np.nan)


def _median(values: np.ndarray) -> Any:
    return _quantile(values, 0.5)


def _quantile(values: np.ndarray, share: float) -> Any:
    """Over the first axis, without NaN: a number for (T,), else an array; NaN where nothing is left."""
    there = values[np.isfinite(values).reshape(len(values), -1).all(1)]
    return np.quantile(there, share, axis=0) if len(there) else np.full(values.shape[1:], np.nan)
