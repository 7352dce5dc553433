"""A metrics dictionary in; what its page shows out: verdict, summary, curves, histograms, rows, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signgen.metrics.definitions import CEILING
from signgen.metrics.directions import best_of, direction_of
from signgen.metrics.results import MODEL, by_reason, is_set, number_text, verdict
from signgen.reporting.charts import curves, histograms

TABLE_ROWS = 300  # of single frames or images; the files hold all
SPLIT_CELLS = 50  # of one dimension, likewise


@dataclass(frozen=True)
class SummaryRow:
    """One metric. cells: (candidate's number, whether it is the best), in the order of the columns."""

    metric: str
    definition: str
    direction: str
    cells: tuple[tuple[str, bool], ...]


def metrics_content(result: dict[str, Any], links: Mapping[str, str], title: str) -> dict[str, Any]:
    """What report.html shows of numbers. links: text -> relative address of the files beside it."""
    rows = result["per_frame"]
    is_image_set = is_set(rows)
    tracks = {MODEL: rows, **result.get("per_frame_baselines", {})}
    candidates = {MODEL: result["mean"], **result["baselines"]}
    definitions = result["definitions"]
    return {
        "title": title,
        "verdict": verdict(result),
        "protocol": result["protocol"],
        "frames": result["frames"],
        "first": rows[0]["frame"],
        "last": rows[-1]["frame"],
        "unit": "image" if is_image_set else "frame",
        "candidates": list(candidates),
        "summary": summary(candidates, definitions),
        "definitions": definitions,
        "not_computed": by_reason(result["not_computed"]),
        "published": result.get("published"),
        "notes": result["notes"],
        "splits": [_split(name, table) for name, table in result.get("splits", {}).items()],
        "curves": [] if is_image_set else curves(tracks, definitions),
        "histograms": histograms(tracks, definitions),
        "columns": [name for name in rows[0] if name != "frame"],
        "rows": [[row["frame"], *_texts(row)] for row in rows[:TABLE_ROWS]],
        "provenance": result.get("provenance", {}),
        "settings": result.get("render", {}),
        "links": links,
    }


def summary(candidates: Mapping[str, Mapping[str, Any]], definitions: Mapping[str, str]) -> list[SummaryRow]:
    """The table of means; metrics that nobody has are left out."""
    found = []
    for metric, definition in definitions.items():
        values = [means.get(metric) for means in candidates.values()]
        if all(value is None for value in values):
            continue
        rivals = {name: means for name, means in candidates.items() if name != CEILING}
        best, direction = best_of(metric, rivals), direction_of(metric)
        cells = tuple(
            (number_text(metric, value), name in best) for name, value in zip(candidates, values, strict=True)
        )
        text = direction.text if direction else "no better or worse known"
        found.append(SummaryRow(metric, definition, text, cells))
    return found


def _split(dimension: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Of one dimension: a block of lines for each cell, model first, and the columns that some line has."""
    cells = table["cells"]
    metrics = [m for m in cells[0]["mean"] if any(cell["mean"].get(m) is not None for cell in cells)]
    blocks = []
    for cell in cells[:SPLIT_CELLS]:
        lines = [
            {"who": who, "numbers": [_with_interval(m, means.get(m), between.get(m)) for m in metrics]}
            for who, means, between in [
                (MODEL, cell["mean"], cell["intervals"]),
                *((who, means, {}) for who, means in cell["baselines"].items()),
            ]
        ]
        blocks.append({"cell": cell["cell"], "count": cell["count"], "lines": lines})
    return {
        "name": dimension.replace("_", " "),
        "definition": table["definition"],
        "metrics": metrics,
        "blocks": blocks,
        "left_out": len(cells) - len(blocks),
    }


def _with_interval(metric: str, value: float | None, between: Sequence[float] | None) -> tuple[str, str]:
    ends = "" if between is None else f"[{number_text(metric, between[0])}, {number_text(metric, between[1])}]"
    return number_text(metric, value), ends


def metric_for_worst(result: dict[str, Any], part: str = "") -> str | None:
    """The first metric, of a part (`hand`) if one is named, that says of single frames which is worse."""
    for metric in result["definitions"]:
        direction = direction_of(metric)
        if direction is None or direction.kind == "truth" or not metric.startswith(f"{part}_" if part else ""):
            continue
        if any(row.get(metric) is not None for row in result["per_frame"]):
            return metric
    return None


def _texts(row: Mapping[str, Any]) -> Sequence[str]:
    return [
        value if isinstance(value, str) else number_text(name, value) for name, value in row.items() if name != "frame"
    ]
