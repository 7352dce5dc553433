"""Rows of a per-frame table in; their means out: of a ratio that of its sums, without what a baseline is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from signgen.metrics.definitions import RATIOS

Row = Mapping[str, float | int | None]
OWN_TRUTH = "own_truth"  # marks a baseline's row in which it shows the truth itself, which is in none of its means


def mean_row(rows: Sequence[Row], metrics: Iterable[str]) -> dict[str, float | None]:
    """Mean of each metric over the rows that have it; None where none has."""
    means: dict[str, float | None] = {}
    for metric in metrics:
        means[metric] = metric_mean(metric, counted(rows))
    return means


def counted(rows: Sequence[Row]) -> list[Row]:
    """The rows that count in a mean: not those in which a baseline shows the truth itself."""
    return [row for row in rows if not row.get(OWN_TRUTH)]


def metric_mean(metric: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean over the rows that have the metric, of a ratio its sums' ratio; None where none has."""
    with_value = [row for row in rows if row[metric] is not None]
    if not with_value:
        return None
    over, under = RATIOS.get(metric, ("", ""))
    if metric in RATIOS and all(row.get(over) is not None and row.get(under) is not None for row in with_value):
        whole = sum(row[under] for row in with_value)
        return float(sum(row[over] for row in with_value) / whole) if whole else None
    return float(np.mean([row[metric] for row in with_value]))


def columns_of(names: Iterable[str]) -> list[str]:
    """Columns of a per-frame table that has these metrics: of a ratio also what it is a ratio of."""
    return [column for name in names for column in (name, *RATIOS.get(name, ()))]


def with_own_truth(
    name: str, own: Sequence[Row], rows: Sequence[Row], metrics: Iterable[str], unit: Literal["frame", "image"]
) -> str:
    """What is left out of a baseline's means, and what these would be with it."""
    whole = [{key: value for key, value in row.items() if key != OWN_TRUTH} for row in rows]
    means = {metric: metric_mean(metric, whole) for metric in metrics if metric in rows[0]}
    told = ", ".join(f"{metric} {value:.4g}" for metric, value in means.items() if value is not None)
    which = f"{unit} {own[0]['frame']}" if len(own) == 1 else f"{len(own)} {unit}s"
    return f"{name}: its means leave out {which}, the truth of which it shows itself; with that they are {told}"
