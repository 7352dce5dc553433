"""The attention processor: the plain UNet without a context; each hook against what it means."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from signgen.models.attention import AttentionContext, SignerAttention, install_attention
from signgen.models.build import build_pipeline
from signgen.models.conditions import Conditioning
from signgen.models.denoiser import denoise
from tests.tiny import tiny_recipe

TOKENS = 5


@pytest.fixture
def unet() -> UNet2DConditionModel:
    """With dropout, so that training mode draws random numbers, and diffusers' own processor."""
    torch.manual_seed(0)
    return UNet2DConditionModel(**tiny_recipe().unet.config, in_channels=4, out_channels=4, dropout=0.2)


@pytest.fixture
def call() -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy latents and tokens for a batch of 4."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 4, 8, 8, generator=generator), torch.randn(4, TOKENS, 16, generator=generator)


def output(unet, noisy, tokens, context: AttentionContext | None = None, **kwargs) -> torch.Tensor:
    conditioning = Conditioning(tokens, noisy[:, :0], None)
    return denoise(unet, noisy, torch.tensor(7), conditioning, context, **kwargs)


@pytest.mark.parametrize("context", [None, AttentionContext()])
@pytest.mark.parametrize("training", [True, False])
def test_without_hooks_it_is_the_plain_unet_to_the_bit(unet, call, training, context):
    unet.train(training)
    results = []
    for ours in (False, True):
        if ours:
            install_attention(unet)
        unet.zero_grad()
        torch.manual_seed(3)
        result = output(unet, *call, context if ours else None)
        result.square().mean().backward()
        results.append([result.detach(), *(p.grad.clone() for p in unet.parameters() if p.grad is not None)])
    plain, mine = results
    assert len(plain) > 50
    assert all(map(torch.equal, plain, mine))


def test_a_pipeline_has_it_in_every_layer_and_saves_nothing_of_it(tmp_path):
    unet = build_pipeline(tiny_recipe()).unet
    assert {type(processor) for processor in unet.attn_processors.values()} == {SignerAttention}
    unet.save_pretrained(tmp_path)
    loaded = UNet2DConditionModel.from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == unet.state_dict().keys()
    assert {type(processor) for processor in loaded.attn_processors.values()} == {AttnProcessor2_0}
    assert "rocessor" not in (tmp_path / "config.json").read_text()


def test_other_kinds_of_attention_keep_their_own_processor():
    config = {**tiny_recipe().unet.config, "down_block_types": ["AttnDownBlock2D", "CrossAttnDownBlock2D"]}
    unet = UNet2DConditionModel(**config, in_channels=4, out_channels=4)
    install_attention(unet)
    kinds = {name.split(".")[0] + name.split(".")[1]: type(p) for name, p in unet.attn_processors.items()}
    assert kinds["down_blocks0"] is AttnProcessor2_0
    assert kinds["down_blocks1"] is SignerAttention


@pytest.fixture
def ours(unet):
    """In eval mode, with the processor."""
    install_attention(unet)
    return unet.eval()


@torch.no_grad()
def test_cached_keys_and_values_give_the_same_output(ours, call, monkeypatch):
    noisy, tokens = call
    other = noisy.flip(0)
    known = [output(ours, latent, tokens) for latent in (noisy, other)]
    context = AttentionContext(cache={})
    assert torch.equal(output(ours, noisy, tokens, context), known[0])
    layers = [layer for name, layer in ours.named_modules() if name.endswith("attn2")]
    assert set(context.cache or ()) == set(layers)
    for layer in layers:
        monkeypatch.setattr(layer.to_k, "forward", None)  # is not called again
    assert torch.equal(output(ours, other, tokens, context), known[1])


@torch.no_grad()
def test_tokens_of_the_frame_are_never_cached(ours, call):
    noisy, tokens = call
    context = AttentionContext(cache={}, clip_tokens=3)
    output(ours, noisy, tokens, context)
    changed = torch.cat([tokens[:, :3], tokens[:, 3:] + 1], 1)
    assert torch.allclose(output(ours, noisy, changed, context), output(ours, noisy, changed), atol=1e-6)
    assert not torch.allclose(output(ours, noisy, changed), output(ours, noisy, tokens), atol=1e-4)


@torch.no_grad()
def test_one_clips_tokens_serve_the_batch(ours, call):
    noisy, tokens = call
    alone = output(ours, noisy, tokens[:1], AttentionContext(cache={}))
    assert torch.allclose(alone, output(ours, noisy, tokens[:1].expand(4, -1, -1)), atol=1e-6)


@torch.no_grad()
def test_a_row_of_tokens_serves_consecutive_samples(ours, call):
    noisy, tokens = call
    shared = output(ours, noisy, tokens[:2], AttentionContext(cache={}))
    assert torch.allclose(shared, output(ours, noisy, tokens[[0, 0, 1, 1]]), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("equal", [2, 4])
def test_attention_over_equal_tokens_is_the_value_of_one(ours, call, equal, monkeypatch):
    noisy, tokens = call
    tokens = tokens.clone()
    tokens[:equal] = tokens[:1, :1]
    known = output(ours, noisy, tokens[[0, 0, 2, 2]])
    asked, scores = [], torch.nn.functional.scaled_dot_product_attention

    def counted(query, key, *given, **named):
        asked.append((len(query), key.shape[2]))
        return scores(query, key, *given, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    found = output(ours, noisy, tokens[::2], AttentionContext(cache={}, equal=equal))
    assert torch.allclose(found, known, atol=1e-6)
    across = {count for count, keys in asked if keys == TOKENS}
    assert across == ({2} if equal == 2 else set())


@torch.no_grad()
def test_hidden_tokens_are_as_if_they_were_not_there(ours, call):
    noisy, tokens = call
    hidden = torch.zeros(1, 1, TOKENS)
    hidden[..., [1, 4]] = -torch.inf
    context = AttentionContext(mask=lambda queries, cross: hidden if cross else None)
    kept = tokens[:, [0, 2, 3]]
    assert torch.allclose(output(ours, noisy, tokens, context), output(ours, noisy, kept), atol=1e-6)
    assert not torch.allclose(output(ours, noisy, tokens), output(ours, noisy, kept), atol=1e-4)


def layer_and_image() -> tuple[Attention, torch.Tensor]:
    torch.manual_seed(0)
    layer = Attention(query_dim=12, heads=3, dim_head=4, processor=SignerAttention())
    return layer, torch.randn(6, 10, 12)  # two groups of three frames of ten places


def by_the_formula(layer: Attention, queries: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """One frame (n, C) that attends to keys (m, C), head by head; bias (n, m)."""
    heads = []
    for h in range(3):
        rows = slice(4 * h, 4 * h + 4)
        q, k, v = (x @ w.weight[rows].T for x, w in ((queries, layer.to_q), (keys, layer.to_k), (keys, layer.to_v)))
        scores = torch.exp(q @ k.T / 2 + bias)
        heads.append(scores / scores.sum(1, keepdim=True) @ v)
    return torch.cat(heads, 1) @ layer.to_out[0].weight.T + layer.to_out[0].bias


@torch.no_grad()
def test_attention_over_frames_is_the_formula():
    layer, image = layer_and_image()
    attended = layer(image, context=AttentionContext(frames=3))
    for frame in range(6):
        group = image[frame // 3 * 3 : frame // 3 * 3 + 3].flatten(0, 1)
        assert torch.allclose(attended[frame], by_the_formula(layer, image[frame], group, torch.zeros(())), atol=1e-6)


@torch.no_grad()
def test_a_region_of_queries_sees_its_own_keys():
    layer, image = layer_and_image()
    bias = torch.zeros(10, 10)
    bias[:5, 5:] = bias[5:, :5] = -torch.inf  # the upper half and the lower half, each by itself
    attended = layer(image, context=AttentionContext(mask=lambda queries, cross: None if cross else bias[None]))
    for frame in range(6):
        assert torch.allclose(attended[frame], by_the_formula(layer, image[frame], image[frame], bias), atol=1e-6)
        halves = [by_the_formula(layer, half, half, torch.zeros(())) for half in image[frame].chunk(2)]
        assert torch.allclose(attended[frame], torch.cat(halves), atol=1e-6)


@torch.no_grad()
def test_the_unets_own_token_mask_is_kept(unet, call):
    noisy, tokens = call
    there = torch.tensor([[True, True, False, True, False]]).expand(4, -1)
    plain = unet.eval()(noisy, 7, encoder_hidden_states=tokens, encoder_attention_mask=there).sample
    install_attention(unet)
    context = {"context": AttentionContext()}
    mine = unet(
        noisy, 7, encoder_hidden_states=tokens, encoder_attention_mask=there, cross_attention_kwargs=context
    ).sample
    assert torch.allclose(plain, mine, atol=1e-6)
