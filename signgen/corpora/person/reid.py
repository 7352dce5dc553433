"""Market-1501 as a re-identification set in: who is on its training, query and gallery images, by which camera, out.

File names carry it: 0002_c1s1_000451_03.jpg is person 2 seen by camera 1; person -1 is junk, 0000 a distractor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import IMAGE_ENDING, MARKET
from signgen.errors import PairSetError
from signgen.files import in_natural_order
from signgen.metrics.reid import Seen
from signgen.video.reader import IMAGE_SUFFIXES

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_EXPECTED = "names as 0002_c1s1_000451_03.jpg: person, camera, sequence, frame, box"
_CAMERA = re.compile(r"_c(\d+)s")
_SOURCE = re.compile(r"(?P<key>(?P<person>-1|\d{4})_c\d+s\d+_\d+_\d+)|(?P<alone>\d{4})(?!\d)")


@dataclass(frozen=True)
class ReidImage:
    """key: its name without folder and suffix. person: -1 junk, 0 a distractor."""

    path: Path
    key: str
    person: int
    camera: int


@dataclass(frozen=True)
class ReidSet:
    """The three parts of a set, each in the order of its names; train has neither junk nor distractors."""

    train: tuple[ReidImage, ...]
    query: tuple[ReidImage, ...]
    gallery: tuple[ReidImage, ...]


@dataclass(frozen=True)
class GeneratedImage:
    """person: who it shows. source: key of the image that it was made from, where its name says so."""

    path: Path
    person: int
    source: str | None


def read_reid_set(root: Path) -> ReidSet:
    """Raises PairSetError for a folder that is not there, empty or of other names, and for people of the queries whom
    the training images show: that is no test."""
    parts = {name: _images(root / folder) for name, folder in FOLDERS.items()}
    train = tuple(image for image in parts["train"] if image.person > 0)
    if len({image.person for image in train}) < 2:
        raise PairSetError(f"{root / FOLDERS['train']}: images of fewer than two people", expected=_EXPECTED)
    both = {image.person for image in train} & {image.person for image in parts["query"]}
    if both:
        raise PairSetError(
            f"{root}: {len(both)} people are in {FOLDERS['train']} and in query, e.g. {min(both):04d}",
            expected="query people that nothing was trained on",
        )
    return ReidSet(train, tuple(parts["query"]), tuple(parts["gallery"]))


def generated_images(folder: Path, people: set[int]) -> list[GeneratedImage]:
    """Images of a method, whose names begin with the person's number or with the name of their source.

    people: who may be on them. Raises PairSetError for an empty folder, other names, and people who are not known.
    """
    found = []
    for path in _pictures(folder):
        name = _SOURCE.match(path.name)
        person = int(name["person"] or name["alone"]) if name else None
        if name is None or person is None:
            raise PairSetError(f"{path}: its name does not say who it shows", expected=_EXPECTED)
        if person not in people:
            raise PairSetError(
                f"{path}: person {person:04d}", expected=f"one of the {len(people)} people of {FOLDERS['train']}"
            )
        found.append(GeneratedImage(path, person, name["key"]))
    return found


def seen_of(images: tuple[ReidImage, ...]) -> Seen:
    """Who is on the images, and by which camera."""
    return Seen(np.array([image.person for image in images]), np.array([image.camera for image in images]))


def _images(folder: Path) -> list[ReidImage]:
    found = []
    for path in _pictures(folder):
        key = MARKET.key(IMAGE_ENDING.sub("", path.name))
        camera = _CAMERA.search(key) if key else None
        if key is None or camera is None:
            raise PairSetError(f"{path}: not a name of Market-1501", expected=_EXPECTED)
        found.append(ReidImage(path, key, int(MARKET.person(key)), int(camera[1])))
    return found


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PairSetError(f"{folder}: no such folder", expected=f"{', '.join(FOLDERS.values())} of Market-1501")
    names = [path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not names:
        raise PairSetError(f"{folder}: no images", expected=_EXPECTED)
    return [folder / name for name in in_natural_order(names)]
