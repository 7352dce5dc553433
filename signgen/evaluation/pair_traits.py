"""A pair set, a set of images or a clip in; what each of its pairs is of (views, pose distance, signer), and the tables
that its scores split into, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signgen.corpora.person.images import DEEPFASHION, MARKET, image_key, person_named, view_named
from signgen.corpora.person.keypoints import find_poses, pose_files
from signgen.errors import PairSetError
from signgen.metrics.splits import Traits, split_tables
from signgen.pairs.pairset import ClipRecord, PairSet
from signgen.poses.facing import FACING, PAIR_DISTANCE, facing, pair_distance

_BY_NAME = "Views are DeepFashion's own, from the images' names"


def add_splits(
    scores: dict[str, Any], traits: Mapping[int, Traits], *, images: bool, of_names: bool = False, **options: Any
) -> dict[str, Any]:
    """The metrics dictionary with `splits` beside `mean`: a table for each dimension in which its pairs differ.

    traits: by the rows' numbers. images: whether they are single images, and not frames of clips.
    of_names: whether views are those of names. options: of `split_tables`.
    """
    rows = options.pop("rows", scores["per_frame"])
    baselines = options.pop("baselines", scores.get("per_frame_baselines", {}))
    texts = {"view": _BY_NAME if of_names else FACING, "pose_distance": PAIR_DISTANCE}
    options = {"metrics": list(scores["definitions"]), **options}
    return {**scores, "splits": split_tables(rows, baselines, traits, texts=texts, images=images, **options)}


def traits_of_triples(pair_set: PairSet, split: str) -> tuple[dict[int, Traits], bool]:
    """Of each triple of a split, by its number; and whether views are those of names: where every image has one."""
    triples = pair_set.triples(split).tolist()
    named = all(_view(pair_set.clips[clip], frame) for clip, *frames in triples for frame in frames)
    poses = lru_cache(maxsize=2)(lambda clip: pair_set.poses(pair_set.clips[clip].name).keypoints)
    faces = lru_cache(maxsize=None)(lambda clip, frame: facing(poses(clip)[frame]))
    found = {}
    for number in sorted(range(len(triples)), key=lambda number: triples[number]):
        clip, source, target = triples[number]
        record, keypoints = pair_set.clips[clip], poses(clip)
        one, other = (_view(record, n) if named else faces(clip, n) for n in (source, target))
        distance = pair_distance(keypoints[source], keypoints[target])
        found[number] = Traits(one, other, distance, record.signer or None, record.name)
    return found, named


def _view(clip: ClipRecord, frame: int) -> str | None:
    return view_named((clip.path / clip.images[frame]).as_posix()) if clip.images else None


def traits_of_images(
    pairs: Sequence[tuple[str | None, Path]], keypoints: Path | None
) -> tuple[dict[int, Traits], bool]:
    """Of pairs of images by their names (source key if it is known, true image), and by their keypoints if given.

    Raises PairSetError for keypoints of other images.
    """
    keys = [(source, image_key(target.as_posix())) for source, target in pairs]
    named = any(view_named(target) for _, target in keys)
    poses = {} if keypoints is None else _poses({key for pair in keys for key in pair if key}, keypoints)
    found = {}
    for number, (source, target) in enumerate(keys):
        ends = [None if key is None else poses.get(key) for key in (source, target)]
        if named:
            one, other = (None if key is None else view_named(key) for key in (source, target))
        else:
            one, other = (None if pose is None else facing(pose) for pose in ends)
        distance = None if ends[0] is None or ends[1] is None else pair_distance(ends[0], ends[1])
        person = person_named(target)
        found[number] = Traits(one, other, distance, person, person)
    return found, named


def _poses(keys: set[str], keypoints: Path) -> dict[str, np.ndarray]:
    """Image key -> (18, 3) in pixels of the data set's images; images without keypoints are left out."""
    dataset = next((each for each in (DEEPFASHION, MARKET) if any(each.key(key) for key in keys)), None)
    if dataset is None:
        raise PairSetError(f"--keypoints {keypoints}: no image is called as in DeepFashion or Market-1501")
    annotations = find_poses(dataset, pose_files(keypoints))
    found = {}
    for key in sorted(keys & annotations.sources.keys()):
        found[key] = annotations.read(key).on_image(dataset.size)
    if not found:
        raise PairSetError(
            f"--keypoints {keypoints}: of none of the images", expected="their keypoints, 18 points each"
        )
    return found


def traits_of_clip(keypoints: np.ndarray | None, source: int | None, frames: Sequence[int]) -> dict[int, Traits]:
    """Of a clip's frames: where they face, and how far their pose is from that of the source frame, if it is theirs.

    keypoints: (T, K, 3) of all frames, or None; then nothing is known.
    """
    if keypoints is None:
        return {}
    first = None if source is None else keypoints[source]
    return {
        frame: Traits(
            None if first is None else facing(first),
            facing(keypoints[frame]),
            None if first is None else pair_distance(first, keypoints[frame]),
        )
        for frame in frames
    }
