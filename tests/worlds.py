"""Small worlds for tests: a video of a moving figure with exact keypoints, written as users have them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from signgen.poses.draw import draw_pose
from signgen.poses.sequence import PoseSequence
from signgen.video.writer import VideoWriter

SIZE = 64


def figure_poses(frames: int, phase: float = 0.0, size: int = SIZE) -> PoseSequence:
    """A standing figure that swings both arms: float32 (T, 133, 3), every point there."""
    points = np.zeros((frames, 133, 3), np.float32)
    points[..., 2] = 1
    unit = size / 64
    for t in range(frames):
        swing = np.sin(2 * np.pi * t / 12 + phase)
        body = points[t]
        body[:5, :2] = (32, 14)
        body[5, :2], body[6, :2] = (40, 26), (24, 26)
        body[7, :2], body[8, :2] = (45, 36), (19, 36)
        body[9, :2], body[10, :2] = (42 + 6 * swing, 36 - 8 * swing), (22 + 6 * swing, 36 + 8 * swing)
        body[11, :2], body[12, :2] = (38, 54), (26, 54)
        body[13:23, :2] = (32, 63)
        angles = np.linspace(0, 2 * np.pi, 68)
        body[23:91, :2] = np.stack([32 + 6 * np.cos(angles), 14 + 7 * np.sin(angles)], 1)
        fan = np.stack([np.tile(np.arange(-2, 3), 4) * 1.5, -np.repeat(np.arange(1, 5), 5) * 1.5], 1)
        for wrist, first in ((9, 91), (10, 112)):
            body[first, :2] = body[wrist, :2]
            body[first + 1 : first + 21, :2] = body[wrist, :2] + fan
        body[:, :2] *= unit
    return PoseSequence(points, size, size, 25.0)


def figure_frames(poses: PoseSequence, shade: int = 90) -> np.ndarray:
    """uint8 (T, H, W, 3): the skeleton in thick strokes on a shaded background, so that a frame depends on its pose."""
    size = (poses.width, poses.height)
    ramp = np.linspace(shade, shade + 60, poses.height)[:, None, None]
    background = np.broadcast_to(ramp, (poses.height, poses.width, 3)).astype(np.uint8)
    frames = []
    for points in poses.keypoints:
        drawn = cv2.dilate(draw_pose(points, *size), np.ones((3, 3), np.uint8))
        frames.append(np.where(drawn.any(-1, keepdims=True), drawn, background))
    return np.stack(frames)


def write_mmpose(poses: PoseSequence, path: Path) -> None:
    """MMPose 1.x JSON, frames without a person have no instance."""
    records = [
        {
            "frame_id": index + 1,
            "instances": [{"keypoints": frame[:, :2].tolist(), "keypoint_scores": frame[:, 2].tolist()}]
            if np.isfinite(frame).all()
            else [],
        }
        for index, frame in enumerate(poses.keypoints)
    ]
    path.write_text(json.dumps({"meta_info": {}, "instance_info": records}))


def write_world(root: Path, clips: int = 2, frames: int = 16) -> Path:
    """`root/<clip>.mp4` beside `root/<clip>.mmpose.json`."""
    root.mkdir(parents=True, exist_ok=True)
    for index in range(clips):
        poses = figure_poses(frames, phase=index)
        with VideoWriter(root / f"clip{index}.mp4", poses.width, poses.height, 25) as writer:
            for frame in figure_frames(poses, 80 + 40 * index):
                writer.write(frame)
        write_mmpose(poses, root / f"clip{index}.mmpose.json")
    return root
