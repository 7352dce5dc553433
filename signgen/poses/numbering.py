"""Frame numbers or picture names of a keypoint file in; the place of each record in its video out.

Numbers in names and lists are frame numbers. A number that is absent is a frame without a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signgen.errors import PoseError

_LEAST_SPAN = 0.65  # of a video's frames; a file whose numbers span fewer is hardly the video's
_SHOWN = 6


@dataclass(frozen=True)
class Listing:
    """Which frames a file holds, record by record.

    count: of records. numbers: their frame numbers, each once; None where nothing is numbered and the records are
    neighbours. names: of the pictures they were estimated on; None where the format has none. first: the number that
    the format's own tool gives a video's first frame (0 or 1); None where that varies.
    """

    count: int
    numbers: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    first: int | None = None

    @property
    def length(self) -> int:
        """Frames from the first number to the last."""
        return max(self.numbers) - min(self.numbers) + 1 if self.numbers else self.count

    @property
    def span(self) -> str:
        """`5 frames numbered 3 to 9`."""
        return (
            f"{self.count} frames numbered {min(self.numbers)} to {max(self.numbers)}"
            if self.numbers
            else f"{self.count} frames"
        )


@dataclass(frozen=True)
class Placement:
    """at: the frame of each record. length: of the clip. notes: what was guessed."""

    at: tuple[int, ...]
    length: int
    notes: tuple[str, ...] = ()


def numbers_in(names: Sequence[str]) -> tuple[int, ...] | None:
    """The frame number in each name: the last number that is another in every name; of one name the last.

    None where there is no such number.

    >>> numbers_in(["walk_9_2d.json", "walk_10_2d.json"])
    (9, 10)
    """
    runs = [re.findall(r"\d{1,18}", stem_of(name)) for name in names]
    for back in range(1, min(map(len, runs), default=0) + 1):
        values = tuple(int(found[-back]) for found in runs)
        if len(set(values)) == len(values):
            return values
    return None


def stem_of(name: str) -> str:
    """A file name without its folder, its ending and what OpenPose appends.

    >>> stem_of("clip/walk_000000000007_keypoints.json")
    'walk_000000000007'
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    stem = stem if dot and stem and not ending.isdigit() else name
    return re.sub(r"_(keypoints|pose|poses|openpose|dwpose)$", "", stem)


def check_numbers(path: Path, listing: Listing) -> Listing:
    """The listing. Raises PoseError for numbers so far apart that they cannot number one clip's frames."""
    if listing.numbers and listing.length > 10 * listing.count + 1000:
        raise PoseError(
            f"{path}: {listing.span}",
            expected="consecutive numbers of one clip's frames",
        )
    return listing


def covers(listing: Listing, frames: int) -> bool:
    """Whether the numbers span most of a video of so many frames, and no more than it."""
    return listing.numbers is not None and _LEAST_SPAN * frames <= listing.length <= frames


def fits(listing: Listing, frames: int, images: Sequence[str] | None) -> bool:
    """Whether `place` finds a place for every record, and the numbers span most of the video."""
    try:
        place("", listing, frames, images)
    except PoseError:
        return False
    return covers(listing, frames)


def place(where: object, listing: Listing, frames: int | None, images: Sequence[str] | None) -> Placement:
    """Where each record belongs in a video of `frames` frames, or in a folder of `images` (in natural order).

    Raises PoseError where the records do not fit into the video.
    """
    if images is not None:
        by_name = _by_name(where, listing, images)
        if by_name is not None:
            return by_name
        frames = len(images)
    if frames is None:
        return _alone(listing)
    if listing.numbers is None:
        if listing.count != frames:
            raise PoseError(f"{where}: {listing.count} frames without numbers", expected=f"{frames}, as the video")
        return Placement(tuple(range(frames)), frames)
    return _by_length(where, listing, listing.numbers, frames)


def _by_name(where: object, listing: Listing, images: Sequence[str]) -> Placement | None:
    """Beside a frame folder: the picture of that name, else of that number; None where neither is there."""
    if listing.names is not None:
        places = {stem_of(name): index for index, name in enumerate(images)}
        found = [places.get(stem_of(name)) for name in listing.names]
        lacking = [name for name, index in zip(listing.names, found, strict=True) if index is None]
        if not lacking:
            at = tuple(index for index in found if index is not None)
            return Placement(at, len(images), _absent(at, len(images), "matched with the pictures by name"))
        if 2 * len(lacking) < len(found):
            shown = ", ".join(lacking[:3])
            raise PoseError(f"{where}: keypoints of {shown}, which the folder lacks", expected="its pictures' names")
    numbers = numbers_in(images)
    if listing.numbers is None or numbers is None or not set(listing.numbers) <= set(numbers):
        return None
    places_of = {number: index for index, number in enumerate(numbers)}
    at = tuple(places_of[number] for number in listing.numbers)
    return Placement(at, len(images), _absent(at, len(images), "matched with the pictures by number"))


def _alone(listing: Listing) -> Placement:
    """No video is known: from the first number to the last."""
    if listing.numbers is None:
        return Placement(tuple(range(listing.count)), listing.count)
    first = min(listing.numbers)
    at = tuple(number - first for number in listing.numbers)
    about = ""
    if first > 1 or (first == 1 and listing.first == 0):
        about = f"begins at its first number, {first}; what was before is not known without the video"
    return Placement(at, listing.length, (*((about,) if about else ()), *_absent(at, listing.length)))


def _by_length(where: object, listing: Listing, numbers: tuple[int, ...], frames: int) -> Placement:
    """A video of so many frames: whether numbers are from 0, from 1 or from another start.

    The last number equal to the length: from 1. A 0: from 0. Both possible: as the format's tool does, and it is said.
    """
    low, high = min(numbers), max(numbers)
    note = ""
    if low == 0 or (low > 0 and listing.length < frames and high < frames):
        start = 0
        if low > 0:
            start = 1 if listing.first is None else listing.first
            tool = "most tools" if listing.first is None else "the format's own tool"
            note = f"numbered from {start}, as {tool} does, which the length does not decide"
    elif high == frames:
        start = 1
    elif listing.length == frames:
        start, note = low, f"numbered from {low}"
    else:
        start = -1
    if start < 0 or high - start >= frames:
        raise PoseError(
            f"{where}: {listing.span}, the video has {frames}",
            expected=f"numbers from 0 to {frames - 1}, or from 1 to {frames}",
            fix="number the records as the video's frames are",
        )
    at = tuple(number - start for number in numbers)
    return Placement(at, frames, _absent(at, frames, note))


def _absent(at: Sequence[int], length: int, how: str = "") -> tuple[str, ...]:
    """A note on the frames that the file does not name, and how the others were found; none where all are there."""
    lacking = sorted(set(range(length)) - set(at))
    if not lacking:
        return (how,) if how.startswith("numbered from") else ()
    runs = ranges(lacking)
    one = len(lacking) == 1
    note = f"{len(lacking)} of {length} frames {'is' if one else 'are'} not in the file and without a person: {runs}"
    return (f"{note} ({how})" if how else note,)


def ranges(frames: Sequence[int], shown: int = _SHOWN) -> str:
    """`3, 7-9`; of many runs the first ones.

    >>> ranges([3, 7, 8, 9])
    '3, 7-9'
    """
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1][1:] = [frame]
        else:
            runs.append([frame])
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:shown])
    return text if len(runs) <= shown else f"{text} and {len(runs) - shown} more runs"
