"""What a data set offers: clips with their keypoints, and what was left out and why. Shared by the data-set readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signgen.errors import PairSetError, PoseError, SigngenError, nearest
from signgen.poses import PoseFile, PoseSequence, Wanted, identify, read_file
from signgen.poses.numbering import Listing, fits
from signgen.poses.sizes import on_frame
from signgen.rates import rounded_rate, same_rate
from signgen.video.background import RGB
from signgen.video.crop import Crop, CropPath
from signgen.video.damage import Damage
from signgen.video.reader import image_files, is_video
from signgen.video.window import damage_of

if TYPE_CHECKING:
    from signgen.corpora.findings import Report

# What a folder of clips holds besides keypoints; looking into these for poses would only cost time.
_NEVER_POSES = frozenset([".png", ".jpg", ".jpeg", ".csv", ".txt", ".wav", ".mp3", ".srt", ".vtt", ".eaf"])


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
    @property
    def sample_aspect(self) -> Fraction | None: ...
    @property
    def times(self) -> Sequence[float] | np.ndarray | None: ...
    @property
    def damaged(self) -> tuple[Damage, ...]: ...
    @property
    def background(self) -> RGB | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class LeftOut:
    """A clip or file that was not used. error: it is damaged, ambiguous or asked for, rather than just not there.

    reason: why, with what to do about it in build-pairs; found: why, without that, where it comes from a failure.
    """

    name: str
    reason: str
    error: bool = False
    found: str = ""

    @classmethod
    def of(cls, name: str, failed: SigngenError, error: bool = True) -> LeftOut:
        """Because of a failure."""
        return cls(name, str(failed), error, failed.found)

    @property
    def has_advice(self) -> bool:
        """Whether the reason says what was expected, or what to do."""
        return bool(self.found) and self.found != self.reason


@dataclass(frozen=True)
class Candidate:
    """One clip's keypoints in a file. `clip` is its name in the file, "" in a file of one. settled: by --pairing."""

    file: PoseFile
    clip: str = ""
    settled: bool = False
    person: str | None = None  # as --person names one of several

    @property
    def frames(self) -> int:
        return self.file.frames[self.clip]

    @property
    def label(self) -> str:
        return self.file.path.name

    @property
    def listing(self) -> Listing | None:
        """Which frames the file names, in formats that number them."""
        return self.file.listings.get(self.clip)

    def fits(self, source: Footage) -> bool:
        """Whether every frame that the file names has its place in the video, and most of the video is named."""
        listing = self.listing
        return listing is not None and fits(listing, source.num_frames, _picture_names(source))

    def read(self, source: Footage, fps: float | None) -> PoseSequence:
        """The poses of every frame of `source`, in its pixels. Raises PoseError where they do not belong on it."""
        numbered = self.listing is not None
        size = (source.width, source.height)
        frames = source.num_frames if numbered else None
        images = _picture_names(source) if numbered else None
        wanted = Wanted(self.clip or None, size, fps, frames, images, self.person)
        return on_frame(read_file(self.file, wanted), size, self.label)


def _picture_names(source: Footage) -> tuple[str, ...] | None:
    """Of a frame folder, in natural order."""
    return tuple(path.name for path in image_files(source.path)) if source.path.is_dir() else None


@dataclass(frozen=True)
class Clip:
    """A video with the keypoints that belong to it. split: train, dev or test. sample_aspect, times, damaged,
    background: as of a FrameSource; notes: what was decided about its pictures. whole, start: of a segment, the clip
    that it was cut from, and which of its frames is the first. crop: the part of the video's frames that the clip is;
    width and height are then its."""

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
    sample_aspect: Fraction | None = None
    times: tuple[float, ...] | None = None
    damaged: tuple[Damage, ...] = ()
    background: RGB | None = None
    notes: tuple[str, ...] = ()
    whole: WholeClip | None = None
    start: int = 0
    crop: Crop | CropPath | None = None

    @classmethod
    def of(cls, name: str, split: str, signer: str, footage: Footage, keypoints: Candidate) -> Clip:
        size = (footage.num_frames, footage.width, footage.height, footage.fps)
        return cls(
            name,
            split,
            signer,
            footage.path,
            keypoints,
            *size,
            footage.first_image,
            sample_aspect=footage.sample_aspect,
            times=None if footage.times is None else tuple(map(float, footage.times)),
            damaged=footage.damaged,
            background=footage.background,
            notes=footage.notes,
        )

    def poses(self, person: str | None = None) -> PoseSequence:
        """At the video's rate. person: who the signer is, where the pairing does not say it.

        Raises PoseError, also for keypoints of another rate, unless --pairing names them.
        """
        if self.whole is not None:
            return self.whole.poses(person)[self.start : self.start + self.num_frames]
        keypoints = self.keypoints if self.keypoints.person else replace(self.keypoints, person=person)
        poses = keypoints.read(self, self.fps)
        if poses.fps is None or self.fps is None or poses.fps == self.fps:
            return poses
        rates = f"{poses.fps:g} frames per second in {self.keypoints.label}, {self.fps:g} in the video"
        if not self.keypoints.settled and not same_rate(poses.fps, self.fps):
            raise PoseError(rates, expected="one rate", fix="if they do belong together, say so with --pairing")
        rounded = rounded_rate(poses.fps, self.fps)
        note = f"{rates}: {'the format holds whole numbers; ' if rounded else ''}the video's is used"
        exact = not rounded and same_rate(poses.fps, self.fps)
        return replace(poses, fps=self.fps, notes=poses.notes if exact else (*poses.notes, note))

    def cut(self, segments: dict[str, range]) -> list[Clip]:
        """A clip of its own for each run of frames, by its name; video and poses are cut alike."""
        whole = WholeClip(self)
        return [
            replace(
                self,
                name=name,
                num_frames=len(run),
                times=self.times and tuple(t - self.times[run.start] for t in self.times[run.start : run.stop]),
                damaged=damage_of(self.damaged, run.start, run.stop),
                whole=whole,
                start=run.start,
            )
            for name, run in segments.items()
        ]

    @property
    def path(self) -> Path:
        return self.video


class WholeClip:
    """A clip that segments are cut from: its keypoints are read once for all of them."""

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self.num_frames = clip.num_frames
        self._poses: dict[str | None, PoseSequence] = {}

    def poses(self, person: str | None) -> PoseSequence:
        """As of the clip."""
        if person not in self._poses:
            self._poses[person] = self._clip.poses(person)
        return self._poses[person]


@dataclass
class Survey:
    """The outcome of looking through a data set. report: of the quick verification, where the data set has one."""

    root: Path
    kind: str
    clips: list[Clip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    report: Report | None = None


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
            left_out.append(LeftOut.of(path.name, error))
            continue
        if file is not None:
            files.append(file)
    return files
