"""The network's output composed with its source: a prediction and copies of the source in, the sample out.

x = m_0 p + sum_k m_k W(s, f_k), with m the softmax over (0, l_1 ... l_K) at every latent pixel: p is the prediction, s
the source, W(s, f) the source sampled where the appearance flow f points (Zhou et al. 2016, "View Synthesis by
Appearance Flow"). What stands still or only moves is then copied, not drawn again. l and f are outputs of the denoiser.
The part warp may be one more picture of the mixture, without a flow.

The words are the recipe's (config.CopySettings): `layers` copies, each moved by a flow of `reach` canvas pixels for an
output of 1, and the part `warp`; m_k is the share of picture k.
"""

from __future__ import annotations

import torch

from signgen.config import CopySettings


def channels_of(copies: CopySettings) -> int:
    """Outputs beside the prediction: a logit and two of flow for each layer, a logit for the part warp."""
    return 3 * copies.layers + copies.warp


def split_layers(output: torch.Tensor, copies: CopySettings) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """output (B, C + 3 K + S, h, w) -> prediction (B, C, h, w), logits (B, K + S, h, w), flows (B, K, 2, h, w).

    K: layers. S: 1 with the part warp, whose logit comes last, else 0.
    """
    own = output.shape[1] - channels_of(copies)
    prediction, logits, flows = output.split([own, copies.layers + copies.warp, 2 * copies.layers], 1)
    return prediction, logits, flows.unflatten(1, (copies.layers, 2))


def blend(prediction: torch.Tensor, copies: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """prediction (B, C, h, w), copies (B, K, C, h, w), logits (B, K, C or 1, h, w) -> their mixture (B, C, h, w)."""
    return (torch.cat([prediction[:, None], copies], 1) * shares(logits)).sum(1)


def shares(logits: torch.Tensor) -> torch.Tensor:
    """(B, K, ...) -> (B, 1 + K, ...): the shares of the prediction and of each copy in the mixture; they sum to 1."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)
