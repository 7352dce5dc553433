"""Runs and their comparison in; compare.html out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.evaluation.compare import Run, interval_text, judgement
from signgen.metrics.results import is_set
from signgen.reporting.charts import WIDTH, curves, histograms
from signgen.reporting.content import summary
from signgen.reporting.page import write_page


@dataclass(frozen=True)
class DifferenceRow:
    """One metric of one run against the first. places: of low, mean, high and 0 on the plot, in 0..WIDTH."""

    metric: str
    run: str
    text: str
    of: str
    frames: int
    worth: str
    said: str
    low: float
    middle: float
    high: float
    zero: float


def write_comparison(result: dict[str, Any], runs: Sequence[Run], path: Path, links: Mapping[str, str]) -> Path:
    """Write the page, atomically. result: of `compare`. links: text -> relative address of the files beside it."""
    rows = [list(run.rows.values()) for run in runs]
    is_image_set = is_set(rows[0])
    common = [key for key in runs[0].rows if all(key in run.rows for run in runs)]
    tracks = {run.name: [run.rows[key] for key in common] for run in runs}
    content = {
        **result,
        "title": f"Comparison of {', '.join(run.name for run in runs)}",
        "unit": "image" if is_image_set else "frame",
        "candidates": [run.name for run in runs],
        "summary": summary(result["means"], result["definitions"]),
        "differences": difference_rows(result),
        "curves": [] if is_image_set else curves(tracks, result["definitions"]),
        "histograms": histograms(tracks, result["definitions"]),
        "first": rows[0][0]["frame"] if is_image_set else common[0],
        "last": common[-1],
        "links": links,
    }
    return write_page(path, "compare.html", content)


def difference_rows(result: dict[str, Any]) -> list[DifferenceRow]:
    """Metric by metric, all runs of one metric on one scale that holds 0."""
    found = []
    for metric in result["definitions"]:
        entries = {run: row[metric] for run, row in result["differences"].items() if metric in row}
        ends = [v for e in entries.values() for v in (e["mean"], e["low"], e["high"]) if v is not None]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        room = 0.06 * (high - low) or 1.0
        scale = WIDTH / (high - low + 2 * room)
        for run, entry in entries.items():
            marks = [entry["mean"] if entry[end] is None else entry[end] for end in ("low", "mean", "high")]
            places = [round((value - low + room) * scale, 1) for value in (*marks, 0.0)]
            found.append(_difference_row(metric, run, entry, places))
    return found


def _difference_row(metric: str, run: str, entry: Mapping[str, Any], places: list[float]) -> DifferenceRow:
    return DifferenceRow(
        metric,
        run,
        interval_text(metric, entry),
        entry["of"],
        entry["count"],
        f"{entry['effective']:.3g} {entry['units']}",
        judgement(metric, entry),
        *places,
    )
