"""Learned variance: its bound against torch's distributions, and what each solver makes of twice the channels."""

from __future__ import annotations

import json
import math

import pytest
import torch
from diffusers import DDIMScheduler
from torch.distributions import Normal, kl_divergence

from signgen.config import SamplingSettings
from signgen.errors import RecipeError
from signgen.models.build import build_pipeline
from signgen.models.noise import ClipNoise
from signgen.models.variance import clean_estimate, variational_bound
from signgen.solvers import SOLVERS
from signgen.training.diffusion import diffusion_module
from tests.models.test_aligned_tokens import aligned_recipe, batch_of, moving
from tests.tiny import tiny_recipe


def scheduler(kind: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(1000, 1e-4, 0.02, "linear", prediction_type=kind, clip_sample=False)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("channels", [4, 48])
def test_the_bound_is_the_divergence_of_the_two_gaussians(kind, channels):
    torch.manual_seed(0)
    made = scheduler(kind)
    timestep = torch.tensor([999, 400, 7, 0])
    clean, noise, output = (torch.randn(4, channels, 3, 3) for _ in range(3))
    variance = torch.rand(4, channels, 3, 3) * 2 - 1
    noisy = made.add_noise(clean, noise, timestep)
    found = variational_bound(made, output, variance, clean, noisy, timestep)
    for row, t in enumerate(timestep.tolist()):
        alphas = made.alphas_cumprod.double()
        bar, before = alphas[t], alphas[t - 1] if t else torch.ones(())
        beta = 1 - bar / before
        small = beta * (1 - before) / (1 - bar) if t else 1 - alphas[1] / alphas[0]
        small = small if t else small * (1 - alphas[0]) / (1 - alphas[1])
        weights = before.sqrt() * beta / (1 - bar), (1 - beta).sqrt() * (1 - before) / (1 - bar)
        estimate = clean_estimate(made, output, noisy, timestep)[row].double()
        share = (variance[row].double() + 1) / 2
        learned = Normal(
            weights[0] * estimate + weights[1] * noisy[row],
            torch.exp(0.5 * (share * beta.log() + (1 - share) * small.log())),
        )
        if t:
            truth = Normal(weights[0] * clean[row] + weights[1] * noisy[row], small.sqrt().expand_as(estimate))
            wanted = kl_divergence(truth, learned).mean() / math.log(2)
        else:
            wanted = -learned.log_prob(clean[row].double()).mean() / math.log(2)
        assert float(found[row]) == pytest.approx(float(wanted), rel=2e-3), t


def test_it_is_zero_where_mean_and_variance_are_the_posteriors():
    torch.manual_seed(0)
    made, timestep = scheduler("sample"), torch.tensor([500])
    clean = torch.randn(1, 4, 2, 2)
    noisy = made.add_noise(clean, torch.randn_like(clean), timestep)
    found = variational_bound(made, clean, -torch.ones_like(clean), clean, noisy, timestep)
    assert float(found) == pytest.approx(0, abs=1e-6)


def test_only_the_variance_learns_from_it():
    torch.manual_seed(0)
    output, variance = (torch.randn(2, 4, 2, 2).requires_grad_() for _ in range(2))
    clean = torch.randn(2, 4, 2, 2)
    variational_bound(scheduler(), output, variance, clean, clean, torch.tensor([3, 700])).sum().backward()
    assert variance.grad is not None
    assert variance.grad.any()
    assert output.grad is None


VAE = {
    "kind": "vae",
    "factor": 4,
    "config": {
        "block_out_channels": [8, 8, 8],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 32,
    },
}
SPACES = {4: (f"image_space={json.dumps(VAE)}",), 48: ()}
LEARNED = (
    "diffusion.variance_weight=0.001",
    "diffusion.scheduler.config.prediction_type=epsilon",
    "diffusion.scheduler.config.rescale_betas_zero_snr=false",
)


@pytest.mark.parametrize("channels", SPACES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_only_ddpm_draws_with_it(solver, channels):
    """C = 4 is a VAE's, where DPM++ takes half of the channels for variances; C = 48 that of rearranged pixels."""
    overrides = (*LEARNED, "diffusion.scheduler.config.prediction_type=v_prediction")
    pipeline = moving(build_pipeline(aligned_recipe(*SPACES[channels], *overrides)))
    pipeline.unet.conv_out.weight.data *= 0.1  # or pictures would be black and white alone
    assert pipeline.unet.config.out_channels == 2 * pipeline.space.channels == 2 * channels
    given = torch.zeros(1, 3, 32, 32), torch.rand(2, 3, 32, 32)
    sampling = SamplingSettings(solver=solver, steps=4, micro_batch=2, w_c=2.0)
    frames = pipeline(*given, sampling=sampling)
    assert frames.shape == (2, 3, 32, 32)
    assert frames.isfinite().all()
    with torch.no_grad():
        pipeline.unet.conv_out.bias[channels:] -= 1
    others = pipeline(*given, sampling=sampling)
    assert torch.equal(frames, others) == (solver != "ddpm")


def test_the_variance_of_ddpm_is_the_guided_branchs():
    pipeline = moving(build_pipeline(aligned_recipe(*LEARNED)))
    scheduler, _ = pipeline.solver_of(SamplingSettings(solver="ddpm", steps=4))
    assert scheduler.config.variance_type == "learned_range"
    seen = []

    def step(output, *_, **__):
        seen.append(output)
        raise StopIteration

    clip = pipeline.encode_clip(torch.zeros(1, 3, 32, 32))
    frames = pipeline.encode_frames(clip, torch.rand(2, 3, 32, 32))
    outputs = []
    pipeline.denoise = lambda unet, noisy, *rest: outputs.append(torch.randn(len(noisy), 96, 8, 8)) or outputs[-1]
    pipeline.solver_of = lambda *_: (scheduler, scheduler.timesteps)
    scheduler.step = step
    with pytest.raises((StopIteration, RuntimeError)):
        pipeline.sample(clip, frames, ClipNoise(0, "", 1.0), [0, 1], SamplingSettings(solver="ddpm", steps=4, w_c=2.0))
    unguided, guided = outputs[0].chunk(2)
    assert torch.allclose(seen[0][:, :48], 2 * guided[:, :48] - unguided[:, :48], atol=1e-5)
    assert torch.equal(seen[0][:, 48:], guided[:, 48:])


def test_training_logs_it_and_copies_are_refused():
    recipe = aligned_recipe(*LEARNED)
    found = diffusion_module(recipe, moving(build_pipeline(recipe)))(batch_of(2))
    assert found["vlb"].isfinite()
    with pytest.raises(RecipeError, match="variance_weight"):
        build_pipeline(tiny_recipe("diffusion.variance_weight=0.001"))
    with pytest.raises(RecipeError, match="rescale_betas_zero_snr"):
        build_pipeline(tiny_recipe(*LEARNED[:2]))
