"""How commands show scores: a metrics dictionary in; the printed table, the files and the page out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from signgen.console import console

REPORT_FILE = "report.html"


def write_result(
    result: dict[str, Any],
    folder: Path,
    write_report: Callable[[Path, dict[str, str]], Path],
    published: str | None = None,
) -> None:
    """Write metrics.json, per_frame.csv, per_frame.parquet and the page, then print the table.

    write_report: path and links to the files beside it -> the page, written. published: a paper's table to show beside.
    """
    from signgen.metrics.published import beside, published_table
    from signgen.metrics.results import MODEL, write_metrics, write_per_frame_csv, write_per_frame_parquet

    if published is not None:
        means = {MODEL: result["mean"], **result["baselines"]}
        result["published"] = beside(published_table(published), means)
    writers = (write_metrics, write_per_frame_csv, write_per_frame_parquet)
    written = [write(result, folder) for write in writers]
    written.append(write_report(folder / REPORT_FILE, {path.name: path.name for path in written}))
    print_result(result)
    console.print(f"wrote {', '.join(map(str, written))}", markup=False)


def print_result(result: dict[str, Any]) -> None:
    """The verdict, a table of model and baselines, what was not computed, and notes."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from signgen.metrics.results import MODEL, by_reason, number_text, verdict
    from signgen.metrics.splits import split_lines

    console.print(escape(verdict(result)))
    console.print(escape(f"{result['protocol']}; {result['frames']} frames"))
    candidates = {MODEL: result["mean"], **result["baselines"]}
    table = Table("mean", box=box.SIMPLE_HEAD)
    for name in candidates:
        table.add_column(name, justify="right", no_wrap=True)
    for metric, value in result["mean"].items():
        if value is not None:
            table.add_row(metric, *(number_text(metric, means.get(metric)) for means in candidates.values()))
    console.print(table)
    for line in split_lines(result):
        console.print(escape(line))
    if "published" in result:
        print_published(result["published"])
    for reason, metrics in by_reason(result["not_computed"]).items():
        console.print(escape(f"not computed: {', '.join(metrics)}: {reason}"))
    for note in result["notes"]:
        console.print(escape(f"note: {note}"))


def print_published(shown: dict[str, Any]) -> None:
    """Own rows, then a paper's; of `signgen.metrics.published.beside`."""
    from rich.markup import escape

    from signgen.metrics.published import OTHER_CONDITIONS

    rows = {**{f"{name} (own)": texts for name, texts in shown["own"].items()}, **shown["published"]}
    table = [[OTHER_CONDITIONS, *shown["columns"]], *([name, *texts] for name, texts in rows.items())]
    if len(shown["columns"]) > len(rows):  # the narrower way round: a terminal cuts what is too wide
        table = [list(column) for column in zip(*table, strict=True)]
    print_table(table[0], table[1:])
    console.print(escape(f"{shown['title']}; {shown['source']}. {shown['note']}"))


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Names on the left, numbers on the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(head):
        table.add_column(escape(name), justify="right" if place and name else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
