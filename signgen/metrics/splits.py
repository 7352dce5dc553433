"""Rows of pairs and what each pair is of in; means of every cell by views, pose distance and signer out.

A mean over a test set hides where a model fails: turned backs, and poses far from the source's. Pure: no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signgen.metrics.definitions import RATIOS
from signgen.metrics.intervals import mean_interval
from signgen.metrics.means import Row, counted, metric_mean
from signgen.metrics.results import MODEL, number_text

QUINTILES = 5
UNKNOWN = "unknown"
DIMENSIONS = {
    "view": "Source view to target view",
    "pose_distance": "Fifths of the pairs, from near to far",
    "signer": "Signer or person",
}


@dataclass(frozen=True)
class Traits:
    """What a pair is of; None for what is not known. distance: of its two poses. clip: which frames hang together."""

    source_view: str | None = None
    target_view: str | None = None
    distance: float | None = None
    signer: str | None = None
    clip: str | None = None


def split_tables(
    rows: Sequence[Row],
    baselines: Mapping[str, Sequence[Row]],
    traits: Mapping[int, Traits],
    metrics: Sequence[str],
    texts: Mapping[str, str],
    *,
    images: bool,
    medians: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Dimension -> its definition and cells; a dimension of one cell only is left out, since that is the whole table.

    rows, baselines: of the per-frame tables; traits: by a row's `frame`. metrics: columns whose means are wanted; those
    that no row has are left out. texts: dimension -> how its attribute was found, for the definition. images: whether
    rows are of single images, and not of one clip's frames, for the intervals. medians: metric -> the column that it is
    the median of. A cell holds its name, count, mean, intervals (metric -> [low, high], 95 %; none of a ratio of sums,
    and of too few values) and the means of baselines.
    """
    known = [name for name in metrics if rows and name in rows[0]]
    by_number = {who: {row["frame"]: row for row in track} for who, track in {MODEL: rows, **baselines}.items()}
    tables: dict[str, Any] = {}
    for dimension, cells in _cells([row["frame"] for row in rows], traits).items():
        if len(cells) < 2:
            continue
        tables[dimension] = {
            "definition": ". ".join(filter(None, [DIMENSIONS[dimension], texts.get(dimension, "")])) + ".",
            "cells": [
                _cell(
                    name,
                    {who: [track[n] for n in numbers if n in track] for who, track in by_number.items()},
                    [traits.get(n, Traits()).clip for n in numbers],
                    known,
                    medians or {},
                    images,
                )
                for name, numbers in cells.items()
            ],
        }
    return tables


def _cells(numbers: Sequence[Any], traits: Mapping[int, Traits]) -> dict[str, dict[str, list[int]]]:
    """Dimension -> cell -> numbers of its rows."""
    of = {number: traits.get(number, Traits()) for number in numbers}
    views = {n: f"{t.source_view or UNKNOWN} to {t.target_view or UNKNOWN}" for n, t in of.items()}
    signers = {n: t.signer or UNKNOWN for n, t in of.items()}
    found = {"view": _grouped(views), "pose_distance": _fifths({n: t.distance for n, t in of.items()})}
    return {**found, "signer": _grouped(signers)}


def _grouped(labels: Mapping[int, str]) -> dict[str, list[int]]:
    """By name, what is unknown last."""
    groups: dict[str, list[int]] = {}
    for number, label in labels.items():
        groups.setdefault(label, []).append(number)
    return dict(sorted(groups.items(), key=lambda item: (UNKNOWN in item[0], item[0])))


def _fifths(distances: Mapping[int, float | None]) -> dict[str, list[int]]:
    """Cells of about as many pairs each, from near to far; equal distances are in one cell."""
    known = {number: distance for number, distance in distances.items() if distance is not None}
    if not known:
        return {}
    edges = np.quantile(list(known.values()), np.arange(1, QUINTILES) / QUINTILES)
    groups: dict[int, list[int]] = {}
    for number, distance in known.items():
        groups.setdefault(int(np.searchsorted(edges, distance)), []).append(number)
    cells = {}
    for place, numbers in sorted(groups.items()):
        inside = [known[number] for number in numbers]
        cells[f"{place + 1} of {QUINTILES} ({min(inside):.3f} to {max(inside):.3f})"] = numbers
    if rest := [number for number in distances if number not in known]:
        cells[UNKNOWN] = rest
    return cells


def _cell(
    name: str,
    tracks: Mapping[str, list[Row]],
    clips: Sequence[str | None],
    metrics: Sequence[str],
    medians: Mapping[str, str],
    images: bool,
) -> dict[str, Any]:
    """tracks: the cell's rows of the model, and of baselines as far as they have them. clips: of the model's rows."""
    own, intervals = tracks[MODEL], {}
    if images and len(set(clips)) == 1:  # one person's images are no series
        clips = [None] * len(own)
    for metric in (metric for metric in metrics if metric not in RATIOS):
        valued = [(row[metric], clip) for row, clip in zip(own, clips, strict=True) if row[metric] is not None]
        if valued:
            values = np.array([value for value, _ in valued], np.float64)
            found = mean_interval(values, [clip for _, clip in valued], images)
            if found.low is not None and found.high is not None:
                intervals[metric] = [found.low, found.high]
    return {
        "cell": name,
        "count": len(own),
        "mean": _means(own, metrics, medians),
        "intervals": intervals,
        "baselines": {
            who: _means(rows, metrics, medians) for who, rows in tracks.items() if who != MODEL and counted(rows)
        },
    }


def _means(rows: Sequence[Row], metrics: Sequence[str], medians: Mapping[str, str]) -> dict[str, float | None]:
    there = counted(rows)
    found = {metric: metric_mean(metric, there) if metric in there[0] else None for metric in metrics}
    return found | {
        name: float(np.median([row[column] for row in there]))
        for name, column in medians.items()
        if there[0].get(column) is not None
    }


def split_lines(result: Mapping[str, Any]) -> list[str]:
    """A line for each dimension: the first metric from cell to cell, or its worst and best cell where they are many."""
    lines = []
    for dimension, table in result.get("splits", {}).items():
        metric = next((m for m, value in table["cells"][0]["mean"].items() if value is not None), None)
        cells = [cell for cell in table["cells"] if metric and cell["mean"].get(metric) is not None]
        if metric is None or not cells:
            continue
        if dimension == "pose_distance":
            values = ", ".join(f"{number_text(metric, c['mean'][metric])}" for c in cells if c["cell"] != UNKNOWN)
            lines.append(f"by pose distance, from near to far: {metric} {values}")
            continue
        low, high = (best(cells, key=lambda cell: cell["mean"][metric]) for best in (min, max))
        ends = " to ".join(
            f"{number_text(metric, c['mean'][metric])} ({c['cell']}, {c['count']:,})" for c in (low, high)
        )
        lines.append(f"by {dimension}, {len(table['cells'])} cells: {metric} {ends}")
    return lines
