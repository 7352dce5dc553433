"""`signgen compare A.json B.json …`: metrics files in; a table of paired differences, compare.json and .html out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signgen.cli.options import Published
from signgen.cli.results import print_published, print_table
from signgen.console import console

JSON_FILE, PAGE_FILE = "compare.json", "compare.html"


def compare(
    metrics: Annotated[
        list[Path],
        typer.Argument(
            metavar="METRICS...",
            help="metrics.json of two or more runs, or their folders; the others are compared with the first.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER|FILE.html",
            help="Also write compare.html and compare.json there.",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print only a table for a paper, with intervals, in Markdown.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The same in LaTeX (booktabs).")] = False,
    published: Published = None,
) -> None:
    """Say by which numbers runs differ, frame by frame, and whether chance could explain it.

    Frames are matched by number, images of a set by name; only those that all runs have are compared. Differences come
    with 95 % intervals that know that neighbouring frames are alike (docs/report.md).
    """
    from signgen.evaluation import compare as comparison
    from signgen.evaluation.provenance import provenance
    from signgen.metrics.published import beside, published_table
    from signgen.reporting.tables import paper_table

    runs = comparison.load_runs(metrics)
    result = comparison.compare(runs)
    result["provenance"] = provenance({run.name: run.path for run in runs})
    result["published"] = None if published is None else beside(published_table(published), result["means"])
    if markdown and latex:
        raise typer.BadParameter("--markdown and --latex: one of the two")
    if markdown or latex:
        typer.echo(paper_table(result, "latex" if latex else "markdown"))
    else:
        _print(result)
    if out is not None:
        _write(result, runs, out)


def _write(result: dict[str, Any], runs: list[Any], out: Path) -> None:
    from signgen.files import write_json
    from signgen.reporting.compare_report import write_comparison

    page = out if out.suffix == ".html" else out / PAGE_FILE
    numbers = page.with_suffix(".json") if out.suffix == ".html" else out / JSON_FILE
    write_json(numbers, result)
    write_comparison(result, runs, page, {numbers.name: numbers.name})
    console.print(f"wrote {numbers}, {page}", markup=False)


def _print(result: dict[str, Any]) -> None:
    """The verdict, the means, and a table of differences for every run but the first."""
    from rich.markup import escape

    from signgen.evaluation.compare import interval_text, judgement
    from signgen.metrics.results import number_text

    means = result["means"]
    console.print(escape(result["verdict"]))
    console.print(escape(f"{result['protocol']}; {result['frames']} frames in all runs"))
    rows = [[metric, *(number_text(metric, row[metric]) for row in means.values())] for metric in result["definitions"]]
    print_table(["mean", *means], rows)
    for name, differences in result["differences"].items():
        rows = [
            [
                metric,
                interval_text(metric, found),
                judgement(metric, found) + (f", by {found['of']}" if found["of"] else ""),
            ]
            for metric, found in differences.items()
        ]
        print_table([f"{name} minus {next(iter(means))}", "difference [95 %]", ""], rows)
    if result["published"] is not None:
        print_published(result["published"])
    for metric, reason in result["not_compared"].items():
        console.print(escape(f"not compared: {metric}: {reason}"))
    for note in result["notes"]:
        console.print(escape(f"note: {note}"))
    console.print(escape(result["method"]))
