"""A list of pairs in; every target rendered from every other image of its outfit; how much the source matters, out.

The question that FPDM leaves open: which of a person's pictures is the one to start from, and what the choice costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from signgen.corpora.person.images import outfit_of
from signgen.errors import PairSetError
from signgen.metrics.directions import direction_of
from signgen.metrics.results import MODEL
from signgen.pairs.pairset import PairSet, frame_name
from signgen.rendering.pairs import PairJob

Scores = dict[str, Any]  # a row of scores, with the key "target"
DEFINITION = (
    "Every target of the split from every other image of its outfit in the pair set (of Market-1501: of its person). "
    "Targets with two sources or more count. mean: over targets of the mean over their sources; spread: over targets "
    "of the standard deviation (n - 1) over their sources; best and worst: over targets of their best and worst source."
)


def all_sources_jobs(pair_set: PairSet, split: str, most: int | None = None) -> list[PairJob]:
    """A job for each source, in the order of the images. most: take the first so many targets only.

    Raises PairSetError for a pair set of clips, and where no target has two other images of its outfit.
    """
    if not pair_set.listed:
        raise PairSetError(f"{pair_set.folder}: --all-sources of clips", expected="lists of pairs, whose outfits count")
    triples = pair_set.triples(split)
    targets = list(dict.fromkeys(zip(triples["clip"].tolist(), triples["target"].tolist(), strict=True)))[:most]
    # the images of every outfit
    views: dict[tuple[int, str], list[int]] = defaultdict(list)
    outfits: dict[tuple[int, int], str] = {}
    for clip in {clip for clip, _ in targets}:
        record = pair_set.clips[clip]
        for image in range(record.num_frames):
            outfit = outfit_of(frame_name(record, image))
            if outfit is None:
                raise PairSetError(f"{frame_name(record, image)}: whose it is cannot be told from its name")
            views[clip, outfit].append(image)
            outfits[clip, image] = outfit
    # every other image is a source
    jobs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for clip, target in targets:
        others = [image for image in views[clip, outfits[clip, target]] if image != target]
        for source in others if len(others) > 1 else ():
            jobs[clip, source].append(target)
    if not jobs:
        raise PairSetError(f"{pair_set.folder}: no target has two other images of its outfit", expected="one that has")
    return [
        PairJob(clip, source, tuple(range(len(found))), tuple(sorted(found)))
        for (clip, source), found in sorted(jobs.items())
    ]


def rows_of_targets(clip: str, result: Mapping[str, Any]) -> dict[str, list[Scores]]:
    """Who -> rows of one source with the key "target": an image's number means something in its own clip only, and a
    list has a clip for each person."""
    tracks = {MODEL: result["per_frame"], **result["per_frame_baselines"]}
    return {who: [{**row, "target": f"{clip} {row['frame']}"} for row in rows] for who, rows in tracks.items()}


def spread_over_sources(tracks: Mapping[str, Iterable[Scores]], metrics: Sequence[str]) -> dict[str, Any]:
    """tracks: who -> rows with the key "target". Keys: definition, targets, pairs, means: who -> metric -> numbers."""
    means: dict[str, dict[str, dict[str, float]]] = {}
    targets = pairs = 0
    for who, rows in tracks.items():
        by_target: dict[Any, list[Scores]] = defaultdict(list)
        for row in rows:
            by_target[row["target"]].append(row)
        targets, pairs = max(targets, len(by_target)), max(pairs, sum(map(len, by_target.values())))
        means[who] = {name: found for name in metrics if (found := _of_metric(name, list(by_target.values())))}
    return {"definition": DEFINITION, "targets": targets, "pairs": pairs, "means": means}


def _of_metric(name: str, by_target: list[list[Scores]]) -> dict[str, float]:
    """mean, spread, best and worst over the targets that have the metric from two sources; empty without any, and of a
    metric that nobody can be better by."""
    direction = direction_of(name)
    rows = [[row for row in rows if row[name] is not None] for rows in by_target]
    several = [found for found in rows if len(found) > 1]
    if not several or direction is None:
        return {}
    values = [np.array([row[name] for row in found], np.float64) for found in several]
    losses = [np.array([direction.loss(name, row) for row in found], np.float64) for found in several]
    return {
        "mean": float(np.mean([found.mean() for found in values])),
        "spread": float(np.mean([found.std(ddof=1) for found in values])),
        "best": float(np.mean([v[np.argmin(loss)] for v, loss in zip(values, losses, strict=True)])),
        "worst": float(np.mean([v[np.argmax(loss)] for v, loss in zip(values, losses, strict=True)])),
    }
