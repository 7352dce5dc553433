"""An identity and rows of a motion in; joints in space, and the 133 keypoints on the picture, out.

Space: shoulder widths, the origin is the middle of the shoulders at rest, x to the right, y down, z to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.synthetic.face import landmarks
from signgen.synthetic.identity import Identity
from signgen.synthetic.lexicon import ANGLES, POSITION, SHAPE
from signgen.synthetic.motion import FACE, HANDS, HEAD, TORSO

SIDES = np.array([-1.0, 1.0])  # the signer's right hand is on the picture's left
PELVIS = 1.5
_CAMERA = 8.0  # shoulder widths from the camera to the shoulders
_PHOENIX = (210, 260)
PHOENIX_SHOULDERS = 86.0  # px
_WRIST_BEND = np.radians(62)

# In hand lengths: across the palm towards the thumb, along it. Index to little finger.
_KNUCKLES = np.array([(0.108, 0.485), (0.036, 0.510), (-0.036, 0.490), (-0.104, 0.445)])
_PHALANGES = np.array([(0.220, 0.130, 0.100), (0.240, 0.145, 0.105), (0.220, 0.135, 0.105), (0.170, 0.100, 0.090)])
_SPREAD = np.radians([13, 2, -9, -21])
_AT_REST = np.radians([1.5, 0, -1.5, -3])
_THUMB_ROOT = np.array([0.085, 0.115, 0.015])
_THUMB = (0.225, 0.165, 0.130)


@dataclass(frozen=True)
class Skeleton:
    """Joints at S instants, in space; index 0 of axis 1 is the signer's right. rotations: (S, 3, 3) columns x, y, z."""

    torso: np.ndarray  # (S, 3) middle of the shoulders
    torso_rotation: np.ndarray
    shoulders: np.ndarray  # (S, 2, 3)
    elbows: np.ndarray
    wrists: np.ndarray
    hands: np.ndarray  # (S, 2, 21, 3)
    head: np.ndarray  # (S, 3) between the ears
    head_rotation: np.ndarray
    head_angles: np.ndarray  # (S, 3) yaw, pitch, roll in radians, the torso's included
    face: np.ndarray  # (S, 68, 3)
    gaze: np.ndarray  # (S, 2)
    opened: np.ndarray  # (S,) mouth
    legs: np.ndarray  # (S, 12, 3) hips, knees, ankles, then big toe, small toe and heel, left before right


@dataclass(frozen=True)
class Camera:
    """Where space lands on a picture of `width` x `height`."""

    width: int
    height: int
    identity: Identity

    @property
    def unit(self) -> float:
        """Pixels a shoulder width."""
        fit = min(self.width / _PHOENIX[0], self.height / _PHOENIX[1])
        return fit * PHOENIX_SHOULDERS * self.identity.size

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) in space -> x, y and depth in pixels."""
        near = self.nearness(points)
        middle = np.array([self.identity.centre[0] * self.width, self.identity.centre[1] * self.height])
        flat = points[..., :2] * self.unit * near[..., None] + middle
        return np.concatenate([flat, points[..., 2:] * self.unit], -1)

    def nearness(self, points: np.ndarray) -> np.ndarray:
        """(...): the factor by which things there look larger."""
        return _CAMERA / (_CAMERA - points[..., 2])


def pose(identity: Identity, values: np.ndarray) -> Skeleton:
    """The joints for rows (S, CHANNELS) of a motion."""
    shift, roll, yaw, shrug = values[:, TORSO].T
    rotation = _rotation(np.radians(yaw), np.zeros_like(yaw), np.radians(roll))
    pelvis = np.array([0, PELVIS, 0])
    torso = pelvis - PELVIS * rotation[:, :, 1] + shift[:, None] * (1, 0, 0)
    across = rotation[:, :, 0]
    shoulders = torso[:, None] + 0.5 * SIDES[:, None] * across[:, None] - shrug[:, None, None] * (0, 1, 0)
    hands = values[:, HANDS].reshape(len(values), 2, -1)
    targets = hands[..., POSITION] * np.stack([SIDES, [1, 1], [1, 1]], -1)
    targets = torso[:, None] + np.einsum("sij,shj->shi", rotation, targets)
    elbows, wrists = reach(identity, shoulders, targets, across)
    axes = _limit_bend(_hand_axes(hands[..., ANGLES], rotation), wrists - elbows)
    fingers = wrists[:, :, None] + identity.hand * np.einsum("shij,shkj->shki", axes, _fingers(hands[..., SHAPE]))
    head_angles = np.radians(values[:, HEAD]) + np.radians(np.stack([yaw * 0.5, 0 * yaw, roll], 1))
    head_rotation = _rotation(*head_angles.T)
    neck = torso - rotation[:, :, 1] * 0.26
    lift = np.array([0, -0.085 - 0.41 * identity.head, 0.07])
    head = neck + np.einsum("sij,j->si", head_rotation, lift)
    face = head[:, None] + np.einsum("sij,skj->ski", head_rotation, landmarks(identity, values[:, FACE]))
    legs = pelvis + shift[:, None, None] * (1, 0, 0) + _LEGS[None]
    return Skeleton(
        torso, rotation, shoulders, elbows, wrists, fingers, head, head_rotation, head_angles, face,
        values[:, FACE][:, 3:5], values[:, FACE][:, 5], legs,
    )  # fmt: skip


_LEGS = np.array(
    [
        *[(side * 0.31, y, 0) for y in (0.0, 1.3, 2.5) for side in (1, -1)],
        *[(side * x, 2.7, z) for side in (1, -1) for x, z in ((0.36, 0.3), (0.44, 0.25), (0.31, -0.1))],
    ]
)


def reach(
    identity: Identity, shoulders: np.ndarray, targets: np.ndarray, across: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Elbows and wrists (S, 2, 3) of arms that go for the targets: elbows down and out, arms no longer than bones."""
    upper, fore = identity.upper_arm, identity.forearm
    gap = targets - shoulders
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    direction = np.where(length > 1e-6, gap / np.maximum(length, 1e-6), (0, 0, 1))
    distance = np.clip(length, 0.45 * upper, 0.985 * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    pole = 0.42 * SIDES[:, None] * across[:, None] + np.array([0, 1.0, -0.25])
    pole = _unit(pole - (pole * direction).sum(-1, keepdims=True) * direction)
    return shoulders + along * direction + aside * pole, shoulders + distance * direction


def keypoints(skeleton: Skeleton, camera: Camera) -> np.ndarray:
    """float32 (S, 133, 3): pixels, and a score that falls outside the frame as an estimator's does."""
    face, head, turn = skeleton.face, skeleton.head, skeleton.head_rotation
    eyes = face[:, 42:48].mean(1), face[:, 36:42].mean(1)
    size = camera.identity.head
    ears = [head + np.einsum("sij,j->si", turn, np.array([side * 0.25 * size, 0.02, -0.02])) for side in (1, -1)]
    pairs = [skeleton.shoulders, skeleton.elbows, skeleton.wrists]
    body = np.stack([face[:, 30], *eyes, *ears, *(joint[:, side] for joint in pairs for side in (1, 0))], 1)
    points = np.concatenate([body, skeleton.legs, face, skeleton.hands[:, 1], skeleton.hands[:, 0]], 1)
    flat = camera.project(points)[..., :2]
    outside = np.maximum(np.maximum(-flat, flat - (camera.width - 1, camera.height - 1)), 0).max(-1)
    scores = np.where(outside > 0, np.clip(0.7 - outside / camera.unit, 0.05, 1), 1)
    return np.concatenate([flat, scores[..., None]], -1).astype(np.float32)


def _hand_axes(angles: np.ndarray, torso: np.ndarray) -> np.ndarray:
    """(S, 2, 3, 3): columns thumb side, along the fingers, out of the palm; angles (S, 2, 3), see `lexicon`."""
    elevation, azimuth, roll = (np.radians(angles[..., i]) for i in range(3))
    zero, inwards = np.zeros_like(elevation), -SIDES * np.ones_like(elevation)
    turned = np.stack([np.cos(azimuth) * inwards, zero, -np.sin(azimuth)], -1)  # the thumb side, before the roll
    ahead = np.stack([np.sin(azimuth) * inwards, zero, np.cos(azimuth)], -1)
    up = np.array([0, -1.0, 0])
    cos, sin = np.cos(elevation)[..., None], np.sin(elevation)[..., None]
    along, palm = cos * ahead + sin * up, sin * ahead - cos * up
    cos, sin = np.cos(roll)[..., None], np.sin(roll)[..., None]
    thumb, palm = cos * turned - sin * palm, cos * palm + sin * turned
    return np.einsum("sij,shjk->shik", torso, np.stack([thumb, along, palm], -1))


def _limit_bend(axes: np.ndarray, forearms: np.ndarray) -> np.ndarray:
    """Turn hands back towards their forearms as far as a wrist cannot bend."""
    fore, along = _unit(forearms), axes[..., 1]
    angle = np.arccos(np.clip((fore * along).sum(-1), -1, 1))
    axis = _unit(np.cross(along, fore) + 1e-9)
    excess = np.maximum(angle - _WRIST_BEND, 0)[..., None, None]
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    turn = np.eye(3) + np.sin(excess) * cross + (1 - np.cos(excess)) * cross @ cross
    return turn @ axes


def _fingers(shapes: np.ndarray) -> np.ndarray:
    """(S, 2, 21, 3): a hand's points in COCO's order, along its axes, in hand lengths; shapes (S, 2, 12) degrees."""
    points = np.zeros((*shapes.shape[:2], 21, 3))
    knuckle, middle = np.radians(shapes[..., :4]), np.radians(shapes[..., 4:8])
    aside = _AT_REST + shapes[..., 8:9] * (_SPREAD - _AT_REST) * np.cos(knuckle)
    root = np.broadcast_to(np.pad(_KNUCKLES, ((0, 0), (0, 1))), (*knuckle.shape, 3))
    flexion = np.zeros_like(knuckle)
    for joint, bend in enumerate((None, knuckle, middle, 0.65 * middle)):
        if bend is not None:
            flexion = flexion + bend
            straight = np.stack([np.sin(aside), np.cos(aside), np.zeros_like(aside)], -1)
            straight = np.cos(flexion)[..., None] * straight + np.sin(flexion)[..., None] * np.array([0, 0, 1.0])
            root = root + _PHALANGES[:, joint - 1, None] * straight
        points[:, :, 5 + joint :: 4] = root
    points[:, :, 1:5] = _thumbs(np.radians(shapes[..., 9:]))
    return points


def _thumbs(angles: np.ndarray) -> np.ndarray:
    """(S, 2, 4, 3) from root to tip; angles (S, 2, 3): away from the fingers, across the palm, bent."""
    out, across, bent = (angles[..., i, None] for i in range(3))
    straight = np.concatenate([np.sin(out) * np.cos(across), np.cos(out) * np.cos(across), np.sin(across)], -1)
    inwards = _unit(np.array([-0.9, 0.15, 0.25]))
    points = [np.broadcast_to(_THUMB_ROOT, straight.shape)]
    for length, bend in zip(_THUMB, (0 * bent, bent, 1.7 * bent), strict=True):
        points.append(points[-1] + length * _unit(np.cos(bend) * straight + np.sin(bend) * inwards))
    return np.stack(points, -2)


def _rotation(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(S, 3, 3), radians: pitch (nose down), then yaw (to the picture's right), then roll (clockwise)."""
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*entries: np.ndarray) -> np.ndarray:
        return np.stack(entries, -1).reshape(-1, 3, 3)

    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    nod = matrix(one, zero, zero, zero, cp, sp, zero, -sp, cp)
    turn = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    tilt = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return tilt @ turn @ nod


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
