"""What the readers of numbered frames and of several people found in; one PoseSequence out: the one place where frames
are numbered, the signer is chosen, fractions become pixels and scores come to one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.errors import PoseError
from signgen.poses.numbering import check_numbers, place
from signgen.poses.people import Crowd, Track, choose, find_tracks, note_on
from signgen.poses.readers.base import POINTS, RawFrames, Wanted, mark_missing, need_size, notes_of
from signgen.poses.scores import doubtful_note, on_our_scale, same_for_all, scale_note
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import PIXELS, to_pixels, unit_of


@dataclass(frozen=True)
class _Laid:
    """Everybody at their frames, in pixels, and what was decided so far."""

    crowd: Crowd
    tracks: list[Track]
    length: int
    size: tuple[int, int]
    notes: tuple[str, ...]


def to_sequence(raw: RawFrames, wanted: Wanted) -> PoseSequence:
    """The signer's poses, or those of the person that `wanted` names. Raises PoseError where that is not decided."""
    laid = _lay_out(raw, wanted)
    chosen, about = 0, ""
    if laid.tracks or wanted.person:
        given = wanted.size or laid.size
        scale = (laid.size[0] / given[0], laid.size[1] / given[1])
        chosen = choose(laid.tracks, laid.crowd, wanted.person, raw.path, scale)
        about = note_on(laid.tracks, chosen, laid.crowd, laid.length)
    keypoints = _poses_of(laid, laid.tracks[chosen]) if laid.tracks else _nobody(laid.length, _points(raw))
    return _sequence(raw, wanted, laid, keypoints, (*laid.notes, about))


def everybody(raw: RawFrames, wanted: Wanted) -> list[PoseSequence]:
    """The poses of every person, the one most like the signer first; `--person` counts them so, from 1."""
    laid = _lay_out(raw, wanted)
    return [_sequence(raw, wanted, laid, _poses_of(laid, track), ()) for track in laid.tracks]


def _lay_out(raw: RawFrames, wanted: Wanted) -> _Laid:
    """Frames numbered, coordinates in pixels, people followed."""
    # frames
    listing = check_numbers(raw.path, raw.listing)
    if not listing.count:
        raise PoseError(f"{raw.path}: keypoints without any frame", expected="at least one frame")
    numbered = listing.numbers is not None or listing.names is not None
    fitting = (
        place(raw.path, listing, wanted.frames, wanted.images) if numbered else place(raw.path, listing, None, None)
    )
    # pixels
    size = raw.size or need_size(raw.path, wanted.size)
    counts = [len(people) for people in raw.people]
    flat = [person for people in raw.people for person in people]
    points = mark_missing(np.stack(flat), np.float64) if flat else np.empty((0, _points(raw), 3))
    unit = unit_of(points[:, :POINTS])
    points = to_pixels(points, unit, size)
    about_unit = unit if (unit == PIXELS) == raw.in_fractions else ""
    # people
    frame = np.repeat(np.array(fitting.at, int), counts)
    ids = [number for each in raw.ids or () for number in each] or [None] * len(flat)
    crowd = Crowd.of(frame, points, np.array([np.nan if number is None else number for number in ids], float))
    tracks = find_tracks(crowd, fitting.length, size)
    notes = notes_of(*fitting.notes, f"coordinates are {about_unit}" if about_unit and flat else "")
    return _Laid(crowd, tracks, fitting.length, size, notes)


def _points(raw: RawFrames) -> int:
    """Of every person: the 133 and the optional ones."""
    return POINTS + sum(raw.extra.values())


def _nobody(frames: int, points: int) -> np.ndarray:
    return np.tile(np.array([np.nan, np.nan, 0.0]), (frames, points, 1))


def _poses_of(laid: _Laid, track: Track) -> np.ndarray:
    """float64 (T, 133 and more, 3): the track's points, nobody where it is missing."""
    keypoints = _nobody(laid.length, laid.crowd.points.shape[1])
    keypoints[laid.crowd.frame[track.rows]] = laid.crowd.points[track.rows]
    return keypoints


def _sequence(
    raw: RawFrames, wanted: Wanted, laid: _Laid, keypoints: np.ndarray, notes: tuple[str, ...]
) -> PoseSequence:
    scale = raw.thresholds if wanted.seen_from is None else same_for_all(wanted.seen_from)
    per_point = np.append(scale.per_point(), [scale.face] * sum(raw.extra.values()))
    keypoints[..., 2] = on_our_scale(keypoints[..., 2], per_point)
    marked = mark_missing(keypoints)
    known = marked[:, :POINTS]
    about = (scale_note(scale), doubtful_note(known))
    width, height = laid.size
    fps = raw.fps or wanted.fps
    extra = _optional(raw, marked)
    return PoseSequence(known, width, height, fps, notes=notes_of(*notes, *raw.notes, *about), extra=extra)


def _optional(raw: RawFrames, points: np.ndarray) -> dict[str, np.ndarray]:
    """Those of the optional points that are there in any frame, by name."""
    found, start = {}, POINTS
    for name, count in raw.extra.items():
        found[name] = points[:, start : start + count]
        start += count
    return {name: own for name, own in found.items() if np.isfinite(own[..., 0]).any()}
