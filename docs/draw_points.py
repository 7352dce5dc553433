"""The 133 points of COCO-WholeBody on a drawn signer: `python docs/draw_points.py` writes points.png here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from signgen.poses.draw import draw_pose
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.synthetic import Identity, Motion, render_clip

SIZE = (1260, 1560)  # six times Phoenix's
SEED, FRAME = 11, 40
PANEL = 600
INK, EDGE = (255, 255, 255), (20, 20, 20)


def crop(frame: np.ndarray, points: np.ndarray, indices: list[int], margin: float) -> tuple[np.ndarray, np.ndarray]:
    """A square around some points, PANEL pixels wide, half as bright; and all points in its pixels."""
    low, high = points[indices].min(0), points[indices].max(0)
    side = (1 + 2 * margin) * float((high - low).max())
    corner = (low + high - side) / 2
    scale = PANEL / side
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    image = cv2.warpAffine(frame, matrix, (PANEL, PANEL), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return image // 2, (points - corner) * scale


def panel(frame: np.ndarray, keypoints: np.ndarray, indices: list[int], margin: float, text: float) -> np.ndarray:
    """The lines of signgen's palette among these points, and their numbers."""
    image, places = crop(frame, keypoints[:, :2], indices, margin)
    shown = np.full((LAYOUT.points, 3), (np.nan, np.nan, 0), np.float32)
    shown[indices] = np.concatenate([places[indices], np.ones((len(indices), 1))], 1)
    lines = draw_pose(shown, PANEL, PANEL)
    image = np.where(lines.any(-1, keepdims=True), lines, image)
    for index in indices:
        x, y = np.rint(places[index]).astype(int).tolist()
        cv2.circle(image, (x, y), 3, INK, -1, cv2.LINE_AA)
        for colour, width in ((EDGE, 4), (INK, 1)):
            cv2.putText(image, str(index), (x + 5, y - 4), cv2.FONT_HERSHEY_SIMPLEX, text, colour, width, cv2.LINE_AA)
    return image


def main() -> None:
    clip = render_clip(Identity.random(SEED, "Anybody"), Motion.random(SEED, 80)[FRAME : FRAME + 1], size=SIZE)
    frame, keypoints = clip.frames[0], clip.poses.keypoints[0]
    body = [index for index in LAYOUT.body if index not in LAYOUT.legs]
    parts = [
        panel(frame, keypoints, body, 0.12, 0.6),
        panel(frame, keypoints, list(LAYOUT.face), 0.1, 0.4),
        panel(frame, keypoints, list(LAYOUT.right_hand), 0.15, 0.6),
        panel(frame, keypoints, list(LAYOUT.left_hand), 0.15, 0.6),
    ]
    grid = np.concatenate([np.concatenate(parts[:2], 1), np.concatenate(parts[2:], 1)])
    Image.fromarray(grid).quantize(192).save(Path(__file__).with_name("points.png"), optimize=True)


if __name__ == "__main__":
    main()
