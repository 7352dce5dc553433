"""A new condition is one class: defined here, it is named in a recipe, trains, is saved, loads and renders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from signgen.config import load_recipe
from signgen.errors import RecipeError
from signgen.models.card import load_model
from signgen.models.conditions import PROVIDERS, Condition, Sizes
from signgen.models.features import Features
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.poses.readers import read_poses
from signgen.rendering.renderer import Renderer, Source
from signgen.training.run import TrainRequest, train
from signgen.video.reader import open_frames
from tests.tiny import TINY
from tests.worlds import write_world


class PosedTokens(Condition):
    """The source's tokens, scaled by how bright the target's pose image is: of the clip, and of the frame."""

    name, reads = "posed_tokens", ("source_tokens", "target_pose")
    kind, branch, per_frame = "context", "pose", True

    def __init__(self, sizes: Sizes, learned_null: bool, hidden: int = 4) -> None:
        super().__init__(sizes, learned_null, sizes.context_width)
        self.project = torch.nn.Sequential(
            torch.nn.Linear(sizes.token_width, hidden), torch.nn.Linear(hidden, self.width)
        )

    def forward(self, tokens: torch.Tensor, target_pose: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.project(tokens * target_pose.mean((1, 2, 3))[:, None, None])


class BlurredSource(Condition):
    """Computes what it reads itself: the source, averaged down to the latent's size."""

    name, reads = "blurred_source", ("source",)
    kind, branch, per_frame = "spatial", "source", False

    def __init__(self, sizes: Sizes, learned_null: bool) -> None:
        super().__init__(sizes, learned_null, 3)
        self.factor = sizes.factor

    def read(self, features: Features) -> tuple[torch.Tensor, ...] | None:
        return None if features.source is None else (F.avg_pool2d(features.source, self.factor),)

    def forward(self, blurred: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return blurred


@pytest.fixture
def registered(monkeypatch):
    """For this test alone; a user's class is decorated with @PROVIDERS.register."""
    for provider in (PosedTokens, BlurredSource):
        monkeypatch.setitem(PROVIDERS, provider.name, provider)


CONDITIONS = [
    {"kind": "posed_tokens", "options": {"hidden": 6}},
    {"kind": "blurred_source", "null": "learned"},
    {"kind": "source_tokens", "options": {"hidden": 8}},
]
FEW = (
    *(part for part in TINY if not part.startswith("conditions.")),
    f"conditions={json.dumps(CONDITIONS)}",
    *("fusion.enabled=false", "diffusion.copies.warp=false", "training.diffusion.augmentation.references=0"),
    *(
        "training.diffusion.steps=4",
        "training.diffusion.warmup=0",
        "diffusion.condition_dropout.source=0.5",
        "sampling.steps=2",
        "sampling.noise_scale=1",
    ),
)


def test_it_trains_and_renders(registered, tmp_path: Path):
    videos = write_world(tmp_path / "videos", clips=1)
    build_pairs(BuildPairsRequest(videos, tmp_path / "pairs", holdout_tail=0.25))
    train(TrainRequest(tmp_path / "pairs", tmp_path / "run", "nano", FEW, device="cpu", threads=1))

    pipeline, card = load_model(tmp_path / "run" / "model")
    assert [c.kind for c in card.parsed_recipe().conditions] == [c["kind"] for c in CONDITIONS]
    trained = pipeline.conditions.providers
    assert trained["blurred_source"].null.abs().sum() > 0  # condition dropout has shown it, and it has moved
    clip = open_frames(videos / "clip0.mp4")
    poses = read_poses(videos / "clip0.mmpose.json", size=(clip.width, clip.height), fps=clip.fps)
    source = Source(clip.read(0, 1)[0], poses[0:1], "clip0")
    renderer = Renderer(pipeline, card)
    frames = np.stack([*renderer.frames(source, poses, range(3))])
    assert frames.shape == (3, clip.height, clip.width, 3)
    with torch.no_grad():
        trained["posed_tokens"].project[1].weight.mul_(50)
        trained["blurred_source"].null.add_(1)
    assert not np.array_equal(frames, np.stack([*renderer.frames(source, poses, range(3))]))


def test_a_recipe_that_names_no_condition_is_told_the_nearest():
    with pytest.raises(RecipeError) as error:
        load_recipe("nano", ("conditions.1.kind=pose_mapp",))
    message = str(error.value)
    assert "\n" not in message
    for words in (
        "conditions.1.kind",
        "no such condition (found 'pose_mapp')",
        "expected one of",
        "did you mean pose_map",
    ):
        assert words in message
    assert "posed_tokens" not in message


def test_features_are_computed_once_and_only_when_they_are_read():
    calls: list[str] = []

    class Counting:
        fusion = None

        def source_tokens(self, source: torch.Tensor) -> torch.Tensor:
            calls.append("tokens")
            return source.flatten(2)

    clip = Features(encoders=Counting(), source=torch.zeros(1, 3, 4, 4))  # type: ignore[arg-type]
    assert calls == []
    frames = [clip.with_frames(torch.ones(2, 3, 4, 4), None) for _ in range(3)]
    read = [PosedTokens.read(PosedTokens, each) for each in frames]  # type: ignore[arg-type]
    assert calls == ["tokens"]
    for found in read:
        assert found is not None
        assert [len(part) for part in found] == [2, 2]  # the clip's tokens, for both frames
    assert frames[0].part_warp is None
    assert frames[0].fusion is None


def test_what_reads_the_frame_is_no_constant_of_the_clip():
    class Wrong(PosedTokens):
        per_frame = False

    with pytest.raises(TypeError, match="reads target_pose, so its per_frame must be True"):
        Wrong(Sizes(8, 8, 8, 8, 8, 4), learned_null=False)
