"""Recurrent pose alignment: its parts against brute force and closed forms, and what it learns on one picture."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from signgen.models.alignment import (
    FINE,
    RecurrentAlignment,
    RegionAttention,
    expected_step,
    local_correlation,
    refined,
    region_mask,
    sinusoidal_positions,
)
from signgen.models.flow import compose_flows, flow_at, flow_sample, total_variation


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def smooth_flow(seed: int, size: int = 32, amount: float = 1.5) -> torch.Tensor:
    """(1, 2, size, size), a few pixels long and slowly varying."""
    return amount * F.interpolate(seeded(1, 2, 4, 4, seed=seed), (size, size), mode="bicubic")


def places(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    return x, y


def rotation(degrees: float, size: int) -> torch.Tensor:
    """The flow (1, 2, size, size) that samples the picture turned about its middle."""
    x, y = (each - size / 2 for each in places(size))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.stack([cos * x - sin * y - x, sin * x + cos * y - y])[None]


INNER = (slice(None), slice(None), slice(8, -8), slice(8, -8))


def test_flows_compose_as_translations_and_rotations_do():
    one, other = (torch.tensor(each).view(1, 2, 1, 1).expand(1, 2, 32, 32) for each in ([2.0, -1.0], [0.5, 3.0]))
    assert torch.allclose(compose_flows(one, other), one + other)
    both = compose_flows(rotation(10, 32), rotation(15, 32))
    assert torch.allclose(both[INNER], rotation(25, 32)[INNER], atol=1e-4)  # a rotation is linear, so is the sampling


def test_composition_is_associative_and_does_what_two_warps_do():
    first, second, third = (smooth_flow(seed) for seed in range(3))
    left = compose_flows(third, compose_flows(second, first))
    right = compose_flows(compose_flows(third, second), first)
    assert (left - right)[INNER].abs().max() < 0.05
    x, y = places(32)
    picture = torch.sin(x / 5) * torch.cos(y / 6)
    twice = flow_sample(flow_sample(picture[None, None], first), second)
    once = flow_sample(picture[None, None], compose_flows(second, first))
    assert (twice - once)[INNER].abs().max() < 0.02


def test_the_product_of_flows_begun_at_zero_would_stay_zero():
    nothing, step = torch.zeros(1, 2, 8, 8), smooth_flow(0, 8)
    assert torch.equal(compose_flows(step, nothing), step)
    assert not (nothing * step).any()


def test_correlation_is_the_sum_it_says():
    target, source, radius = seeded(2, 6, 5, 7), seeded(2, 6, 5, 7, seed=1), 2
    found = local_correlation(target, source, radius)
    for y in range(5):
        for x in range(7):
            for number in range(25):
                row, column = y + number // 5 - radius, x + number % 5 - radius
                inside = 0 <= row < 5 and 0 <= column < 7
                wanted = torch.zeros(2)
                if inside:
                    wanted = (target[:, :, y, x] * source[:, :, row, column]).sum(1).clamp(min=0) / math.sqrt(6)
                assert torch.allclose(found[:, number, y, x], wanted, atol=1e-5)


def test_local_attention_is_global_where_the_region_covers_the_map():
    torch.manual_seed(0)
    attention = RegionAttention(16, 2)
    tokens, seen = seeded(2, 24, 16), seeded(2, 24, 16, seed=1)
    everything = attention(tokens, seen, None)
    assert torch.allclose(attention(tokens, seen, region_mask(4, 6, 11)), everything, atol=1e-6)
    near = region_mask(4, 6, 3)
    assert near.sum(1).tolist()[:2] == [4, 6]  # a corner, an edge
    assert not torch.allclose(attention(tokens, seen, near), everything, atol=1e-3)
    moved = seen.clone()
    moved[:, ~near[0]] += 1  # what the first place does not see
    assert torch.allclose(attention(tokens, moved, near)[:, 0], attention(tokens, seen, near)[:, 0], atol=1e-6)


def test_positions_tell_places_apart():
    positions = sinusoidal_positions(32, 6, 9).flatten(1)
    distances = torch.cdist(positions.T, positions.T) + 9 * torch.eye(54)
    assert distances.min() > 0.5


def test_flow_at_points_is_the_flow_there():
    flow = torch.stack(places(8))[None]  # each place's own coordinates
    points = torch.tensor([[[1.5, 2.5], [4.0, 6.25]]])
    assert torch.allclose(flow_at(flow, points), points)
    assert total_variation(flow) == pytest.approx(1.0)  # halves of each: one channel moves along each axis


def alignment(**options) -> RecurrentAlignment:
    torch.manual_seed(0)
    return RecurrentAlignment((3, 3), **{"width": 32, "heads": 2, "radius": 4, "recurrences": 3, **options})


def trained(network: RecurrentAlignment, make, steps: int) -> None:
    """Taught to warp `make(step)`'s source to its target, by the difference after every recurrence."""
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(steps):
        source, pose, target = make(step)
        found = network(source, pose)
        loss = sum((flow_sample(source, flow) - target).abs().mean() for flow in found.flows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_an_untrained_alignment_moves_nothing():
    found = alignment()(seeded(2, 3, 12, 12), seeded(2, 3, 12, 12, seed=1))
    assert len(found.flows) == 3
    assert not found.flow.any()
    assert torch.allclose(found.aligned, found.source, atol=1e-5)
    assert torch.all(found.visibility == 0.5)


def test_the_pose_of_the_source_itself_gives_the_identity():
    network = alignment()
    with torch.no_grad():
        network.aggregator.head.bias[0] = 1.0  # begins by moving everything
    picture = F.interpolate(seeded(1, 3, 5, 5), (16, 16), mode="bicubic")
    assert network(picture, picture).flow[:, 0].mean() > 2
    trained(network, lambda _: (picture, picture, picture), 80)
    assert network(picture, picture).flow.abs().mean() < 0.2


def squares(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A textured square on grey at one place; its outline at another; the square there; and the way back."""
    generator = torch.Generator().manual_seed(seed)
    sides = torch.randint(3, 8, (2, 2), generator=generator).tolist()
    texture = torch.linspace(0.2, 1, 6)
    source, target, pose = (torch.zeros(1, 3, 16, 16) for _ in range(3))
    for picture, (top, left) in ((source, sides[0]), (target, sides[1])):
        picture[0, 0, top : top + 6, left : left + 6] = texture
        picture[0, 1, top : top + 6, left : left + 6] = texture[:, None]
    pose[0, :, sides[1][0] : sides[1][0] + 6, sides[1][1] : sides[1][1] + 6] = 1
    back = torch.tensor([sides[0][1] - sides[1][1], sides[0][0] - sides[1][0]], dtype=torch.float)
    return source, pose, target, back


def errors(network: RecurrentAlignment, numbers: range) -> tuple[float, float]:
    """Mean end-point error within the target's square, of the network and of no motion at all."""
    found, still = [], []
    for number in numbers:
        source, pose, _, back = squares(number)
        inside = pose[:, :1].bool().expand(1, 2, -1, -1)
        with torch.no_grad():
            flow = network(source, pose).flow
        found.append((flow[inside].view(2, -1) - back[:, None]).norm(dim=0).mean())
        still.append(back.norm())
    return float(torch.stack(found).mean()), float(torch.stack(still).mean())


@pytest.mark.slow
def test_a_square_is_found_where_it_was():
    network = alignment(radius=6)

    def batch(step: int):
        parts = zip(*(squares(1000 + 8 * step + i)[:3] for i in range(8)), strict=True)
        return tuple(torch.cat(each) for each in parts)

    trained(network, batch, 500)
    found, still = errors(network, range(20))
    assert found < 0.35 * still


@pytest.mark.parametrize("reencode", [False, True])
def test_gradients_reach_both_stems_through_the_flow(reencode):
    network = alignment(reencode=reencode)
    torch.nn.init.normal_(network.aggregator.head.weight, std=0.1)
    source = seeded(1, 3, 12, 12)
    found = network(source, seeded(1, 3, 12, 12, seed=1))
    (flow_sample(source, found.flow) ** 2).mean().backward()  # by the flow alone
    for stem in (network.source_stem, network.pose_stem):
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in stem.parameters())


def test_a_picture_encoded_anew_equals_a_warped_map_for_whole_tokens():
    """Away from the edges, moving by whole tokens commutes with the stem, but for its normalisation over the map."""
    options = {"strides": (2, 2), "recurrences": 1}
    one, other = alignment(**options), alignment(**options, reencode=True)
    for network in (one, other):
        network.source_stem.layers[2] = network.source_stem.layers[-1] = torch.nn.Identity()
        network.aggregator.head.bias.data[:2] = torch.tensor([2.0, -1.0])
    source, pose = seeded(1, 3, 32, 32), seeded(1, 3, 32, 32, seed=1)
    warped, anew = one(source, pose).aligned, other(source, pose).aligned
    assert torch.allclose(warped[..., 5:-5, 5:-5], anew[..., 5:-5, 5:-5], atol=1e-5)


def test_the_expected_step_is_the_mean_of_the_window_and_moves_where_the_peak_is():
    scores = torch.zeros(1, 25, 3, 3)
    assert torch.allclose(expected_step(scores, 9), torch.zeros(1, 2, 3, 3), atol=1e-6)
    scores[:, 5 * 4 + 1] = 50  # two down, one to the left
    assert torch.allclose(expected_step(scores, 9)[0, :, 1, 1], torch.tensor([-1.0, 2.0]), atol=1e-5)
    # no further than it may
    assert torch.allclose(expected_step(scores, 1), torch.zeros(1, 2, 3, 3), atol=1e-6)


def test_a_refined_flow_is_a_convex_combination_of_the_tokens_around():
    flow = seeded(1, 2, 3, 4)
    even = refined(flow, torch.zeros(1, 9, 3 * FINE, 4 * FINE))
    assert even.shape == (1, 2, 3 * FINE, 4 * FINE)
    around = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    assert torch.allclose(even[..., :FINE, :FINE], around[..., :3, :3].mean((2, 3))[..., None, None], atol=1e-6)
    # all of one place in the second token's lower right to the token at its right
    chosen = torch.zeros(1, 9, 3 * FINE, 4 * FINE)
    chosen[:, 5, FINE - 1, 2 * FINE - 1] = 50
    found = refined(flow, chosen)
    assert torch.allclose(found[0, :, FINE - 1, 2 * FINE - 1], flow[0, :, 0, 2], atol=1e-5)
