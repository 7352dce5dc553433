"""Stage 1: trains the fusion model on triples by source-enhanced InfoNCE; validates by full-gallery retrieval."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from signgen.config import FusionLossSettings, Recipe
from signgen.data.batches import Sample
from signgen.data.dataset import TripleDataset, spread
from signgen.models.fusion import FusionModel, retrieval, source_enhanced_info_nce
from signgen.models.pipeline import evaluating
from signgen.training.stages import Batch, unit_range

GALLERY_QUERIES = 4096


class FusionTrainee(nn.Module):
    """The fusion model with its loss, as one module for the accelerator."""

    def __init__(self, fusion: FusionModel, loss: FusionLossSettings) -> None:
        super().__init__()
        self.fusion = fusion
        self.options = loss.model_dump()

    def forward(self, batch: Batch) -> Batch:
        source, pose, target = (
            self.fusion.embed(unit_range(batch[name])).float() for name in ("source", "target_pose", "target")
        )
        fused = self.fusion.combiner(source, pose)
        loss = source_enhanced_info_nce(fused, source, target, batch["source_id"], batch["target_id"], **self.options)
        return {"loss": loss}


class FusionStage:
    """See `Stage`."""

    name = "fusion"

    def __init__(self, recipe: Recipe, fusion: FusionModel, validation: TripleDataset | None) -> None:
        self.settings = recipe.training.fusion
        self.fusion = fusion
        self.trainee: nn.Module = FusionTrainee(fusion, recipe.fusion.loss)
        self.validation = validation

    def draw(self, batch: Batch, seed: int) -> Batch:
        return batch  # the loss itself draws nothing

    @torch.no_grad()
    def validate(self, samples: Path, step: int) -> dict[str, float]:
        """R@1/5/10 and median rank over the gallery of all distinct validation targets."""
        if self.validation is None:
            return {}
        with evaluating(self.fusion):
            return fusion_retrieval(self.fusion, self.validation)

    def export(self, folder: Path) -> None:
        self.fusion.save_pretrained(folder)


@torch.no_grad()
def fusion_retrieval(fusion: FusionModel, dataset: TripleDataset, batch_size: int = 32) -> dict[str, float]:
    """Retrieval of `dataset`'s targets by fusion embedding; see `models.fusion.retrieval`."""
    device = next(fusion.parameters()).device
    rows = spread(len(dataset), GALLERY_QUERIES)
    fused: list[torch.Tensor] = []
    gallery: list[torch.Tensor] = []
    truth: list[int] = []
    places: dict[int, int] = {}
    for start in range(0, len(rows), batch_size):
        items = [dataset[Sample(0, i)] for i in rows[start : start + batch_size]]
        source, pose, target = (
            unit_range(torch.stack([item[name] for item in items])).to(device)
            for name in ("source", "target_pose", "target")
        )
        fused.append(fusion(source, pose))
        embedded = fusion.embed(target)
        for item, embedding in zip(items, embedded, strict=True):
            key = int(item["target_id"])
            if key not in places:
                places[key] = len(gallery)
                gallery.append(embedding)
            truth.append(places[key])
    return retrieval(torch.cat(fused), torch.stack(gallery), torch.tensor(truth, device=device))
