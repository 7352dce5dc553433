"""Stage 1 judged: the fusion model and triples in; how well its embedding finds the target's picture among all, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from signgen.metrics.retrieval import BINS, RECALLS, Histogram, ranks_within, recalls, similarity, true_ranks
from signgen.models.fusion import FusionModel
from signgen.pairs.pairset import ClipRecord, frame_name, pair_name
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset

ALONE = {
    "source-alone": "The source's embedding as the query: what stage 1 knows without the pose.",
    "pose-alone": "The pose image's embedding as the query: what stage 1 knows without the person.",
}
SIMILARITIES = {
    "similarity_target": "Cosine similarity of the fusion embedding with its own target's embedding.",
    "similarity_others": "Cosine similarity of the fusion embedding with the embeddings of all other targets of the "
    "gallery.",
    "similarity_source": "Cosine similarity of the fusion embedding with its own source's embedding.",
    "target_source": "Cosine similarity of the target's embedding with the source's: how alike the two pictures are "
    "before any fusion.",
}
_GALLERIES = {
    "": "of all distinct targets of the split",
    "clip_": "of the distinct targets of the query's own clip (of a list of pairs: of its person) only",
}
DEFINITIONS = {
    f"{prefix}{name}": text.format(where)
    for prefix, where in _GALLERIES.items()
    for name, text in {
        **{f"recall@{k}": f"Share of queries with a rank of at most {k} in the gallery {{}}." for k in RECALLS},
        "median_rank": "Median of the ranks in the gallery {}.",
        "rank": "Place, from 1, of the target's own embedding when the gallery {} is sorted by cosine similarity to "
        "the query; one that is as similar (to 1e-6) counts as before it.",
    }.items()
} | SIMILARITIES


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
    ranks = true_ranks(found.fused, _gallery(found), _truth(found))
    return {**recalls(ranks), "gallery": float(len(found.gallery))}


def fusion_result(found: Embeddings, clips: Sequence[ClipRecord], triples: np.ndarray) -> dict[str, Any]:
    """The metrics dictionary: the fusion embedding as the model, source and pose alone as baselines.

    clips: of the pair set. triples: the N triples. `similarity_histograms` holds the counts of similarities.
    """
    sources = found.images[torch.from_numpy(found.source)]
    histograms = {name: Histogram() for name in SIMILARITIES}
    queries = {"": found.fused, "source-alone": sources, "pose-alone": found.pose}
    tracks = {
        name: _rank_rows(found, query, histograms["similarity_others"] if not name else None)
        for name, query in queries.items()
    }
    rows = _with_names(tracks.pop(""), clips, triples)
    targets = found.images[torch.from_numpy(found.target)]
    for name, pair in {
        "similarity_target": (found.fused, targets),
        "similarity_source": (found.fused, sources),
        "target_source": (targets, sources),
    }.items():
        values = similarity(*pair)
        histograms[name].add(values)
        for row, value in zip(rows, values.tolist(), strict=True):
            row[name] = value
    means = {name: _means(track) for name, track in {"": rows, **tracks}.items()}
    mean = means.pop("") | {name: histogram.mean for name, histogram in histograms.items()}
    definitions = {name: text for name, text in DEFINITIONS.items() if name in mean or name in rows[0]}
    lone = [name for name, value in mean.items() if value is None]
    return {
        "verdict": verdict(mean, means),
        "protocol": f"signgen-fusion: retrieval of {len(found.gallery):,} distinct targets by {len(rows):,} queries, "
        "cosine similarity, every entry compared",
        "definitions": definitions,
        "frames": len(rows),
        "mean": mean,
        "baselines": means,
        "not_computed": dict.fromkeys(lone, "the gallery has one target only"),
        "notes": [f"{name}: {text}" for name, text in ALONE.items()],
        "per_frame": rows,
        "per_frame_baselines": tracks,
        "similarity_histograms": {
            "edges": np.linspace(-1, 1, BINS + 1).round(6).tolist(),
            "counts": {name: histogram.counts.tolist() for name, histogram in histograms.items()},
        },
    }


def verdict(mean: dict[str, Any], baselines: dict[str, dict[str, Any]]) -> str:
    """One sentence: does the fusion embedding find more targets at once than source and pose alone?"""
    ours = mean["recall@1"]
    wins = all(ours > row["recall@1"] for row in baselines.values())
    said = ", ".join(f"{name} {row['recall@1']:.3f}" for name, row in baselines.items())
    beats = "finds" if wins else "does NOT find"
    return (
        f"The fusion embedding {beats} more targets at rank 1 than its parts alone: R@1 {ours:.3f} ({said}), "
        f"median rank {mean['median_rank']:g}."
    )


def _gallery(found: Embeddings) -> torch.Tensor:
    return found.images[torch.from_numpy(found.gallery)]


def _truth(found: Embeddings) -> torch.Tensor:
    return torch.from_numpy(found.truth).to(found.images.device)


def _rank_rows(found: Embeddings, queries: torch.Tensor, others: Histogram | None) -> list[dict[str, Any]]:
    gallery, truth = _gallery(found), _truth(found)
    entry_clips = np.empty(len(gallery), found.clips.dtype)
    entry_clips[found.truth] = found.clips
    ranks = true_ranks(queries, gallery, truth, others)
    within = ranks_within(queries, gallery, truth, found.clips, entry_clips)
    return [
        {"frame": row, "rank": rank, "clip_rank": own}
        for row, (rank, own) in enumerate(zip(ranks.tolist(), within.tolist(), strict=True))
    ]


def _with_names(rows: list[dict[str, Any]], clips: Sequence[ClipRecord], triples: np.ndarray) -> list[dict[str, Any]]:
    """The rows with what was asked (`generated`: source to target) and what was looked for (`truth`)."""
    named = []
    for row, (clip, source, target) in zip(rows, triples.tolist(), strict=True):
        told = {"generated": pair_name(clips[clip], source, target), "truth": frame_name(clips[clip], target)}
        named.append({"frame": row["frame"], **told, "rank": row["rank"], "clip_rank": row["clip_rank"]})
    return named


def _means(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for prefix in _GALLERIES:
        found |= recalls(np.array([row[f"{prefix}rank"] for row in rows]), prefix)
    return found
