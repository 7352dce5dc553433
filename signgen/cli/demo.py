"""`signgen demo`: nothing in; synthetic signers, a trained nano, three rendered clips and their scores out.

Every step is a `signgen` command that is printed before it runs; a step whose result is there is not run again.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from signgen.console import console
from signgen.errors import Interrupted, SigngenError
from signgen.evaluation.demo import (
    FULL,
    QUICK,
    Case,
    Size,
    Step,
    cases_of,
    keep_settings,
    preparation,
    rendering,
    report_of,
    score_rows,
)

COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="Small, under two minutes; its scores mean nothing.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Other signers, other motions.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, help="Time for training.", show_default="8, with --quick 0.3")
    ] = None,
) -> None:
    """Show everything on signers who do not exist: draw them, build pairs, train nano, render, evaluate.

    Three clips are rendered that were not trained on: of a signer seen in training, of one never seen, and of a seen
    signer driven by another one's retargeted poses. Interrupted, the same command goes on.
    """
    size = QUICK if quick else FULL
    size = size if minutes is None else Size(size.signers, size.clips, size.frames, minutes)
    began = time.monotonic()
    keep_settings(out, {**asdict(size), "seed": seed})
    for step in preparation(out, size, seed):
        _run(step)
    cases = cases_of(out / "corpus")
    for case in cases:
        for step in rendering(out, case):
            _run(step)
    _show(out, cases, time.monotonic() - began)


def _run(step: Step) -> None:
    """Print the command and run it, unless its result is there."""
    words = [str(word) for word in step.words]
    console.print(f"\n[bold]$ signgen {shlex.join(words)}[/]", highlight=False)
    if step.result.exists():
        console.print("is done")
        return
    if step.partial is not None:
        shutil.rmtree(step.partial, ignore_errors=True)
    process = subprocess.Popen([sys.executable, "-m", "signgen", *words])
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the command has had the same Ctrl-C, and saves what it has
        process.wait()
        code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        raise Interrupted("the demo is not finished", fix="the same command goes on from there")
    if code or not step.result.exists():
        raise SigngenError(f"signgen {words[0]} ended with exit code {code}", fix="its last line says why")


def _show(out: Path, cases: list[Case], seconds: float) -> None:
    """The table, on the screen and as out/table.md; then where things are."""
    from rich import box
    from rich.table import Table

    from signgen.files import write_text

    rows = [row for case in cases for row in score_rows(case, report_of(out, case), COLUMNS)]
    head = ("clip", "who", *COLUMNS)
    table = Table(*head, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
    write_text(out / "table.md", "\n".join(lines) + "\n")
    for case in cases:
        videos = f"{out / case.name}.mp4, {out / case.name}.side-by-side.mp4"
        console.print(f"{case.name}: {case.what}: {videos}; scores: {report_of(out, case)}")
    console.print(f"table: {out / 'table.md'}; model: {out / 'run' / 'model'}; {seconds / 60:.1f} minutes")
