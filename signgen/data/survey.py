"""What a data set offers: clips with their keypoints, and what was left out and why. Shared by the data-set readers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signgen.data.video import is_video
from signgen.errors import PairSetError, PoseError, nearest
from signgen.files import stays_inside
from signgen.poses import PoseFile, PoseSequence, identify, read_file

if TYPE_CHECKING:
    from signgen.data.verify import Report

# What a folder of clips holds besides keypoints; looking into these for poses would only cost time.
_NEVER_POSES = frozenset([".png", ".jpg", ".jpeg", ".csv", ".txt", ".wav", ".mp3", ".srt", ".vtt", ".eaf"])

Progress = Callable[[Iterable], Iterable]  # wraps an iteration so that it can be watched


class Footage(Protocol):
    """What has to be known of a video or frame folder to pair it with keypoints; a FrameSource is one."""

    @property
    def path(self) -> Path: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def first_image(self) -> Path | None: ...


@dataclass(frozen=True)
class LeftOut:
    """A clip or file that was not used. error: it is damaged, ambiguous or asked for, rather than just not there."""

    name: str
    reason: str
    error: bool = False


@dataclass(frozen=True)
class Candidate:
    """One clip's keypoints in a file. `clip` is its name in the file, "" in a file of one."""

    file: PoseFile
    clip: str = ""

    @property
    def frames(self) -> int:
        return self.file.frames[self.clip]

    @property
    def label(self) -> str:
        return self.file.path.name

    def read(self, size: tuple[int, int], fps: float | None) -> PoseSequence:
        return read_file(self.file, clip=self.clip or None, size=size, fps=fps)


@dataclass(frozen=True)
class Clip:
    """A video with the keypoints that belong to it. split: train, dev or test."""

    name: str
    split: str
    signer: str
    video: Path
    keypoints: Candidate
    num_frames: int
    width: int
    height: int
    fps: float | None
    first_image: Path | None = None  # of a frame folder

    @classmethod
    def of(cls, name: str, split: str, signer: str, footage: Footage, keypoints: Candidate) -> Clip:
        size = (footage.num_frames, footage.width, footage.height, footage.fps)
        return cls(name, split, signer, footage.path, keypoints, *size, footage.first_image)

    def poses(self) -> PoseSequence:
        return self.keypoints.read((self.width, self.height), self.fps)


@dataclass
class Survey:
    """The outcome of looking through a data set. report: of the quick verification, where the data set has one."""

    root: Path
    kind: str
    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    report: Report | None = None


class Unpaired(PairSetError):
    """No keypoints can be chosen for a clip. `error` is False where there simply are none."""

    def __init__(self, found: str, *, error: bool = True, fix: str | None = None) -> None:
        super().__init__(found, fix=fix)
        self.error = error


@dataclass(frozen=True)
class PairingRow:
    """One line of --pairing; video is None where the column is empty."""

    video: Path | None
    keypoints: Path


def read_pairing(path: Path, root: Path) -> dict[str, PairingRow]:
    """The CSV clip,video,keypoints by clip; paths are relative to `root`, else to the CSV. Raises PairSetError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError) as error:
        raise PairSetError(f"{path}: cannot be read ({error})", expected="a CSV with clip,video,keypoints") from error
    pairing: dict[str, PairingRow] = {}
    for line, row in enumerate(rows, start=2):
        name, video, keypoints = (str(row.get(column) or "").strip() for column in ("clip", "video", "keypoints"))
        if not name or not keypoints:
            raise PairSetError(f"{path}: line {line}: no clip or no keypoints", expected="clip,video,keypoints")
        if not stays_inside(name):
            raise PairSetError(
                f"{path}: line {line}: clip {name!r}", expected="a name without .. and not beginning with /"
            )
        if name in pairing:
            raise PairSetError(f"{path}: line {line}: clip {name} occurs twice", expected="one line a clip")
        where = f"{path}: line {line}"
        found = _existing(video, root, path.parent, where) if video else None
        pairing[name] = PairingRow(found, _existing(keypoints, root, path.parent, where))
    return pairing


def _existing(text: str, root: Path, beside: Path, where: str) -> Path:
    for folder in (root, beside):
        if (folder / text).exists():
            return folder / text
    raise PairSetError(f"{where}: {text} does not exist", expected=f"a path relative to {root} or to the CSV")


def check_wanted(wanted: list[str], known: Iterable[str], root: Path) -> None:
    """Raise PairSetError naming the nearest clip when one of `wanted` is not `known`."""
    names = list(known)
    for name in wanted:
        if name not in names:
            close = nearest(name, names)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(names[:5]) or 'none'}"
            raise PairSetError(f"{root}: no clip {name}", fix=hint)


def identify_all(paths: Iterable[Path], left_out: list[LeftOut]) -> list[PoseFile]:
    """The keypoints among `paths`; damaged or unsafe files are added to `left_out`."""
    files = []
    for path in paths:
        if path.suffix.lower() in _NEVER_POSES or is_video(path):
            continue
        try:
            file = identify(path)
        except PoseError as error:
            left_out.append(LeftOut(path.name, str(error), error=True))
            continue
        if file is not None:
            files.append(file)
    return files


def settle(row: PairingRow, name: str, source: Footage) -> Candidate:
    """The keypoints that --pairing gives for a clip. Raises PoseError when they do not fit."""
    file = identify(row.keypoints)
    if file is None:
        raise PoseError(f"{row.keypoints}: not keypoints of a known format", fix="name others with --pairing")
    candidates = [Candidate(file, clip) for clip in file.frames if clip.rpartition("/")[2] in ("", name)]
    if len(candidates) != 1:
        raise PoseError(f"{row.keypoints}: {len(candidates)} clips are named {name}", expected="one")
    return choose(name, candidates, source)


def choose(name: str, candidates: list[Candidate], source: Footage) -> Candidate:
    """The keypoints of a clip: as many frames as the video, then the most points; more than one left is ambiguous.

    Copies of the same keypoints (packed, or rounded to float16) are not: the most exact one is taken.
    Raises Unpaired.
    """
    if not candidates:
        raise Unpaired("no keypoints beside it", error=False)
    matching = [c for c in candidates if c.frames == source.num_frames]
    if not matching:
        counts = ", ".join(f"{c.label} holds {c.frames} frames" for c in candidates)
        fix = "estimate the keypoints again, or name others with --pairing"
        raise Unpaired(f"{counts}, the video {source.num_frames}", fix=fix)
    best = max(c.file.points for c in matching)
    tied = sorted((c for c in matching if c.file.points == best), key=lambda c: (c.file.half, len(c.label), c.label))
    if len(tied) > 1 and not _same(tied, source):
        names = ", ".join(c.label for c in tied)
        fix = "name the one with --pairing FILE.csv (clip,video,keypoints)"
        raise Unpaired(f"ambiguous: {names} all have {best} points and {source.num_frames} frames", fix=fix)
    return tied[0]


def _same(candidates: list[Candidate], source: Footage) -> bool:
    """Equal to the precision of float16."""
    first, *others = (c.read((source.width, source.height), None).keypoints for c in candidates)
    return all(np.allclose(first, other, rtol=2**-10, atol=2**-10, equal_nan=True) for other in others)
