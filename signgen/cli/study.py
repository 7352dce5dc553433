"""`signgen study build` and `study score`: runs in, a page for raters out; their answers in, R2G, G2R and Jab out.

`study reid`, which asks a network, is in study_reid.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from signgen.cli.common import help_of
from signgen.cli.study_reid import reid
from signgen.console import Bars, console

_AMOUNTS = "How much each rater is asked"
_LOOK = "How it is shown"

app = typer.Typer(
    name="study",
    help="Ask people which pictures are real and which method is best (docs/study.md), or a network who is who.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def build(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUNS...",
            help="NAME=PLACE of what each method generated: a folder of images or of clips, or a video.",
            show_default=False,
        ),
    ],
    truth: Annotated[Path, typer.Option("--truth", help="The real ones: as a run.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the study.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="What the methods were given, shown beside the choices: an image or video, or a folder of one each.",
            rich_help_panel=_LOOK,
        ),
    ] = None,
    pair_list: Annotated[
        Path | None, typer.Option("--pair-list", help="The pairs that there must be (JSON, CSV or text).")
    ] = None,
    raters: Annotated[int, typer.Option(min=1, help="Numbers to give out.", rich_help_panel=_AMOUNTS)] = 24,
    judgements: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Questions real or generated, half of them real. Default: 60, or what the targets allow.",
            rich_help_panel=_AMOUNTS,
        ),
    ] = None,
    choices: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Questions which run is best. Default: 30, or what the targets allow; 0 for one run.",
            rich_help_panel=_AMOUNTS,
        ),
    ] = None,
    practice: Annotated[
        int,
        typer.Option(min=0, help="Questions before, of targets of their own, not counted.", rich_help_panel=_AMOUNTS),
    ] = 0,
    checks: Annotated[
        int, typer.Option(min=0, help="Attention checks among the judgements.", rich_help_panel=_AMOUNTS)
    ] = 0,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="To look at a picture. Default: 3; clips: the longest one's length.", rich_help_panel=_LOOK
        ),
    ] = None,
    show_truth: Annotated[
        bool, typer.Option("--show-truth", help="Show the real one beside the choices.", rich_help_panel=_LOOK)
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Bring all pictures to one size. Default: as they are.", rich_help_panel=_LOOK
        ),
    ] = None,
    image_format: Annotated[
        str, typer.Option("--format", metavar="png|jpeg", help="How all images are encoded.", rich_help_panel=_LOOK)
    ] = "png",
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="YAML with your own instructions, consent, labels.", rich_help_panel=_LOOK),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of targets and of all orders.")] = 0,
) -> None:
    """Write a page on which raters say what is real and what is best.

    STUDY/site is the page: open it from a disk, or publish it on any web server. STUDY/key.json says what was shown;
    keep it to yourself. Answers come back as files; put them into STUDY/answers.
    """
    from signgen.evaluation.named_runs import named_runs
    from signgen.study.build import Look, build_study, refuse_existing
    from signgen.study.design import TRUTH, amounts_for, next_steps
    from signgen.study.material import match_targets, telling_files
    from signgen.study.media import IMAGE_FORMATS
    from signgen.study.texts import load_texts
    from signgen.video.reader import parse_size

    if image_format not in IMAGE_FORMATS:
        raise typer.BadParameter(f"--format {image_format!r}; expected {' or '.join(IMAGE_FORMATS)}")
    refuse_existing(out)
    places, wording = named_runs(runs, {TRUTH}), load_texts(texts)
    found = match_targets(places, truth, source, pair_list)
    console.print(f"{len(found.targets)} targets; {found.rule}", markup=False)
    if warning := telling_files(found):
        console.print(f"note: {warning}", markup=False)
    amounts = amounts_for(
        len(found.targets),
        list(places),
        raters=raters,
        judgements=judgements,
        choices=choices,
        practice=practice,
        checks=checks,
    )
    look = Look(seconds, image_format, parse_size(size) if size else None, show_truth)
    key = build_study(found, places, amounts, look, wording, out, seed, Bars())
    for line in next_steps(key, out):
        console.print(line, markup=False)


def score(
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="ANSWERS...", help="Files that raters saved, or folders of them.", show_default=False),
    ],
    study: Annotated[
        Path | None,
        typer.Option("--study", help="The study's folder. Default: where the answers lie.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write the scores as JSON.", show_default=False)
    ] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Count raters who failed an attention check, too.")
    ] = False,
) -> None:
    """Score a study: R2G, G2R and Jab with 95 % intervals, and how far raters agree.

    Files that are incomplete or given twice are named; one of another study, or changed after it was saved, is refused.
    """
    from signgen.evaluation.provenance import provenance
    from signgen.files import write_json
    from signgen.study.answers import answer_files, load_key, load_raters, study_of
    from signgen.study.score import score_study

    place = study or study_of(answers)
    key = load_key(place)
    raters, notes = load_raters(key, answer_files(answers))
    result = score_study(key, raters, notes, keep_failed=keep_failed)
    _print(result)
    if out is not None:
        write_json(out, {**result, "provenance": provenance({"study": place})})
        console.print(f"wrote {out}", markup=False)


def _print(result: dict[str, Any]) -> None:
    from signgen.cli.results import print_table
    from signgen.metrics.results import number_text

    counted = [row for row in result["raters"] if row["counted"]]
    console.print(f"study {result['study']}: {len(counted)} raters")
    rows = [
        [
            name,
            number_text("share", found["share"]),
            _range(found["interval"]),
            _range(found["wilson"]),
            str(found["judgements"]),
        ]
        for name, found in result["shares"].items()
    ]
    print_table(["", "share", "95 %, raters and targets drawn anew", "95 %, Wilson", "judgements"], rows)
    for kind, found in result["agreement"].items():
        if found is not None:
            console.print(
                f"agreement, {kind}: Krippendorff's alpha {number_text('alpha', found['alpha'])}, Fleiss' kappa"
                f" {number_text('kappa', found['kappa'])} over {found['items']} items"
            )
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False)


def _range(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


for _command in (build, score, reid):
    app.command(_command.__name__, help=help_of(_command), no_args_is_help=True)(_command)
