"""Learned variance (Nichol & Dhariwal 2021): the second half of a denoiser's output in; the bound that teaches it out.

The network says, for every value of the latent, where the logarithm of the variance lies between the two bounds that
are known: v = (output + 1) / 2, log sigma^2 = v log beta_t + (1 - v) log beta~_t (their eq. 15). Few of
diffusers' solvers know such outputs (solvers.KNOW_VARIANCE); the pipeline splits them off for all others.
"""

from __future__ import annotations

import math

import torch
from diffusers import DDIMScheduler


def clean_estimate(
    scheduler: DDIMScheduler, output: torch.Tensor, noisy: torch.Tensor, timestep: torch.Tensor
) -> torch.Tensor:
    """x_0 (B, C, h, w) that a prediction of any type means at time steps (B,)."""
    alpha = _at(scheduler.alphas_cumprod, timestep, noisy)
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return output
    if kind == "v_prediction":
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * output
    return (noisy - (1 - alpha).sqrt() * output) / alpha.sqrt()


def variational_bound(
    scheduler: DDIMScheduler,
    output: torch.Tensor,
    variance: torch.Tensor,
    clean: torch.Tensor,
    noisy: torch.Tensor,
    timestep: torch.Tensor,
) -> torch.Tensor:
    """L_vlb of one random step (B,), in bits a value: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), and at t = 0 the
    negative log-likelihood of x_0, a density: latents are not counted in grey levels.

    output, variance, clean, noisy: (B, C, h, w). Gradients reach `variance` alone, as theirs do: the mean is trained by
    the simple loss.
    """
    # q(x_{t-1} | x_t, x_0), in float64: near t = 0 beta and 1 - alpha are small differences
    bars = scheduler.alphas_cumprod.double().to(noisy.device)
    before = torch.cat([bars.new_ones(1), bars[:-1]])
    betas = 1 - bars / before
    posterior = betas * (1 - before) / (1 - bars)
    posterior[0] = posterior[1]  # 0 has no logarithm
    of_clean, of_noisy = betas * before.sqrt() / (1 - bars), (1 - betas).sqrt() * (1 - before) / (1 - bars)

    # p(x_{t-1} | x_t)
    weights = [_at(each, timestep, noisy) for each in (of_clean, of_noisy)]
    estimate = clean_estimate(scheduler, output.detach(), noisy, timestep)
    wrong = weights[0] * (estimate - clean)  # of the mean; the part of x_t is the same in both
    low, high = (_at(each.log(), timestep, noisy) for each in (posterior, betas.clamp(max=1)))
    share = (variance + 1) / 2
    log_variance = share * high + (1 - share) * low

    # bits
    apart = 0.5 * (log_variance - low + (low - log_variance).exp() - 1 + wrong**2 * (-log_variance).exp())
    likelihood = 0.5 * (math.log(2 * math.pi) + log_variance + (estimate - clean) ** 2 * (-log_variance).exp())
    first = (timestep == 0).view(-1, 1, 1, 1)
    return torch.where(first, likelihood, apart).mean((1, 2, 3)) / math.log(2)


def _at(values: torch.Tensor, timestep: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """values (T,) at time steps (B,) -> (B, 1, 1, 1) in the precision of `like`."""
    return values.to(like.device)[timestep].to(like.dtype).view(-1, 1, 1, 1)
