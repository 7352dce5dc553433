"""Stage 1 judged: a model and a pair set in; how well the fusion embedding finds the target's picture, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from signgen.config import Augmentation
from signgen.errors import ModelError
from signgen.evaluation.provenance import provenance
from signgen.metrics.retrieval import (
    BINS,
    NEARBY,
    RECALLS,
    Histogram,
    ranks_nearby,
    ranks_within,
    recalls,
    similarity,
    true_ranks,
)
from signgen.models.canvas import Canvas
from signgen.models.card import ModelCard, load_model
from signgen.models.device import prepare_device
from signgen.models.trial import check_fusion
from signgen.pairs.pairset import ClipRecord, PairSet, frame_name, pair_name
from signgen.progress import SILENT, Progress
from signgen.rendering.pairs import check_pairs
from signgen.requests import Request
from signgen.training.data.dataset import TripleDataset
from signgen.training.retrieval import Embeddings, embed_triples, gallery_of, truth_of

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
    "near_": "of all distinct targets of the split, where every frame of the target's clip that is at most "
    f"{NEARBY} from it counts as found",
    "clip_": "of the distinct targets of the query's own clip (of a list of pairs: of its person) only",
}

NEAR_NOTE = (
    "neighbouring frames are near duplicates: near_recall@1 says whether the target or one of them is first, recall@1 "
    "asks for the very frame"
)


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
class FusionRequest(Request):
    """split: whose triples. batch_size: triples embedded at once."""

    model: Path
    pairs: Path
    split: str = "val"
    batch_size: int = 32
    device: str = "auto"
    threads: int | None = None


def evaluate_fusion(request: FusionRequest, progress: Progress = SILENT) -> dict[str, Any]:
    """The metrics dictionary of stage 1 by retrieval: recall at 1, 5, 10 and median rank over the gallery of targets.

    Raises ModelError for a model without stage 1, PairSetError for no triples and for poses the model does not know.
    """
    pair_set = PairSet.load(request.pairs)
    pipeline, card = load_model(request.model)
    if pipeline.fusion is None:
        raise ModelError(
            f"{request.model}: has no stage 1",
            expected="a model with fusion",
            fix="train one without fusion.enabled=false",
        )
    check_fusion(pipeline.fusion)
    fusion = pipeline.fusion.to(prepare_device(request.device, request.threads))
    dataset = triples_for(pair_set, card, request.split)
    with progress.bar("embedding", len(dataset)) as bar:
        found = embed_triples(fusion, dataset, range(len(dataset)), request.batch_size, bar.advance)
    scores = fusion_result(found, pair_set.clips, pair_set.triples(request.split), frames_follow=not pair_set.listed)
    scores["provenance"] = provenance({"model": request.model, "pairs": request.pairs})
    return scores


def triples_for(pair_set: PairSet, card: ModelCard, split: str) -> TripleDataset:
    """The triples on the model's canvas. Raises PairSetError for no triples and for poses the model does not know."""
    check_pairs(pair_set, card, split)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    return TripleDataset(pair_set, split, canvas, card.drawing_palette(), Augmentation(), card.seed)


def fusion_result(
    found: Embeddings, clips: Sequence[ClipRecord], triples: np.ndarray, *, frames_follow: bool = True
) -> dict[str, Any]:
    """The metrics dictionary: the fusion embedding as the model, source and pose alone as baselines.

    clips: of the pair set. triples: the N triples. frames_follow: whether frames of a clip follow each other, so that
    neighbours are alike; not so of a list of pairs. `similarity_histograms` holds the counts of similarities.
    """
    # retrieval, by the fusion embedding and by each of its parts
    sources = found.images[torch.from_numpy(found.source)]
    histograms = {name: Histogram() for name in SIMILARITIES}
    queries = {"": found.fused, "source-alone": sources, "pose-alone": found.pose}
    tracks = {
        name: _rank_rows(
            found, query, triples if frames_follow else None, histograms["similarity_others"] if not name else None
        )
        for name, query in queries.items()
    }
    rows = _with_names(tracks.pop(""), clips, triples)
    # similarities
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
    # means
    means = {name: _means(track) for name, track in {"": rows, **tracks}.items()}
    mean = means.pop("") | {name: histogram.mean for name, histogram in histograms.items()}
    definitions = {name: text for name, text in DEFINITIONS.items() if name in mean or name in rows[0]}
    missing = {name: "the gallery has one target only" for name, value in mean.items() if value is None}
    notes = [f"{name}: {text}" for name, text in ALONE.items()]
    if frames_follow:
        notes.append(NEAR_NOTE)
    else:
        missing |= {name: "a list's images have no neighbours in time" for name in DEFINITIONS if name[:5] == "near_"}
    return {
        "verdict": verdict(mean, means),
        "protocol": f"signgen-fusion: retrieval of {len(found.gallery):,} distinct targets by {len(rows):,} queries, "
        "cosine similarity, every entry compared",
        "definitions": definitions,
        "frames": len(rows),
        "mean": mean,
        "baselines": means,
        "not_computed": missing,
        "notes": notes,
        "per_frame": rows,
        "per_frame_baselines": tracks,
        "similarity_histograms": {
            "edges": np.linspace(-1, 1, BINS + 1).round(6).tolist(),
            "counts": {name: histogram.counts.tolist() for name, histogram in histograms.items()},
        },
    }


def verdict(mean: dict[str, Any], baselines: dict[str, dict[str, Any]]) -> str:
    """One sentence: does the fusion embedding find more targets at once than source and pose alone?"""
    near = "near_recall@1" in mean
    judged = "near_recall@1" if near else "recall@1"
    fused = mean[judged]
    wins = all(fused > row[judged] for row in baselines.values())
    alone = ", ".join(f"{name} {row[judged]:.3f}" for name, row in baselines.items())
    beats = "finds" if wins else "does NOT find"
    within = f" within {NEARBY} frames" if near else ""
    return (
        f"The fusion embedding {beats} more targets at rank 1 than its parts alone: R@1{within} {fused:.3f} ({alone}), "
        f"median rank in the clip {mean['clip_median_rank']:g}."
    )


def _rank_rows(
    found: Embeddings, queries: torch.Tensor, triples: np.ndarray | None, others: Histogram | None
) -> list[dict[str, Any]]:
    """A row for each query. triples: of the queries, where frames near the target count as found, too."""
    gallery, truth = gallery_of(found), truth_of(found)
    entry_clips = np.empty(len(gallery), found.clips.dtype)
    entry_clips[found.truth] = found.clips
    ranks = true_ranks(queries, gallery, truth, others)
    within = ranks_within(queries, gallery, truth, found.clips, entry_clips)
    columns = {"rank": ranks}
    if triples is not None:
        places = np.stack([triples["clip"], triples["target"]], 1)
        entries = np.empty((len(gallery), 2), np.int64)
        entries[found.truth] = places
        columns["near_rank"] = ranks_nearby(queries, gallery, places, entries)
    columns["clip_rank"] = within
    return [
        {"frame": row, **dict(zip(columns, ranked, strict=True))}
        for row, ranked in enumerate(zip(*(column.tolist() for column in columns.values()), strict=True))
    ]


def _with_names(rows: list[dict[str, Any]], clips: Sequence[ClipRecord], triples: np.ndarray) -> list[dict[str, Any]]:
    """The rows with what was asked (`generated`: source to target) and what was looked for (`truth`)."""
    named = []
    for row, (clip, source, target) in zip(rows, triples.tolist(), strict=True):
        names = {"generated": pair_name(clips[clip], source, target), "truth": frame_name(clips[clip], target)}
        named.append({"frame": row["frame"], **names, **row})
    return named


def _means(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for prefix in (prefix for prefix in _GALLERIES if f"{prefix}rank" in rows[0]):
        found |= recalls(np.array([row[f"{prefix}rank"] for row in rows]), prefix)
    return found
