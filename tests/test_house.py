"""What signgen 0.1 wrote: its model folder loads and renders, its pair set is made again, its training repeats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.models.card import load_model
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.poses.readers import read_poses
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.training.run import TrainRequest, train
from signgen.video.reader import open_frames, read_image
from tests.conftest import ROOT
from tests.house import FRAME, OVERRIDES, machine, weight_hashes
from tests.tiny import TINY

HOUSE = ROOT / "tests" / "fixtures" / "house"
KNOWN = json.loads((HOUSE / "hashes.json").read_text())
THE_SAME_MACHINE = machine() == KNOWN["machine"]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy whose pair set knows where its videos are."""
    folder = tmp_path / "house"
    shutil.copytree(HOUSE, folder)
    meta = json.loads((folder / "pairs" / "meta.json").read_text())
    (folder / "pairs" / "meta.json").write_text(json.dumps({**meta, "root": str(folder / "videos")}))
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_model_folder_loads_and_renders_the_same_frame(house):
    pipeline, card = load_model(house / "model")
    clip = open_frames(house / "videos" / "clip0.mp4")
    poses = read_poses(house / "videos" / "clip0.mmpose.json", size=(clip.width, clip.height), fps=clip.fps)
    source = Source(clip.read(0, 1)[0], poses[0:1], "clip0")
    (frame,) = Renderer(pipeline, card, seed=0).frames(source, poses, range(FRAME, FRAME + 1))
    known = read_image(house / "frame.png")
    assert np.abs(frame.astype(int) - known).max() <= (0 if THE_SAME_MACHINE else 1)


def test_the_pair_set_is_read_and_made_again(house):
    old = PairSet.load(house / "pairs")
    build_pairs(BuildPairsRequest(house / "videos", house / "again", holdout_tail=0.25))
    new = PairSet.load(house / "again")
    assert new.fingerprint == old.fingerprint
    assert (house / "again" / "triples.parquet").read_bytes() == (house / "pairs" / "triples.parquet").read_bytes()
    for clip in old.clips:
        assert np.array_equal(new.poses(clip.name).keypoints, old.poses(clip.name).keypoints)


@pytest.mark.skipif(not THE_SAME_MACHINE, reason="sums round otherwise on another processor or version of torch")
def test_twenty_steps_of_both_stages_give_the_same_weights(house):
    train(TrainRequest(house / "pairs", house / "run", "nano", (*TINY, *OVERRIDES), device="cpu"))
    assert weight_hashes(house / "run" / "model") == KNOWN["weights"]
