"""The denoiser as a graph that other libraries run: its inputs as named tensors, and a module that takes them.

What depends on the clip only, keys and values of the source's tokens, is an input: torch projects them once a clip. A
sample without a source has keys of zero, so that attention over its equal tokens is the value of one of them. Rows of
the batch are free; one graph serves all branches of guidance and all numbers of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention

from signgen.config import Recipe, SamplingSettings
from signgen.errors import ModelError
from signgen.models.attention import AttentionContext, Kept, SignerAttention
from signgen.models.conditions import Conditioning
from signgen.models.pipeline import SignerPipeline

Inputs = dict[str, torch.Tensor]
ROWS = 2  # of the example that is traced


def graph_inputs(noisy: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, tokens: Inputs) -> Inputs:
    """What one call of the denoiser is given, float32, as `Graph` takes it. tokens: see `token_inputs`.

    sample (B, C + S, h, w), timestep (B,), vector (B, E) and frame_tokens (B, n, D) where the model has them, keys_i
    and values_i (B, heads, N, d) of each layer of cross-attention.
    """
    rows = len(noisy)
    found = {"sample": torch.cat([noisy, conditioning.spatial.to(noisy.dtype)], 1), "timestep": timestep.expand(rows)}
    if conditioning.vector is not None:
        found["vector"] = conditioning.vector
    if conditioning.context.shape[1] > conditioning.clip_tokens:
        found["frame_tokens"] = conditioning.context[:, conditioning.clip_tokens :]
    return {name: value.float().contiguous() for name, value in found.items()} | tokens


def token_inputs(
    unet: UNet2DConditionModel, rows: int, conditioning: Conditioning, attention: AttentionContext
) -> Inputs:
    """Keys and values of the clip's tokens for a batch of `rows`, float32; the context keeps them as torch's own."""
    found: Inputs = {}
    clip = conditioning.context[:, : conditioning.clip_tokens]
    kept_only = AttentionContext(attention.cache, None, attention.equal)
    for number, layer in enumerate(cross_layers(unet)):
        kept = kept_only.project_tokens(layer, clip, rows)
        keys, values = kept.keys, kept.values
        if kept.equal is not None:
            heads = kept.equal.unflatten(2, (layer.heads, -1)).transpose(1, 2)
            alike = heads.expand(attention.equal, -1, clip.shape[1], -1)
            keys, values = torch.cat([torch.zeros_like(alike), keys]), torch.cat([alike, values])
        found |= {f"keys_{number}": keys.float().contiguous(), f"values_{number}": values.float().contiguous()}
    return found


def cross_layers(unet: UNet2DConditionModel) -> list[Attention]:
    """The layers that attend to tokens. Raises ModelError for one whose attention is not signgen's."""
    layers = [m for m in unet.modules() if isinstance(m, Attention) and m.is_cross_attention]
    foreign = [layer for layer in layers if not isinstance(layer.processor, SignerAttention)]
    if foreign:
        found = f"a UNet whose cross-attention is {type(foreign[0].processor).__name__}"
        raise ModelError(found, expected="projections and a softmax alone", fix="render with --backend torch")
    return layers


@dataclass
class _GivenTokens(AttentionContext):
    """Keys and values (B, heads, N, d) of the clip's tokens, by layer; those of the frame are projected where it has
    any."""

    given: dict[Attention, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, repr=False)
    of_frame: bool = False

    def project_tokens(self, layer: Attention, tokens: torch.Tensor, batch: int) -> Kept:
        keys, values = self.given[layer]
        if self.of_frame:
            fresh = AttentionContext().project_tokens(layer, tokens, batch)
            keys, values = torch.cat([keys, fresh.keys], 2), torch.cat([values, fresh.values], 2)
        return Kept(keys, values, None)


class Graph(torch.nn.Module):
    """The UNet behind inputs of these names, in their order."""

    def __init__(self, unet: UNet2DConditionModel, names: list[str]) -> None:
        super().__init__()
        self.unet, self.names = unet, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """See `graph_inputs` -> (B, C, h, w)."""
        given = dict(zip(self.names, inputs, strict=True))
        sample, tokens = given["sample"], given.get("frame_tokens")
        layers = {
            layer: (given[f"keys_{number}"], given[f"values_{number}"])
            for number, layer in enumerate(cross_layers(self.unet))
        }
        context = _GivenTokens(given=layers, of_frame=tokens is not None)
        if tokens is None:  # which nothing looks at
            tokens = sample.new_zeros(1, 1, 1)
        return self.unet(
            sample,
            given["timestep"],
            encoder_hidden_states=tokens,
            class_labels=given.get("vector"),
            cross_attention_kwargs={"context": context},
        ).sample


@torch.no_grad()
def example_of(pipeline: SignerPipeline, recipe: Recipe) -> Inputs:
    """Inputs of a step of `ROWS` grey frames, in the sizes that the recipe renders in."""
    size = (recipe.canvas.height, recipe.canvas.width)
    image = torch.zeros(1, 3, *size)
    poses = torch.zeros(ROWS, 3 * (1 + 2 * recipe.pose_window), *size)
    clip = pipeline.encode_clip(image, image)
    frames = pipeline.encode_frames(clip, poses, torch.zeros(ROWS, 6, *size) if recipe.part_warp else None)
    noisy = torch.zeros(ROWS, *clip.latent.shape[1:])
    names = tuple(pipeline.weights_at(SamplingSettings(w_c=1.0, w_f=1.0), 0))
    given = pipeline.guided(clip, frames, names, noisy)
    tokens = token_inputs(pipeline.unet, ROWS, given.conditioning, given.attention)
    return graph_inputs(noisy, torch.zeros(()), given.conditioning, tokens)
