"""`signgen evaluate-fusion MODEL PAIRS`: stage 1 and triples in; retrieval and similarities of its embedding out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from signgen.cli.common import console, quiet_libraries, rate_progress
from signgen.cli.model_options import Device, ModelFolder, Threads, check_pairs
from signgen.errors import ModelError
from signgen.files import check_folder

if TYPE_CHECKING:
    from signgen.models.card import ModelCard
    from signgen.models.fusion import FusionModel
    from signgen.pairs.pairset import PairSet
    from signgen.training.data.dataset import TripleDataset
    from signgen.training.retrieval import Embeddings


def evaluate_fusion(
    model: ModelFolder,
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Pair set.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the report.", show_default=False)],
    split: Annotated[Literal["val", "test", "train"], typer.Option(help="Whose triples.")] = "val",
    batch_size: Annotated[int, typer.Option(min=1, help="Triples embedded at once.")] = 32,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Judge stage 1: does the fusion embedding find the target's picture among all targets of a split?

    Recall at 1, 5, 10 and median rank over the whole gallery and within each clip, beside what the source and the
    pose find alone; histograms of similarities. Writes report.html, metrics.json, per_frame.csv and .parquet.
    """
    from signgen.cli.scoring import write_result
    from signgen.models.card import load_model
    from signgen.models.device import prepare_device
    from signgen.pairs.pairset import PairSet
    from signgen.reporting.fusion_report import write_fusion_report
    from signgen.reporting.provenance import provenance
    from signgen.training.retrieval import fusion_result

    check_folder(out)
    quiet_libraries()
    pair_set = PairSet.load(pairs)
    pipeline, card = load_model(model)
    if pipeline.fusion is None:
        raise ModelError(
            f"{model}: has no stage 1", expected="a model with fusion", fix="train one without fusion.enabled=false"
        )
    fusion = pipeline.fusion.to(prepare_device(device, threads))
    found = _embedded(fusion, _dataset(pair_set, card, split), batch_size)
    result = fusion_result(found, pair_set.clips, pair_set.triples(split))
    result["provenance"] = provenance({"model": model, "pairs": pairs})
    title = f"Stage 1 of {model} on the {split} triples of {pairs}"
    write_result(result, out, lambda path, links: write_fusion_report(result, path, links, title))


def _dataset(pairs: PairSet, card: ModelCard, split: str) -> TripleDataset:
    """The triples on the model's canvas. Raises PairSetError for no triples and for poses the model does not know."""
    from signgen.config import Augmentation
    from signgen.models.canvas import Canvas
    from signgen.training.data.dataset import TripleDataset

    check_pairs(pairs, card, split)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    return TripleDataset(pairs, split, canvas, card.drawing_palette(), Augmentation(), card.seed)


def _embedded(fusion: FusionModel, dataset: TripleDataset, batch_size: int) -> Embeddings:
    from signgen.training.retrieval import embed_triples

    with rate_progress(transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("embedding", total=len(dataset))
        return embed_triples(
            fusion, dataset, range(len(dataset)), batch_size, lambda count: progress.advance(task, count)
        )
