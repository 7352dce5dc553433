"""The sound of a clip between two times in; packets for another file out: copied where its container holds the codec,
else encoded as AAC (Opus for WebM)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from signgen.errors import VideoError

# What players of these files play.
HELD = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"),
    ".webm": ("opus", "vorbis"),
}
_ENCODERS = {".webm": "libopus"}
_RATES = {"aac": (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000), "libopus": (48000,)}


@dataclass(frozen=True)
class Sound:
    """The sound of `path` from `start` to `stop`, in seconds from its first picture on."""

    path: Path
    start: Fraction
    stop: Fraction


def sound_codec(path: Path) -> str | None:
    """FFmpeg's name of the codec of a file's first sound; None where there is no sound. Raises VideoError."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = next(iter(container.streams.audio), None)
            context = None if stream is None else stream.codec_context
            return None if context is None else str(context.codec.canonical_name)
    except av.FFmpegError as error:
        raise VideoError(f"{path}: cannot be opened for its sound ({error.strerror})") from error


class SoundTrack:
    """A sound as a stream of `container`, a file with this suffix that is being written."""

    def __init__(self, sound: Sound, container: Any, suffix: str) -> None:
        import av

        self._sound = sound
        self._read: Any = av.open(str(sound.path))
        self._from = self._read.streams.audio[0]
        self._zero = _first_picture(self._read) + sound.start
        if self._from.codec_context.codec.canonical_name in HELD[suffix]:
            self._stream = container.add_stream_from_template(self._from, opaque=True)
            self._packets = self._copied()
        else:
            encoder = _ENCODERS.get(suffix, "aac")
            rate = self._from.codec_context.sample_rate
            rate = rate if rate in _RATES[encoder] else 48000
            layout = "mono" if self._from.codec_context.channels == 1 else "stereo"
            self._stream = container.add_stream(encoder, rate=rate, layout=layout)
            self._packets = self._encoded(rate, layout)
        self._next: Any = next(self._packets, None)

    def packets(self, until: Fraction | None = None) -> Iterator[Any]:
        """Those that are heard before `until` seconds and were not given yet; all that are left where it is None."""
        while self._next is not None:
            packet = self._next
            if until is not None and packet.pts * packet.time_base >= until:
                return
            packet.stream = self._stream
            self._next = next(self._packets, None)
            yield packet

    def close(self) -> None:
        self._read.close()

    def _copied(self) -> Iterator[Any]:
        """Whole packets: of a part, those that begin in it. What is heard stays in time with the pictures."""
        length, base = self._sound.stop - self._sound.start, self._from.time_base
        for packet in self._read.demux(self._from):
            if packet.size == 0 or packet.pts is None:
                continue
            at, lasts = packet.pts * base - self._zero, (packet.duration or 0) * base
            if at + lasts / 2 >= length:
                return
            if at >= 0 or (self._sound.start == 0 and at + lasts >= 0):
                packet.pts = packet.dts = packet.pts - round(self._zero / base)
                yield packet

    def _encoded(self, rate: int, layout: str) -> Iterator[Any]:
        """Sample by sample: neither more nor less than the part."""
        import av

        fifo, place = av.AudioFifo(), 0
        context = self._stream.codec_context
        size = context.frame_size or 1024
        for frame in self._samples(rate, layout):
            if place == 0 and fifo.samples == 0:
                place = max(round(frame.pts * frame.time_base * rate), 0)
            frame.pts = None
            fifo.write(frame)
            while (chunk := fifo.read(size)) is not None:
                place = _placed(chunk, place, rate)
                yield from self._stream.encode(chunk)
        if (rest := fifo.read()) is not None:
            _placed(rest, place, rate)
            yield from self._stream.encode(rest)
        yield from self._stream.encode(None)

    def _samples(self, rate: int, layout: str) -> Iterator[Any]:
        """Frames of floating-point samples, cut to the part; pts counts samples from its start."""
        import av

        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        length = round((self._sound.stop - self._sound.start) * rate)
        for decoded in self._read.decode(self._from):
            for frame in resampler.resample(decoded):
                at = round((frame.pts * frame.time_base - self._zero) * rate)
                if at >= length:
                    return
                samples = frame.to_ndarray()[:, max(-at, 0) : length - at]
                if samples.shape[1]:
                    cut = av.AudioFrame.from_ndarray(samples.copy(), format="fltp", layout=layout)
                    cut.sample_rate, cut.pts, cut.time_base = rate, max(at, 0), Fraction(1, rate)
                    yield cut


def _placed(chunk: Any, place: int, rate: int) -> int:
    """Set a chunk's time; returns where the next one begins."""
    chunk.pts, chunk.time_base = place, Fraction(1, rate)
    return place + int(chunk.samples)


def _first_picture(container: Any) -> Fraction:
    """When a file's first picture is shown, in its own seconds; 0 for a file of sound alone."""
    stream = next(iter(container.streams.video), None)
    if stream is None or stream.start_time is None:
        return Fraction(0)
    return Fraction(stream.start_time * stream.time_base)
