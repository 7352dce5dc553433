"""The UNet's attention: queries, and keys and values of tokens or of the image itself, in; attended features out.

One processor serves every attention layer of the UNet. Without a context it is diffusers' own AttnProcessor2_0, to the
bit. An `AttentionContext`, which `denoise` hands to all layers of one call, is where methods hook in:

1. cache: keys and values of the clip's tokens, projected once and reused over sampling steps and frames; samples
   whose tokens are all equal take the value of one;
2. mask: a bias added to the scores before the softmax, by layer size, e.g. to keep regions to their own tokens;
3. frames: self-attention over all frames of a group instead of within one.

Nothing of it is a weight, so nothing of it is saved with the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.nn import functional as F

Projected = tuple[torch.Tensor, torch.Tensor]  # keys, values: (B, heads, N, d) each
# (queries of the layer, whether it is cross-attention) -> (B or 1, queries or 1, keys), added to the scores; or None
ScoreMask = Callable[[int, bool], torch.Tensor | None]


class Kept(NamedTuple):
    """Of one layer and clip. keys, values (B - equal, heads, N, d): of the samples that attend, one row each.

    equal (1, 1, heads * d): the value that all tokens of the other samples share; None without such samples.
    """

    keys: torch.Tensor
    values: torch.Tensor
    equal: torch.Tensor | None


@dataclass
class AttentionContext:
    """What the attention layers do beyond the plain UNet's, in calls of the UNet that share this object.

    cache: a dictionary, empty at first, for the keys and values of cross-attention's first `clip_tokens` tokens (None:
    of all). Later calls reuse them, so these tokens must be the same in all calls: a new dictionary for each clip and
    batch size, and never tokens that depend on the frame, which come behind and are projected in every call. It is
    for sampling: what is kept has no use in a backward pass. Tokens may be (b, N, D) with b a divisor of the batch:
    each row then serves so many consecutive samples.
    equal: so many samples, the first ones, have tokens that are all equal, as the nulls of guidance are. Attention over
    them is the value of one of them, whatever is asked, so that neither queries nor scores are computed. It needs
    `cache`, and no tokens of the frame.
    mask: float values added to the scores, -inf to hide a key; each query must see one key at least.
    frames: the batch is groups of this many consecutive frames; in self-attention each frame's queries see the keys of
    all frames of its group, in order. 1: its own only.
    """

    cache: dict[Attention, Kept] | None = field(default=None, repr=False)
    clip_tokens: int | None = None
    equal: int = 0
    mask: ScoreMask | None = None
    frames: int = 1

    def project_tokens(self, layer: Attention, tokens: torch.Tensor, batch: int) -> Kept:
        """Cross-attention's keys and values of tokens (b, N, D) for a batch, from the cache where it is used."""
        if self.cache is None:
            keys, values = (_rows(part, batch) for part in _project(layer, tokens))
            return Kept(keys, values, None)
        count = tokens.shape[1] if self.clip_tokens is None else self.clip_tokens
        if layer not in self.cache:
            self.cache[layer] = self._keep(layer, tokens[:, :count], batch)
        kept = self.cache[layer]
        if count == tokens.shape[1]:
            return kept
        fresh = _project(layer, tokens[:, count:])
        keys, values = (torch.cat([old, _rows(new, batch)], 2) for old, new in zip(kept[:2], fresh, strict=True))
        return Kept(keys, values, None)

    def _keep(self, layer: Attention, tokens: torch.Tensor, batch: int) -> Kept:
        """Each row of tokens is projected once, however many samples it serves."""
        equal = self.equal * len(tokens) // batch
        with torch.no_grad():  # guidance may differentiate a call: what is kept is no part of its graph
            keys, values = (_rows(part, batch - self.equal) for part in _project(layer, tokens[equal:]))
            return Kept(keys, values, layer.to_v(tokens[:1, :1]) if equal else None)

    def project_image(self, layer: Attention, image: torch.Tensor) -> Projected:
        """Self-attention's keys and values of image (B, N, D): (B, heads, frames * N, d)."""
        key, value = _project(layer, image)
        return (key, value) if self.frames == 1 else (self._over_frames(key), self._over_frames(value))

    def _over_frames(self, heads: torch.Tensor) -> torch.Tensor:
        """(G T, heads, N, d) -> (G T, heads, T N, d): each frame with all T frames of its group."""
        groups = heads.unflatten(0, (-1, self.frames)).transpose(1, 2).flatten(2, 3)
        return groups.repeat_interleave(self.frames, 0)

    def scores_bias(self, queries: int, cross: bool, given: torch.Tensor | None) -> torch.Tensor | None:
        """(B or 1, 1, queries or 1, keys): `mask` of this layer, and the UNet's own bias (B, 1, keys); None: none."""
        own = self.mask(queries, cross) if self.mask is not None else None
        biases = [bias[:, None] for bias in (own, given) if bias is not None]
        return sum(biases[1:], biases[0]) if biases else None


class SignerAttention(AttnProcessor2_0):
    """See the module. `context` comes in through the UNet's cross_attention_kwargs."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        context: AttentionContext | None = None,
    ) -> torch.Tensor:
        """hidden_states (B, queries, C), encoder_hidden_states (B or 1, N, D) or None -> (B, queries, C)."""
        if context is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        batch, count = hidden_states.shape[:2]
        cross = encoder_hidden_states is not None
        equal = context.equal if cross else 0
        query = _by_head(attn, attn.to_q(hidden_states[equal:])) if equal < batch else None
        if encoder_hidden_states is not None:
            kept = context.project_tokens(attn, encoder_hidden_states, batch)
        else:
            kept = Kept(*context.project_image(attn, hidden_states), equal=None)
        attended = [] if kept.equal is None else [kept.equal.expand(equal, count, -1)]
        if query is not None:
            bias = context.scores_bias(count, cross, attention_mask)
            mask = None if bias is None else bias[equal if len(bias) > 1 else 0 :].to(query.dtype)
            heads = F.scaled_dot_product_attention(query, kept.keys, kept.values, attn_mask=mask)
            attended.append(heads.transpose(1, 2).flatten(2).to(query.dtype))
        found = attended[0] if len(attended) == 1 else torch.cat(attended)
        return attn.to_out[1](attn.to_out[0](found))  # linear, dropout


def install_attention(unet: UNet2DConditionModel) -> None:
    """Give the UNet's transformer layers this processor, in place; other kinds of attention keep their own."""
    layers = {f"{name}.processor": layer for name, layer in unet.named_modules() if isinstance(layer, Attention)}
    ours = SignerAttention()
    unet.set_attn_processor(
        {
            name: ours if type(processor) is AttnProcessor2_0 and _is_plain(layers[name]) else processor
            for name, processor in unet.attn_processors.items()
        }
    )


def _is_plain(layer: Attention) -> bool:
    """Whether it is projections and a softmax alone, as in every transformer block of Stable Diffusion's UNet."""
    norms = (layer.group_norm, layer.spatial_norm, layer.norm_cross, layer.norm_q, layer.norm_k)
    return not any(norms) and not layer.residual_connection and layer.rescale_output_factor == 1


def _project(layer: Attention, tokens: torch.Tensor) -> Projected:
    """tokens (B, N, D) -> keys and values (B, heads, N, d)."""
    return _by_head(layer, layer.to_k(tokens)), _by_head(layer, layer.to_v(tokens))


def _by_head(layer: Attention, features: torch.Tensor) -> torch.Tensor:
    """(B, N, heads * d) -> (B, heads, N, d)."""
    return features.unflatten(2, (layer.heads, -1)).transpose(1, 2)


def _rows(heads: torch.Tensor, batch: int) -> torch.Tensor:
    """(b, ...) -> (batch, ...): each row serves batch / b consecutive samples."""
    return heads if len(heads) == batch or not len(heads) else heads.repeat_interleave(batch // len(heads), 0)
