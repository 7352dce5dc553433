"""A canvas of the clip's own shape: what `--set canvas=clip` makes of it, and the line on such a canvas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from benchmarks.kill import RECIPE
from signgen.config import load_recipe
from signgen.errors import OptionError, PairSetError
from signgen.models.build import build_pipeline
from signgen.models.canvas import shaped_like
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.training.clip_canvas import OF_CLIPS, with_clip_canvas
from signgen.training.request import TrainRequest
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter
from tests.line import Command
from tests.tiny import set_options
from tests.worlds import figure_frames, figure_poses, write_mmpose

TALL = (64, 104)


def write_clip(folder: Path, name: str, size: tuple[int, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    poses = figure_poses(12)
    with VideoWriter(folder / f"{name}.mp4", *size, 25) as writer:
        for frame in figure_frames(poses):
            writer.write(np.pad(frame, ((0, size[1] - 64), (0, size[0] - 64), (0, 0)), mode="edge"))
    write_mmpose(poses.with_points(poses.all_points, width=size[0], height=size[1]), folder / f"{name}.mmpose.json")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tall")
    write_clip(root / "videos", "a", TALL)
    build_pairs(BuildPairsRequest(root / "videos", root / "pairs", count=20, crop="none"))
    return root / "pairs"


@pytest.mark.parametrize(
    ("clip", "pixels", "step", "expected"),
    [
        ((210, 260), 128 * 128, 16, (112, 144)),
        ((480, 480), 128 * 128, 16, (128, 128)),
        ((640, 360), 128 * 128, 16, (176, 96)),
        ((210, 260), 512 * 512, 64, (448, 576)),
        ((4000, 40), 1024, 16, (64, 16)),
        ((10, 10), 64, 64, (64, 64)),
    ],
)
def test_the_nearest_canvas_of_a_shape(clip, pixels, step, expected):
    assert shaped_like(*clip, pixels, step) == expected


def test_numbers_take_the_place_of_clip(pairs: Path, tmp_path: Path) -> None:
    asked = TrainRequest(pairs, tmp_path, "nano", ("seed=3", OF_CLIPS))
    found = with_clip_canvas(asked, PairSet.load(pairs))
    assert found.overrides == ("seed=3", "canvas.width=96", "canvas.height=160")
    recipe = load_recipe("nano", found.overrides)
    assert (recipe.canvas.fit, recipe.canvas.resample) == ("squash", "lanczos")
    latent = TrainRequest(pairs, tmp_path, "phoenix-256", (OF_CLIPS,))
    assert with_clip_canvas(latent, PairSet.load(pairs)).overrides == ("canvas.width=192", "canvas.height=320")
    unasked = TrainRequest(pairs, tmp_path, "nano", ("seed=3",))
    assert with_clip_canvas(unasked, PairSet.load(pairs)) is unasked


def test_no_canvas_for_clips_of_several_shapes_or_a_model_that_has_one(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="was trained at"):
        with_clip_canvas(TrainRequest(pairs, tmp_path, None, (OF_CLIPS,), adapt=tmp_path), PairSet.load(pairs))
    write_clip(tmp_path / "videos", "a", TALL)
    write_clip(tmp_path / "videos", "b", (104, 64))
    build_pairs(BuildPairsRequest(tmp_path / "videos", tmp_path / "pairs", count=20, crop="none"))
    both = TrainRequest(tmp_path / "pairs", tmp_path, "nano", (OF_CLIPS,))
    with pytest.raises(PairSetError, match=r"64x104 and 104x64; name a canvas with --set canvas.width=W"):
        with_clip_canvas(both, PairSet.load(tmp_path / "pairs"))


@pytest.mark.parametrize("latent", [False, True])
def test_the_line_on_a_canvas_that_is_no_square(latent: bool, pairs: Path, command: Command, tmp_path: Path) -> None:
    recipe, options = "nano", set_options("sampling.steps=1", "diffusion.base=source")
    if latent:
        recipe, options = (
            str(tmp_path / "latent.yaml"),
            ["--set", "training.fusion.steps=4", "--set", "training.diffusion.steps=4"],
        )
        Path(recipe).write_text(yaml.safe_dump(RECIPE))
    call = ("train", pairs, "--config", recipe, "--out", tmp_path / "run", "--device", "cpu", *options)
    command.works(*call, "--set", OF_CLIPS)
    card = json.loads((tmp_path / "run" / "model" / "signgen.json").read_text())
    canvas = card["recipe"]["canvas"]
    assert canvas["width"] < canvas["height"]
    assert "holds a run already" in command.refuses(*call, "--set", OF_CLIPS)
    command.works(*call, "--set", OF_CLIPS, "--resume")  # the same command goes on
    clip = PairSet.load(pairs).clips[0].path
    out = tmp_path / "o.mp4"
    command.works("render", clip, clip.with_suffix(".mmpose.json"), "--model", tmp_path / "run" / "model", "--out", out)
    made = open_frames(out)
    assert (made.width, made.height) == TALL
    scores = json.loads((tmp_path / "o.metrics.json").read_text())["mean"]
    assert scores["ssim"] is not None
    assert scores["hand_ssim"] is not None


def test_nano_runs_on_the_shape_of_phoenix() -> None:
    """At its full size: every level of the UNet, the conditions and the unshuffled pixels divide."""
    pipeline = build_pipeline(load_recipe("nano", ("canvas.width=112", "canvas.height=144")))
    image, poses = torch.rand(1, 3, 144, 112) * 2 - 1, torch.rand(1, 9, 144, 112)
    frames = pipeline(image, poses, part_warp=torch.rand(1, 6, 144, 112), sampling=load_recipe("nano").sampling)
    assert frames.shape == (1, 3, 144, 112)
    assert frames.isfinite().all()
