"""The metrics dictionary of a set of images and a way to read them in; report.html with the worst images out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from signgen.metrics.directions import worst_rows
from signgen.metrics.results import number_text
from signgen.reporting.content import metric_for_worst, metrics_content
from signgen.reporting.page import write_page
from signgen.reporting.pictures import fitted, webp_uri

WORST = 10
SIDE = 384  # px of a shown image's longer side

# Number of the pair -> generated and true image, uint8 (H, W, 3).
ReadPair = Callable[[int], tuple[np.ndarray, np.ndarray]]


def write_set_report(
    result: dict[str, Any],
    read: ReadPair,
    path: Path,
    links: Mapping[str, str],
    title: str,
    metric: str | None = None,
) -> Path:
    """Write the page, atomically. links: text -> relative address of the files beside it. metric: by which the WORST
    worst are chosen; None: the first of the report that says which is worse."""
    metric = metric or metric_for_worst(result)
    rows = [] if metric is None else worst_rows(metric, result["per_frame"], WORST)
    content = metrics_content(result, links, title)
    content |= {
        "player": None,
        "worst_metric": metric,
        "worst": [_card(row, metric, read) for row in rows if metric is not None],
        "hands": [],
    }
    return write_page(path, "report.html", content)


def _card(row: dict[str, Any], metric: str, read: ReadPair) -> dict[str, Any]:
    generated, truth = (webp_uri(fitted(picture, SIDE)) for picture in read(row["frame"]))
    return {
        "frame": row["frame"],
        "name": Path(row["generated"]).name,
        "score": number_text(metric, row[metric]),
        "generated": generated,
        "truth": truth,
    }
