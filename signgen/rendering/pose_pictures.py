"""Poses in; pictures of them, on black or over a video, as mp4 or PNG, out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.errors import PoseError, SigngenError, nearest
from signgen.poses.draw import draw_pose
from signgen.poses.palettes import PALETTES, Palette
from signgen.poses.sequence import PoseSequence
from signgen.rates import rounded_rate, same_rate
from signgen.video.damage import damage_text, damage_within
from signgen.video.display import padding_note
from signgen.video.reader import FrameSource, write_png
from signgen.video.writer import VideoWriter, sample_aspect

_DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Drawing:
    """What to draw: the frames `part` of poses, at `size` (width, height), on black or over `video`'s frames, whose
    last one is held where there are fewer."""

    poses: PoseSequence
    part: slice
    palette: Palette
    size: tuple[int, int]
    video: FrameSource | None = None
    people: tuple[PoseSequence, ...] = ()  # everybody, drawn and numbered from 1 instead of `poses`

    @property
    def fps(self) -> float:
        """The poses' rate, but the video's where the poses' format rounded it."""
        of_video = self.video.fps if self.video is not None else None
        if rounded_rate(self.poses.fps, of_video):
            return of_video or _DEFAULT_FPS
        return self.poses.fps or of_video or _DEFAULT_FPS

    @property
    def sample_aspect(self) -> Fraction:
        return sample_aspect(*self.size, self.video.sample_aspect if self.video is not None else None)

    @property
    def times(self) -> np.ndarray | None:
        """Seconds of the frames of `part`, where the video's come unevenly and the poses have no other rate."""
        if self.video is None or self.video.times is None or not same_rate(self.poses.fps, self.video.fps):
            return None
        return self.video.times[self.part]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the pictures should know: of the video, and of an odd size."""
        found = [] if self.video is None else list(self.video.notes)
        if self.video is not None and (bad := damage_within(self.video.damaged, self.part.start, self.part.stop)):
            found.append(f"{self.video.path}: damaged, pictures there may be wrong: {damage_text(bad)}")
        padded = padding_note(*self.size)
        return (*found, *([padded] if padded else []))

    def __iter__(self) -> Iterator[np.ndarray]:
        """uint8 (height, width, 3) RGB, one after the other."""
        of = (self.poses.width, self.poses.height)
        for index in range(self.part.start, self.part.stop):
            if self.people:
                drawn = self._everybody(index)
            else:
                drawn = draw_pose(self.poses.keypoints[index], *self.size, source_size=of, palette=self.palette)
            if self.video is not None:
                frame = min(index, self.video.num_frames - 1)
                below = self.video.read(frame, frame + 1)[0]
                drawn = np.where(drawn.any(-1, keepdims=True), drawn, below)
            yield drawn

    def _everybody(self, index: int) -> np.ndarray:
        """uint8 (height, width, 3): all people of a frame, each with its number above its head."""
        drawn = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        for number, poses in enumerate(self.people, start=1):
            of, points = (poses.width, poses.height), poses.keypoints[index]
            person = draw_pose(points, *self.size, source_size=of, palette=self.palette)
            drawn = np.where(person.any(-1, keepdims=True), person, drawn)
            seen = points[np.isfinite(points[:, 0]), :2] * np.array(self.size) / np.array(of)
            if len(seen):
                _write_number(drawn, number, (float(np.median(seen[:, 0])), float(seen[:, 1].min())))
        return drawn


def _write_number(picture: np.ndarray, number: int, above: tuple[float, float]) -> None:
    """White on black, inside the picture."""
    import cv2

    scale = max(min(picture.shape[:2]) / 400, 0.4)
    (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    x = int(np.clip(above[0] - width / 2, 0, max(picture.shape[1] - width, 0)))
    y = int(np.clip(above[1] - 2, height, picture.shape[0] - 1))
    for thickness, grey in ((4, 1), (1, 255)):
        cv2.putText(picture, str(number), (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (grey,) * 3, thickness, cv2.LINE_AA)


def palette_named(name: str) -> Palette:
    """Raises PoseError for an unknown one."""

    if name not in PALETTES:
        meant = nearest(name, list(PALETTES))
        fix = f"did you mean {meant}?" if meant else None
        raise PoseError(f"unknown palette {name!r}", expected=f"one of {', '.join(PALETTES)}", fix=fix)
    return PALETTES[name]


def write_pictures(drawing: Drawing, out: Path, advance: Callable[[], object]) -> None:
    """X.mp4, X.png for a single frame, or a folder of images0001.png and so on, numbered as the poses are.

    Raises SigngenError for a PNG of several frames and for other file names.
    """

    count = drawing.part.stop - drawing.part.start
    if out.suffix == ".png" and count != 1:
        raise SigngenError(f"{out} for {count} frames", expected="one frame, e.g. --frames 0:1, or an mp4 or a folder")
    if out.suffix not in (".mp4", ".png", "") or (out.suffix == "" and out.exists() and not out.is_dir()):
        raise SigngenError(f"{out}: no picture of this name", expected="X.mp4, X.png or a folder")
    if out.suffix == ".mp4":
        with VideoWriter(out, *drawing.size, drawing.fps, drawing.sample_aspect, drawing.times) as writer:
            for frame in drawing:
                writer.write(frame)
                advance()
        return
    for number, frame in enumerate(drawing, start=drawing.part.start + 1):
        write_png(out if out.suffix else out / f"images{number:04d}.png", frame)
        advance()
