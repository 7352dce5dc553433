"""pose-format `.pose` in (0.0, 0.1, 0.2; MediaPipe, OpenPose or COCO-WholeBody components), PoseSequence out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.components import component_mapping, estimator_of, pupil_places
from signgen.poses.mappings import PUPILS, Mapping
from signgen.poses.numbering import Listing
from signgen.poses.readers.base import PoseFile, RawFrames, Reader, Wanted, notes_of, starts_with
from signgen.poses.sequence import usable_fps

# float32 version, uint16 width, height, depth, number of components, then the first name's length.
_HEADER = struct.Struct("<f5H")
_VERSIONS = (0.0, 0.1, 0.2)


@dataclass(frozen=True)
class _Content:
    """frames: per frame a list of people, (points, 3) x, y, confidence each. names: (component, its point names)."""

    names: list[tuple[str, list[str]]]
    frames: list[Any]
    width: int
    height: int
    fps: float | None
    own_size: bool = True


def _version(path: Path) -> float | None:
    """A known version, a few components, and the first one's name (ended by 0 in version 0.0); else None."""
    start = starts_with(path)
    if len(start) < _HEADER.size:
        return None
    version, _, _, _, components, length = _HEADER.unpack_from(start)
    known = [v for v in _VERSIONS if abs(version - v) < 1e-6]
    if not known or not 0 < components < 64:
        return None
    if version == 0:
        name = start[_HEADER.size - 2 :].split(b"\0")[0]
    else:
        name = start[_HEADER.size : _HEADER.size + length]
    return known[0] if name.decode("latin1").isidentifier() else None


def _load(path: Path, version: float) -> _Content:
    """The whole file. Raises PoseError when it is damaged or claims more than it holds."""
    data = path.read_bytes()
    try:
        return _load_0_0(data) if version == 0 else _load_by_package(path, data)
    except PoseError:
        raise
    except ImportError as error:
        raise PoseError(
            f"{path}: a .pose file, and pose-format cannot be imported ({error})", fix="pip install pose-format"
        ) from error
    except Exception as error:  # a damaged header makes the package raise anything
        reason = f"{type(error).__name__}: {error}"[:200]
        raise PoseError(f"{path}: damaged .pose file ({reason})", expected="a whole file") from error


def _load_by_package(path: Path, data: bytes) -> _Content:
    """Versions 0.1 and 0.2. The counts are checked first: the package would allocate whatever they say."""
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader
    from pose_format.utils.reader import BufferReader

    reader = BufferReader(data)
    header = PoseHeader.read(reader)
    per_person = 4 * header.total_points() * (header.num_dims() + 1)
    counts = struct.Struct("<fIH" if round(header.version, 3) == 0.2 else "<3H")
    _, frames, people = counts.unpack_from(data, reader.read_offset)
    left = len(data) - reader.read_offset - counts.size
    if not frames or not people or not per_person or header.num_dims() < 2:
        raise PoseError(f"{path}: {frames} frames of {people} people", expected="at least one of each, with points")
    if round(header.version, 3) == 0.2 and frames * people * per_person > left:
        raise PoseError(f"{path}: ends early: {left} bytes", expected=f"{frames} frames of {people * per_person} bytes")
    body = NumPyPoseBody.read(header, reader)
    points = np.asarray(body.data)[..., :2]
    frame_points = np.concatenate([points, np.asarray(body.confidence)[..., None]], -1)
    names = [(component.name, component.points) for component in header.components]
    size = header.dimensions
    return _Content(names, list(frame_points), size.width, size.height, usable_fps(body.fps))


class _Cursor:
    """Reads version 0.0, whose strings end with 0; struct raises at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def unpack(self, layout: str) -> tuple:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text

    def floats(self, rows: int, columns: int) -> np.ndarray:
        values = np.frombuffer(self.data, "<f4", rows * columns, self.at)
        self.at += values.nbytes
        return values.reshape(rows, columns)


def _load_0_0(data: bytes) -> _Content:
    """Version 0.0, which the package names but cannot read: no fps, people per frame, the components one by one."""
    cursor = _Cursor(data)
    _, width, height, _, count = cursor.unpack("f4H")
    names, formats = [], []
    for _ in range(count):
        name, layout = cursor.text(), cursor.text()
        points, limbs, colours = cursor.unpack("3H")
        names.append((name, [cursor.text() for _ in range(points)]))
        formats.append((points, len(layout)))
        cursor.unpack(f"{2 * limbs + 3 * colours}H")
    if not sum(points for points, _ in formats) or any(columns < 3 for _, columns in formats):
        raise ValueError("components without points or without x, y and confidence")
    frames = []
    for _ in range(cursor.unpack("H")[0]):
        people = []
        for _ in range(cursor.unpack("H")[0]):
            cursor.unpack("h")
            parts = [cursor.floats(*layout) for layout in formats]
            people.append(np.concatenate([part[:, [0, 1, -1]] for part in parts]))
        frames.append(people)
    return _Content(names, frames, width, height, None, own_size=False)


def _open(path: Path, version: float) -> tuple[_Content, Mapping]:
    content = _load(path, version)
    mapping = component_mapping(content.names)
    if not content.frames or not mapping.carried:
        found = ", ".join(name for name, _ in content.names)[:200]
        raise PoseError(
            f"{path}: {len(content.frames)} frames of {found}",
            expected="MediaPipe Holistic, OpenPose or COCO-WholeBody components",
        )
    return content, mapping


def identify(path: Path) -> PoseFile | None:
    """By the version and the first component's name; the whole file is read."""
    version = _version(path)
    if version is None:
        return None
    content, mapping = _open(path, version)
    return PoseFile(path, "pose-format", len(mapping.carried), {"": len(content.frames)})


def read(path: Path, wanted: Wanted) -> RawFrames:
    """Pixels of the frame size in the file. Version 0.0's size is not that of the video: there the given one wins."""
    version = _version(path)
    assert version is not None  # identify accepted it
    content, mapping = _open(path, version)
    holds = content.width and content.height and (content.own_size or wanted.size is None)
    pupils = pupil_places(content.names)
    return RawFrames(
        path,
        Listing(len(content.frames)),
        [[np.concatenate([mapping.apply(person), person[pupils]]) for person in frame] for frame in content.frames],
        size=(content.width, content.height) if holds else None,
        fps=content.fps,
        thresholds=estimator_of(content.names),
        notes=notes_of(mapping.note),
        extra={PUPILS: 2} if pupils else {},
    )


READER = Reader(identify, read)
