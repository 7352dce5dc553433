"""Stage 1: trains the fusion model on triples by source-enhanced InfoNCE; validates by retrieval."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_gather

from signgen.config import FusionLossSettings, Recipe
from signgen.models.fusion import FusionModel, source_enhanced_info_nce
from signgen.training.data.dataset import TripleDataset, spread
from signgen.training.retrieval import embed_triples, fusion_recalls
from signgen.training.stages import Batch, Stage, evaluating, unit_range

VALIDATION_TRIPLES = 4096  # to bound the time; `signgen evaluate-fusion` takes all


class FusionModule(nn.Module):
    """The fusion model with its loss, as one module for the accelerator."""

    def __init__(self, fusion: FusionModel, loss: FusionLossSettings) -> None:
        super().__init__()
        self.fusion = fusion
        self.options = loss.model_dump()

    def forward(self, batch: Batch) -> Batch:
        """A batch of TripleDataset's items -> {"loss": ()}, with all processes' items as each other's negatives."""
        source, pose, target = (
            self.fusion.embed(unit_range(batch[name])).float() for name in ("source", "target_pose", "target")
        )
        fused = self.fusion.combiner(source, pose)
        fused, source, target = gathered(fused), gathered(source), gathered(target)
        source_ids, target_ids = gathered(batch["source_id"]), gathered(batch["target_id"])
        return {"loss": source_enhanced_info_nce(fused, source, target, source_ids, target_ids, **self.options)}


def gathered(part: torch.Tensor) -> torch.Tensor:
    """(N, ...) of this process -> (processes N, ...) of all, in their order, with gradients.

    Each process then has the loss of the joined batch. all_gather's gradient sums over processes, DDP's averages: what
    comes out is the gradient of that one loss.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return part
    return torch.cat(all_gather(part.contiguous()))


class FusionStage(Stage):
    """Stage 1. Its loss draws no random numbers."""

    name = "fusion"

    def __init__(self, recipe: Recipe, fusion: FusionModel, validation: TripleDataset | None) -> None:
        self.settings = recipe.training.fusion
        self.fusion = fusion
        self.module: nn.Module = FusionModule(fusion, recipe.fusion.loss)
        if self.settings.gradient_checkpointing:
            fusion.tower.gradient_checkpointing_enable()
        if recipe.training.compile:
            fusion.tower.compile()
        self.validation = validation

    @torch.no_grad()
    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """R@1/5/10 and median rank over the gallery of the distinct targets of at most VALIDATION_TRIPLES triples."""
        if self.validation is None:
            return {}
        rows = spread(len(self.validation), VALIDATION_TRIPLES)
        with evaluating(self.fusion):
            return fusion_recalls(embed_triples(self.fusion, self.validation, rows))

    def export(self, folder: Path) -> None:
        self.fusion.save_pretrained(folder)
