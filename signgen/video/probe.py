"""A video in; what it is, decoded once, out: frames, size, rate, times, colour, how it is shown, damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from signgen.errors import VideoError
from signgen.video.background import is_transparent
from signgen.video.colour import Colour, Converter
from signgen.video.damage import CORRUPT, Damage, Trail, logged_errors
from signgen.video.display import Orientation, true_size
from signgen.video.timing import uneven

AGAIN = "copy the file again, or re-encode it"
MOST_PIXELS = 1 << 26  # of a frame, 8192x8192: a damaged header may say anything, and memory is taken by what it says


@dataclass(frozen=True)
class Probe:
    """width, height: of upright frames, cropped to `true_size`. times: seconds of every frame where they come
    unevenly, else None. transparent: whether any pixel is; times, damage and it are known only of a video that was
    decoded."""

    frames: int
    width: int
    height: int
    fps: float | None
    codec: str
    orientation: Orientation
    colour: Colour
    sample_aspect: Fraction | None
    true_size: tuple[int, int] | None = None
    times: tuple[float, ...] | None = None
    damage: tuple[Damage, ...] = ()
    transparent: bool = False

    @property
    def is_plain(self) -> bool:
        """Frames are as decoded: upright, whole, of 8 bits, opaque."""
        return self.orientation.is_upright and self.true_size is None and self.colour.is_plain


def video_stream(container: Any, path: Path | str) -> Any:
    """The first video stream, which will decode no frame of more than MOST_PIXELS. Raises VideoError."""
    stream = next(iter(container.streams.video), None)
    context = None if stream is None else stream.codec_context
    if stream is None or context is None:
        what = "no pictures in it" if stream is None else "FFmpeg does not know its codec"
        raise VideoError(f"{path}: not a video that can be decoded ({what})", fix=AGAIN)
    check_pixels(path, context.width, context.height)
    context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}
    return stream


def check_pixels(path: Path | str, width: int, height: int) -> None:
    """Raise VideoError for a picture that is too large to be one."""
    if width * height > MOST_PIXELS:
        raise VideoError(f"{path}: {width}x{height}", expected=f"at most {MOST_PIXELS} pixels", fix=AGAIN)


def described(container: Any, stream: Any, first: Any, num_frames: int) -> Probe:
    """By the header and the first frame. first: PyAV's."""
    fps = float(stream.average_rate) if stream.average_rate else None
    orientation = Orientation.of(first)
    cropped = true_size(container.metadata, first.width, first.height)
    width, height = orientation.size(*(cropped or (first.width, first.height)))
    stated = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or None
    return Probe(
        frames=num_frames,
        width=width,
        height=height,
        fps=fps,
        codec=stream.codec_context.name,
        orientation=orientation,
        colour=Colour.of(first),
        sample_aspect=orientation.aspect(Fraction(stated) if stated else None),
        true_size=cropped,
    )


def decoder_of(stream: Any) -> Any:
    """What decodes its packets: its own decoder; of VP8 and VP9 with alpha libvpx, since FFmpeg's own drops it."""
    import av

    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
        if name is not None:
            context = av.CodecContext.create(name, "r")
            context.options = {"max_pixels": str(MOST_PIXELS)}
            return context
    return stream


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that decodes, in order; packets that do not are passed over, as players do."""
    import av

    decoder = decoder_of(stream)
    for packet in container.demux(stream):
        if packet.size == 0 and decoder is not stream:
            packet = None
        try:
            yield from decoder.decode(packet)
        except av.error.InvalidDataError:
            continue
        except EOFError:
            return


@lru_cache(maxsize=1024)
def probe(path: str, mtime_ns: int, size: int) -> Probe:
    """Decode the whole video once: the only way to know how many frames there are. Raises VideoError.

    Where anything seems damaged, once more without threads: only then is it known which packet an error belongs to.
    """
    look = _Look(path)
    look.through(threads=True)
    if look.suspicious:
        look = _Look(path)
        look.through(threads=False)
    found = look.found
    if found is None:
        raise VideoError(f"{path}: not a video that can be decoded", fix=AGAIN)
    if look.packets < look.claimed:
        raise VideoError(
            f"{path}: truncated: {found.frames} frames decode of {look.claimed}", fix="copy the file again"
        )
    return replace(found, damage=look.trail.damage() if look.suspicious else ())


class _Look:
    """One time through a video."""

    def __init__(self, path: str) -> None:
        self.path, self.packets, self.claimed = path, 0, 0
        self.found: Probe | None = None
        self._decoded = 0
        self._logged = False

    def through(self, threads: bool) -> None:
        """Raises VideoError for what is no video, or breaks off."""
        import av

        try:
            with av.open(self.path) as container, logged_errors(every_thread=threads) as logs:
                stream = video_stream(container, self.path)
                stream.thread_type = "AUTO" if threads else "NONE"
                self.claimed, self.trail = stream.frames, Trail.empty(stream.codec_context.name)
                try:
                    self._all(container, stream, logs)
                finally:
                    # A thread that logs wants Python's lock, which closing holds while it waits for the thread.
                    stream.codec_context.flush_buffers()
        except (av.FFmpegError, IndexError, ValueError) as error:
            what = f"breaks off after frame {self._decoded}" if self._decoded else "not a video that can be decoded"
            raise VideoError(f"{self.path}: {what} ({error})", fix=AGAIN) from error

    def _all(self, container: Any, stream: Any, logs: list[Any]) -> None:
        import av

        decoder, converter = decoder_of(stream), Converter()
        first, transparent = None, False
        for packet in container.demux(stream):
            try:
                frames = decoder.decode(packet if packet.size or decoder is stream else None)
                failed = False
            except av.error.InvalidDataError:
                frames, failed = [], True
            except EOFError:
                frames, failed = [], False
            self.packets += packet.size > 0
            self._logged |= failed or bool(logs)
            self.trail.packet(packet, failed or bool(logs))
            logs.clear()
            for frame in frames:
                first = first or frame
                self.trail.frame(frame)
                if (colour := Colour.of(frame)).alpha and not transparent:
                    transparent = is_transparent(converter.rgb(frame, colour))
            self._decoded += len(frames)
        if self.trail.why and self.trail.why[-1] == CORRUPT:
            raise VideoError(
                f"{self.path}: truncated: it breaks off after frame {self._decoded} of {self.claimed or '?'}"
            )
        if first is not None:
            self.found = self._described(container, stream, first, transparent)

    def _described(self, container: Any, stream: Any, first: Any, transparent: bool) -> Probe:
        times = None
        shown = [pts for pts in self.trail.shown if pts is not None]
        if stream.time_base and len(shown) == len(self.trail.shown):
            tick = float(stream.time_base)
            seconds = uneven([pts * tick for pts in shown], tick)
            times = None if seconds is None else tuple(seconds.tolist())
        found = described(container, stream, first, self._decoded)
        return replace(found, times=times, transparent=transparent)

    @property
    def suspicious(self) -> bool:
        return self._logged or bool(self.trail.damage())
