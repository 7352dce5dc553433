"""Sound of a clip under rendered frames: which part of it, and in time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from signgen.errors import VideoError
from signgen.video.sound import Sound, sound_codec
from signgen.video.writer import VideoWriter

RATE, SECONDS, FPS, SIDE = 48000, 2, 25, 32


def write_clip(path: Path, encoder: str | None) -> Path:
    """Two seconds, in which a tone rises: every moment sounds otherwise."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        if encoder is not None:
            audio = container.add_stream(encoder, rate=RATE, layout="mono")
            t = np.arange(RATE * SECONDS) / RATE
            tone = (0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            context = audio.codec_context
            resampler = av.AudioResampler(context.format.name, "mono", RATE, context.frame_size or 1024)
            for part in (*resampler.resample(frame), *resampler.resample(None), None):
                container.mux(audio.encode(part))
        for number in range(FPS * SECONDS):
            picture = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), number, np.uint8), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path


def heard(path: Path) -> tuple[float, np.ndarray, str]:
    """When the sound begins, its samples, and its codec."""
    with av.open(str(path)) as container:
        resampler, start, found = av.AudioResampler("fltp", "mono", RATE), 0.0, []
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                start = start if found else float(frame.pts * frame.time_base)
                found.append(frame.to_ndarray()[0])
        return start, np.concatenate(found), str(container.streams.audio[0].codec_context.codec.canonical_name)


def under(sound: Sound, folder: Path, suffix: str, codec: str, times: np.ndarray | None = None) -> Path:
    count = round((sound.stop - sound.start) * FPS)
    part = folder / "part.mp4"
    with VideoWriter(part, SIDE, SIDE, FPS, codec=codec) as writer:
        for number in range(count):
            writer.write(np.full((SIDE, SIDE, 3), number, np.uint8))
    with VideoWriter(folder / f"o{suffix}", SIDE, SIDE, FPS, times=times, codec=codec, sound=sound) as writer:
        writer.append(part)
    return folder / f"o{suffix}"


@pytest.mark.parametrize(
    ("encoder", "clip", "suffix", "codec", "expected"),
    [
        ("aac", "c.mp4", ".mp4", "h264", "aac"),
        ("libopus", "c.mkv", ".mp4", "h264", "opus"),
        ("flac", "c.mkv", ".mp4", "h264", "aac"),
        ("libopus", "c.mkv", ".webm", "vp9", "opus"),
        ("aac", "c.mp4", ".webm", "vp9", "opus"),
    ],
)
def test_a_part_stays_in_time(encoder: str, clip: str, suffix: str, codec: str, expected: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / clip, encoder)
    first, last = Fraction(10, FPS), Fraction(40, FPS)
    out = under(Sound(path, first, last), tmp_path, suffix, codec)
    begins, samples, name = heard(out)
    zero, original, _ = heard(path)
    assert name == expected
    assert -0.001 <= begins < 0.025
    assert abs(begins + len(samples) / RATE - float(last - first)) < 0.025
    piece, at = samples[RATE // 5 : RATE * 4 // 5], round((begins + 0.2 + float(first) - zero) * RATE)
    off = {lag: np.abs(original[at + lag :][: len(piece) : 5] - piece[::5]).mean() for lag in range(-500, 500, 4)}
    assert abs(min(off, key=off.__getitem__)) / RATE < 0.003
    assert out.read_bytes() == under(Sound(path, first, last), tmp_path, suffix, codec).read_bytes()


def test_the_whole_sound_is_copied_to_the_byte(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", "aac")
    out = under(Sound(path, Fraction(0), Fraction(SECONDS)), tmp_path, ".mp4", "h264")
    packets = []
    for file in (path, out):
        with av.open(str(file)) as container:
            packets.append([bytes(packet) for packet in container.demux(audio=0) if packet.size])
    assert packets[0] == packets[1]
    assert heard(out)[0] == heard(path)[0]


def test_which_files_have_sound(tmp_path: Path) -> None:
    assert sound_codec(write_clip(tmp_path / "a.mp4", "aac")) == "aac"
    assert sound_codec(write_clip(tmp_path / "b.mp4", None)) is None
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"c\.mp4"):
        sound_codec(tmp_path / "c.mp4")
