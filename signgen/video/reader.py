"""Frames in: a video, a folder of images or one image as RGB uint8 frames; images and PNGs in and out."""

from __future__ import annotations

import os
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import OptionError, VideoError
from signgen.files import in_natural_order
from signgen.video.background import RGB, chosen_colour, is_transparent, laid_over
from signgen.video.colour import Converter
from signgen.video.damage import Damage, damage_text, damage_within
from signgen.video.frame_folder import look_into
from signgen.video.images import read_image, read_opaque, read_picture, write_png
from signgen.video.probe import AGAIN, Probe, decoded, described, video_stream
from signgen.video.probe import probe as _probe

__all__ = [
    "FrameSource",
    "image_files",
    "in_natural_order",
    "is_video",
    "open_frames",
    "open_images",
    "read_image",
    "read_opaque",
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
    sample_aspect: Fraction | None = None  # how wide a pixel is shown by its height; None where nothing says it
    times: np.ndarray | None = None  # seconds of every frame, float64 (T,), the first at 0; None where they are even
    damaged: tuple[Damage, ...] = ()  # frames that may be wrong, of a video that was decoded to count them
    background: RGB | None = None  # what transparent pixels lie over; None where there are none
    notes: tuple[str, ...] = ()  # what was decided, for the user

    @property
    def first_image(self) -> Path | None:
        return self.images[0] if self.images else None

    def check(self, start: int = 0, stop: int | None = None) -> None:
        """Raise VideoError where any of the frames [start, stop) may be wrong, since the file is damaged."""
        stop = self.num_frames if stop is None else stop
        if found := damage_within(self.damaged, start, stop):
            raise VideoError(f"{self.path}: damaged: {damage_text(found)}", expected="whole frames", fix=AGAIN)

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


def open_frames(path: Path, num_frames: int | None = None, background: RGB | None = None) -> FrameSource:
    """Open a video file, a folder of images (in natural order; other files are ignored) or a single image.

    num_frames: how many frames a video has, where that is known; otherwise it is decoded once to count them, and only
    then are uneven frame times and damaged frames known. background: what transparent pixels lie over; None: the median
    of the opaque border of the first frame.

    Frames stand as the container says that they are shown, turned and mirrored; their colours are BT.709's
    (`signgen.video.colour`); what `VideoWriter` repeated to make an odd size even is cropped.
    Raises VideoError when it is missing, empty, truncated or not decodable.
    """
    path = Path(path)
    if path.is_dir():
        return open_images(path, image_files(path), background)
    if not path.is_file():
        raise VideoError(f"{path}: no such file or folder", expected="a video, a folder of images or an image")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images(path, [path], background)
    if num_frames is not None:
        return _VideoFile.looked_at(path, num_frames, background)
    stat = path.stat()
    return _VideoFile(path, _probe(str(path), stat.st_mtime_ns, stat.st_size), background=background)


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


class _ImageFiles(FrameSource):
    def __init__(self, path: Path, files: list[Path], first: np.ndarray, background: RGB | None) -> None:
        self.path, self.images = path, files
        self.num_frames, self.fps = len(files), None
        self.height, self.width = first.shape[:2]
        if is_transparent(first):
            self.background, note = chosen_colour(first, background)
            self.notes = (f"{files[0]} is {note}",)
        else:
            self.background = background

    def _read(self, frames: np.ndarray) -> np.ndarray:
        images = np.empty((len(frames), self.height, self.width, 3), np.uint8)
        for row, frame in zip(images, frames, strict=True):
            image = read_picture(self.images[frame])
            if image.shape[:2] != row.shape[:2]:
                found = f"{self.images[frame]}: {image.shape[1]}x{image.shape[0]}"
                raise VideoError(found, expected=f"{self.width}x{self.height} like the clip's first frame")
            row[:] = self._opaque(image, self.images[frame])
        return images

    def _opaque(self, image: np.ndarray, path: Path) -> np.ndarray:
        if image.shape[-1] == 3:
            return image
        if self.background is None:
            found = f"{path}: transparent, the clip's first frame is not"
            raise VideoError(
                found,
                fix="say with --background COLOUR what it is to lie over; a command without that needs opaque pictures",
            )
        return laid_over(image, self.background)


def open_images(path: Path, files: list[Path], background: RGB | None = None) -> FrameSource:
    """These images of the folder `path` as the frames of a clip; background: see `open_frames`. Raises VideoError when
    there are none, or the first is not readable.
    """
    if not files:
        raise VideoError(f"{path}: a folder without images", expected="PNG or JPEG frames")
    return _ImageFiles(path, files, read_picture(files[0]), background)


class _VideoFile(FrameSource):
    """Readers are opened on the first read of each process and belong to it.

    One carried over a fork must neither be used nor destroyed there: it would wait for threads that are gone.
    """

    def __init__(self, path: Path, probe: Probe, reader: _PyAV | None = None, background: RGB | None = None) -> None:
        self.path, self._probe, self.codec = path, probe, probe.codec
        self.num_frames, self.width, self.height, self.fps = probe.frames, probe.width, probe.height, probe.fps
        self.sample_aspect, self.damaged = probe.sample_aspect, probe.damage
        self.times = None if probe.times is None else np.array(probe.times)
        notes = [note for note in (probe.orientation.note, probe.colour.note) if note]
        if probe.true_size is not None:
            notes.append(f"cropped to {probe.width}x{probe.height}, the size before it was padded, by its comment")
        if probe.colour.alpha:
            reader = reader or _PyAV(path)
            self.background, note = chosen_colour(reader.first, background)
            reader.background = self.background
            notes += [note] if probe.transparent or is_transparent(reader.first) else []
        self.notes = tuple(f"{path}: {note}" for note in notes)
        self._without_decord = False
        self._readers: dict[int, _Decord | _PyAV] = {os.getpid(): reader} if reader else {}

    @classmethod
    def looked_at(cls, path: Path, num_frames: int, background: RGB | None = None) -> _VideoFile:
        """By the header and the first frame alone. Raises VideoError."""
        reader = _PyAV(path)
        return cls(path, reader.described(num_frames), reader, background)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": {}}

    def _read(self, frames: np.ndarray) -> np.ndarray:
        try:
            return self._decoded(frames)
        except _decoder_errors() as error:
            found = f"{self.path}: {_span(frames)} cannot be decoded ({error})"
            raise VideoError(found, fix=AGAIN) from error

    def _decoded(self, frames: np.ndarray) -> np.ndarray:
        reader = self._reader(frames[0])
        try:
            return reader.read(frames)
        except _decoder_errors():
            if not isinstance(reader, _Decord):
                raise
        # decord fails on sound videos of some widths (72x58: frames of four channels); PyAV decides
        self._without_decord = True
        self._readers[os.getpid()] = reader = _PyAV(self.path, self.background)
        return reader.read(frames)

    def _reader(self, start: int) -> _Decord | _PyAV:
        """PyAV as long as frames are read in order, also from the first one again, since it is faster and smaller then;
        decord seeks."""
        process = os.getpid()
        reader = self._readers.get(process)
        turn = not isinstance(reader, _Decord) and start not in (0, reader.next if reader else 0)
        if turn and not self._without_decord:
            reader = _Decord.open(self.path, self._probe) or reader
        self._readers[process] = reader or _PyAV(self.path, self.background)
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
    def open(cls, path: Path, probe: Probe) -> _Decord | None:
        """None where decord has no wheel, cannot decode the codec or counts other frames than really decode, and for
        videos whose frames need more than decoding, or are damaged, which decord conceals in its own way."""
        if probe.codec not in DECORD_CODECS or not probe.is_plain or probe.damage:
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

    def __init__(self, path: Path, background: RGB | None = None) -> None:
        _OPEN.add(self)
        self.path, self.background = path, background
        self._restart()

    def _restart(self) -> None:
        """The first frame is decoded at once: only frames say how they are shown, and what their colours mean."""
        import av

        try:
            self._container = av.open(str(self.path))
            self.stream = video_stream(self._container, self.path)
            self.stream.thread_type = "NONE"  # threads would be waited for, forever, in a forked loader process
            frames = decoded(self._container, self.stream)
            first = next(frames)
        except (av.FFmpegError, IndexError, ValueError, StopIteration) as error:
            found = f"{self.path}: not a video that can be decoded ({error})"
            raise VideoError(found, fix=AGAIN) from error
        self._probe = described(self._container, self.stream, first, 0)
        self._frames, self.next = chain([first], frames), 0
        self._converter = Converter()
        self.first = self._shown(first)

    def described(self, num_frames: int) -> Probe:
        return replace(self._probe, frames=num_frames)

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
        picture = self._shown(frame)
        if picture.shape != self.first.shape:
            (height, width), (tall, wide) = picture.shape[:2], self.first.shape[:2]
            found = f"{self.path}: frame {number} is {width}x{height}"
            raise VideoError(found, expected=f"{wide}x{tall} like the first", fix=AGAIN)
        if picture.shape[-1] == 3:
            return picture
        assert self.background is not None  # since the first frame has alpha, too
        return laid_over(picture, self.background)

    def _shown(self, frame: Any) -> np.ndarray:
        """uint8 (H, W, 3 or 4) RGB, as it is shown."""
        picture = self._converter.rgb(frame, self._probe.colour)
        if self._probe.true_size is not None:
            width, height = self._probe.true_size
            picture = picture[:height, :width]
        return self._probe.orientation.apply(picture)


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
