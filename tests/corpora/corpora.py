"""Small data sets made for tests: videos with keypoints, and a Phoenix-like corpus."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from signgen.video.reader import write_png
from signgen.video.writer import VideoWriter


def person(frame: int, points: int = 133) -> np.ndarray:
    """(points, 3) within a 64x48 frame, moving with `frame`."""
    places = np.random.default_rng(0).uniform(5, 40, (points, 2)) + frame / 10
    return np.concatenate([places, np.ones((points, 1))], 1).astype(np.float32)


def write_video(path: Path, frames: int = 8, width: int = 64, height: int = 48) -> Path:
    with VideoWriter(path, width, height, 25) as writer:
        for number in range(frames):
            writer.write(np.full((height, width, 3), 10 * number % 255, np.uint8))
    return path


def write_mmpose(path: Path, frames: int = 8, points: int = 133, empty: tuple[int, ...] = (), shift: float = 0) -> Path:
    def instances(number: int) -> list:
        if number in empty:
            return []
        body = person(number, points)
        return [{"keypoints": (body[:, :2] + shift).tolist(), "keypoint_scores": body[:, 2].tolist()}]

    path.write_text(json.dumps([{"frame_id": n, "instances": instances(n)} for n in range(frames)]))
    return path


def write_phoenix(
    root: Path,
    clips: dict[str, list[str]],
    frames: int = 8,
    absent: tuple[str, ...] = (),
    size: tuple[int, int] = (21, 26),
) -> Path:
    """A release folder with clips per split; those in `absent` are only listed. The real frames are 210x260."""
    inner = root / "PHOENIX-2014-T-release-v3" / "PHOENIX-2014-T"
    manual = inner / "annotations" / "manual"
    manual.mkdir(parents=True)
    for split, names in clips.items():
        rows = [f'{name}|{name}/1/*.png|-1|-1|Signer0{n}|A "B|c d .' for n, name in enumerate(names, 1)]
        header = "name|video|start|end|speaker|orth|translation"
        (manual / f"PHOENIX-2014-T.{split}.corpus.csv").write_text("\n".join([header, *rows]) + "\n")
        for name in set(names) - set(absent):
            folder = inner / "features" / "fullFrame-210x260px" / split / name
            for number in range(1, frames + 1):
                write_png(folder / f"images{number:04d}.png", np.full((*size[::-1], 3), number, np.uint8))
    return root / "PHOENIX-2014-T-release-v3"


def write_slrt(path: Path, clips: dict[str, int], shift: float = 0, dtype: type = np.float16) -> Path:
    """SLRT pickle: clip name -> frames."""
    arrays = {
        name: {"keypoints": np.stack([person(n) + shift for n in range(frames)]).astype(dtype)}
        for name, frames in clips.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(arrays))
    return path
