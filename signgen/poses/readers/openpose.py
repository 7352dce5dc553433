"""OpenPose JSON in, everybody per frame out: a folder with one file per frame, one file, a list of frames (ComfyUI), or
the Public DGS Corpus' wrapper, a list of cameras {id, camera, width, height, frames: {"0": {people}, ...}}."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PoseError
from signgen.poses.mappings import COCO_FROM_BODY_25, COCO_FROM_OPENPOSE_18, FEET_FROM_BODY_25, PUPILS, missing_note
from signgen.poses.numbering import Listing
from signgen.poses.readers.base import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    ONE_CLIP,
    POINTS,
    RIGHT_HAND,
    PoseFile,
    RawFrames,
    Reader,
    Wanted,
    empty_person,
    file_listing,
    find_clip,
    frame_files,
    load_json,
    notes_of,
    own_number,
    points_array,
    size_of,
    unread_keys,
    unread_note,
)
from signgen.poses.scores import OPENPOSE

# Of the 70 face points the last two are pupils, optional points here. Some dialects write the 68 alone.
_PARTS = (("face", FACE, (70, 68)), ("hand_left", LEFT_HAND, (21,)), ("hand_right", RIGHT_HAND, (21,)))
_ONE_CAMERA = f"{ONE_CLIP}; in build-pairs in the column camera of --pairing"
_KNOWN = frozenset(f"{part}_keypoints_2d" for part in ("pose", "face", "hand_left", "hand_right"))


@dataclass(frozen=True)
class _Film:
    """frames: (where it is from, the frame's JSON), one after the other; listing: which frames they are. size: of the
    frame, where it is said once for all."""

    frames: list[tuple[str, Any]]
    listing: Listing
    size: tuple[int, int] | None = None


def _is_frame(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("people"), list)


def _films(path: Path) -> dict[str, _Film] | None:
    """Camera -> film; "" where there is one alone. None when the JSON is something else."""
    files = frame_files(path)
    if not files:
        return None
    first = load_json(files[0])
    if _is_frame(first):
        frames = [(str(file), load_json(file)) for file in files]
        return {"": _Film(frames, file_listing(path, files, 0))}
    if path.is_dir() or not isinstance(first, list) or not first:
        return None
    if _is_frame(first[0]):
        frames = [(f"{path}: frame {number}", data) for number, data in enumerate(first)]
        return {"": _Film(frames, Listing(len(first), tuple(range(len(first))), None, 0))}
    if all(isinstance(each, dict) and isinstance(each.get("frames"), dict) and "camera" in each for each in first):
        cameras = [(str(each["camera"]), _camera(path, each)) for each in first]
        if len({name for name, _ in cameras}) < len(cameras):
            raise PoseError(f"{path}: a camera occurs twice", expected="each camera once")
        return dict(cameras) if len(cameras) > 1 else {"": cameras[0][1]}
    return None


def _camera(path: Path, record: dict[str, Any]) -> _Film:
    """One camera of the wrapper; its frames are keyed by their numbers from 0."""
    where = f"{path}: camera {record['camera']}"
    if not all(key.isdecimal() for key in record["frames"]) or not record["frames"]:
        raise PoseError(f"{where}: frames are not numbered", expected='{"0": {people}, "1": ...}')
    numbers = sorted(map(int, record["frames"]))
    if len(numbers) < len(record["frames"]) or not all(str(number) in record["frames"] for number in numbers):
        raise PoseError(f"{where}: frame numbers with leading zeros", expected='{"0": {people}, "1": ...}')
    frames = [(f"{where}: frame {number}", record["frames"][str(number)]) for number in numbers]
    listing = Listing(len(numbers), tuple(numbers), None, 0)
    return _Film(frames, listing, size_of(path, record.get("width"), record.get("height")))


def _person(person: Any, where: str) -> tuple[np.ndarray, set[int]]:
    """(135, 3), pupils last, and which of the 133 the lists fill.

    0,0,0 marks a missing point, an empty list a part that was not estimated.
    """
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise PoseError(f"{where}: a person without pose_keypoints_2d", expected="OpenPose 1.x output")
    out, carried = empty_person(2), set[int]()
    if person["pose_keypoints_2d"]:
        body = points_array(person["pose_keypoints_2d"], f"{where}: pose", 3)
        if len(body) not in (25, 18):
            raise PoseError(f"{where}: {len(body)} body points", expected="25 (BODY_25) or 18 (COCO)")
        out[BODY] = body[list(COCO_FROM_BODY_25 if len(body) == 25 else COCO_FROM_OPENPOSE_18)]
        carried |= set(range(17))
        if len(body) == 25:
            out[FEET] = body[list(FEET_FROM_BODY_25)]
            carried |= set(range(FEET.start, FEET.stop))
    for name, part, counts in _PARTS:
        values = person.get(f"{name}_keypoints_2d")
        if values:
            points = points_array(values, f"{where}: {name}", 3)
            if len(points) not in counts:
                raise PoseError(f"{where}: {name}: shape {points.shape}", expected=f"({counts[0]}, 3)")
            out[part] = points[: part.stop - part.start]
            if len(points) == 70:
                out[POINTS:] = points[68:]
            carried |= set(range(part.start, part.stop))
    return out, carried


def _size(path: Path, film: _Film) -> tuple[int, int] | None:
    """The canvas that the frames say, which all must share. Raises PoseError for two of them."""
    found: dict[tuple[int, int], str] = {}
    for where, data in film.frames:
        if _is_frame(data) and (size := size_of(path, data.get("canvas_width"), data.get("canvas_height"))):
            found.setdefault(size, where)
    if len(found) > 1:
        (first, _), (other, where) = list(found.items())[:2]
        raise PoseError(f"{where}: canvas {other[0]}x{other[1]}", expected=f"{first[0]}x{first[1]}, as the others")
    return next(iter(found), None) or film.size


def identify(path: Path) -> PoseFile | None:
    """Looks at the first frame that has a person and counts the frames."""
    films = _films(path)
    if films is None:
        return None
    found = {
        camera: PoseFile.of_frames(path, "openpose", _points(film), film.listing) for camera, film in films.items()
    }
    return replace(
        next(iter(found.values())),
        frames={camera: file.frames[""] for camera, file in found.items()},
        listings={camera: films[camera].listing for camera in found},
    )


def _points(film: _Film) -> int:
    """How many points the first person's lists fill."""
    people = (person for where, data in film.frames if _is_frame(data) for person in data["people"])
    first = next(people, None)
    return 0 if first is None else len(_person(first, film.frames[0][0])[1])


def read(path: Path, wanted: Wanted) -> RawFrames:
    """Pixels, or fractions; one camera of several is chosen by its name."""
    films = _films(path) or {}
    film = films[_chosen(path, films, wanted.clip)]
    people = [_people(data, where) for where, data in film.frames]
    carried = set[int]().union(*(points for frame in people for _, points, _ in frame))
    unread = {key for person in _raw_people(film) for key in unread_keys(person, _KNOWN)}
    return RawFrames(
        path,
        film.listing,
        [[person for person, _, _ in frame] for frame in people],
        [[number for _, _, number in frame] for frame in people],
        size=_size(path, film),
        thresholds=OPENPOSE,
        extra={PUPILS: 2},
        notes=notes_of(missing_note(carried) if carried else "", unread_note(unread)),
    )


def _chosen(path: Path, films: dict[str, _Film], camera: str | None) -> str:
    if len(films) > 1 and camera not in films:
        found = f"{path}: no camera {camera}" if camera else f"{path}: holds {len(films)} cameras"
        raise PoseError(found, expected=f"one of {', '.join(films)}", fix=_ONE_CAMERA)
    return find_clip(path, list(films), camera)


def _raw_people(film: _Film) -> Iterator[Any]:
    return (person for _, data in film.frames if _is_frame(data) for person in data["people"])


def _people(data: Any, where: str) -> list[tuple[np.ndarray, set[int], float | None]]:
    """(135, 3), the points that the lists fill, and the person's number, of each."""
    if not _is_frame(data):
        raise PoseError(f"{where}: not an OpenPose frame", expected="{people: [...]} like the first one")
    found = []
    for person in data["people"]:
        points, carried = _person(person, where)
        found.append((points, carried, own_number(person.get("person_id"))))
    return found


READER = Reader(identify, read)
