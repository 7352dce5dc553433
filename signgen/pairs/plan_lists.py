"""Images of people and the lists that pair them in; clips, poses and triples of a pair set out.

A clip is the images of one person that a split's list names, in natural order; a pair is two of its frames.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from signgen.corpora.person.images import PersonImages
from signgen.corpora.person.pair_lists import SPLITS
from signgen.corpora.person.resolve import Frame, Pair, Resolved
from signgen.errors import PairSetError
from signgen.pairs.pairset import ClipRecord
from signgen.pairs.plan_clips import PairPlan
from signgen.pairs.triples import TRIPLE
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import OPENPOSE_18
from signgen.video.reader import in_natural_order


@dataclass
class ListedPlan(PairPlan):
    """poses: clip name -> its images' keypoints, all in memory: there are 18 points an image."""

    poses: dict[str, PoseSequence] = field(default_factory=dict)


def plan_listed(
    lists: dict[str, Resolved],
    frames: dict[str, Frame],
    size: tuple[int, int],
    images: PersonImages,
    count: int | None,
    seed: int,
    keypoints: str,
) -> ListedPlan:
    """Clips and triples, which keep the lists' order. count: training triples to draw at random; None takes all.

    keypoints: where they came from, for the clip table. A copy of the data set with the test list alone is a pair set
    to evaluate on. Raises PairSetError where no pair of any list can be used.
    """
    if not any(found.pairs for found in lists.values()):
        reasons = ", ".join(f"{found.pair_list.path.name}: {found.why_none}" for found in lists.values())
        raise PairSetError(
            f"no pair can be used ({reasons})",
            fix=f"signgen verify {images.root} names what is missing or damaged (with --keypoints, if it was given)",
        )
    # clips: the images of one person
    plan, numbers = ListedPlan([]), _numbered(lists, images)
    people = Counter(person for _, person in numbers)
    for (split, person), keys in numbers.items():
        paths = [frames[key].path for key in keys]
        folder = Path(os.path.commonpath([path.parent for path in paths]))
        name = _name(paths, person, images) + (f"-{split}" if people[person] > 1 else "")
        files = tuple(path.relative_to(folder).as_posix() for path in paths)
        start = len(keys) if split == "train" else 0
        plan.clips.append(
            ClipRecord(name, split, person, folder, len(keys), *size, None, start, keypoints, images=files)
        )
        points = np.stack([frames[key].points for key in keys])
        plan.poses[name] = PoseSequence(points, *size, skeleton=OPENPOSE_18.name)
    # triples, in the order of the lists
    for split in SPLITS:
        plan.triples[split] = _triples(lists[split].pairs if split in lists else [], split, numbers, images)
    available = len(plan.triples["train"])
    if count is not None and count < available:
        rows = np.random.default_rng(seed).choice(available, count, replace=False)
        plan.triples["train"] = plan.triples["train"][np.sort(rows)]
        plan.notes.append(
            f"{count:,} of {available:,} training pairs, drawn at random (--count {count}, --seed {seed})"
        )
    elif count is not None and count > available:
        plan.notes.append(f"{count} training triples asked for; all {available} of the list are taken")
    if not available:
        plan.notes.append("no training pair: a set to evaluate on (signgen evaluate-model), not to train on")
    elif not len(plan.triples["val"]):
        plan.notes.append("no validation rows: training will report no validation scores")
    return plan


def _numbered(lists: dict[str, Resolved], images: PersonImages) -> dict[tuple[str, str], list[str]]:
    """(split, person) -> keys of the images that pairs name, in natural order of their files."""
    named: dict[tuple[str, str], dict[str, str]] = {}
    for split, found in lists.items():
        for pair in found.pairs:
            clip = named.setdefault((split, images.images[pair[0]].person), {})
            for key in pair:
                clip.setdefault(key, images.images[key].path.as_posix())
    order = sorted(named, key=lambda clip: (SPLITS.index(clip[0]), clip[1]))
    return {clip: _by_path(named[clip]) for clip in order}


def _by_path(paths: dict[str, str]) -> list[str]:
    """Keys of {key: path} in natural order of the paths."""
    keys = {path: key for key, path in paths.items()}
    return [keys[path] for path in in_natural_order(keys)]


def _name(paths: list[Path], person: str, images: PersonImages) -> str:
    """The person's folder with dashes for slashes, where there is one; else what its files begin with."""
    folders = {path.parent for path in paths}
    if len(folders) > 1 or folders & {place.folder for place in images.places}:
        return person
    (folder,) = folders
    place = next(place.folder for place in images.places if folder.is_relative_to(place.folder))
    return "-".join(folder.relative_to(place).parts)


def _triples(
    pairs: list[Pair], split: str, numbers: dict[tuple[str, str], list[str]], images: PersonImages
) -> np.ndarray:
    place = {
        key: (clip, frame)
        for clip, (which, keys) in enumerate(numbers.items())
        if which[0] == split
        for frame, key in enumerate(keys)
    }
    return np.array([(place[source][0], place[source][1], place[target][1]) for source, target in pairs], TRIPLE)
