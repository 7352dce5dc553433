"""A clip's noise: what keys it, and how much of it frames share."""

from __future__ import annotations

import pytest
import torch

from signgen.models.noise import ClipNoise

SHAPE = (4, 64, 64)


def test_one_noise_for_all_frames_of_a_clip():
    found = ClipNoise(0, "a", scale=0.5).start(SHAPE, [3, 7])
    assert torch.equal(found[0], found[1])
    assert found.std() == pytest.approx(0.5, rel=0.02)
    assert not torch.equal(found, ClipNoise(1, "a", scale=0.5).start(SHAPE, [3, 7]))


@pytest.mark.parametrize("shared", [0.0, 0.6, 0.95])
def test_shared_noise_is_the_correlation_between_frames(shared):
    first, second = ClipNoise(0, "a", shared=shared).start(SHAPE, [3, 7]).flatten(1)
    assert first.std() == pytest.approx(1, rel=0.02)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1] == pytest.approx(shared**2, abs=0.02)


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_a_frames_noise_does_not_depend_on_its_batch(shared):
    noise = ClipNoise(0, "a", shared=shared)
    together = noise.start(SHAPE, range(5))
    assert torch.equal(noise.start(SHAPE, [3])[0], together[3])
    steps = [torch.randn(3, generator=generator) for generator in noise.of_step(2, range(5))]
    assert torch.equal(torch.randn(3, generator=noise.of_step(2, [3])[0]), steps[3])
    assert torch.equal(steps[0], steps[1]) == (shared > 0)
    assert not torch.equal(torch.randn(3, generator=noise.of_step(1, [3])[0]), steps[3])
