"""`signgen evaluate-text HYPOTHESES REFERENCES --out REPORT`: texts understood from clips against the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signgen.console import Bars, console
from signgen.files import check_folder

_RECOGNISER_PANEL = "Hypotheses from videos"
HYPOTHESES_FILE = "hypotheses.json"
_TIME_LIMIT = 600


def evaluate_text(
    hypotheses: Annotated[
        Path,
        typer.Argument(
            metavar="HYPOTHESES",
            help="What was understood: plain text, CSV or JSON; with --recogniser a folder of videos.",
            show_default=False,
        ),
    ],
    references: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCES", help="What was signed: plain text, CSV (Phoenix's too) or JSON.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and per_frame.csv.", show_default=False)],
    column: Annotated[
        str | None,
        typer.Option(
            help="Of a CSV, the column that holds the text, e.g. orth for glosses.", show_default="text, translation"
        ),
    ] = None,
    recogniser: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Run for each video, {video} being its path; its stdout is the hypothesis.",
            rich_help_panel=_RECOGNISER_PANEL,
        ),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="For one video.", rich_help_panel=_RECOGNISER_PANEL),
    ] = _TIME_LIMIT,
) -> None:
    """Score texts that somebody, or a recogniser, understood from generated clips: BLEU-1 to 4, ROUGE-L, WER.

    Texts are matched by the clips' names, plain text by its lines; a missing or extra one is an error. BLEU needs
    sacrebleu, the extra text.
    """
    from signgen.evaluation.recogniser import Recogniser, recognise_videos
    from signgen.evaluation.texts import COLUMNS, match_texts, read_texts
    from signgen.metrics.results import write_metrics, write_per_frame_csv
    from signgen.metrics.text import score_texts

    check_folder(out)
    true = read_texts(references, [column] if column else COLUMNS)
    if recogniser is None:
        understood = read_texts(hypotheses, [column, *COLUMNS] if column else COLUMNS)
    else:
        command = Recogniser(recogniser, time_limit)
        understood = recognise_videos(hypotheses, true, command, out / HYPOTHESES_FILE, Bars())
    result = score_texts(match_texts(understood, true))
    result["notes"] = [*true.notes, *understood.notes, *result["notes"]]
    written = write_metrics(result, out), write_per_frame_csv(result, out)
    _print(result)
    console.print(f"wrote {written[0]}, {written[1]}", markup=False)


def _print(result: dict[str, Any]) -> None:
    from signgen.metrics.results import by_reason

    console.print(f"{result['protocol']}; {result['frames']} texts", markup=False)
    for name, value in result["mean"].items():
        console.print(f"{name:8} {value:6.2f}", markup=False)
    for reason, names in by_reason(result["not_computed"]).items():
        console.print(f"not computed: {', '.join(names)}: {reason}", markup=False)
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False)
