"""Frames out: RGB uint8 frames to an H.264 mp4, written beside the target and renamed when it is whole.

High profile, 4:2:0, BT.601 of limited range and tagged so: what browsers and phones play.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signgen.errors import VideoError
from signgen.files import atomic_path
from signgen.video.display import even_size, sample_aspect, true_size_text

__all__ = ["VideoWriter", "exact_rate", "sample_aspect"]

# Visually lossless; the preset keeps encoding well above the rate at which frames are made.
ENCODER = {"crf": "12", "preset": "veryfast"}
NTSC_RATES = (24, 30, 48, 60, 120)
BT601, LIMITED_RANGE = 6, 1
TICK = Fraction(1, 90_000)  # of uneven frame times


def exact_rate(fps: float | Fraction) -> Fraction:
    """29.97 and its kin as n*1000/1001, other rates as the simplest close fraction."""
    for nominal in NTSC_RATES:
        if abs(float(fps) - nominal * 1000 / 1001) < 5e-3 and not isinstance(fps, Fraction):
            return Fraction(nominal * 1000, 1001)
    return Fraction(fps).limit_denominator(100_000)


def _ticks(times: Sequence[float] | np.ndarray, path: Path) -> list[int]:
    """Times in seconds as whole TICKs from the first on. Raises VideoError where they do not ascend."""
    seconds = np.asarray(times, np.float64)
    ticks = np.round((seconds - seconds[:1]) * int(1 / TICK)).astype(np.int64)
    if (np.diff(ticks) <= 0).any():
        raise VideoError(f"{path}: frame times that do not ascend", expected="each frame after the one before")
    return [int(tick) for tick in ticks]


class VideoWriter:
    """Context manager; `write` takes uint8 (height, width, 3) RGB frames.

    A file already at `path` stays as it is until the new one is whole. When the block is left by an exception or
    Ctrl-C, the frames written so far are kept as `<stem>.partial.mp4` (see `partial_path`). Of odd sizes, which H.264
    4:2:0 cannot hold, the last column or row is repeated, and the comment in the file says the true size, to which
    `open_frames` crops (`signgen.video.display`).

    times: seconds at which frames are shown, ascending, one for each that will be written, where they come unevenly.
    description: kept in the file's metadata.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float | Fraction,
        sample_aspect: Fraction = Fraction(1, 1),
        times: Sequence[float] | np.ndarray | None = None,
        description: str = "",
    ) -> None:
        self._description = description
        self.path, self.width, self.height = Path(path), width, height
        self.rate, self.sample_aspect = exact_rate(fps), sample_aspect
        self.partial_path = self.path.with_name(f"{self.path.stem}.partial.mp4")
        self.coded_size = even_size(width, height)
        self._pts = None if times is None else _ticks(times, self.path)
        self.frames, self._broken = 0, False
        if self.rate <= 0:
            raise VideoError(f"{path}: {fps} frames per second", expected="a rate above 0")

    def __enter__(self) -> VideoWriter:
        import av

        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
            if self.coded_size != (self.width, self.height):
                self._container.metadata["comment"] = true_size_text(self.width, self.height)
            if self._description:
                self._container.metadata["description"] = self._description
            self._stream = self._open_stream()
        except av.FFmpegError as error:
            self._stack.close()
            raise self._failed(error) from error
        return self

    def _open_stream(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self.rate, options=ENCODER)
        stream.width, stream.height = self.coded_size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.sample_aspect_ratio = self.sample_aspect
        context.time_base = 1 / self.rate if self._pts is None else TICK
        context.colorspace, context.color_range = BT601, LIMITED_RANGE
        return stream

    def write(self, frame: np.ndarray) -> None:
        """Append one frame. Raises VideoError for another size or type, OSError when the disk is full."""
        import av

        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            expected = f"uint8 ({self.height}, {self.width}, 3)"
            raise VideoError(f"{self.path}: frame {frame.dtype} {frame.shape}", expected=expected)
        if self._pts is not None and self.frames >= len(self._pts):
            raise VideoError(f"{self.path}: more than {len(self._pts)} frames", expected="one for each of the times")
        width, height = self.coded_size
        if frame.shape != (height, width, 3):
            frame = np.pad(frame, ((0, height - self.height), (0, width - self.width), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU601", dst_color_range="MPEG")
        if self._pts is None:
            picture.pts, picture.time_base = self.frames, 1 / self.rate
        else:
            picture.pts, picture.time_base = self._pts[self.frames], TICK
        self._mux(picture)
        self.frames += 1

    def _mux(self, picture: Any) -> None:
        import av

        try:
            self._container.mux(self._stream.encode(picture))
        except av.FFmpegError as error:
            self._broken = True  # encoding or closing after a failed write crashes inside FFmpeg
            raise self._failed(error) from error

    def _failed(self, error: Any) -> OSError:
        return OSError(error.errno, error.strerror, str(self.path))

    def _finish(self) -> None:
        import av

        self._mux(None)
        try:
            self._container.close()
        except av.FFmpegError as error:
            raise self._failed(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            with self._stack:
                if not self.frames:
                    raise VideoError(f"{self.path}: no frame was written", expected="at least one")
                self._finish()
            return
        try:
            if self.frames and not self._broken:
                self._finish()
                self._temporary.replace(self.partial_path)
            elif not self._broken:
                self._container.close()
        except OSError:
            self.frames = 0  # The disk is full: not even the part can be kept; the first error is the one to report.
        finally:
            self._stack.__exit__(kind, error, traceback)
