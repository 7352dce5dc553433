"""`signgen verify`: a data set in; a table and a JSON of what is missing or damaged out; exit code 1 for findings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from signgen.console import Bars, console

if TYPE_CHECKING:
    from signgen.corpora.findings import Report

_SHOWN = 12  # findings of one kind


def verify(
    root: Annotated[
        Path, typer.Argument(help="The folder of Phoenix-2014T, DeepFashion or Market-1501.", show_default=False)
    ],
    keypoints: Annotated[
        Path | None, typer.Option(help="Keypoints to check against it: a folder, or one file.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="Decode every frame; else names, counts and first headers.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the report there as well.", show_default=False)
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="For --full.", show_default="all cores")] = None,
) -> None:
    """Say what of a data set is there, what is missing, and what is damaged.

    Exit code 1: something is missing or damaged, and named. `build-pairs` leaves out what the quick look finds damaged.
    """
    from signgen.corpora.verify import verify as look_through
    from signgen.files import check_folder, write_json

    if out is not None:
        check_folder(out.parent)
    report = look_through(root, keypoints, full, processes or os.cpu_count() or 1, Bars())
    if out is not None:
        write_json(out, report.to_json())
    _show(report)
    if report.findings:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    """The counts, then the findings by kind."""
    from rich import box
    from rich.table import Table

    from signgen.corpora.findings import KINDS

    columns = list(dict.fromkeys(name for numbers in report.counts.values() for name in numbers))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("split", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    for split, numbers in report.counts.items():
        table.add_row(escape(split), *(f"{numbers[name]:,}" if name in numbers else "" for name in columns))
    console.print(table)
    for note in report.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    for kind, count in report.by_kind.items():
        console.print(f"[red]{kind}[/] ({count}): {KINDS[kind]}")
        found = [finding for finding in report.findings if finding.kind == kind]
        for finding in found[:_SHOWN]:
            console.print(f"  {escape(finding.where)}: {escape(finding.what)}")
        if len(found) > _SHOWN:
            console.print(f"  ... and {len(found) - _SHOWN} more; --json has them all")
    looked = "every frame decoded" if report.full else "names, counts and first headers; --full decodes every frame"
    verdict = f"{len(report.findings)} findings" if report.findings else "nothing is missing or damaged"
    if report.size:
        console.print(report.size)
    console.print(f"[bold]{escape(str(report.root))}[/]: {report.dataset}: {verdict} ({looked})")
