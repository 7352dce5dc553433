"""The plain source encoder of RePoseDM's baseline: its tokens, what it learns from, and how often it is computed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from torch.nn import functional as F

from signgen.config import SamplingSettings, load_recipe
from signgen.errors import RecipeError
from signgen.models.alignment import sinusoidal_positions
from signgen.models.build import build_pipeline
from signgen.models.conditions import Sizes, SourceCnn
from signgen.training.diffusion import diffusion_module
from tests.models.test_aligned_tokens import batch_of
from tests.models.test_pipeline import randomised
from tests.tiny import TINY

SIZES = Sizes(8, 16, 8, 8, 48, 4)
OFF = tuple(f"diffusion.alignment.{name}=0" for name in ("photometric", "matching", "keypoints", "smoothness"))


def recipe_of(**options):
    """nano-repose with the plain encoder in place of its alignment, made tiny."""
    conditions = [
        {"kind": "source_cnn", "null": "learned", "options": {"channels": [8, 16, 24], "scales": 2, **options}},
        {"kind": "pose_latent"},
    ]
    few = [part for part in TINY if not part.startswith("conditions.")]
    return load_recipe("nano-repose", (*few, *OFF, f"conditions={json.dumps(conditions)}"))


@pytest.mark.parametrize(("scales", "tokens"), [(1, 2 * 3), (2, 4 * 6 + 2 * 3), (3, 8 * 12 + 4 * 6 + 2 * 3)])
def test_tokens_are_of_the_last_maps_the_larger_first(scales, tokens):
    torch.manual_seed(0)
    encoder = SourceCnn(SIZES, learned_null=True, channels=(8, 16, 24), scales=scales).eval()
    found = encoder(torch.rand(2, 3, 16, 24) * 2 - 1)
    assert found.shape == (2, tokens, 16)


def test_maps_are_those_of_a_strided_network_written_out():
    torch.manual_seed(0)
    encoder = SourceCnn(SIZES, learned_null=False, channels=(8, 16), scales=2).eval()
    source = torch.rand(1, 3, 16, 16) * 2 - 1
    maps, seen = [], source
    for first, norm, _, second, last, _ in encoder.stages:
        seen = F.silu(F.group_norm(F.conv2d(seen, first.weight, first.bias, 2, 1), 8, norm.weight, norm.bias))
        seen = F.silu(F.group_norm(F.conv2d(seen, second.weight, second.bias, 1, 1), 8, last.weight, last.bias))
        maps.append(seen)
    expected = []
    for map_, kind, (norm, linear) in zip(maps, encoder.kinds, encoder.projections, strict=True):
        for row in range(map_.shape[2]):
            for column in range(map_.shape[3]):
                token = map_[0, :, row, column] + kind[0, 0]
                token = token + sinusoidal_positions(*map_.shape[1:])[:, row, column]
                token = F.layer_norm(token, token.shape, norm.weight, norm.bias)
                expected.append(F.linear(token, linear.weight, linear.bias))
    assert torch.allclose(encoder(source)[0], torch.stack(expected), atol=1e-5)


def test_the_loss_reaches_every_part_of_it():
    recipe = recipe_of()
    pipeline = randomised(build_pipeline(recipe))
    diffusion_module(recipe, pipeline)(batch_of(2))["loss"].backward()
    provider = pipeline.conditions.providers["source_cnn"]
    silent = [name for name, value in provider.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == ["null"]  # no sample of the batch drops its source


def test_it_sees_the_source_alone_and_once_a_clip():
    pipeline = randomised(build_pipeline(recipe_of()))
    shown: Counter[str] = Counter()
    provider = pipeline.conditions.providers["source_cnn"]
    provider.register_forward_hook(lambda _, given, __: shown.update(calls=1, sources=len(given[0])))
    source = torch.rand(1, 3, 32, 32) * 2 - 1
    clip = pipeline.encode_clip(source)
    assert clip.values["source_cnn"].shape == (1, 8 * 8 + 4 * 4, 16)
    shown.clear()
    sampling = SamplingSettings(steps=3, micro_batch=2, w_c=2.0, w_f=2.0)
    poses = torch.rand(4, 3, 32, 32)
    frames = pipeline(source, poses, sampling=sampling)
    assert shown == {"calls": 1, "sources": 1}
    assert not torch.equal(frames, pipeline(-source, poses, sampling=sampling))


@pytest.mark.parametrize(
    "options", [{"scales": 0}, {"scales": 4}, {"channels": [8, 20]}, {"channels": [8, 0]}], ids=str
)
def test_options_that_cannot_be_are_one_line(options):
    with pytest.raises(RecipeError, match="source_cnn") as error:
        build_pipeline(recipe_of(**options))
    assert "\n" not in str(error.value)
