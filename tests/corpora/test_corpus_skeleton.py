"""The corpus skeleton: as many clips and frames as Phoenix-2014T; and build-pairs on a small one, as the benchmark."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from signgen.corpora.phoenix.layout import PUBLISHED
from signgen.corpora.phoenix.verify import verify_phoenix
from signgen.pairs.pairset import PairSet
from tests.conftest import ROOT

NAME = re.compile(r"\d\d[A-Z][a-z]+_20\d\d_[A-Z][a-z]+day_(heute|tagesschau)-\d{4}")
SCALE = 0.002


@pytest.fixture(scope="module")
def skeleton() -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus_skeleton", ROOT / "data_tools" / "corpus_skeleton.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("split", PUBLISHED)
def test_frame_counts_sum_to_the_corpus(skeleton: ModuleType, split: str) -> None:
    clips, frames = PUBLISHED[split]
    assert skeleton.scaled(PUBLISHED[split], 1) == (clips, frames)
    for seed in range(30):  # rounding differs
        counts = skeleton.frame_counts(clips, frames, np.random.default_rng(seed))
        assert (len(counts), counts.sum(), counts.min()) == (clips, frames, 15)
    assert 0 < (counts == 15).sum() < clips / 50
    assert 200 < counts.max() < 600


def test_too_few_frames(skeleton: ModuleType) -> None:
    with pytest.raises(SystemExit, match="too few"):
        skeleton.frame_counts(3, 44, np.random.default_rng(0))


def test_names_are_of_the_corpus_s_form(skeleton: ModuleType, tmp_path: Path) -> None:
    counts = {split: clips for split, (clips, _) in PUBLISHED.items()}
    names = skeleton.clip_names(counts, np.random.default_rng(0))
    everything = [name for split in names.values() for name in split]
    assert {split: len(called) for split, called in names.items()} == counts
    assert len(set(everything)) == len(everything)
    assert all(NAME.fullmatch(name) for name in everything)
    (tmp_path / "phoenix2014T.dev.sign").write_text("<PATH>/dev/one-1/\n<PATH>/dev/two-2/\n")
    listed = skeleton.listed_names(tmp_path, {"train": 2, "dev": 3}, np.random.default_rng(0))
    assert listed["dev"][:2] == ["one-1", "two-2"]
    assert (len(listed["dev"]), len(listed["train"])) == (3, 2)


def test_a_small_one_is_sound(skeleton: ModuleType, tmp_path: Path) -> None:
    frames = skeleton.write_skeleton(tmp_path, SCALE)
    report = verify_phoenix(tmp_path, tmp_path / "keypoints", full=True)
    assert report.findings == []
    assert {split: report.counts[split]["frames"] for split in frames} == frames
    with (tmp_path / "keypoints" / "Phoenix-2014T.dev").open("rb") as handle:
        pack = pickle.load(handle)  # our own: the layout is what torch's users have
    (name, record), *_ = pack.items()
    assert record["name"] == name
    assert record["keypoint"].shape == (record["num_frames"], 133, 3)
    with pytest.raises(SystemExit, match="a corpus is there"):
        skeleton.write_skeleton(tmp_path, SCALE)


def test_the_benchmark_in_small(tmp_path: Path) -> None:
    """The rows of the test protocol are as many as there are frames, and two runs write the same bytes."""
    words = [sys.executable, ROOT / "benchmarks" / "corpus.py", tmp_path, "--scale", SCALE, "--count", 300]
    done = subprocess.run(
        [*map(str, words), "--sources-per-clip", "4", "--min-gap", "2"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same bytes" in done.stdout
    for run in ("pairs1", "pairs2"):
        pairs = PairSet.load(tmp_path / run)
        counts = pairs.meta["verified"]["counts"]
        assert len(pairs.triples("train")) == 300
        assert len(pairs.triples("test")) == counts["test"]["frames"]
        assert len(pairs.triples("val")) == counts["dev"]["frames"]
        for clip in np.unique(pairs.triples("train")["clip"]):
            rows = pairs.triples("train")[pairs.triples("train")["clip"] == clip]
            assert pairs.clips[clip].split == "train"
            assert len(np.unique(rows["source"])) <= 4
            assert (np.abs(rows["source"] - rows["target"]) >= 2).all()
