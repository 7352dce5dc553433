"""Frames out: RGB uint8 frames to an H.264 mp4, written beside the target and renamed when it is whole."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signgen.errors import VideoError
from signgen.files import atomic_path

# Visually lossless; the preset keeps encoding well above the rate at which frames are made.
ENCODER = {"crf": "12", "preset": "veryfast"}
NTSC_RATES = (24, 30, 48, 60, 120)
BT601, LIMITED_RANGE = 6, 1


def exact_rate(fps: float | Fraction) -> Fraction:
    """29.97 and its kin as n*1000/1001, other rates as the simplest close fraction."""
    for nominal in NTSC_RATES:
        if abs(float(fps) - nominal * 1000 / 1001) < 5e-3 and not isinstance(fps, Fraction):
            return Fraction(nominal * 1000, 1001)
    return Fraction(fps).limit_denominator(100_000)


def sample_aspect(width: int, height: int) -> Fraction:
    """Phoenix material (210x260) is meant to be shown as 210x300: pixels 13:15. Everything else is square."""
    return Fraction(13, 15) if (width, height) == (210, 260) else Fraction(1, 1)


class VideoWriter:
    """Context manager; `write` takes uint8 (height, width, 3) RGB frames.

    A file already at `path` stays as it is until the new one is whole. When the block is left by an exception or
    Ctrl-C, the frames written so far are kept as `<stem>.partial.mp4` (see `partial_path`). Even sizes are written as
    yuv420p; odd ones, which H.264 4:2:0 cannot hold, as yuv444p.
    """

    def __init__(
        self, path: Path, width: int, height: int, fps: float | Fraction, sample_aspect: Fraction = Fraction(1, 1)
    ) -> None:
        self.path, self.width, self.height = Path(path), width, height
        self.rate, self.sample_aspect = exact_rate(fps), sample_aspect
        self.partial_path = self.path.with_name(f"{self.path.stem}.partial.mp4")
        self.frames, self._broken = 0, False
        if self.rate <= 0:
            raise VideoError(f"{path}: {fps} frames per second", expected="a rate above 0")

    def __enter__(self) -> VideoWriter:
        import av

        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._open_stream()
        except av.FFmpegError as error:
            self._stack.close()
            raise self._failed(error) from error
        return self

    def _open_stream(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self.rate, options=ENCODER)
        stream.width, stream.height = self.width, self.height
        stream.pix_fmt = "yuv420p" if self.width % 2 == 0 and self.height % 2 == 0 else "yuv444p"
        context = stream.codec_context
        context.sample_aspect_ratio = self.sample_aspect
        context.time_base = 1 / self.rate
        context.colorspace, context.color_range = BT601, LIMITED_RANGE
        return stream

    def write(self, frame: np.ndarray) -> None:
        """Append one frame. Raises VideoError for another size or type, OSError when the disk is full."""
        import av

        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            expected = f"uint8 ({self.height}, {self.width}, 3)"
            raise VideoError(f"{self.path}: frame {frame.dtype} {frame.shape}", expected=expected)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU601", dst_color_range="MPEG")
        picture.pts, picture.time_base = self.frames, 1 / self.rate
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
