"""The metrics dictionary of stage 1 and a way to read its pictures in; report.html with the similarities out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signgen.reporting.charts import binned
from signgen.reporting.content import metrics_content
from signgen.reporting.page import write_page

_ABOUT = "Cosine similarities of embeddings; each kind is defined below."


def write_fusion_report(result: dict[str, Any], path: Path, links: Mapping[str, str], title: str) -> Path:
    """Write the page, atomically. links: text -> relative address of the files beside it."""
    counted = result["similarity_histograms"]
    content = metrics_content(result, links, title)
    content |= {
        "unit": "triple",
        "similarities": {
            "names": list(counted["counts"]),
            "counted": f"{sum(map(sum, counted['counts'].values())):,}",
            "chart": binned("similarity_target", _ABOUT, counted["edges"], counted["counts"]),
        },
        "player": None,
        "worst": [],
        "worst_metric": None,
        "hands": [],
    }
    return write_page(path, "report.html", content)
