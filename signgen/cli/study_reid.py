"""`signgen study reid`: a Market-1501-style set and generated images in; their worth for re-identification out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from signgen.cli.options import Device, Threads
from signgen.cli.results import print_table
from signgen.console import Bars, console

_IMAGES, _NETWORK = "Generated images", "The network that tells people by their looks"


def reid(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="ROOT", help="Folder with bounding_box_train, query and bounding_box_test.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for reid.json.", show_default=False)],
    other: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=FOLDER",
            help="A method's images, named by person or source, as Market-1501's; may be given several times.",
            rich_help_panel=_IMAGES,
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder: it draws the images of the row ours.", rich_help_panel=_IMAGES)
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="For --model: the pair set of ROOT, with keypoints.", rich_help_panel=_IMAGES)
    ] = None,
    ratio: Annotated[
        float, typer.Option(min=0.01, help="Generated images for each real one.", rich_help_panel=_IMAGES)
    ] = 1.0,
    shares: Annotated[str, typer.Option(metavar="A,B,...", help="Of the real training images.")] = "0.2,0.4,0.6,0.8",
    network: Annotated[
        str, typer.Option(metavar="NAME", help="resnet18, resnet34 or resnet50.", rich_help_panel=_NETWORK)
    ] = "resnet50",
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its state dict as torchvision gives it away (.pth, .safetensors).",
            show_default="random",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of training, for every row.", rich_help_panel=_NETWORK)] = 12_000,
    batch: Annotated[int, typer.Option(min=2, help="Images a step.", rich_help_panel=_NETWORK)] = 64,
    rate: Annotated[float, typer.Option(help="Adam's, falling to 0.", rich_help_panel=_NETWORK)] = 3.5e-4,
    size: Annotated[str, typer.Option(metavar="WxH", help="What it sees.", rich_help_panel=_NETWORK)] = "128x256",
    erasing: Annotated[
        bool, typer.Option("--erasing", help="Random erasing, in all rows.", rich_help_panel=_NETWORK)
    ] = False,
    flip_all: Annotated[
        bool,
        typer.Option("--flip-all", help="Mirror in the rows with generated images, too.", rich_help_panel=_NETWORK),
    ] = False,
    distance: Annotated[
        Literal["cosine", "euclidean"], typer.Option(help="Of pooled features.", rich_help_panel=_NETWORK)
    ] = "cosine",
    seed: Annotated[int, typer.Option(min=0, help="Of shares, drawn images and training.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a re-identification network on shares of the real images, alone and with generated ones; mAP and CMC.

    The same command goes on with a study that was interrupted, row by row. docs/market1501.md says how to read it.
    """
    from signgen.evaluation.named_runs import named_runs
    from signgen.evaluation.reid import ReidRequest, shares_named, study_reid, table_of
    from signgen.metrics.published import OTHER_CONDITIONS
    from signgen.training.reid import ReidSettings
    from signgen.video.reader import parse_size

    width, height = parse_size(size)
    training = ReidSettings(network, weights, steps, batch, rate, width, height, erasing, seed)
    request = ReidRequest(
        root,
        out,
        named_runs(other or ()),
        model,
        pairs,
        shares_named(shares),
        ratio,
        training,
        flip_all,
        distance,
        device,
        threads,
    )
    result = study_reid(request, Bars())
    print_table(*table_of(result))
    published = result["published"]
    rows = [[name, *(f"{value:g}" for value in values)] for name, values in published["rows"].items()]
    print_table([f"{OTHER_CONDITIONS}: mAP, in %", *published["columns"]], rows)
    console.print(f"{published['title']}; {published['source']}", markup=False)
    for note in result["notes"]:
        console.print(f"note: {note}", markup=False)
    console.print(f"wrote {out / 'reid.json'}", markup=False)
