"""A seed in; a small re-identification set of drawn people, laid out and named as Market-1501, out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from signgen.synthetic.clip import render_frames
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.video.reader import write_png

SIZE = (64, 128)  # Market-1501's width and height
_DRAWN = (96, 128)  # of which the middle is kept
_CAMERAS = ((1.0, 0), (0.8, 8), (1.15, -6))  # contrast and brightness of each


def write_people(root: Path, people: int = 8, images: int = 4, seed: int = 0) -> Path:
    """bounding_box_train shows the first half of the people, `images` times each by every camera; query and
    bounding_box_test the others, by camera 1 and by all."""
    for number in range(people):
        identity, motion = Identity.random(1000 * seed + number), Motion.random(7000 * seed + number, 40)
        camera = np.repeat(np.arange(len(_CAMERAS)), images)
        numbers = np.linspace(0, len(motion) - 1, len(camera)).round().astype(int).tolist()
        frames, _ = render_frames(identity, motion, numbers, _DRAWN)
        for place, (frame, seen_by) in enumerate(zip(frames, camera, strict=True)):
            name = f"{number + 1:04d}_c{seen_by + 1}s1_{place + 1:06d}_01.png"
            picture = _seen(frame, *_CAMERAS[seen_by])
            for folder in _folders(number < people // 2, seen_by == 0):
                write_png(root / folder / name, picture)
    return root


def _folders(trained: bool, first_camera: bool) -> tuple[str, ...]:
    if trained:
        return ("bounding_box_train",)
    return ("query", "bounding_box_test") if first_camera else ("bounding_box_test",)


def _seen(frame: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    """uint8 (128, 64, 3): the middle of a frame, as that camera takes it."""
    left = (frame.shape[1] - SIZE[0]) // 2
    return cv2.convertScaleAbs(frame[:, left : left + SIZE[0]], alpha=contrast, beta=brightness)
