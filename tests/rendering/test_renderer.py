"""The renderer: what a frame depends on."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from signgen.errors import ModelError
from signgen.models.build import build_pipeline
from signgen.models.card import ModelCard
from signgen.models.device import frames_that_fit
from signgen.models.pipeline import SignerPipeline
from signgen.poses.sequence import PoseSequence
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from tests.models.test_pipeline import randomised
from tests.tiny import tiny_recipe

WINDOW = "conditions.1.options.window"


def renderer(window: int) -> Renderer:
    recipe = tiny_recipe(f"{WINDOW}={window}")
    card = ModelCard.describe(recipe, {"fingerprint": "x", "clips": []}, {"diffusion": 0}, 1)
    return Renderer(randomised(build_pipeline(recipe)), card)


@pytest.fixture
def poses() -> PoseSequence:
    """Seven frames of scattered points."""
    keypoints = np.random.default_rng(0).uniform(0, 64, (7, 133, 3)).astype(np.float32)
    keypoints[..., 2] = 1
    return PoseSequence(keypoints, 64, 64)


@pytest.fixture
def person() -> Source:
    return Source(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8), None, "me")


def test_a_part_is_rendered_as_within_the_whole(poses, person):
    ours = renderer(window=1)
    whole = np.stack([*ours.frames(person, poses)])
    for part in (range(7), range(3), range(2, 5), range(6, 7), [0, 2, 3, 6], [5, 1, 1]):
        assert np.array_equal(np.stack([*ours.frames(person, poses, part)]), whole[list(part)])


def test_scattered_frames_fill_their_micro_batches(poses, person, monkeypatch):
    ours = renderer(window=1)
    sampled = []
    sample = ours.pipeline.sample
    monkeypatch.setattr(ours.pipeline, "sample", lambda *given: sampled.append(1) or sample(*given))
    assert len([*ours.frames(person, poses, [0, 2, 4, 6])]) == 4
    assert len(sampled) == 4 // ours.sampling.micro_batch


@pytest.mark.parametrize("window", [0, 1])
def test_a_frame_sees_the_poses_of_its_window_and_no_others(poses, person, window):
    ours = renderer(window)
    keypoints = poses.keypoints.copy()
    keypoints[3, :, 0] = 64 - keypoints[3, :, 0]
    changed = replace(poses, keypoints=keypoints)
    before, after = (np.stack([*ours.frames(person, sequence)]) for sequence in (poses, changed))
    differs = [frame for frame in range(7) if not np.array_equal(before[frame], after[frame])]
    assert differs == list(range(3 - window, 4 + window))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_denoiser_draws_the_same_frames(poses, person):
    """60 dB at least."""
    ours = renderer(window=1)
    guided = ours.sampling.model_copy(update={"w_c": 2.0, "steps": 2})
    plain, compiled = (
        np.stack([*Renderer(ours.pipeline, ours.card, chosen).frames(person, poses)]).astype(float)
        for chosen in (guided, guided.model_copy(update={"compile": True}))
    )
    assert np.square(compiled - plain).mean() < 255**2 / 10**6
    assert plain.std() > 1
    assert ours.pipeline.unet._compiled_call_impl is not None


def test_out_of_memory_halves_the_micro_batch_and_loses_no_frame(poses, person, monkeypatch):
    """A stand-in for a GPU's memory, in which one frame fits at once."""
    ours = renderer(window=1)
    whole = [*ours.frames(person, poses)]
    sample = ours.pipeline.sample

    def tight(clip, frames, noise, numbers, sampling):
        if len(numbers) > 1:
            raise torch.OutOfMemoryError
        return sample(clip, frames, noise, numbers, sampling)

    monkeypatch.setattr(ours.pipeline, "sample", tight)
    found = [*ours.frames(person, poses)]
    assert ours.sampling.micro_batch == 1
    assert "out of memory with 2 frames at once; 1 from here on" in ours.notes
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(found, whole, strict=True)) <= 1
    monkeypatch.setattr(ours.pipeline, "sample", lambda *_: tight(None, None, None, [0, 0], None))
    with pytest.raises(ModelError, match="one frame at once"):
        next(ours.frames(person, poses))


def test_frames_that_fit_are_whole_micro_batches():
    assert frames_that_fit(1e9, 60 * 10**9, 16) == 48
    assert frames_that_fit(1e9, 10**9, 16) == 16  # which was seen to fit
    assert frames_that_fit(1e6, 10**12, 16) == 128


def test_render_says_that_memory_ran_out(line, command, tmp_path, monkeypatch):
    """Pixels may then differ in their last bits from those of another machine."""
    sample = SignerPipeline.sample

    def tight(pipeline, clip, frames, noise, numbers, sampling):
        if len(numbers) > 1:
            raise torch.OutOfMemoryError
        return sample(pipeline, clip, frames, noise, numbers, sampling)

    monkeypatch.setattr(SignerPipeline, "sample", tight)
    call = ("render", line.video, line.poses, "--model", line.model, "--frames", "2:5", "--out", tmp_path / "o.mp4")
    assert "memory: out of memory with 2 frames at once; 1 from here on" in command.works(*call)
