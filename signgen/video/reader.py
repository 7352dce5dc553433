"""Frames in: a video, a folder of images or one image as RGB uint8 frames; images and PNGs in and out."""

from __future__ import annotations

import os
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from signgen.errors import OptionError, VideoError
from signgen.files import atomic_path, in_natural_order
from signgen.video.frame_folder import look_into

__all__ = [
    "FrameSource",
    "image_files",
    "in_natural_order",
    "is_video",
    "open_frames",
    "open_images",
    "read_image",
    "write_png",
]

VIDEO_SUFFIXES = frozenset([".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".gif"])
IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"])
# decord is exact on these (equal to PyAV to the last bit); others, AV1 and gif among them, it cannot decode.
DECORD_CODECS = frozenset(["h264", "hevc", "mpeg4", "vp9"])
# Those that cannot lose anything; gif is not one of them: it has 256 colours.
LOSSLESS_CODECS = frozenset(["ffv1", "ffvhuff", "huffyuv", "utvideo", "png", "apng", "rawvideo"])


class FrameSource(ABC):
    """Random access to the frames of one clip. Sources may be pickled and used after a fork."""

    path: Path
    num_frames: int  # frames that decode; containers sometimes claim more
    width: int
    height: int
    fps: float | None  # None for images
    images: Sequence[Path] = ()  # of images
    codec: str | None = None  # of a video, as FFmpeg names it

    @property
    def first_image(self) -> Path | None:
        return self.images[0] if self.images else None

    @abstractmethod
    def _read(self, frames: np.ndarray) -> np.ndarray: ...

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames [start, stop) as uint8 (N, height, width, 3) RGB. Raises VideoError outside 0..num_frames."""
        stop = self.num_frames if stop is None else stop
        if not 0 <= start < stop <= self.num_frames:
            raise VideoError(f"{self.path}: frames {start}:{stop} asked for", expected=f"a part of 0:{self.num_frames}")
        return self._read(np.arange(start, stop))

    def pick(self, frames: np.ndarray) -> np.ndarray:
        """These frames, in ascending order and each once, as uint8 (N, height, width, 3) RGB; of a video only they are
        converted from YUV. Raises VideoError outside 0..num_frames."""
        if not len(frames) or frames[0] < 0 or frames[-1] >= self.num_frames:
            raise VideoError(f"{self.path}: {_span(frames)} asked for", expected=f"a part of 0:{self.num_frames}")
        return self._read(frames)


def _span(frames: np.ndarray) -> str:
    return f"frames {frames[0]}:{frames[-1] + 1}" if len(frames) else "no frames"


def open_frames(path: Path, num_frames: int | None = None) -> FrameSource:
    """Open a video file, a folder of images (in natural order; other files are ignored) or a single image.

    num_frames: how many frames a video has, where that is known; otherwise it is decoded once to count them.

    Frames of a video that says it was filmed with the camera turned stand upright, as players and OpenCV show them.
    Raises VideoError when it is missing, empty, truncated or not decodable.
    """
    path = Path(path)
    if path.is_dir():
        return open_images(path, image_files(path))
    if not path.is_file():
        raise VideoError(f"{path}: no such file or folder", expected="a video, a folder of images or an image")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images(path, [path])
    if num_frames is not None:
        return _VideoFile.looked_at(path, num_frames)
    stat = path.stat()
    return _VideoFile(path, _probe(str(path), stat.st_mtime_ns, stat.st_size))


def is_video(path: Path) -> bool:
    """By its name: a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def image_files(folder: Path) -> list[Path]:
    """The images directly in `folder`, in natural order (frame2 before frame10).

    Where there are Phoenix's images0001.png ..., only they are frames: other programs leave pictures among them.
    """
    if names := look_into(folder).names:
        return [folder / name for name in names]
    with os.scandir(folder) as entries:
        images = [
            e.name for e in entries if Path(e.name).suffix.lower() in IMAGE_SUFFIXES and not e.name.startswith(".")
        ]
    return [folder / name for name in in_natural_order(images)]


def read_image(path: Path) -> np.ndarray:
    """One image as uint8 (H, W, 3) RGB; alpha is dropped. Raises VideoError."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})", expected="an image") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise VideoError(f"{path}: not a readable image ({data.size} bytes)", expected="a whole PNG or JPEG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_png(path: Path, frame: np.ndarray) -> None:
    """Write uint8 (H, W, 3) RGB as PNG, atomically."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not ok:
        raise VideoError(f"{path}: frame of shape {frame.shape} cannot be written as PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


class _ImageFiles(FrameSource):
    def __init__(self, path: Path, files: list[Path], width: int, height: int) -> None:
        self.path, self.images = path, files
        self.num_frames, self.width, self.height, self.fps = len(files), width, height, None

    def _read(self, frames: np.ndarray) -> np.ndarray:
        images = np.empty((len(frames), self.height, self.width, 3), np.uint8)
        for row, frame in zip(images, frames, strict=True):
            image = read_image(self.images[frame])
            if image.shape != row.shape:
                found = f"{self.images[frame]}: {image.shape[1]}x{image.shape[0]}"
                raise VideoError(found, expected=f"{self.width}x{self.height} like the clip's first frame")
            row[:] = image
        return images


def open_images(path: Path, files: list[Path]) -> FrameSource:
    """These images of the folder `path` as the frames of a clip. Raises VideoError when there are none, or the first
    is not readable.
    """
    if not files:
        raise VideoError(f"{path}: a folder without images", expected="PNG or JPEG frames")
    height, width, _ = read_image(files[0]).shape
    return _ImageFiles(path, files, width, height)


@dataclass(frozen=True)
class _Probe:
    frames: int
    width: int
    height: int
    fps: float | None
    codec: str
    turns: int  # quarter turns anticlockwise that stand the decoded frames upright; width and height are upright's


def _described(stream: Any, rotation: float, num_frames: int) -> _Probe:
    fps = float(stream.average_rate) if stream.average_rate else None
    turns = _turns(rotation)
    width, height = (stream.width, stream.height)[:: -1 if turns % 2 else 1]
    return _Probe(num_frames, width, height, fps, stream.codec_context.name, turns)


def _turns(rotation: float) -> int:
    return round(rotation / 90) % 4


@lru_cache(maxsize=1024)
def _probe(path: str, mtime_ns: int, size: int) -> _Probe:
    """Decode the whole video once: the only way to know how many frames there are. Raises VideoError."""
    import av

    decoded = packets = rotation = 0
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            claimed = stream.frames
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise VideoError(f"{path}: truncated: it breaks off after frame {decoded} of {claimed or '?'}")
                packets += packet.size > 0
                frames = packet.decode()
                rotation = frames[0].rotation if frames and not decoded else rotation
                decoded += len(frames)
            probe = _described(stream, rotation, decoded)
    except (av.FFmpegError, IndexError) as error:
        what = f"breaks off after frame {decoded}" if decoded else "not a video that can be decoded"
        raise VideoError(f"{path}: {what} ({error})", fix="copy the file again, or re-encode it") from error
    if not decoded or packets < claimed:
        raise VideoError(f"{path}: truncated: {decoded} frames decode of {claimed}", fix="copy the file again")
    return probe


class _VideoFile(FrameSource):
    """Readers are opened on the first read of each process and belong to it.

    One carried over a fork must neither be used nor destroyed there: it would wait for threads that are gone.
    """

    def __init__(self, path: Path, probe: _Probe, reader: _PyAV | None = None) -> None:
        self.path, self._probe, self.codec = path, probe, probe.codec
        self.num_frames, self.width, self.height, self.fps = probe.frames, probe.width, probe.height, probe.fps
        self._readers: dict[int, _Decord | _PyAV] = {os.getpid(): reader} if reader else {}

    @classmethod
    def looked_at(cls, path: Path, num_frames: int) -> _VideoFile:
        """By the header and the first frame alone. Raises VideoError."""
        reader = _PyAV(path)
        return cls(path, _described(reader.stream, reader.rotation, num_frames), reader)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}}

    def _read(self, frames: np.ndarray) -> np.ndarray:
        try:
            return self._reader(frames[0]).read(frames)
        except _decoder_errors() as error:
            found = f"{self.path}: {_span(frames)} cannot be decoded ({error})"
            raise VideoError(found, fix="copy the file again, or re-encode it") from error

    def _reader(self, start: int) -> _Decord | _PyAV:
        """PyAV as long as frames are read in order, since it is faster then; decord seeks."""
        process = os.getpid()
        reader = self._readers.get(process)
        if not isinstance(reader, _Decord) and start != (reader.next if reader else 0):
            reader = _Decord.open(self.path, self._probe) or reader
        self._readers[process] = reader or _PyAV(self.path)
        return self._readers[process]


def _decoder_errors() -> tuple[type[Exception], ...]:
    """What decoders raise for files that break off or have changed since they were looked at."""
    import av

    try:
        from decord import DECORDError
    except ImportError:
        return (av.FFmpegError,)
    return (av.FFmpegError, DECORDError)


class _Decord:
    def __init__(self, reader: Any) -> None:
        self._reader = reader
        _OPEN.add(self)

    @classmethod
    def open(cls, path: Path, probe: _Probe) -> _Decord | None:
        """None where decord has no wheel, cannot decode the codec or counts other frames than really decode, and for
        turned videos, whose frames it gives four channels."""
        if probe.codec not in DECORD_CODECS or probe.turns:
            return None
        try:
            import decord
        except ImportError:
            return None
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0))
        return cls(reader) if len(reader) == probe.frames else None

    def read(self, frames: np.ndarray) -> np.ndarray:
        return self._reader.get_batch(frames.tolist()).asnumpy()


class _PyAV:
    """Decodes forwards and starts again from the first frame when asked for an earlier one: exact, never a seek."""

    def __init__(self, path: Path) -> None:
        _OPEN.add(self)
        self.path = path
        self._restart()

    def _restart(self) -> None:
        """The first frame is decoded at once: only frames say how the camera was turned."""
        import av

        try:
            self._container = av.open(str(self.path))
            self.stream = self._container.streams.video[0]
            self.stream.thread_type = "NONE"  # threads would be waited for, forever, in a forked loader process
            frames = self._container.decode(self.stream)
            first = next(frames)
        except (av.FFmpegError, IndexError, StopIteration) as error:
            found = f"{self.path}: not a video that can be decoded ({error})"
            raise VideoError(found, fix="copy the file again, or re-encode it") from error
        self.rotation = first.rotation
        self._frames, self.next = chain([first], frames), 0
        self._reformatter = av.video.reformatter.VideoReformatter()

    def read(self, frames: np.ndarray) -> np.ndarray:
        if frames[0] < self.next:
            self._container.close()
            self._restart()
        first = self._upright(frames[0])
        out = np.empty((len(frames), *first.shape), np.uint8)  # one array, so that no list of frames is copied
        out[0] = first
        for row, frame in zip(out[1:], frames[1:], strict=True):
            row[:] = self._upright(frame)
        return out

    def _upright(self, number: int) -> np.ndarray:
        """Frame `number`, which is not behind; those before it are decoded but not converted."""
        while self.next <= number:
            frame = next(self._frames, None)
            if frame is None:
                raise VideoError(f"{self.path}: ends before frame {self.next}", expected=f"frame {number} too")
            self.next += 1
        return np.rot90(self._reformatter.reformat(frame, format="rgb24").to_ndarray(), _turns(self.rotation))


_OPEN: weakref.WeakSet[_Decord | _PyAV] = weakref.WeakSet()
_INHERITED: list[_Decord | _PyAV] = []  # keeps the parent's readers from being destroyed in a forked child

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _INHERITED.extend(_OPEN))


def frame_range(text: str | None, frames: int, option: str = "--frames") -> slice:
    """`A:B` (0-based, B exclusive, either side may be empty) against a length. Raises OptionError."""
    if text is None:
        return slice(0, frames)
    try:
        first, last = text.split(":")
        start, stop = int(first or 0), int(last or frames)
    except ValueError:
        raise OptionError(f"{option} {text!r}", expected="A:B, 0-based, B exclusive, e.g. 73:97") from None
    if not 0 <= start < stop <= frames:
        raise OptionError(f"{option} {text} does not lie within 0:{frames}")
    return slice(start, stop)


def parse_size(text: str, option: str = "--size") -> tuple[int, int]:
    """`210x260` -> (210, 260): width and height in pixels. Raises OptionError."""
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if match is None or not all(0 < int(side) < 2**16 for side in match.groups()):
        raise OptionError(f"{option} {text!r}", expected="WIDTHxHEIGHT in pixels, e.g. 210x260")
    return int(match[1]), int(match[2])
