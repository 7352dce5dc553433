"""`signgen evaluate-images GENERATED TRUTH --protocol P`: two folders of images in; a published tool's scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from signgen.cli.options import PROTOCOL_PANEL, Processes, ProtocolSize, Published, ReportFolder, TrainImages, Weights
from signgen.cli.results import write_result
from signgen.launch import begin

SHEET_FILE, SHEET_PANEL = "sheet.png", "A picture for a paper"


def evaluate_images(
    generated: Annotated[
        Path,
        typer.Argument(metavar="GENERATED", help="Folder of generated images, or a clip.", show_default=False),
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="Folder of the real ones.", show_default=False)],
    out: ReportFolder,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="strict, gfla, dptn, dptn-market, pidm, pcdms, cfld, fpdm or reposedm: whose rules.",
            show_default=False,
            rich_help_panel=PROTOCOL_PANEL,
        ),
    ],
    size: ProtocolSize = None,
    pair_list: Annotated[
        Path | None,
        typer.Option(
            "--pair-list",
            help="The pairs that there must be (JSON, CSV or text).",
            show_default="every image of TRUTH is a target",
            rich_help_panel=PROTOCOL_PANEL,
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="Folder with the source images, for copy-source; of clips, the one whose first frame was the source.",
            show_default="TRUTH",
            rich_help_panel=PROTOCOL_PANEL,
        ),
    ] = None,
    keypoints: Annotated[
        Path | None,
        typer.Option(
            help="Of DeepFashion's or Market's images: tables by pose distance.", rich_help_panel=PROTOCOL_PANEL
        ),
    ] = None,
    train_images: TrainImages = None,
    weights: Weights = None,
    published: Published = None,
    sheet: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Also draw REPORT/sheet.png: source, pose, truth and generated image of so many pairs, at random.",
            rich_help_panel=SHEET_PANEL,
        ),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=FOLDER",
            help="Another method's images of the same pairs, a column of the sheet; may be given several times.",
            rich_help_panel=SHEET_PANEL,
        ),
    ] = None,
    poses: Annotated[
        Path | None,
        typer.Option(
            "--poses",
            help="The sheet's column of poses: keypoints of TRUTH's images, or pictures of them with their names.",
            show_default="--keypoints",
            rich_help_panel=SHEET_PANEL,
        ),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Score a set of generated images by the rules of a published tool; images are matched by their names.

    Two clips are matched frame by frame. What each protocol does, and why their numbers disagree: docs/metrics.md.
    Writes REPORT/report.html, metrics.json, per_frame.csv and .parquet.
    """
    from signgen.evaluation.images import ImagesRequest, evaluate_images
    from signgen.evaluation.named_runs import named_runs
    from signgen.evaluation.sheet import SheetRequest, plan_sheet
    from signgen.reporting.set_report import write_set_report
    from signgen.reporting.sheet import write_sheet

    bars = begin(processes, out)
    if sheet is None and (other or poses is not None):
        raise typer.BadParameter(f"{'--with' if other else '--poses'} is of the sheet; add --sheet N")
    rows = []
    if sheet is not None:
        wanted = SheetRequest(generated, truth, sheet, named_runs(other or ()), poses or keypoints, pair_list, source)
        rows = plan_sheet(wanted, bars)  # before the scores: what has no partner is refused at once
    result = evaluate_images(
        ImagesRequest(
            generated,
            truth,
            protocol,
            size=size,
            pair_list=pair_list,
            train_images=train_images,
            sources=source,
            keypoints=keypoints,
            weights=weights,
        ),
        bars,
    )
    title = f"{generated} against {truth}"

    def write_page(path: Path, links: dict[str, str]) -> Path:
        if rows:
            links |= {SHEET_FILE: write_sheet(rows, out / SHEET_FILE).name}
        return write_set_report(result.scores, lambda index: result.pairs[index].read(), path, links, title)

    write_result(result.scores, out, write_page, published)
