"""Frames out: RGB uint8 frames to a video, written beside the target and renamed when it is whole.

BT.601 of limited range and tagged so; by default H.264, 4:2:0: what browsers and phones play.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signgen.errors import VideoError
from signgen.files import atomic_path
from signgen.video.codecs import CODECS, CONTAINERS, DEFAULT
from signgen.video.display import even_size, sample_aspect, true_size_text
from signgen.video.pictures import Pictures
from signgen.video.sound import Sound, SoundTrack

__all__ = ["VideoWriter", "exact_rate", "sample_aspect"]

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
    Ctrl-C, the frames written so far are kept as `<stem>.partial.mp4` (see `partial_path`). Of odd sizes, which 4:2:0
    cannot hold, the last column or row is repeated, and the comment in the file says the true size, to which
    `open_frames` crops (`signgen.video.display`).

    times: seconds at which frames are shown, ascending, one for each that will be written, where they come unevenly.
    description: kept in the file's metadata. codec: a name of `signgen.video.codecs`, which the suffix fits.
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
        codec: str = DEFAULT,
        sound: Sound | None = None,
    ) -> None:
        self._description, self._codec = description, CODECS[codec]
        self._wanted_sound = sound
        self._sound: SoundTrack | None = None
        self.path, self.width, self.height = Path(path), width, height
        self.rate, self.sample_aspect = exact_rate(fps), sample_aspect
        self.partial_path = self.path.with_name(f"{self.path.stem}.partial{self.path.suffix}")
        self.coded_size = even_size(width, height)
        self._pts = None if times is None else _ticks(times, self.path)
        self.frames, self._broken = 0, False
        self._tick = 1 / self.rate if self._pts is None and self.rate > 0 else TICK
        self._delay: int | None = None  # of packets behind frames, known from the first segment
        if self.path.suffix not in CONTAINERS:
            raise VideoError(f"{path}: no video of that kind is written", expected=f"one of {', '.join(CONTAINERS)}")
        if self.rate <= 0:
            raise VideoError(f"{path}: {fps} frames per second", expected="a rate above 0")

    def __enter__(self) -> VideoWriter:
        import av

        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            form, options = CONTAINERS[self.path.suffix]
            self._container = av.open(str(self._temporary), "w", format=form, options=options)
            if self.coded_size != (self.width, self.height):
                self._container.metadata["comment"] = true_size_text(self.width, self.height)
            if self._description:
                self._container.metadata["description"] = self._description
            self._stream = self._open_stream()
            self._pictures = Pictures(*self.coded_size, self._codec.pixels)
            if self._wanted_sound is not None:
                self._sound = SoundTrack(self._wanted_sound, self._container, self.path.suffix)
                self._stack.callback(self._sound.close)
        except av.FFmpegError as error:
            self._stack.close()
            raise self._failed(error) from error
        return self

    def _open_stream(self) -> Any:
        codec = self._codec
        stream = self._container.add_stream(codec.encoder, rate=self.rate, options=dict(codec.options))
        stream.width, stream.height = self.coded_size
        stream.pix_fmt = codec.pixels
        context = stream.codec_context
        if codec.tag is not None:
            context.codec_tag = codec.tag
        if codec.threads:
            context.thread_count, context.thread_type = codec.threads, "FRAME"
        context.sample_aspect_ratio = self.sample_aspect
        context.time_base = 1 / self.rate if self._pts is None else TICK
        context.colorspace, context.color_range = BT601, LIMITED_RANGE
        return stream

    def write(self, frame: np.ndarray) -> None:
        """Append one frame. Raises VideoError for another size or type, OSError when the disk is full."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            expected = f"uint8 ({self.height}, {self.width}, 3)"
            raise VideoError(f"{self.path}: frame {frame.dtype} {frame.shape}", expected=expected)
        if self._pts is not None and self.frames >= len(self._pts):
            raise VideoError(f"{self.path}: more than {len(self._pts)} frames", expected="one for each of the times")
        picture = self._pictures.of(frame)
        if self._pts is None:
            picture.pts, picture.time_base = self.frames, 1 / self.rate
        else:
            picture.pts, picture.time_base = self._pts[self.frames], TICK
        self._mux(picture)
        self.frames += 1

    def append(self, segment: Path) -> int:
        """Append all frames of a video that another writer of the same size, rate and codec wrote: its packets are
        copied, nothing is encoded again. Returns how many. Raises VideoError where it holds no frame, OSError."""
        count = 0
        with _opened(segment) as written:
            for packet in _raw_packets(written, self._codec.raw):
                if self._delay is None:
                    self._delay = -round(packet.dts * packet.time_base * self.rate)
                shown = self.frames + round(packet.pts * packet.time_base * self.rate)
                decoded = self.frames + count - self._delay  # a segment of one frame has another delay than long ones
                packet.pts, packet.dts, packet.duration = self._at(shown), self._at(decoded), self._duration(shown)
                packet.time_base = self._tick
                packet.stream = self._stream
                self._write_sound(shown)
                self._mux_packets([packet])
                count += 1
        if not count:
            raise VideoError(f"{segment}: holds no frame", expected="a segment that was written whole")
        self.frames += count
        return count

    def _at(self, frame: int) -> int:
        """When frame `frame` is shown, in ticks; those before the first as far apart as the first two."""
        if self._pts is None:
            return frame
        step = self._pts[1] - self._pts[0] if len(self._pts) > 1 else 1
        return self._pts[frame] if frame >= 0 else frame * step

    def _duration(self, frame: int) -> int:
        """Ticks until the next frame; of the last one as long as the one before."""
        last = frame if self._pts is None else min(frame, max(len(self._pts) - 2, 0))
        return self._at(last + 1) - self._at(last) if self._pts is None or len(self._pts) > 1 else 1

    def _write_sound(self, frame: int) -> None:
        """What is heard before the frame is shown, so that the muxer need not keep either stream."""
        if self._sound is not None:
            self._mux_packets(self._sound.packets(self._at(frame) * self._tick))

    def _mux(self, picture: Any) -> None:
        import av

        try:
            packets = self._stream.encode(picture)
        except av.FFmpegError as error:
            self._broken = True
            raise self._failed(error) from error
        self._mux_packets(packets)

    def _mux_packets(self, packets: Any) -> None:
        import av

        try:
            self._container.mux(packets)
        except av.FFmpegError as error:
            self._broken = True  # encoding or closing after a failed write crashes inside FFmpeg
            raise self._failed(error) from error

    def _failed(self, error: Any) -> OSError:
        return OSError(error.errno, error.strerror, str(self.path))

    def _finish(self) -> None:
        import av

        if self._delay is None:
            self._mux(None)
        elif self._sound is not None:
            self._mux_packets(self._sound.packets())
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


@contextmanager
def _opened(segment: Path) -> Iterator[Any]:
    """The file to be read. Raises VideoError, in the block, too, where it cannot be."""
    import av

    try:
        with av.open(str(segment)) as container:
            yield container
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise VideoError(f"{segment}: cannot be read ({error.strerror})", expected="a whole segment") from error


def _raw_packets(container: Any, filter_name: str | None) -> Iterator[Any]:
    """The packets of a file's video as its encoder gave them."""
    from av.bitstream import BitStreamFilterContext

    stream = next(iter(container.streams.video), None)
    if stream is None:
        raise VideoError(f"{container.name}: holds no video", expected="a segment that was written whole")
    raw = None if filter_name is None else BitStreamFilterContext(filter_name, stream)
    for packet in container.demux(stream):
        if packet.size:
            yield from [packet] if raw is None else raw.filter(packet)
