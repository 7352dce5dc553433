"""The codecs that videos are written with: a name in; encoder, files that hold it, pixels and options out.

Options are for the same bytes on any number of cores: threads are counted here, never by the machine. x264's mbtree is
off, since with AVX-512 it gives other bytes in one of forty runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from signgen.errors import OptionError, SigngenError

DEFAULT = "h264"
THREADS = 4
# What the muxers need: the index in front; a description in a .mov, too; a .webm without random numbers in it.
CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("mp4", {"movflags": "+faststart"}),
    ".mov": ("mov", {"movflags": "+faststart+use_metadata_tags"}),
    ".webm": ("webm", {"fflags": "+bitexact"}),
}


@dataclass(frozen=True)
class Codec:
    """encoder: FFmpeg's name. suffixes: of files that may hold it, the usual one first. pixels: FFmpeg's pixel format.

    bits: of a pixel, about, in a clip of a person. options: of the encoder. tag: of the stream, where FFmpeg's own is
    not understood everywhere. threads: 0: the encoder has options of its own for them. raw: the bitstream filter that
    makes packets of a file what the encoder gave; None where they are the same.
    """

    encoder: str
    suffixes: tuple[str, ...]
    pixels: str
    bits: float
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None
    threads: int = THREADS
    raw: str | None = None


_X264 = {"crf": "12", "preset": "veryfast", "x264-params": "mbtree=0"}  # visually lossless, faster than frames are made
_X265 = {"crf": "14", "preset": "veryfast", "x265-params": "log-level=none:frame-threads=1"}
_VPX = {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
_NVENC = {"preset": "p5", "rc": "constqp", "qp": "16"}
CODECS = {
    "h264": Codec("libx264", (".mp4",), "yuv420p", 0.35, _X264, raw="h264_mp4toannexb"),
    "h265": Codec(
        "libx265", (".mp4",), "yuv420p", 0.2, _X265, "hvc1", 0, "hevc_mp4toannexb"
    ),  # QuickTime plays no hev1
    "av1": Codec("libsvtav1", (".mp4", ".webm"), "yuv420p", 0.15, {"crf": "18", "preset": "8"}, None, 0),
    "vp9": Codec("libvpx-vp9", (".webm", ".mp4"), "yuv420p", 0.2, _VPX),
    "prores": Codec("prores_ks", (".mov",), "yuv422p10le", 5, {"profile": "hq", "vendor": "apl0"}),
    "nvenc": Codec("h264_nvenc", (".mp4",), "yuv420p", 0.4, _NVENC, None, 0, "h264_mp4toannexb"),
}
_DEVICE = {"nvenc": "an NVIDIA card with a video encoder"}
os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 writes its settings to the terminal otherwise


def codec_named(name: str) -> Codec:
    """Raises OptionError for an unknown one."""
    if name not in CODECS:
        raise OptionError(f"unknown codec {name!r}", expected=f"one of {', '.join(CODECS)}")
    return CODECS[name]


def check_suffix(path: Path, name: str, sample_aspect: Fraction) -> None:
    """Raise SigngenError for a file name whose container does not hold the codec, or pixels of this shape."""
    codec = codec_named(name)
    if path.suffix not in codec.suffixes:
        others = [other for other, about in CODECS.items() if path.suffix in about.suffixes]
        fix = f"or choose --codec {' or '.join(others)}" if others else None
        expected = f"a file name that ends in {' or '.join(codec.suffixes)} for --codec {name}"
        raise SigngenError(f"--out {path}", expected=expected, fix=fix)
    if path.suffix == ".webm" and sample_aspect != 1:
        found = f"--out {path}: pixels of {sample_aspect.numerator}:{sample_aspect.denominator} are not written to WebM"
        raise SigngenError(found, expected="square pixels", fix="choose a name that ends in .mp4")


def check_encoder(name: str) -> None:
    """Raise OptionError where this machine has no encoder for it; one is opened, and closed again."""
    import av

    codec = codec_named(name)
    try:
        context: Any = av.CodecContext.create(codec.encoder, "w")
        context.width, context.height, context.pix_fmt = 256, 256, codec.pixels
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        context.options = dict(codec.options)
        context.open()
    except (av.FFmpegError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        expected = _DEVICE.get(name, f"an FFmpeg with {codec.encoder}")
        raise OptionError(
            f"--codec {name} cannot be opened ({reason})", expected=expected, fix="choose --codec h264"
        ) from error
