"""A rectangle of a frame: cut out of it, written as text, and laid back into it through a soft edge. Of a clip it is
the same in all frames, or moves."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from signgen.errors import VideoError
from signgen.video.reader import FrameSource

_TEXT = re.compile(r"(\d+)x(\d+)\+(\d+)\+(\d+)/(\d+)x(\d+)")
_FEATHER = 0.04  # of the rectangle's shorter side


@dataclass(frozen=True)
class Crop:
    """`width` x `height` pixels at (x, y) of a `frame_width` x `frame_height` frame.

    Raises VideoError where they do not lie in it.
    """

    x: int
    y: int
    width: int
    height: int
    frame_width: int
    frame_height: int

    def __post_init__(self) -> None:
        right, bottom = self.x + self.width, self.y + self.height
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise VideoError(f"a crop {self}", expected="a rectangle within the frame")
        if right > self.frame_width or bottom > self.frame_height:
            raise VideoError(f"a crop {self}", expected="a rectangle within the frame")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}/{self.frame_width}x{self.frame_height}"

    @classmethod
    def parse(cls, text: str) -> Crop:
        """The inverse of `str`: WxH+X+Y/FWxFH. Raises VideoError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise VideoError(f"a crop {text!r}", expected="WxH+X+Y/FRAMExFRAME, e.g. 400x400+120+8/1920x1080")
        width, height, x, y, frame_width, frame_height = map(int, found.groups())
        return cls(x, y, width, height, frame_width, frame_height)

    @property
    def share(self) -> float:
        """How much of the frame's area it is."""
        return self.width * self.height / (self.frame_width * self.frame_height)

    def at(self, number: int) -> Crop:
        """Of the clip's frame `number`: in every frame the same."""
        return self

    def of(self, frames: np.ndarray) -> np.ndarray:
        """(..., frame_height, frame_width, 3) -> (..., height, width, 3), a view."""
        return frames[..., self.y : self.y + self.height, self.x : self.x + self.width, :]

    def paste(self, inner: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """uint8 (height, width, 3) laid into a copy of `frame`: outside, and on the edge, it stays what it is; a soft
        edge leads over, but for sides that are the frame's own."""
        whole, share = frame.copy(), self._share()[..., None]
        place = self.of(whole)
        place[:] = np.rint(share * inner + (1 - share) * place).astype(np.uint8)
        return whole

    def _share(self) -> np.ndarray:
        """float32 (height, width): how much of the inner picture is seen."""
        reach = max(1.0, _FEATHER * min(self.width, self.height))
        across = _ramp(self.width, reach, self.x == 0, self.x + self.width == self.frame_width)
        down = _ramp(self.height, reach, self.y == 0, self.y + self.height == self.frame_height)
        return np.minimum.outer(down, across)


def _ramp(length: int, reach: float, open_start: bool, open_end: bool) -> np.ndarray:
    """From 0 at the first pixel up to 1, and down again; an open end stays at 1."""
    place = np.arange(length, dtype=np.float32)
    start = np.ones_like(place) if open_start else np.minimum(place / reach, 1)
    return np.minimum(start, 1 if open_end else np.minimum(place[::-1] / reach, 1))


@dataclass(frozen=True)
class CropPath:
    """`width` x `height` pixels whose place changes from frame to frame. starts: x, y in each frame of the clip.

    Raises VideoError where they do not lie in the frame.
    """

    starts: tuple[tuple[int, int], ...]
    width: int
    height: int
    frame_width: int
    frame_height: int

    def __post_init__(self) -> None:
        if not self.starts:
            raise VideoError("a crop without frames", expected="a place in every frame")
        corners = np.array(self.starts)
        for corner in (corners.min(0), corners.max(0)):
            self._placed(*corner.tolist())

    @classmethod
    def through(cls, starts: np.ndarray, width: int, height: int, frame_width: int, frame_height: int) -> CropPath:
        """starts: int (T, 2). Raises VideoError."""
        return cls(tuple((x, y) for x, y in starts.tolist()), width, height, frame_width, frame_height)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}/{self.frame_width}x{self.frame_height}, following"

    @property
    def share(self) -> float:
        """How much of the frame's area it is."""
        return self.at(0).share

    def at(self, number: int) -> Crop:
        """Of the clip's frame `number`."""
        return self._placed(*self.starts[number])

    def _placed(self, x: int, y: int) -> Crop:
        return Crop(x, y, self.width, self.height, self.frame_width, self.frame_height)


class CroppedFrames(FrameSource):
    """A rectangle of every frame of another source. Raises VideoError for frames of another size than the crop's, and
    for a path of fewer frames."""

    def __init__(self, source: FrameSource, crop: Crop | CropPath) -> None:
        if (source.width, source.height) != (crop.frame_width, crop.frame_height):
            raise VideoError(
                f"{source.path} is {source.width}x{source.height}",
                expected=f"{crop.frame_width}x{crop.frame_height}, of which it is cropped",
            )
        if isinstance(crop, CropPath) and len(crop.starts) < source.num_frames:
            raise VideoError(f"{source.path}: {source.num_frames} frames", expected=f"{len(crop.starts)}, as the crop")
        self._source, self.crop = source, crop
        self.path, self.num_frames, self.fps = source.path, source.num_frames, source.fps
        self.width, self.height = crop.width, crop.height
        self.images, self.codec, self.sample_aspect = source.images, source.codec, source.sample_aspect
        self.times, self.damaged = source.times, source.damaged
        self.background, self.notes = source.background, source.notes

    def _read(self, frames: np.ndarray) -> np.ndarray:
        whole = self._source._read(frames)
        if isinstance(self.crop, Crop):
            return np.ascontiguousarray(self.crop.of(whole))
        return np.stack([self.crop.at(number).of(frame) for number, frame in zip(frames, whole, strict=True)])
