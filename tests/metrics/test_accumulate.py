"""States of torchmetrics: merged parts and processes under torch.distributed give what one process gives."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from signgen.errors import SigngenError
from signgen.evaluation.fusion import FusionScorer
from signgen.metrics.accumulate import RowTable, Texts
from signgen.metrics.definitions import implementations_of
from signgen.metrics.distribution.frechet import FeatureStatistics
from signgen.metrics.image_set.protocols import PROTOCOLS
from signgen.metrics.image_set.scorer import ImageSetScorer, Networks
from signgen.metrics.means import OWN_TRUTH
from signgen.pairs.pairset import ClipRecord
from signgen.pairs.triples import TRIPLE
from signgen.training.retrieval import Embeddings

IMAGES, QUERIES, CLIPS = 5, 40, 4


def quarters(picture: np.ndarray) -> np.ndarray:
    """In the place of Inception: (12,)."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return picture.reshape(2, height, 2, width, 3).mean((1, 3)).reshape(-1).astype(np.float32)


def image_scores(folder: Path, part: int, parts: int) -> dict[str, Any]:
    """Every `parts`-th image under `strict`; real ones of training are seen by the first part alone."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, IMAGES, 24, 16, 3), dtype=np.uint8)
    networks, baselines = Networks({}, quarters), ["copy-source", "nearest-pose"]
    scorer = ImageSetScorer(PROTOCOLS["strict"], IMAGES, networks, folder, part=part, parts=parts, baselines=baselines)
    for number in range(part, IMAGES, parts):
        generated, truth, copied = images[:, number]
        own = ("copy-source",) if number == 3 else ()
        scorer.update(number, generated, truth, baselines={"copy-source": truth if own else copied}, own=own)
        scorer.add_real("test", number, truth)
    for number in range(4) if part == 0 else ():
        scorer.add_real("train", number, images[2, number])
    return scorer.result()


def fusion_scorer(queries: range) -> FusionScorer:
    generator = torch.Generator().manual_seed(0)
    images, pose, fused = (torch.randn(n, 8, generator=generator) for n in (2 * QUERIES, QUERIES, QUERIES))
    places = np.arange(QUERIES)
    found = Embeddings(
        images, pose, fused, places, places + QUERIES, places // 10, np.arange(QUERIES) + QUERIES, places
    )
    scorer = FusionScorer(found, triples())
    scorer.update(np.array(queries))
    return scorer


def triples() -> np.ndarray:
    return np.array([(n // 10, 0, 1 + n % 10) for n in range(QUERIES)], TRIPLE)


def fusion_scores(part: int, parts: int) -> dict[str, Any]:
    clips = [ClipRecord(f"clip{n}", "val", "a", Path(), 11, 8, 8, None, 0, "") for n in range(CLIPS)]
    return fusion_scorer(range(part, QUERIES, parts)).result(clips, triples())


def all_scores(folder: Path, part: int, parts: int) -> dict[str, Any]:
    texts, statistics = Texts(), FeatureStatistics()
    for line in ("only the first has this", "größer") if part == 0 else ():
        texts.update(line)
    for number in range(part, 100, 3 if parts > 1 else 1) if part == 0 or parts == 1 else ():
        statistics.update(np.array([number, number**0.5]))
    return {
        "images": image_scores(folder, part, parts),
        "fusion": fusion_scores(part, parts),
        "texts": texts.compute(),
        "features": statistics.compute().total,
    }


def in_group(folder: Path, rank: int) -> dict[str, Any]:
    """The scores of process `rank` of two, as it gets them from both."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    try:
        return all_scores(folder, rank, 2)
    finally:
        torch.distributed.destroy_process_group()


def test_two_processes_of_a_group_have_the_result_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.distributed over gloo, in which `result` gathers: nothing is merged by hand, one process has seen less."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    expected = all_scores(tmp_path / "one", 0, 1)
    other = multiprocessing.get_context("spawn").Process(target=in_group, args=(tmp_path / "two", 1))
    other.start()
    found = in_group(tmp_path / "two", 0)
    other.join(60)
    assert other.exitcode == 0
    assert found["texts"] == expected["texts"] == ["größer", "only the first has this"]
    assert (found["features"], expected["features"]) == (34, 100)
    for what in ("images", "fusion"):
        one, two = expected[what], found[what]
        assert two.keys() == one.keys()
        assert two["per_frame"] == one["per_frame"]
        assert two["per_frame_baselines"] == one["per_frame_baselines"]
        for track, values in {"model": one["mean"], **one["baselines"]}.items():
            for name, value in {"model": two["mean"], **two["baselines"]}[track].items():
                near = None if values[name] is None else pytest.approx(values[name], rel=1e-9, abs=1e-9)
                assert value == near, name
    assert found["images"]["mean"]["kid_train"] is not None
    assert OWN_TRUTH in found["images"]["per_frame_baselines"]["copy-source"][3]
    assert found["fusion"]["similarity_histograms"] == expected["fusion"]["similarity_histograms"]


def test_a_table_knows_what_is_missing_and_what_came_twice() -> None:
    one, other = (RowTable(4, (OWN_TRUTH, "ssim", "rank"), ["rank"]) for _ in range(2))
    one.update(2, {"ssim": None, "rank": 7, "frame": 99})
    other.update(0, {"ssim": 0.1 + 0.2, OWN_TRUTH: 1})
    one.merge_state(other)
    rows = one.compute()
    assert rows == {0: {OWN_TRUTH: 1, "ssim": 0.1 + 0.2, "rank": None}, 2: {"ssim": None, "rank": 7}}
    assert list(rows) == [0, 2]
    assert isinstance(rows[2]["rank"], int)
    one.merge_state(other)
    with pytest.raises(SigngenError, match="row 0 of the set was scored twice"):
        one.compute()
    with pytest.raises(AssertionError, match="NaN"):
        other.update(1, {"ssim": float("nan")})


def test_a_table_is_sent_without_the_rows_of_others() -> None:
    one = RowTable(10_000, ("ssim", "rank"), ["rank"])
    one.update(2, {"ssim": 0.25, "rank": 7})
    sent = pickle.dumps(one)
    assert len(sent) < 10_000
    other = pickle.loads(sent)
    other.update(9_999, {"ssim": None})
    assert other.compute() == {2: {"ssim": 0.25, "rank": 7}, 9_999: {"ssim": None, "rank": None}}
    third = RowTable(10_000, ("ssim", "rank"), ["rank"])
    third.merge_state(pickle.loads(pickle.dumps(other)))
    assert third.compute() == other.compute()
    other.reset()
    assert other.compute() == {}


def test_texts_are_kept_once_from_parts_of_any_length() -> None:
    one, other, empty = Texts(), Texts(), Texts()
    for line in ("b", "ä long line", "b"):
        one.update(line)
    other.update("b")
    other.merge_state(one)
    other.merge_state(empty)
    empty.merge_state(other)
    assert empty.compute() == other.compute() == ["b", "ä long line"]


def test_each_number_that_torchmetrics_has_says_whose_it_is() -> None:
    names = [name for protocol in PROTOCOLS.values() for name in protocol.definitions(None)]
    of = implementations_of([*names, "wer", "bleu_4", "near_recall@5", "clip_median_rank", "hand_psnr", "fvd_r3d"])
    assert set(names) - set(of) == {name for name in names if name == "l1" or name.startswith("lpips")}
    assert of["ms_ssim"] != of["ssim"] == of["ssim_256"]
    assert of["wer"].startswith("torchmetrics'")
