"""`signgen weights list`, `fetch` and `check`: pretrained weights, the one place that downloads."""

from __future__ import annotations

from typing import Annotated

import typer

from signgen.cli.common import help_of
from signgen.console import console

app = typer.Typer(
    name="weights",
    help="Pretrained weights of models, pose networks and metrics: list, fetch, check.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Names of `list`.", show_default="all")]


def show() -> None:
    """What there is, its size and licence, what it is for, and whether it is on this machine."""
    from signgen.evaluation.weights import table_rows

    for name, kind, size, licence, use, state in table_rows():
        console.print(f"[bold]{name}[/bold]  {kind}, {size}, {state}")
        console.print(f"  {use}; {licence}", markup=False)


def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of `list`.", show_default=False)],
    revision: Annotated[
        str | None,
        typer.Option(help="Commit, branch or tag of the Hub's repository.", show_default="the one recorded"),
    ] = None,
) -> None:
    """Download weights, verify them, and record the commit. No other command downloads.

    What is there is not fetched again; a download that was cut off goes on. Licences are the owners': see `list`.
    """
    from signgen.evaluation import weights

    for entry in [weights.entry_of(name) for name in names]:
        console.print(f"{entry.name}: {entry.gigabytes:.2f} GB, {entry.licence}", markup=False)
        console.print(f"  in {weights.fetch(entry, revision)}", markup=False)


def check(names: Names = None) -> None:
    """Read every byte of the weights that are here, and say what is missing or damaged (exit code 1)."""
    from signgen.evaluation import weights

    states = {name: weights.check(weights.entry_of(name)) for name in names or weights.TABLE}
    for name, (state, where) in states.items():
        console.print(f"{name}: {state}: {where}", markup=False)
    wrong = {"damaged", "missing"} if names else {"damaged"}
    if any(state in wrong for state, _ in states.values()):
        raise typer.Exit(1)


for _name, _command in (("list", show), ("fetch", fetch), ("check", check)):
    app.command(_name, help=help_of(_command))(_command)
