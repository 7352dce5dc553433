"""An identity and a motion in; SyntheticClip out: frames, the exact keypoints, and keypoints as estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.synthetic.body import draw_arms, draw_hands, draw_torso
from signgen.synthetic.head import draw_head
from signgen.synthetic.identity import Identity
from signgen.synthetic.materials import background, ramps
from signgen.synthetic.motion import FPS, Motion, Signed
from signgen.synthetic.observe import Observation, observe
from signgen.synthetic.pen import Pen
from signgen.synthetic.raster import Light, Raster
from signgen.synthetic.skeleton import PHOENIX_SHOULDERS, Camera, Skeleton, keypoints, pose

PHOENIX_SIZE = (210, 260)
SHUTTER = 0.55  # of the time between two frames
_INSTANTS = (4, 12)
_PIXELS_AN_INSTANT = 1.3


@dataclass(frozen=True)
class SyntheticClip:
    """frames: uint8 (T, H, W, 3) RGB. poses: exact. observed: with jitter and gaps. visible: bool (T, 133). signed:
    which signs are in which frames."""

    name: str
    signer: str
    glosses: tuple[str, ...]
    frames: np.ndarray
    poses: PoseSequence
    observed: PoseSequence
    visible: np.ndarray
    signed: tuple[Signed, ...] = ()


def render_clip(
    identity: Identity,
    motion: Motion,
    *,
    size: tuple[int, int] = PHOENIX_SIZE,
    observation: Observation | None = None,
    name: str | None = None,
) -> SyntheticClip:
    """Draw `identity` performing `motion` on frames of `size` (width, height); the same arguments, the same bytes."""
    camera = Camera(*size, identity)
    skeleton = pose(identity, motion.values)
    points = keypoints(skeleton, camera)
    drawn = [_frame(identity, motion, camera, frame, points) for frame in range(len(motion))]
    exact = PoseSequence(points, *size, FPS)
    visible = np.stack([seen for _, seen in drawn])
    rng = np.random.default_rng([identity.seed, motion.seed, 0x0B5])
    observed = observe(exact, visible, camera.unit, observation or Observation(), rng)
    frames = np.stack([frame for frame, _ in drawn])
    return SyntheticClip(
        name or f"{identity.name}-{motion.name}",
        identity.name,
        motion.glosses,
        frames,
        exact,
        observed,
        visible,
        motion.signed,
    )


def render_frames(
    identity: Identity, motion: Motion, numbers: Sequence[int], size: tuple[int, int] = PHOENIX_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Some frames of `render_clip`, uint8 (N, H, W, 3), and their exact keypoints, float32 (N, 133, 3)."""
    camera = Camera(*size, identity)
    points = keypoints(pose(identity, motion.values), camera)
    frames = [_frame(identity, motion, camera, number, points)[0] for number in numbers]
    return np.stack(frames), points[list(numbers)]


def _frame(
    identity: Identity, motion: Motion, camera: Camera, frame: int, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The picture, uint8 (H, W, 3), and which of the 133 points nothing covers, bool."""
    times, offsets = _instants(points, frame)
    skeleton = pose(identity, motion.at(times))
    raster = Raster(len(times), camera.width, camera.height, Light(identity.light, identity.ambient))
    pen = Pen(raster, camera, offsets)
    draw_torso(pen, skeleton)
    draw_arms(pen, skeleton)
    draw_head(pen, skeleton)
    draw_hands(pen, skeleton)
    pen.finish()
    picture = raster.picture(ramps(identity), background(identity, camera.width, camera.height))
    soft = identity.softness * camera.unit / PHOENIX_SHOULDERS
    picture = cv2.GaussianBlur(picture, (0, 0), soft, borderType=cv2.BORDER_REPLICATE)
    return picture, _visible(raster, camera, skeleton, points[frame])


def _instants(points: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (S,) within the shutter, and shifts (S, 2) within a pixel; more of them for a faster frame."""
    around = points[max(0, frame - 1) : frame + 2, list(LAYOUT.left_hand) + list(LAYOUT.right_hand), :2]
    speed = np.linalg.norm(np.diff(around, axis=0), axis=-1).max() if len(around) > 1 else 0.0
    count = int(np.clip(np.ceil(SHUTTER * speed / _PIXELS_AN_INSTANT), *_INSTANTS))
    number = np.arange(count)
    times = frame + SHUTTER * ((number + 0.5) / count - 0.5)
    # The plastic number's sequence fills the pixel evenly for any count.
    offsets = np.stack([(number * 0.7548777 + 0.5) % 1, (number * 0.5698403 + 0.5) % 1], 1) - 0.5
    return times, offsets


def _visible(raster: Raster, camera: Camera, skeleton: Skeleton, points: np.ndarray) -> np.ndarray:
    """bool (133,): within the frame, and for hands, at its own depth nothing nearer was drawn."""
    column, row = np.rint(points[:, :2]).astype(int).T
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    middle = len(raster.depth) // 2
    hands = skeleton.hands[middle, ::-1].reshape(-1, 3)
    seen = inside.copy()
    first = LAYOUT.left_hand.start
    for index in np.flatnonzero(inside[first:]):
        drawn = raster.depth[middle, row[first + index], column[first + index]]
        seen[first + index] = drawn < (hands[index, 2] + 0.12 * camera.identity.hand) * camera.unit
    return seen
