"""DeepFashion In-shop and Market-1501 in: their images by name, whichever way a list spells it; which are whose.

An image's key is its name without what differs between copies: img/WOMEN/Dresses/id_00007132/04_4_full.jpg of
DeepFashion is fashionWOMENDressesid0000713204_4full.jpg in lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from signgen.errors import PairSetError
from signgen.video.reader import IMAGE_SUFFIXES

_LISTED_ENDING = re.compile(r"(\.(jpe?g|png|bmp|webp|txt))+$", re.IGNORECASE)
IMAGE_ENDING = re.compile(r"(\.(jpe?g|png|bmp|webp|tiff?))+$", re.IGNORECASE)  # `.jpg.png` too, as FPDM writes
_NOT_ALPHANUMERIC = re.compile(r"[^A-Za-z0-9]")
# The category has no capitals MEN, so the last ones are the section; NN is the outfit, V the view.
_DEEPFASHION = re.compile(r".*(?P<outfit>(?P<person>(?:WOMEN|(?<!WO)MEN)[A-Za-z]+id\d{8})\d{2})\d[a-z]+$")
_MARKET = re.compile(r"(?:^|.*[^0-9-])(?P<outfit>(?P<person>-1|\d{4}))_c\d+s\d+_\d+_\d+$")
_HALVES = {  # folders of flat files, and the split they are of
    "bounding_box_train": "train",
    "bounding_box_test": "test",
    "train": "train",
    "test": "test",
    "train_highres": "train",
    "test_highres": "test",
}
_IN_SHOP = ("", "img", "img_highres", "Img/img", "Img/img_highres")
_OF_THE_ARCHIVE = frozenset(["Thumbs.db"])  # Market-1501 is given away with it
LOOKED_FOR = (
    "Phoenix-2014T: annotations/manual/PHOENIX-2014-T.*.corpus.csv; "
    "DeepFashion: img/MEN and img/WOMEN, or train/ and test/ of fashion(WO)MEN...jpg; "
    "Market-1501: bounding_box_train/ of 0002_c1s1_000451_03.jpg"
)


@dataclass(frozen=True)
class DataSet:
    """One of the two. size: of its images. pairs: of each split as published. lists: rows of lists with these names."""

    name: str
    title: str
    size: tuple[int, int]
    pairs: dict[str, int]
    lists: dict[str, int]
    match: Callable[[str], re.Match[str] | None]

    def key(self, name: str) -> str | None:
        """The same for one image however it is spelled; None for what is not a name of the data set."""
        found = self.match(_LISTED_ENDING.sub("", name.strip()))
        return found[0][found.start("person") :] if found else None

    def person(self, key: str) -> str:
        """Whose image a key is."""
        found = self.match(key)
        assert found is not None  # keys are made by `key`
        return found["person"]


DEEPFASHION = DataSet(
    "deepfashion",
    "DeepFashion In-shop",
    (750, 1101),
    {"train": 101_966, "test": 8_570},
    {
        "fasion-resize-pairs-train.csv": 101_966,
        "fasion-resize-pairs-test.csv": 8_570,
        "fasion-pairs-test.csv": 8_670,  # another list, for images padded to 256x256
    },
    lambda name: _DEEPFASHION.match(_NOT_ALPHANUMERIC.sub("", name)),
)
MARKET = DataSet(
    "market-1501",
    "Market-1501",
    (64, 128),
    {"train": 263_632, "test": 12_000},
    {"market-pairs-train.csv": 263_632, "market-pairs-test.csv": 12_000},
    lambda name: _MARKET.match(re.split(r"[/\\]", name)[-1]),
)


@dataclass(frozen=True)
class Place:
    """A folder of images. split: that of its images, None where it holds all."""

    folder: Path
    split: str | None


@dataclass(frozen=True)
class PersonImage:
    """path: where the file is. person: whose it is. split: of the folder it is in, None where that says nothing."""

    path: Path
    person: str
    split: str | None


@dataclass
class PersonImages:
    """Every image of a data set on disk, by key. clashes: files of one key. strays: files of no key.

    others: files outside the folders of images, among them lists and keypoints.
    """

    dataset: DataSet
    root: Path
    places: list[Place]
    images: dict[str, PersonImage] = field(default_factory=dict)
    clashes: list[tuple[Path, Path]] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def shown(self, key: str) -> str:
        """An image's path as a user would look for it."""
        path = self.images[key].path
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def check_clashes(self) -> None:
        """Raises PairSetError where two files have one key: a list would not say which is meant."""
        if self.clashes:
            one, other = self.clashes[0]
            more = f" and {len(self.clashes) - 1} more" if len(self.clashes) > 1 else ""
            raise PairSetError(
                f"{one} and {other}{more}: two images of one name", fix="give the folder of one set of images as ROOT"
            )


def recognise(root: Path) -> tuple[DataSet, list[Place]] | None:
    """Which of the two data sets a folder is, and where its images are; None for other data."""
    if not root.is_dir():
        return None
    for inner in _IN_SHOP:
        folder = root / inner
        if any((folder / section).is_dir() for section in ("MEN", "WOMEN")):
            return DEEPFASHION, [Place(folder, None)]
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        places = [Place(folder / name, split) for name, split in _HALVES.items() if (folder / name).is_dir()]
        for dataset in (DEEPFASHION, MARKET):
            if any(_holds(place.folder, dataset) for place in places):
                return dataset, places
    return None


def _holds(folder: Path, dataset: DataSet) -> bool:
    """One of the first files has a name of the data set."""
    with os.scandir(folder) as entries:
        return any(dataset.key(entry.name) for _, entry in zip(range(100), entries, strict=False))


def look_through(root: Path) -> PersonImages:
    """Index all images by their names alone. Raises PairSetError for other data, saying what was looked for."""
    if not root.is_dir():
        raise PairSetError(f"{root}: no such folder", expected=LOOKED_FOR)
    known = recognise(root)
    if known is None:
        raise PairSetError(f"{root}: none of the data sets signgen knows", expected=LOOKED_FOR)
    dataset, places = known
    found = PersonImages(dataset, root, places)
    for place in places:
        for path in _files(place.folder):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                _add(found, path, place)
            elif path.suffix.lower() in (".txt", ".csv", ".json"):
                found.others.append(path)
            elif path.name not in _OF_THE_ARCHIVE:
                found.strays.append(path)
    inside = {place.folder for place in places}
    if root not in inside:
        found.others += _files(root, inside)
    return found


def _files(folder: Path, without: set[Path] | None = None) -> Iterator[Path]:
    """Every file below, in order; hidden ones and the folders `without` are left out."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and here / n not in (without or ()))
        for name in sorted(names):
            if not name.startswith("."):
                yield here / name


def _add(found: PersonImages, path: Path, place: Place) -> None:
    key = found.dataset.key(path.relative_to(place.folder).as_posix())
    if key is None:
        found.strays.append(path)
    elif key in found.images:
        found.clashes.append((found.images[key].path, path))
    else:
        found.images[key] = PersonImage(path, found.dataset.person(key), place.split)


def image_key(name: str) -> str:
    """The same for one image of DeepFashion or Market-1501 however it is spelled; other names without their suffix.

    >>> image_key("img/WOMEN/Tees_Tanks/id_00007334/03_2_side.jpg")
    'WOMENTeesTanksid00007334032side'
    >>> image_key("fashionWOMENTees_Tanksid0000733403_2side.png")
    'WOMENTeesTanksid00007334032side'
    """
    stem = IMAGE_ENDING.sub("", name)
    return DEEPFASHION.key(stem) or MARKET.key(stem) or stem


def outfit_of(key: str) -> str | None:
    """What the images of one person in one outfit share; of Market-1501 the person. None for other keys.

    >>> outfit_of("WOMENTeesTanksid00007334032side")
    'WOMENTeesTanksid0000733403'
    """
    found = DEEPFASHION.match(key) or MARKET.match(key)
    return found["outfit"] if found else None


def view_named(name: str) -> str | None:
    """DeepFashion's own word for what an image shows (front, side, back, full, additional, flat); None for others.

    >>> view_named("img/WOMEN/Tees_Tanks/id_00007334/03_2_side.jpg"), view_named("0002_c1s1_000451_03.jpg")
    ('side', None)
    """
    key = DEEPFASHION.key(name)
    return None if key is None else re.split(r"\d", key)[-1]


def person_named(name: str) -> str | None:
    """Whose image it is by its name, in either data set; None for others."""
    for dataset in (DEEPFASHION, MARKET):
        if key := dataset.key(IMAGE_ENDING.sub("", name)):
            return dataset.person(key)
    return None
