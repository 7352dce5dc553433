"""18-point keypoints of single images in (a tree of text files, CSVs), looked up by an image's key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import DataSet
from signgen.errors import PairSetError, PoseError
from signgen.poses import identify
from signgen.poses.readers.fpdm import FRAME, PADDING, pixels, rows_of
from signgen.poses.readers.gfla import Annotated, images_of

_PADDED = Annotated(FRAME[0] + 2 * PADDING, FRAME[1], PADDING)


@dataclass(frozen=True)
class Annotation:
    """One image's points. xy: (18, 2) as written on `frame`, -1 where one is missing."""

    xy: np.ndarray
    frame: Annotated

    @property
    def named(self) -> np.ndarray:
        """bool (18,): the annotation gives the point a place, sound or not."""
        return (self.xy != -1).all(-1)

    @property
    def non_finite(self) -> int:
        """Coordinates that are no numbers."""
        return int((~np.isfinite(self.xy)).sum())

    @property
    def outside(self) -> int:
        """Points more than a pixel off the image."""
        with np.errstate(invalid="ignore"):
            place = self.xy - (self.frame.padding, 0)
            off = ((place < -1) | (place > self.frame.inner)).any(-1)
        return int((off & self.named & np.isfinite(self.xy).all(-1)).sum())

    def on_image(self, size: tuple[int, int]) -> np.ndarray:
        """float32 (18, 3) in pixels of an image of `size`."""
        return pixels(self.xy, self.frame.inner, size, self.frame.padding)


@dataclass
class PersonPoses:
    """Where each image's keypoints are. damaged: files that cannot be read, and why.

    strangers: names of images that the data set does not have. twice: keys found in a further file, which is not used.
    """

    dataset: DataSet
    sources: dict[str, tuple[Path, str]] = field(default_factory=dict)  # key -> file, name in it ("" in a text)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    twice: dict[Path, int] = field(default_factory=dict)

    def read(self, key: str) -> Annotation:
        """Raises KeyError for an image without keypoints, PoseError for a damaged text."""
        path, name = self.sources[key]
        if name:
            images, frame = images_of(path)
            return Annotation(images[name], frame)
        rows = rows_of(path)
        if rows is None:
            raise PoseError(f"{path}: not keypoints", expected="18 rows of x y")
        return Annotation(rows, _PADDED)

    def is_empty(self, key: str) -> bool:
        """Its keypoints can be read, and no point has a place: nobody was found on the image."""
        try:
            return not self.read(key).named.any()
        except PoseError:
            return False

    def summary(self, root: Path) -> str:
        """Which files they are in, for one line."""
        lists = sorted({path for path, name in self.sources.values() if name})
        names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in lists]
        texts = sum(not name for _, name in self.sources.values())
        return ", ".join([*([f"{texts:,} text files"] if texts else []), *names]) or "none"


def find_poses(dataset: DataSet, files: Iterable[Path]) -> PersonPoses:
    """Keypoints among `files`: texts by their names, CSVs by their header. The first that has an image is used."""
    found = PersonPoses(dataset)
    for path in sorted(files, key=lambda path: (path.suffix.lower() != ".txt", path)):
        if path.suffix.lower() == ".txt":
            key = dataset.key(path.as_posix())
            if key is not None:
                _place(found, key, path, "")
        elif path.suffix.lower() == ".csv":
            _add_list(found, path)
    return found


def pose_files(keypoints: Path) -> list[Path]:
    """Every file of what --keypoints names. Raises PairSetError when it is not there."""
    if not keypoints.exists():
        raise PairSetError(f"{keypoints}: no such file or folder", expected="keypoints")
    return [path for path in keypoints.rglob("*") if path.is_file()] if keypoints.is_dir() else [keypoints]


def _add_list(found: PersonPoses, path: Path) -> None:
    try:
        file = identify(path)
    except PoseError as error:
        found.damaged.append((path, str(error)))
        return
    if file is None or file.format != "gfla":
        return
    for name in file.clips:
        key = found.dataset.key(name)
        if key is None:
            found.strangers.append(f"{path.name}: {name}")
        else:
            _place(found, key, path, name)


def _place(found: PersonPoses, key: str, path: Path, name: str) -> None:
    if key in found.sources:
        found.twice[path] = found.twice.get(path, 0) + 1
    else:
        found.sources[key] = (path, name)
