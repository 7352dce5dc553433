"""Stage 1 judged: a model and a pair set in; how well the fusion embedding finds the target's picture, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric

from signgen.config import Augmentation
from signgen.errors import ModelError
from signgen.evaluation.pair_traits import add_splits, traits_of_triples
from signgen.evaluation.provenance import provenance
from signgen.metrics.accumulate import RowTable
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.histogram import BINS, Histogram
from signgen.metrics.retrieval import (
    NEARBY,
    RECALLS,
    ranks_nearby,
    ranks_within,
    recalls,
    similarity,
    true_ranks,
)
from signgen.metrics.splits import Traits
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


_OF_QUERIES = ("similarity_target", "similarity_source", "target_source")  # in each query's row, too

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
    triples = pair_set.triples(request.split)
    scorer = FusionScorer(found, None if pair_set.listed else triples)
    scorer.update(np.arange(len(triples)))
    scores = scorer.result(pair_set.clips, triples)
    traits, of_names = traits_of_triples(pair_set, request.split)
    scores = with_splits(scores, traits, images=pair_set.listed, of_names=of_names)
    scores["provenance"] = provenance({"model": request.model, "pairs": request.pairs})
    return scores


def triples_for(pair_set: PairSet, card: ModelCard, split: str) -> TripleDataset:
    """The triples on the model's canvas. Raises PairSetError for no triples and for poses the model does not know."""
    check_pairs(pair_set, card, split)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    return TripleDataset(pair_set, split, canvas, card.drawing_palette(), Augmentation(), card.seed)


class FusionScorer:
    """Ranks and similarities of queries, in states of torchmetrics, so that processes may divide the queries.

    The fusion embedding is the model; source and pose alone are baselines. triples: the N triples, where frames of a
    clip follow each other, so that neighbours are alike; None of a list of pairs.
    """

    def __init__(self, found: Embeddings, triples: np.ndarray | None) -> None:
        self._found, self._triples = found, triples
        ranks = [f"{prefix}rank" for prefix in _GALLERIES if triples is not None or prefix != "near_"]
        count = len(found.fused)
        self._tracks = {
            MODEL: RowTable(count, [*ranks, *_OF_QUERIES], ranks),
            **{name: RowTable(count, ranks, ranks) for name in ALONE},
        }
        self._histograms = {name: Histogram() for name in SIMILARITIES}

    def states(self) -> list[Metric]:
        """What queries have left."""
        return [*self._tracks.values(), *self._histograms.values()]

    def update(self, numbers: np.ndarray) -> None:
        """Rank the queries of these numbers, (n,), by the fusion embedding and by each of its parts."""
        found, chosen = self._found, torch.from_numpy(numbers)
        fused, sources = found.fused[chosen], found.images[torch.from_numpy(found.source[numbers])]
        targets = found.images[torch.from_numpy(found.target[numbers])]
        queries = {MODEL: fused, "source-alone": sources, "pose-alone": found.pose[chosen]}
        columns = {name: self._ranks(query, numbers, count=not name) for name, query in queries.items()}
        pairs = zip(_OF_QUERIES, ((fused, targets), (fused, sources), (targets, sources)), strict=True)
        for name, pair in pairs:
            values = similarity(*pair)
            self._histograms[name].update(values)
            columns[MODEL][name] = values.cpu().numpy()
        for name, table in columns.items():
            for place, number in enumerate(numbers.tolist()):
                self._tracks[name].update(number, {column: values[place] for column, values in table.items()})

    def _ranks(self, queries: torch.Tensor, numbers: np.ndarray, *, count: bool) -> dict[str, np.ndarray]:
        """Column -> (n,). count: whether the similarities with other targets go to their histogram."""
        found, gallery = self._found, gallery_of(self._found)
        truth = truth_of(found)[torch.from_numpy(numbers)]
        entry_clips = np.empty(len(gallery), found.clips.dtype)
        entry_clips[found.truth] = found.clips
        others = {"others": self._histograms["similarity_others"].update} if count else {}
        columns = {"rank": true_ranks(queries, gallery, truth, **others)}
        if self._triples is not None:
            places = np.stack([self._triples["clip"], self._triples["target"]], 1)
            entries = np.empty((len(gallery), 2), np.int64)
            entries[found.truth] = places
            columns["near_rank"] = ranks_nearby(queries, gallery, places[numbers], entries)
        return columns | {"clip_rank": ranks_within(queries, gallery, truth, found.clips[numbers], entry_clips)}

    def result(self, clips: Sequence[ClipRecord], triples: np.ndarray) -> dict[str, Any]:
        """The metrics dictionary; `similarity_histograms` holds the counts of similarities. clips: of the pair set."""
        tracks = {
            name: [{"frame": number, **row} for number, row in table.compute().items()]
            for name, table in self._tracks.items()
        }
        histograms = {name: histogram.compute() for name, histogram in self._histograms.items()}
        rows = _with_names(tracks.pop(MODEL), clips, triples)
        # means
        means = {name: _means(track) for name, track in {MODEL: rows, **tracks}.items()}
        mean = means.pop(MODEL) | {name: average for name, (_, average) in histograms.items()}
        definitions = {name: text for name, text in DEFINITIONS.items() if name in mean or name in rows[0]}
        missing = {name: "the gallery has one target only" for name, value in mean.items() if value is None}
        notes = [f"{name}: {text}" for name, text in ALONE.items()]
        if self._triples is not None:
            notes.append(NEAR_NOTE)
        else:
            missing |= {
                name: "a list's images have no neighbours in time" for name in DEFINITIONS if name[:5] == "near_"
            }
        return {
            "verdict": verdict(mean, means),
            "protocol": f"signgen-fusion: retrieval of {len(self._found.gallery):,} distinct targets by "
            f"{len(rows):,} queries, cosine similarity, every entry compared",
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
                "counts": {name: counts for name, (counts, _) in histograms.items()},
            },
        }


def with_splits(
    scores: dict[str, Any], traits: Mapping[int, Traits], *, images: bool, of_names: bool
) -> dict[str, Any]:
    """The dictionary with recalls, median ranks and similarities of every cell; ranks stay those of the gallery."""
    prefixes = [prefix for prefix in _GALLERIES if f"{prefix}rank" in scores["per_frame"][0]]

    def found(row: dict[str, Any]) -> dict[str, Any]:
        return row | {f"{p}recall@{k}": float(row[f"{p}rank"] <= k) for p in prefixes for k in RECALLS}

    return add_splits(
        scores,
        traits,
        images=images,
        of_names=of_names,
        rows=[found(row) for row in scores["per_frame"]],
        baselines={name: list(map(found, rows)) for name, rows in scores["per_frame_baselines"].items()},
        metrics=[*(f"{p}recall@{k}" for p in prefixes for k in RECALLS), *_OF_QUERIES],
        medians={f"{p}median_rank": f"{p}rank" for p in prefixes},
    )


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
