"""The metrics dictionary of what a sign reader reads in; report.html out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signgen.reporting.content import metrics_content
from signgen.reporting.page import write_page


def write_reading_report(result: dict[str, Any], path: Path, links: Mapping[str, str], title: str) -> Path:
    """Write the page, atomically: a row for each sign. links: text -> relative address of the files beside it."""
    content = metrics_content(result, links, title)
    content |= {"unit": "sign", "curves": [], "player": None, "worst": [], "worst_metric": None, "hands": []}
    return write_page(path, "report.html", content)
