"""Records of the clips of a set in; a row for each, and the metrics dictionary of all their frames, out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from signgen.evaluation.model_work import names_of
from signgen.evaluation.set_files import Item, Record
from signgen.files import atomic_path
from signgen.metrics.clip.join import ClipSet
from signgen.metrics.clip.scorer import frame_metrics
from signgen.pairs.pairset import PairSet

Records = Sequence[tuple[Item, Record]]


def rows_of(records: Records) -> list[dict[str, Any]]:
    """clip, frames, held, seconds, fps, and the means of those scores that were taken."""
    rows = []
    for item, record in records:
        count = len(record.targets)
        took = {"seconds": round(record.seconds, 3), "fps": round(count / record.seconds, 3)}
        means = {} if record.scores is None else record.scores["mean"]
        rows.append({"clip": item.name, "frames": count, "held": record.held, **took, **means})
    return rows


def scores_of(records: Records, pair_set: PairSet, points: int, notes: Sequence[str] = ()) -> dict[str, Any] | None:
    """The metrics dictionary; None where nothing was scored. points: how many keypoints the poses have; notes: for the
    reader."""
    if not any(record.scores for _, record in records):
        return None
    labels: list[dict[str, str]] = []
    names = [name for metric in frame_metrics(points, None, quick=True) for name in metric.names]
    scored = ClipSet(sum(len(record.targets) for _, record in records), names)
    for item, record in records:
        clip = pair_set.clips[item.job.clip_index]
        if record.scores is not None:
            scored.add(record.scores, range(len(labels), len(labels) + len(record.targets)))
        for target, generated in zip(record.targets, item.labels, strict=True):
            truth = names_of(clip, record.source, target)[1]
            labels.append({"clip": clip.name, "generated": generated, "truth": truth})
    return scored.result(labels, {}, notes)


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """A row a clip, as CSV; a score that a clip lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
