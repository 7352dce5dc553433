"""Guidance of a trained model by a trained pose network: both small, of one drawn signer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.models.canvas import Canvas
from signgen.models.card import load_model
from signgen.models.pose_field import PoseField
from signgen.models.posenet_card import load_posenet
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.pairs.pairset import PairSet
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.synthetic import Take, render_takes
from signgen.synthetic.corpus import write_videos
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.training.posenet.run import PoseNetRequest, train_posenet
from signgen.training.run import TrainRequest, train

SIDE = 64
RECIPE = (
    *("canvas.width=64", "canvas.height=64", "training.diffusion.steps=250", "training.precision=fp32"),
    *("unet.config.sample_size=16", "unet.config.block_out_channels=[32, 48, 64]", "sampling.precision=fp32"),
    *("training.diffusion.warmup=10", "training.diffusion.validations=1"),
)
POSENET = (
    *("canvas.width=64", "canvas.height=64", "network.channels=[16, 32, 48]", "training.batch_size=8"),
    *("training.steps=150", "training.warmup=5", "training.validations=2", "heat_maps.sigma=1.0"),
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, PairSet]:
    """A model, a pose network, and the pair set that both were trained on."""
    root = tmp_path_factory.mktemp("posed")
    take = Take("signer", Identity.random(1, "Signer"), Motion.random(5, 40), (96, 96))
    write_videos(root / "videos", render_takes([take], 1), exact=True)
    build_pairs(BuildPairsRequest(root / "videos", root / "pairs", holdout_tail=0.25))
    torch.set_num_threads(1)
    train(TrainRequest(root / "pairs", root / "run", "nano-repose", RECIPE, device="cpu", threads=1))
    train_posenet(PoseNetRequest(root / "pairs", root / "net", overrides=POSENET, device="cpu"))
    return root / "run" / "model", root / "net", PairSet.load(root / "pairs")


def drawn(model: Path, pairs: PairSet, numbers: range, **sampling) -> tuple[np.ndarray, torch.Tensor]:
    """Frames on the canvas, uint8 (N, 64, 64, 3), and where their keypoints are on it, (N, 133, 3)."""
    pipeline, card = load_model(model)
    clip = pairs.clips[0]
    poses = pairs.poses(clip.name)
    source = Source(pairs.training_frames(clip.name).read(0, 1)[0], poses[0:1], clip.name)
    renderer = Renderer(pipeline, card, card.sampling({"steps": 8, "micro_batch": 5, **sampling}))
    canvas = Canvas(SIDE, SIDE)
    frames = np.stack([canvas.fit_frame(frame) for frame in renderer.frames(source, poses, numbers)])
    points = canvas.fit_keypoints(poses.keypoints[list(numbers)], poses.width, poses.height)
    return frames, torch.from_numpy(points)


def field_of(network: Path, frames: np.ndarray, points: torch.Tensor) -> np.ndarray:
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return PoseField.of(load_posenet(network)[0], points, (SIDE, SIDE))(images).numpy()


@pytest.mark.parametrize("mode", ["cheap", "full"])
def test_guided_frames_are_nearer_to_their_poses(world, mode):
    model, network, pairs = world
    held_out = range(30, 40)
    plain, points = drawn(model, pairs, held_out)
    guided, _ = drawn(
        model, pairs, held_out, pose_guidance=50.0, pose_network=str(network), pose_mode=mode, pose_clip=0.05
    )
    before, after = (field_of(network, frames, points) for frames in (plain, guided))
    assert after.mean() < (0.97 if mode == "cheap" else 0.99) * before.mean()
    assert (after < before).mean() >= 0.8
