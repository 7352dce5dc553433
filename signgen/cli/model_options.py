"""What commands with a model share: options of how it samples and where it runs, which pairs fit it. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from signgen.errors import PairSetError

if TYPE_CHECKING:
    from signgen.config import SamplingSettings
    from signgen.models.card import ModelCard
    from signgen.pairs.pairset import PairSet

SAMPLING, MACHINE = "Sampling (default: the model's recipe)", "Machine"

Steps = Annotated[int | None, typer.Option(min=1, help="Solver steps.", rich_help_panel=SAMPLING)]
Solver = Annotated[Literal["ddim", "unipc", "dpmpp"] | None, typer.Option(help="Solver.", rich_help_panel=SAMPLING)]
PoseGuidance = Annotated[float | None, typer.Option(help="Guidance of pose and source.", rich_help_panel=SAMPLING)]
FusionGuidance = Annotated[
    float | None, typer.Option(help="Guidance of the fusion embedding.", rich_help_panel=SAMPLING)
]
NoiseScale = Annotated[
    float | None, typer.Option(min=0, max=1, help="Noise to start from: 1 full, 0 none.", rich_help_panel=SAMPLING)
]
Seed = Annotated[
    int, typer.Option(help="Seed of the noise; with --noise-scale 0 there is none.", rich_help_panel=SAMPLING)
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to render.", rich_help_panel=MACHINE)]
Precision = Annotated[Literal["fp32", "bf16", "fp16"] | None, typer.Option(help="Precision.", rich_help_panel=MACHINE)]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads.", show_default="all cores", rich_help_panel=MACHINE)
]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, e.g. RUN/model.", show_default=False)]


def sampling_of(card: ModelCard, **chosen: Any) -> SamplingSettings:
    """The recipe's sampling with what the command line chose."""
    return card.parsed_recipe().sampling.model_copy(update={k: v for k, v in chosen.items() if v is not None})


def check_pairs(pairs: PairSet, card: ModelCard, split: str) -> None:
    """Raise PairSetError for a split without triples, and for poses of another skeleton than the model's."""
    if not len(pairs.triples(split)):
        there = [name for name in ("val", "test", "train") if len(pairs.triples(name))]
        raise PairSetError(f"{pairs.folder}: no {split} triples", fix=f"choose --split {' or '.join(there)}")
    if (found := pairs.poses(pairs.clips[0].name).skeleton) != card.skeleton:
        raise PairSetError(f"{pairs.folder}: its poses are {found}", expected=f"{card.skeleton}, the model's")
