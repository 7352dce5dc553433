"""The name of a table in; figures that papers state, as `published.yaml` has them, beside one's own, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from signgen.errors import MetricsError
from signgen.metrics.results import number_text

OTHER_CONDITIONS = "published, other conditions"


@dataclass(frozen=True)
class PublishedTable:
    """scores: column -> names of the same kind of number in signgen's metrics files, the first that is there.

    rows: method -> a number for each column as the paper prints it, None where it has none.
    """

    name: str
    title: str
    source: str
    note: str
    scores: Mapping[str, Sequence[str]]
    rows: Mapping[str, Sequence[float | None]]


@cache
def published_tables() -> dict[str, PublishedTable]:
    """Every table by its name, in the order of the file."""
    text = (files("signgen.metrics") / "published.yaml").read_text("utf-8")
    return {name: PublishedTable(name, **entry) for name, entry in yaml.safe_load(text).items()}


def published_table(name: str) -> PublishedTable:
    """Raises MetricsError, with all names, for a table that is not there."""
    tables = published_tables()
    if name not in tables:
        raise MetricsError(f"no published table {name!r}", expected=", ".join(tables))
    return tables[name]


def beside(table: PublishedTable, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a report shows: own rows first, then the paper's. own: name -> means by metric.

    Keys: title, source, note, columns, own and published (each: name -> texts, `-` where there is none), names (column
    -> the metric that own numbers are of).
    """
    names = {
        column: next((n for n in wanted if any(means.get(n) is not None for means in own.values())), None)
        for column, wanted in table.scores.items()
    }
    return {
        "table": table.name,
        "title": table.title,
        "source": table.source,
        "note": table.note,
        "columns": list(table.scores),
        "names": {column: name for column, name in names.items() if name is not None},
        "own": {
            who: [number_text(n, means.get(n)) if n is not None else "-" for n in names.values()]
            for who, means in own.items()
        },
        "published": {
            who: ["-" if value is None else f"{value:g}" for value in values] for who, values in table.rows.items()
        },
    }
