"""What robustness studies found in; robustness.html with the plot out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signgen.evaluation.robustness import spread
from signgen.metrics.results import number_text
from signgen.reporting.charts import Chart, curves
from signgen.reporting.page import write_page

SHOWN = ("hand_ssim", "ssim", "face_ssim")


def write_robustness_report(result: dict[str, Any], path: Path, links: Mapping[str, str], title: str) -> Path:
    """Write the page, atomically. links: text -> relative address of the files beside it."""
    studies = []
    for name, study in result["studies"].items():
        studies.append(
            {
                "name": name,
                "title": study["title"],
                "unit": study["unit"],
                "definition": study["definition"],
                "levels": [f"{level:g}" for level in study["levels"]],
                "charts": study_charts(study, result["definitions"]),
                "rows": _rows(study, result["definitions"]),
            }
        )
    candidates = list(next(iter(result["studies"].values()))["means"]) if studies else []
    content = {**result, "title": title, "studies": studies, "candidates": candidates, "links": links}
    content["all_sources"] = _all_sources(result.get("all_sources"))
    content["spread"] = _spread(result["studies"].get("source"), candidates)
    return write_page(path, "robustness.html", content)


def study_charts(study: Mapping[str, Any], definitions: Mapping[str, str]) -> list[Chart]:
    """A curve over the levels for each metric that is shown."""
    tracks = {
        who: [{"frame": level, **mean} for level, mean in zip(study["levels"], means, strict=True)]
        for who, means in study["means"].items()
    }
    return curves(tracks, {metric: definitions[metric] for metric in SHOWN})


def _rows(study: Mapping[str, Any], definitions: Mapping[str, str]) -> list[tuple[str, str, Sequence[str]]]:
    """(metric, who, a number for each level), without those that nobody has."""
    return [
        (metric, who, [number_text(metric, mean.get(metric)) for mean in means])
        for metric in definitions
        for who, means in study["means"].items()
        if any(mean.get(metric) is not None for mean in means)
    ]


def _spread(study: Mapping[str, Any] | None, candidates: Sequence[str]) -> list[tuple[str, str, str, str, str]]:
    """(metric, who, mean, standard deviation, range) over the source frames."""
    found = []
    for metric in SHOWN if study is not None else ():
        for who in candidates:
            numbers = spread(study["means"][who], metric) if study is not None else None
            if numbers is not None:
                mean, deviation, width = (number_text(metric, number) for number in numbers)
                found.append((metric, who, mean, deviation, width))
    return found


def _all_sources(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """rows: (metric, who, mean, spread, best, worst)."""
    if found is None:
        return None
    rows = [
        (metric, who, *(number_text(metric, row[key]) for key in ("mean", "spread", "best", "worst")))
        for who, means in found["means"].items()
        for metric, row in means.items()
    ]
    return {**found, "rows": sorted(rows, key=lambda row: row[0])}
