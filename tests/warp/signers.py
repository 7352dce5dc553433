"""Drawn signers on a small canvas, for tests of the part warp."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from signgen.models.canvas import Canvas
from signgen.synthetic.clip import SyntheticClip
from signgen.synthetic.corpus import plan_takes
from signgen.synthetic.materials import background

CANVAS = Canvas(128, 128)
SIGNERS = 3


def _take(signer: int):
    return plan_takes(3, signers=SIGNERS, clips=1, frames=40)["train"][signer]


@lru_cache
def clip(signer: int) -> tuple[SyntheticClip, np.ndarray, np.ndarray]:
    """The clip, and its frames and exact keypoints on the canvas."""
    made = _take(signer).render()
    frames = np.stack([CANVAS.fit_frame(frame) for frame in made.frames])
    return made, frames, CANVAS.fit_keypoints(made.poses.keypoints, made.poses.width, made.poses.height)


def true_mask(signer: int, canvas: Canvas = CANVAS) -> np.ndarray:
    """bool (H, W): where the clip's first frame is not the signer's backdrop."""
    made, identity = clip(signer)[0], _take(signer).identity
    empty = canvas.fit_frame(background(identity, made.poses.width, made.poses.height).astype(np.uint8))
    return np.abs(canvas.fit_frame(made.frames[0]).astype(int) - empty).max(-1) > 12
