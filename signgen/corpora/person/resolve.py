"""Lists of pairs and the images on disk in; the pairs that can be used, and why the others cannot, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import PersonImages
from signgen.corpora.person.keypoints import PersonPoses
from signgen.corpora.person.pair_lists import SPLITS, PairList, is_pair_list, read_pair_list
from signgen.corpora.survey import LeftOut
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.progress import SILENT, Progress
from signgen.video.headers import image_size

Pair = tuple[str, str]  # keys of source and target


REASONS = {
    "absent": "name an image that is not there",
    "self-pair": "pair an image with itself",
    "duplicate-pair": "stand there a second time",
    "across": "pair images of two people",
    "leak": "are in the test list as well",
    "size": "name an image of another size than the others",
    "unreadable": "name an image that cannot be read",
    "no-keypoints": "name an image without keypoints",
    "damaged-keypoints": "name an image whose keypoints cannot be read",
}


@dataclass
class Resolved:
    """A list with its names looked up. pairs: those that can be used, in order.

    dropped: kind (of REASONS) -> one line for each other row. absent: name as written -> rows that hold it.
    """

    pair_list: PairList
    pairs: list[Pair] = field(default_factory=list)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    absent: Counter[str] = field(default_factory=Counter)

    @property
    def why_none(self) -> str:
        """What became of the rows, for a message: `12 pairs name an image that is not there`."""
        counts = [f"{len(rows):,} pairs {REASONS[kind]}" for kind, rows in self.dropped.items()]
        return "; ".join(counts) or "it has no rows"

    def drop(self, kind: str, what: str) -> None:
        """Leave a row out."""
        self.dropped.setdefault(kind, []).append(what)

    def keep(self, usable: dict[Pair, tuple[str, str] | None]) -> None:
        """Leave out the pairs that `usable` gives a kind and a line for."""
        for pair in self.pairs:
            if (why := usable[pair]) is not None:
                self.drop(*why)
        self.pairs = [pair for pair in self.pairs if usable[pair] is None]


def find_lists(files: Iterable[Path]) -> list[Path]:
    """The lists of pairs among `files`; a text only counts with `pairs` in its name."""
    return [
        path
        for path in files
        if path.suffix.lower() in (".json", ".csv", ".txt")
        and (path.suffix.lower() != ".txt" or "pairs" in path.name.lower())
        and is_pair_list(path)
    ]


def resolve(pairs: PairList, images: PersonImages) -> Resolved:
    """Look up both names of every row; what names no image, two people, one image, or is a repetition is dropped."""
    found = Resolved(pairs)
    there: dict[str, str] = {}
    for name in dict.fromkeys(name for row in pairs.rows for name in row):
        if (key := images.dataset.key(name)) in images.images:
            there[name] = key
    seen: set[Pair] = set()
    for source, target in pairs.rows:
        missing = [name for name in (source, target) if name not in there]
        if missing:
            found.absent.update(list(dict.fromkeys(missing)))
            found.drop("absent", missing[0])
            continue
        pair = (there[source], there[target])
        if pair[0] == pair[1]:
            found.drop("self-pair", source)
        elif pair in seen:
            found.drop("duplicate-pair", f"{source} -> {target}")
        elif images.images[pair[0]].person != images.images[pair[1]].person:
            found.drop("across", f"{source} -> {target}")
        else:
            found.pairs.append(pair)
        seen.add(pair)
    return found


def choose_lists(paths: Iterable[Path], images: PersonImages) -> dict[str, Resolved]:
    """One list for each split. Raises PairSetError where two lists of a split say different things, or none trains."""
    chosen: dict[str, Resolved] = {}
    for path in sorted(paths):
        new = resolve(read_pair_list(path), images)
        old = chosen.setdefault(new.pair_list.split, new)
        if old is not new and _rows(old, images) != _rows(new, images):
            found = (
                f"{old.pair_list.path} and {path}: two lists for {new.pair_list.split}, of {len(old.pair_list.rows):,}"
            )
            raise PairSetError(f"{found} and {len(new.pair_list.rows):,} pairs", fix="choose with --pair-list FILE")
    if not chosen:
        found = f"{images.root}: no list of pairs"
        expected = "JSON, CSV or text lists of pairs in it, with train or test in their names"
        raise PairSetError(found, expected=expected, fix="name them with --pair-list FILE")
    return {split: chosen[split] for split in SPLITS if split in chosen}


def _rows(resolved: Resolved, images: PersonImages) -> list[tuple[str | None, ...]]:
    return [tuple(images.dataset.key(name) or name for name in row) for row in resolved.pair_list.rows]


def drop_leaks(lists: Iterable[Resolved]) -> None:
    """Leave out of the train lists what is in a test list too."""
    lists = list(lists)
    test = {pair for found in lists if found.pair_list.split == "test" for pair in found.pairs}
    for found in lists:
        if found.pair_list.split == "train":
            found.keep({pair: ("leak", " -> ".join(pair)) if pair in test else None for pair in found.pairs})


@dataclass(frozen=True)
class Frame:
    """An image that can be used, with its points, float32 (18, 3) in its own pixels."""

    path: Path
    points: np.ndarray


def load_frames(
    lists: dict[str, Resolved], images: PersonImages, poses: PersonPoses, progress: Progress = SILENT
) -> tuple[dict[str, Frame], tuple[int, int]]:
    """Headers and keypoints of every image that a pair names; pairs with one that cannot be used are dropped.

    Returns the images by key, and their size, which is that of most. Raises PairSetError where no image is readable.
    """
    # headers
    wanted = dict.fromkeys(key for found in lists.values() for pair in found.pairs for key in pair)
    why: dict[str, tuple[str, str]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for key in progress.track(list(wanted), "looking at images"):
        try:
            sizes[key] = image_size(images.images[key].path)
        except VideoError as error:
            why[key] = ("unreadable", str(error))
    if not sizes:
        raise PairSetError(
            f"{images.root}: no pair of images can be used", fix=f"signgen verify {images.root} names what is wrong"
        )
    size = Counter(sizes.values()).most_common(1)[0][0]
    # keypoints
    frames = {}
    for key, own in sizes.items():
        if own != size:
            why[key] = ("size", f"{images.shown(key)} is {own[0]}x{own[1]}, most are {size[0]}x{size[1]}")
            continue
        try:
            points = poses.read(key).on_image(size)
        except KeyError:
            why[key] = ("no-keypoints", images.shown(key))
        except PoseError as error:
            why[key] = ("damaged-keypoints", str(error))
        else:
            if np.isfinite(points).all(-1).any():
                frames[key] = Frame(images.images[key].path, points)
            else:
                why[key] = ("no-keypoints", f"{images.shown(key)}: all its points are missing")
    # pairs of usable images
    for found in lists.values():
        found.keep({pair: next((why[key] for key in pair if key in why), None) for pair in found.pairs})
    return frames, size


def left_out(lists: dict[str, Resolved]) -> list[LeftOut]:
    """One entry for each list and reason, with how many pairs and the first of them."""
    entries = []
    for found in lists.values():
        for kind, rows in found.dropped.items():
            shown = f"{rows[0]}, ..." if rows[1:] else rows[0]
            reason = f"{len(rows):,} of {len(found.pair_list.rows):,} pairs {REASONS[kind]} ({shown})"
            entries.append(LeftOut(found.pair_list.path.name, reason, error=kind != "duplicate-pair"))
    return entries


def completeness(lists: dict[str, Resolved], images: PersonImages) -> list[str]:
    """Whether these are the published splits, whole; else what differs, a sentence each."""
    published = images.dataset.pairs
    used = {split: len(lists[split].pairs) if split in lists else 0 for split in published}
    counts = {split: len(lists[split].pair_list.rows) if split in lists else 0 for split in published}
    if counts == used == published:
        return [f"complete: {' and '.join(f'{number:,} {split}' for split, number in published.items())} pairs"]
    notes = []
    for split, number in published.items():
        if split not in lists:
            notes.append(f"no {split} list; the published split has {number:,} {split} pairs")
        elif counts[split] != number:
            name = lists[split].pair_list.path.name
            other = counts[split] == images.dataset.lists.get(name)
            why = ": another list than that of the published split" if other else ""
            notes.append(f"{name} has {counts[split]:,} pairs, the published split {number:,} {split} pairs{why}")
        elif used[split] != number:
            notes.append(f"{used[split]:,} of the {number:,} {split} pairs of the published split can be used")
    return notes
