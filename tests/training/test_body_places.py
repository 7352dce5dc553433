"""Where places of a body were: along its bones, beside them, and against drawn signers, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from signgen.poses.palettes import PALETTES
from signgen.synthetic.clip import render_frames
from signgen.synthetic.correspondence import correspondence
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.training.body_places import PLACES, body_places, bone_places, bones_of, known_places

PALETTE = next(iter(PALETTES.values()))
BONES = bones_of(PALETTE)


def points(*places: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([places])


def person(elbow: tuple[float, float], wrist: tuple[float, float]) -> torch.Tensor:
    """(1, 133, 3): shoulders 40 px wide at a height of 50, hips under them, one arm."""
    found = torch.full((1, 133, 3), torch.nan)
    found[..., 2] = 0
    for number, place in {
        5: (84, 50),
        6: (44, 50),
        11: (80, 120),
        12: (48, 120),
        7: elbow,
        9: wrist,
        0: (64, 25),
    }.items():
        found[0, number] = torch.tensor([*place, 1.0])
    return found


def led(found, x: float, y: float) -> tuple[list[float], float]:
    """Where the place nearest to (x, y) came from, and its weight."""
    number = int((found.target[0] - torch.tensor([x, y])).norm(dim=1).argmin())
    return (found.source - found.target)[0, number].tolist(), float(found.weight[0, number])


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_every_palette_has_bones(palette):
    bones = bones_of(palette)
    assert len(bones) >= 10
    assert all(a < b for a, b in bones)


def test_places_lie_along_bones_of_what_both_know():
    target = points((8.0, 8.0, 1.0), (8.0, 20.0, 1.0), (torch.nan, torch.nan, 0.0))
    found = bone_places(target + torch.tensor([8.0, 0.0, 0.0]), target, [(0, 1), (1, 2)])
    assert found.target.shape == found.source.shape == (1, 2 * len(PLACES), 2)
    assert found.weight[0].tolist() == pytest.approx([0.2] * len(PLACES) + [0.0] * len(PLACES))
    arm = points(*[(8.0, 8.0, 1.0)] * 8)
    assert bone_places(arm, arm, [(5, 7)]).weight.unique().tolist() == [1.0]
    assert found.target[0, : len(PLACES), 1].tolist() == [8, 11, 14, 17, 20]
    assert torch.equal((found.source - found.target)[0, : len(PLACES)], torch.tensor([8.0, 0.0]).expand(len(PLACES), 2))
    assert found.target.isfinite().all()


def test_flesh_goes_with_its_bone_the_trunk_with_the_shoulders_and_a_wall_stays():
    source = person((100.0, 80.0), (110.0, 110.0))
    target = person((100.0, 80.0), (70.0, 80.0))  # the forearm across the trunk
    found = body_places(source, target, BONES, (128, 128), count=64)
    # a forearm's places are turned about the elbow with it: 15 px along, 1 px aside
    turn = torch.tensor([10.0, 30.0]) / torch.tensor([10.0, 30.0]).norm()
    here = found.target[0, (found.target[0] - torch.tensor([85.0, 80.0])).norm(dim=1).argmin()]
    along, aside = 100 - here[0], here[1] - 80
    stretched = along / 30 * torch.tensor([10.0, 30.0]).norm()
    wanted = torch.tensor([100.0, 80.0]) + stretched * turn - aside * torch.stack([-turn[1], turn[0]])
    step, weight = led(found, 85, 80)
    assert torch.allclose(torch.tensor(step), wanted - here, atol=1e-3)
    assert weight == 2
    for place, counts in (((60, 100), 1.0), ((5, 5), 0.3), ((85, 88), 1.0)):  # trunk, wall, trunk under the forearm
        assert led(found, *place) == ([0.0, 0.0], pytest.approx(counts))


def test_a_person_that_walks_takes_all_of_itself_along():
    target = person((100.0, 80.0), (110.0, 110.0))
    source = target + torch.tensor([3.0, -2.0, 0.0])
    found = body_places(source, target, BONES, (128, 128))
    step = (found.source - found.target)[found.weight >= 1]
    assert torch.allclose(step, torch.tensor([3.0, -2.0]).expand_as(step), atol=1e-3)
    assert len(step) > 200


def test_what_is_not_known_does_not_count():
    target, source = person((100.0, 80.0), (110.0, 110.0)), person((100.0, 80.0), (110.0, 110.0))
    source[0, 9, 2] = 0  # no wrist: no forearm
    found = body_places(source, target, BONES, (128, 128), count=64)
    assert led(found, 105, 95)[1] == 0
    assert led(found, 60, 100)[1] == 1
    source[0, 5] = torch.nan
    assert not body_places(source, target, BONES, (128, 128)).weight.any()
    assert body_places(source, target, BONES, (128, 128)).source.isfinite().all()


def test_a_grid_covers_its_canvas_and_shifts_within_its_steps():
    anyone = person((100.0, 80.0), (110.0, 110.0)).expand(2, -1, -1)
    found = body_places(anyone, anyone, BONES, (64, 128), count=16, shift=torch.tensor([[0.0, 0.0], [0.99, 0.5]]))
    assert found.target.shape == (2, 8 * 16, 2)
    assert found.target[0].min(0).values.tolist() == [-0.5, -0.5]
    assert found.target[0].max(0).values.tolist() == [55.5, 119.5]
    assert torch.allclose(found.target[1] - found.target[0], torch.tensor([7.92, 4.0]))


def test_against_the_truth_of_drawn_signers():
    """Nine of ten places of torso, arms and hands are right to 1.5 px of 128; the rest lies at the edges of limbs."""
    right, still, count = 0, 0, 0
    for seed in range(3):
        identity, motion = Identity.random(seed, "Signer"), Motion.random(seed, 40)
        _, drawn = render_frames(identity, motion, [0, 30], (128, 128))
        pair = (torch.from_numpy(drawn[[n]]) for n in (0, 1))
        found = body_places(*pair, BONES, (128, 128), count=128)
        truth = correspondence(identity, motion, 0, 30, (128, 128))
        flow = (found.source - found.target)[0].view(128, 128, 2).numpy()
        right += int((np.linalg.norm(flow - truth.flow, axis=2)[truth.body] <= 1.5).sum())
        still += int((np.linalg.norm(truth.flow, axis=2)[truth.body] <= 1.5).sum())
        count += int(truth.body.sum())
    assert right >= 0.9 * count
    assert still < 0.8 * count


def test_places_are_seen_anew_by_the_random_state():
    anyone = person((100.0, 80.0), (110.0, 110.0))
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(known_places(anyone, anyone, BONES, (128, 128)).target)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
