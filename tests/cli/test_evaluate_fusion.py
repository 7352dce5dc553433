"""`signgen evaluate-fusion`: its numbers against a slow count, the files, and one line for a model without stage 1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from signgen.config import Augmentation
from signgen.evaluation.fusion import DEFINITIONS
from signgen.metrics.directions import direction_of
from signgen.models.canvas import Canvas
from signgen.models.card import load_model
from signgen.pairs.pairset import PairSet
from signgen.poses.facing import pair_distance
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset
from signgen.training.retrieval import embed_triples, fusion_recalls
from tests.line import Command, Line


def slow_ranks(fusion, dataset: TripleDataset) -> dict[str, list[int]]:
    """Query by query, entry by entry; a target that is there twice is one entry."""
    queries, gallery, own, clips = [], {}, [], []
    for row in range(len(dataset)):
        item = dataset[Sample(0, row)]
        source, pose, target = (item[k][None].float() / 255 for k in ("source", "target_pose", "target"))
        with torch.no_grad():
            queries.append(fusion(source, pose)[0])
            gallery[int(item["target_id"])] = F.normalize(fusion.embed(target)[0], dim=-1)
        own.append(int(item["target_id"]))
        clips.append(int(item["target_id"]) >> 32)
    found: dict[str, list[int]] = {"rank": [], "clip_rank": []}
    for query, key, clip in zip(queries, own, clips, strict=True):
        before = [k for k, entry in gallery.items() if float(query @ entry) >= float(query @ gallery[key]) - 1e-6]
        found["rank"].append(len(before))
        found["clip_rank"].append(sum(k >> 32 == clip for k in before))
    return found


def test_every_number_of_a_run(command: Command, line: Line, tmp_path: Path) -> None:
    out = command.works(
        "evaluate-fusion", line.model, line.pairs, "--split", "train", "--batch-size", 7, "--out", tmp_path / "r"
    )
    result = json.loads((tmp_path / "r" / "metrics.json").read_text())
    pairs = PairSet.load(line.pairs)
    pipeline, card = load_model(line.model)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    dataset = TripleDataset(pairs, "train", canvas, card.drawing_palette(), Augmentation(), 0)
    expected = slow_ranks(pipeline.fusion, dataset)
    for name, ranks in expected.items():
        assert [row[name] for row in result["per_frame"]] == ranks
        assert result["mean"][name.replace("rank", "median_rank")] == np.median(ranks)
    assert result["mean"]["recall@5"] == np.mean(np.array(expected["rank"]) <= 5)
    assert set(result["baselines"]) == {"source-alone", "pose-alone"}
    counts = {name: sum(found) for name, found in result["similarity_histograms"]["counts"].items()}
    gallery = len({row["truth"] for row in result["per_frame"]})
    assert counts["similarity_others"] == len(dataset) * (gallery - 1)
    assert counts["similarity_target"] == counts["similarity_source"] == counts["target_source"] == len(dataset)
    assert out.startswith(result["verdict"])
    page = (tmp_path / "r" / "report.html").read_text()
    assert 'id="similarities"' in page
    for name, text in DEFINITIONS.items():
        assert result["definitions"][name] == text
        assert f'id="def-{name}"' in page
    # The farthest fifth by pose distance, FPDM's extreme poses: shares of its own rows, ranks in the whole gallery.
    splits = result["splits"]
    assert list(splits) == ["pose_distance"]  # one signer, who always faces the camera
    table = splits["pose_distance"]["cells"]
    assert sum(cell["count"] for cell in table) == len(dataset)
    triples = pairs.triples("train").tolist()
    poses = {n: pairs.poses(clip.name).keypoints for n, clip in enumerate(pairs.clips)}
    distances = np.array([pair_distance(poses[c][s], poses[c][t]) for c, s, t in triples])
    last = np.flatnonzero(distances > np.quantile(distances, 0.8))
    assert table[-1]["count"] == len(last)
    assert table[-1]["mean"]["recall@5"] == np.mean(np.array(expected["rank"])[last] <= 5)
    assert table[-1]["mean"]["median_rank"] == np.median(np.array(expected["rank"])[last])
    assert set(table[-1]["baselines"]) == {"source-alone", "pose-alone"}
    # Training judges by the same function.
    trained = fusion_recalls(embed_triples(pipeline.fusion, dataset, range(len(dataset))))
    assert trained == {
        **{name: result["mean"][name] for name in ("recall@1", "recall@5", "recall@10", "median_rank")},
        "gallery": gallery,
    }


def test_every_rank_and_recall_has_a_direction() -> None:
    assert all(direction_of(name) for name in DEFINITIONS if "rank" in name or "recall" in name)


def test_wrong_input_is_one_line(command: Command, line: Line, tmp_path: Path) -> None:
    words = ("evaluate-fusion", line.model, line.pairs, "--out", tmp_path / "x")
    assert "no test triples; choose --split val or train" in command.refuses(*words, "--split", "test")
    without = tmp_path / "model"
    shutil.copytree(line.model, without)
    index = json.loads((without / "model_index.json").read_text())
    (without / "model_index.json").write_text(json.dumps({**index, "fusion": [None, None]}))
    assert "has no stage 1" in command.refuses("evaluate-fusion", without, *words[2:])
    assert "no such model folder" in command.refuses("evaluate-fusion", tmp_path / "no", *words[2:])
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("size", [1, 3, 64])
def test_a_frame_is_embedded_once_whatever_the_batch(line: Line, size: int) -> None:
    pairs = PairSet.load(line.pairs)
    pipeline, card = load_model(line.model)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    dataset = TripleDataset(pairs, "val", canvas, card.drawing_palette(), Augmentation(), 0)
    found = embed_triples(pipeline.fusion, dataset, range(len(dataset)), size)
    triples = dataset.triples
    assert len(found.images) == len({(c, f) for c, s, t in triples.tolist() for f in (s, t)})
    assert len(found.gallery) == len({(c, t) for c, _, t in triples.tolist()})
    for row in range(len(dataset)):
        item = dataset[Sample(0, row)]
        with torch.no_grad():
            expected = pipeline.fusion.embed(item["target"][None].float() / 255)[0]
        assert torch.allclose(found.images[found.target[row]], expected, atol=1e-5)
        assert found.gallery[found.truth[row]] == found.target[row]
