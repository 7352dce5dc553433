"""Copies of the source in the sample: the mixture, the appearance flow, and both image spaces under it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from scipy.ndimage import map_coordinates

from signgen.config import CopySettings, SamplingSettings
from signgen.models.build import build_pipeline
from signgen.models.compositing import blend, split_layers
from signgen.models.flow import flow_sample
from signgen.models.image_space import PixelUnshuffleSpace, VaeSpace
from signgen.models.pipeline import SignerPipeline
from tests.tiny import tiny_recipe

TWO_STEPS = SamplingSettings(steps=2, w_c=1, w_f=1, micro_batch=2)


def test_the_mixture_is_a_softmax_with_the_prediction_at_logit_zero():
    torch.manual_seed(0)
    prediction, copies = torch.randn(2, 5, 4, 4), torch.randn(2, 2, 5, 4, 4)
    logits = torch.zeros(2, 2, 1, 4, 4)
    thirds = (prediction + copies.sum(1)) / 3
    assert torch.allclose(blend(prediction, copies, logits), thirds, atol=1e-6)
    logits[:, 1] = 50.0
    assert torch.allclose(blend(prediction, copies, logits), copies[:, 1], atol=1e-6)
    logits[:] = -50.0
    assert torch.allclose(blend(prediction, copies, logits), prediction, atol=1e-6)


def test_an_output_is_split_by_meaning():
    output = torch.arange(11.0).view(1, 11, 1, 1)
    prediction, logits, flows = (part.flatten().tolist() for part in split_layers(output, CopySettings(layers=2)))
    assert (prediction, logits, flows) == ([0, 1, 2, 3, 4], [5, 6], [7, 8, 9, 10])


def test_flow_sampling_is_bilinear_interpolation():
    """Against scipy's map_coordinates."""
    rng = np.random.default_rng(0)
    image, flow = rng.random((12, 16)), rng.normal(0, 3, (2, 12, 16))
    y, x = np.mgrid[:12, :16]
    expected = map_coordinates(image, [y + flow[1], x + flow[0]], order=1, mode="nearest")
    tensors = (torch.from_numpy(a).float()[None] for a in (image[None], flow))
    assert np.allclose(flow_sample(*tensors)[0, 0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("shift", [(0, 0), (4, -8), (3, 5)])
def test_pixels_move_by_pixels_of_the_image(shift):
    """A coarse flow of whole pixels moves the image behind the latent by just these pixels."""
    torch.manual_seed(0)
    space, (dx, dy) = PixelUnshuffleSpace(4), shift
    image = torch.rand(1, 3, 32, 48) * 2 - 1
    flow = torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, 8, 12)
    moved = space.decode(space.move(space.encode(image), flow))
    inside = (slice(None), slice(None), slice(8, 24), slice(8, 40))
    assert torch.allclose(moved[inside], image.roll((-dy, -dx), (2, 3))[inside], atol=1e-4)


def test_between_latent_pixels_a_map_is_interpolated_alike_for_all_colours():
    """Against OpenCV's bilinear enlarging."""
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 6, 5)
    spread = PixelUnshuffleSpace(4).spread(maps)
    assert spread.shape == (2, 3, 48, 6, 5)
    images = torch.nn.functional.pixel_shuffle(spread[1, 2], 4).numpy()
    expected = cv2.resize(maps[1, 2].numpy(), (20, 24), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(images, expected, atol=1e-5)


def test_where_the_gate_changes_the_picture_does_not_jump_by_blocks():
    """A white copy, taken on the left and not on the right of a black prediction: a slope, not a step of four."""
    space, logits = PixelUnshuffleSpace(4), torch.full((1, 1, 2, 8), -4.0)
    logits[..., :4] = 4.0
    black, white = torch.full((1, 48, 2, 8), -1.0), torch.full((1, 48, 2, 8), 1.0)
    row = space.decode(blend(black, white[:, None], space.spread(logits)))[0, 0, 4]
    jumps = (row[1:] - row[:-1]).abs()
    assert (row[:12] > 0.9).all() and (row[20:] < -0.9).all()  # noqa: PT018
    assert (jumps[13:18] > 0.05).all()
    assert jumps.max() < 1


def test_a_vaes_latents_move_by_the_same_pixels():
    space = VaeSpace(AutoencoderKL(block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
                                   up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4))  # fmt: skip
    latent = torch.randn(1, 4, 8, 8)
    flow = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)  # two pixels are one cell of factor 2
    assert torch.allclose(space.move(latent, flow)[..., :-1], latent[..., 1:], atol=1e-5)


@pytest.mark.parametrize("base", ["none", "source"])
def test_a_pipeline_that_copies_only_gives_the_source(base):
    pipeline = build_pipeline(tiny_recipe("diffusion.copies={layers: 1, reach: 4}", f"diffusion.base={base}"))
    _only_copy(pipeline, flow=(0.0, 0.0))
    source = torch.rand(1, 3, 32, 32) * 2 - 1
    image = pipeline(source, torch.rand(3, 9, 32, 32), sampling=TWO_STEPS)
    assert torch.allclose(image, source.expand(3, -1, -1, -1), atol=1e-4)
    _only_copy(pipeline, flow=(1.0, 0.0))
    image = pipeline(source, torch.rand(1, 9, 32, 32), sampling=TWO_STEPS)
    assert torch.allclose(image[..., :-4], source[..., 4:], atol=1e-4)


def _only_copy(pipeline: SignerPipeline, flow: tuple[float, float]) -> None:
    """Make the network's last convolution say: all from the copy, moved by `flow`."""
    with torch.no_grad():
        pipeline.unet.conv_out.weight[-3:] = 0
        pipeline.unet.conv_out.bias[-3:] = torch.tensor([50.0, *flow])


def test_several_copies_differ_from_the_start():
    unet = build_pipeline(tiny_recipe("diffusion.copies={layers: 2, reach: 4}")).unet
    logits = unet.conv_out.weight[-6:-4]
    assert not torch.allclose(logits[0], logits[1])
