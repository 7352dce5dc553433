"""Triples embedded by stage 1, and how well its embedding finds targets, for validation and `evaluate-fusion`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from signgen.metrics.retrieval import recalls, true_ranks
from signgen.models.fusion import FusionModel
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset


@dataclass(frozen=True)
class Embeddings:
    """Of N triples with U different pictures. images (U, D), pose (N, D), fused (N, D), on one device.

    source, target: (N,) index into images. clips: (N,) the triples' clips. gallery: (M,) index into images of the
    distinct targets, in the order they come; truth: (N,) index into the gallery.
    """

    images: torch.Tensor
    pose: torch.Tensor
    fused: torch.Tensor
    source: np.ndarray
    target: np.ndarray
    clips: np.ndarray
    gallery: np.ndarray
    truth: np.ndarray


@torch.no_grad()
def embed_triples(
    fusion: FusionModel,
    dataset: TripleDataset,
    rows: Sequence[int],
    batch_size: int = 32,
    advance: Callable[[int], None] = lambda count: None,
) -> Embeddings:
    """Embed `rows` of the dataset; a frame that is in several triples once. advance: told of every batch."""
    images, poses, fused = _Images(fusion), [], []
    for start in range(0, len(rows), batch_size):
        items = [dataset[Sample(0, row)] for row in rows[start : start + batch_size]]
        source, _ = images.places(items, "source"), images.places(items, "target")
        pose = fusion.embed(_unit_range([item["target_pose"][:3] for item in items], images.device))
        poses.append(pose)
        fused.append(fusion.combiner(torch.stack([images.embedded[place] for place in source]), pose))
        advance(len(items))
    gallery, truth = _distinct(images.seen["target"])
    return Embeddings(
        images=torch.stack(images.embedded),
        pose=torch.cat(poses),
        fused=torch.cat(fused),
        source=np.array(images.seen["source"]),
        target=np.array(images.seen["target"]),
        clips=dataset.triples["clip"][np.asarray(rows)],
        gallery=gallery,
        truth=truth,
    )


class _Images:
    """Embeddings of the pictures seen so far, each once. seen: "source", "target" -> every triple's place in them."""

    def __init__(self, fusion: FusionModel) -> None:
        self.device = next(fusion.parameters()).device
        self.embedded: list[torch.Tensor] = []
        self.seen: dict[str, list[int]] = {"source": [], "target": []}
        self._fusion = fusion
        self._places: dict[int, int] = {}

    def places(self, items: list[dict[str, torch.Tensor]], name: str) -> list[int]:
        """Where the items' sources or targets are in `embedded`."""
        keys = [int(item[f"{name}_id"]) for item in items]
        new = {key: item[name] for key, item in zip(keys, items, strict=True) if key not in self._places}
        if new:
            for key in new:
                self._places[key] = len(self._places)
            self.embedded.extend(self._fusion.embed(_unit_range(list(new.values()), self.device)))
        found = [self._places[key] for key in keys]
        self.seen[name].extend(found)
        return found


def _unit_range(pictures: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """uint8 (3, H, W) each -> float32 (B, 3, H, W) in [0, 1]."""
    return torch.stack(pictures).to(device).float() / 255


def _distinct(places: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers, in the order they come, and where in them each number is."""
    order = {place: number for number, place in enumerate(dict.fromkeys(places))}
    return np.array(list(order)), np.array([order[place] for place in places])


def fusion_recalls(found: Embeddings) -> dict[str, float]:
    """recall@1/5/10 and median_rank of the fusion embedding in the whole gallery, and the gallery's size."""
    ranks = true_ranks(found.fused, gallery_of(found), truth_of(found))
    return {**recalls(ranks), "gallery": float(len(found.gallery))}


def gallery_of(found: Embeddings) -> torch.Tensor:
    return found.images[torch.from_numpy(found.gallery)]


def truth_of(found: Embeddings) -> torch.Tensor:
    return torch.from_numpy(found.truth).to(found.images.device)
