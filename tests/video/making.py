"""Videos made for tests: tagged, turned, of uneven times, damaged."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

IDENTITY = (1, 0, 0, 1)


def ramp(frames: int, width: int, height: int) -> np.ndarray:
    """Smooth moving colours, uint8 (T, H, W, 3): codecs keep them."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    channels = (40 + 4 * t + x / width * 60, 60 + y / height * 120, 200 - 3 * t - x / width * 80)
    return np.stack(channels, -1).astype(np.uint8)


def write(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    rate: Any = 25,
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    colorspace: int | None = None,
    color_range: int | None = None,
    trc: int | None = None,
    primaries: int | None = None,
) -> Path:
    """Frames (T, H, W, 3 or 4), uint8 or uint16 RGB, encoded with these tags; the numbers are FFmpeg's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    formats = {("uint8", 3): "rgb24", ("uint8", 4): "rgba", ("uint16", 3): "rgb48le"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        tags = {"colorspace": colorspace, "color_range": color_range, "color_trc": trc, "color_primaries": primaries}
        for name, value in tags.items():
            if value is not None:
                setattr(context, name, value)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if times is not None:
            context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format=formats[frame.dtype.name, frame.shape[-1]])
            picture = picture.reformat(
                format=pix_fmt, dst_colorspace=colorspace or 5, dst_color_range=color_range or 1, src_color_range=2
            )
            for name, value in tags.items():
                if value is not None:
                    setattr(picture, name, value)
            if times is not None:
                picture.pts, picture.time_base = round(times[number] * 1000), Fraction(1, 1000)
            else:
                picture.pts = None
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a, b, c, d of the track header's matrix (ISO 14496-12, 8.3.2) into an mp4."""
    content = bytearray(path.read_bytes())
    a, b, c, d = matrix
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack_from(">9i", content, at)[::4] == (1 << 16, 1 << 16, 1 << 30)
    struct.pack_into(">9i", content, at, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def flipped(path: Path, out: Path, count: int, seed: int) -> Path:
    """`count` bytes of the coded frames replaced by others; headers and index stay whole."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size and p.pos is not None]
    rng = np.random.default_rng(seed)
    inside = np.concatenate([np.arange(pos + min(8, size), pos + size) for pos, size in places])
    for at in rng.choice(inside, count, replace=False):
        data[at] ^= int(rng.integers(1, 256))
    out.write_bytes(data)
    return out


def textured(frames: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """A textured square that moves over a textured ground, uint8 (T, H, W, 3): something to predict from."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 200, (height // 4 + 1, width // 4 + 1, 3)).repeat(4, 0).repeat(4, 1)[:height, :width]
    patch = rng.integers(0, 255, (8, 8, 3)).repeat(3, 0).repeat(3, 1)
    pictures = np.repeat(ground[None], frames, 0).astype(np.uint8)
    for t in range(frames):
        y, x = (3 * t) % (height - 24), (5 * t) % (width - 24)
        pictures[t, y : y + 24, x : x + 24] = patch
    return pictures
