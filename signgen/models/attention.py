"""The UNet's attention: queries, and keys and values of tokens or of the image itself, in; attended features out.

One processor serves every attention layer of the UNet. Without a context it is diffusers' own AttnProcessor2_0, to the
bit. An `AttentionContext`, which `denoise` hands to all layers of one call, is where methods hook in:

1. cache: keys and values of the clip's tokens, projected once and reused over sampling steps and frames;
2. mask: a bias added to the scores before the softmax, by layer size, e.g. to keep regions to their own tokens;
3. frames: self-attention over all frames of a group instead of within one.

Nothing of it is a weight, so nothing of it is saved with the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.nn import functional as F

Projected = tuple[torch.Tensor, torch.Tensor]  # keys, values: (B or 1, heads, N, d) each
# (queries of the layer, whether it is cross-attention) -> (B or 1, queries or 1, keys), added to the scores; or None
ScoreMask = Callable[[int, bool], torch.Tensor | None]


@dataclass
class AttentionContext:
    """What the attention layers do beyond the plain UNet's, in calls of the UNet that share this object.

    cache: a dictionary, empty at first, for the keys and values of cross-attention's first `clip_tokens` tokens (None:
    of all). Later calls reuse them, so these tokens must be the same in all calls: a new dictionary for each clip and
    batch size, and never tokens that depend on the frame, which come behind and are projected in every call. It is
    for sampling: what is kept has no use in a backward pass.
    mask: float values added to the scores, -inf to hide a key; each query must see one key at least.
    frames: the batch is groups of this many consecutive frames; in self-attention each frame's queries see the keys of
    all frames of its group, in order. 1: its own only.
    """

    cache: dict[Attention, Projected] | None = None
    clip_tokens: int | None = None
    mask: ScoreMask | None = None
    frames: int = 1

    def project_tokens(self, layer: Attention, tokens: torch.Tensor) -> Projected:
        """Cross-attention's keys and values of tokens (B or 1, N, D), from the cache where it is used."""
        if self.cache is None:
            return _project(layer, tokens)
        count = tokens.shape[1] if self.clip_tokens is None else self.clip_tokens
        if layer not in self.cache:
            self.cache[layer] = _project(layer, tokens[:, :count])
        kept = self.cache[layer]
        if count == tokens.shape[1]:
            return kept
        fresh = _project(layer, tokens[:, count:])
        key, value = (
            torch.cat([old.expand(len(new), -1, -1, -1), new], 2) for old, new in zip(kept, fresh, strict=True)
        )
        return key, value

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
        query = _by_head(attn, attn.to_q(hidden_states))
        if encoder_hidden_states is None:
            key, value = context.project_image(attn, hidden_states)
        else:
            key, value = context.project_tokens(attn, encoder_hidden_states)
        key, value = (part.expand(len(query), -1, -1, -1) for part in (key, value))  # one clip's tokens serve the batch
        bias = context.scores_bias(query.shape[2], encoder_hidden_states is not None, attention_mask)
        mask = None if bias is None else bias.to(query.dtype)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended = attended.transpose(1, 2).flatten(2).to(query.dtype)
        return attn.to_out[1](attn.to_out[0](attended))  # linear, dropout


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
