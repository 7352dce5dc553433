"""The pose interaction field and its guidance: against a Gaussian whose posterior is known, and in a pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from signgen.config import SamplingSettings
from signgen.models.build import build_pipeline
from signgen.models.pose_field import PoseField
from signgen.models.pose_guidance import clean_of, correction, guided_steps, pose_guided, to_prediction
from signgen.models.posenet import PoseNet
from signgen.poses.joints import POSENET_JOINTS
from signgen.solvers import SOLVERS
from tests.models.test_aligned_tokens import moving, repose
from tests.tiny import tiny_recipe

MODES = ("cheap", "full", "literal")
SMALL = {"channels": (8, 8, 8), "groups": 4, "canvas": {"width": 32, "height": 32}}


def network(seed: int = 0) -> PoseNet:
    torch.manual_seed(seed)
    made = PoseNet(**SMALL).eval().requires_grad_(False)
    torch.nn.init.normal_(made.head.weight, std=0.5)
    return made


def keypoints(count: int = 2, side: int = 32) -> torch.Tensor:
    torch.manual_seed(5)
    return torch.cat([torch.rand(count, 133, 2) * (side - 8) + 4, torch.ones(count, 133, 1)], 2)


# ---- G


def test_the_field_is_zero_where_joints_are_and_grows_with_their_distance():
    class Drawn:
        """Sees Gaussians wherever it is told."""

        def __init__(self, points):
            self.points, self.joints, self.stride = points, POSENET_JOINTS, 4
            self.canvas = network().canvas

        def heat_maps(self, images):
            field = PoseField.of(self, self.points, (32, 32))
            return type("Seen", (), {"maps": field.targets})()

    points, image = keypoints(1), torch.zeros(1, 3, 32, 32)
    found = []
    for moved in (0, 1, 2, 4):
        seen = points.clone()
        seen[..., 0] += moved
        found.append(float(PoseField.of(Drawn(seen), points, (32, 32))(image)))
    assert found[0] == 0
    assert found == sorted(found)


def test_a_missing_joint_contributes_nothing():
    points = keypoints()
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    for missing in (torch.nan, None):
        changed = points.clone()
        changed[:, POSENET_JOINTS[4]] = torch.tensor([torch.nan, torch.nan, 0.0] if missing else [9.0, 9.0, 0.0])
        field = PoseField.of(network(), changed, (32, 32))
        seen = field.maps(image)
        counted = torch.ones(seen.shape[1], dtype=torch.bool)
        counted[4] = False
        wanted = (seen - field.targets)[:, counted] ** 2
        mask = (torch.maximum(seen, field.targets) > 0.1)[:, counted]
        assert torch.allclose(field(image), (wanted * mask).sum((1, 2, 3)) / (len(POSENET_JOINTS) - 1), rtol=1e-5)
        (gradient,) = torch.autograd.grad(field(image).sum(), image)
        assert gradient.isfinite().all()
    nobody = points.clone()
    nobody[..., 2] = 0
    assert not PoseField.of(network(), nobody, (32, 32))(image).any()


def test_joints_outside_the_picture_do_not_count_and_other_sizes_are_brought_to_the_networks():
    points = keypoints()
    points[:, POSENET_JOINTS[0], 0] = -3
    field = PoseField.of(network(), points, (32, 32))
    assert not field.known[:, 0].any()
    twice = torch.cat([(points[..., :2] + 0.5) * 2 - 0.5, points[..., 2:]], 2)
    assert torch.allclose(PoseField.of(network(), twice, (64, 64)).targets, field.targets, atol=1e-5)
    assert field(torch.rand(2, 3, 64, 64)).shape == (2,)


# ---- the three factors, on z_0 ~ N(0, 1) and a measurement y = z_0 + r n, so that G = (z_0 - y)^2 / (2 r^2)

WIDTH, MEASURED = 0.5, 0.7


class Measurement:
    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        return ((value - MEASURED) ** 2).sum((1, 2, 3)) / (2 * WIDTH**2)


def shift(mode: str, alpha: float, kind: str = "epsilon") -> tuple[float, float]:
    """By how much the clean estimate of a noisy value moves, and the value of that estimate."""
    noisy = torch.full((1, 1, 1, 1), 0.3)
    noise = (1 - alpha) ** 0.5
    exact = {  # what the perfect network says: E[z_0 | z] = sqrt(alpha) z
        "epsilon": lambda z: noise * z,
        "sample": lambda z: alpha**0.5 * z,
        "v_prediction": lambda z: 0 * z,
    }[kind]
    sampling = SamplingSettings(pose_guidance=1.0, pose_mode=mode, pose_clip=0)
    guided, _ = pose_guided(lambda z: (exact(z), None), lambda z: z, Measurement(), noisy, alpha, kind, sampling)
    before = clean_of(kind, alpha, exact(noisy), noisy)
    return float(clean_of(kind, alpha, guided, noisy) - before), float(before)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("mode", ["cheap", "full"])
@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99, 0.999])
def test_guidance_moves_towards_the_posterior_mean_by_a_known_share_of_the_way(mode, alpha, kind):
    """E[z_0 | z, y] - E[z_0 | z] = -(1 - a) / (1 - a + r^2) (E[z_0 | z] - y); a step of G's gradient at the estimate is
    (1 - a + r^2) / r^2 as long, which is 1 at low noise."""
    found, estimate = shift(mode, alpha, kind)
    posterior = -(1 - alpha) / (1 - alpha + WIDTH**2) * (estimate - MEASURED)
    assert found == pytest.approx(posterior * (1 - alpha + WIDTH**2) / WIDTH**2, rel=2e-3)
    if alpha > 0.99:
        assert found == pytest.approx(posterior, rel=0.05)


@pytest.mark.parametrize(("alpha", "times"), [(0.9, 3.16), (0.99, 10.0), (0.999, 31.6)])
def test_the_printed_factor_is_too_large_where_noise_is_low(alpha, times):
    assert shift("literal", alpha)[0] / shift("cheap", alpha)[0] == pytest.approx(times, rel=0.01)


def test_corrections_are_clipped_for_each_sample():
    gradient = torch.stack([torch.ones(1, 2, 2), 100 * torch.ones(1, 2, 2)])
    found = correction("cheap", 1.0, 0.9, gradient, 0.2)
    assert found[0].mean() == pytest.approx(0.1)
    assert found[1].mean() == pytest.approx(0.2)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_prediction_is_changed_by_what_is_taken_from_the_estimate(kind):
    torch.manual_seed(0)
    output, noisy, taken = torch.randn(3, 2, 4, 3, 3)
    before = clean_of(kind, 0.8, output, noisy)
    after = clean_of(kind, 0.8, output + to_prediction(kind, 0.8, taken), noisy)
    assert torch.allclose(before - after, taken, atol=1e-5)


def test_which_steps_are_guided():
    times = [900, 700, 500, 300, 100]
    settings = {"pose_guidance": 1.0, "pose_interval": (0.0, 0.5)}
    assert guided_steps(SamplingSettings(**settings), times, 1000) == {2, 3, 4}
    assert guided_steps(SamplingSettings(**settings, pose_every=2), times, 1000) == {2, 4}
    assert guided_steps(SamplingSettings(), times, 1000) == frozenset()


# ---- in a pipeline


@pytest.fixture(scope="module")
def pipeline():
    from signgen.config import load_recipe

    found = moving(build_pipeline(load_recipe("nano-repose", repose())))
    found.unet.conv_out.weight.data *= 0.05  # pictures that are neither black nor white
    return found


GIVEN = (torch.zeros(1, 3, 32, 32), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)))


def rendered(pipeline, points=None, **settings):
    values = {"steps": 4, "micro_batch": 2, "w_c": 2.0, "solver": "ddim", "pose_clip": 0.0, **settings}
    return pipeline(*GIVEN, sampling=SamplingSettings(**values), points=points)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mode", MODES)
def test_scale_zero_is_off_to_the_bit_and_more_lowers_the_field(pipeline, solver, mode):
    """Of `full` it is the trained denoiser's derivative that makes it go down (test_posed_nano.py): not an untrained
    one's."""
    points, judge = keypoints(), network()
    pipeline.pose_network = None
    without = rendered(pipeline, solver=solver)
    pipeline.pose_network = judge
    assert torch.equal(rendered(pipeline, points, solver=solver, pose_mode=mode, pose_guidance=0.0), without)
    field = PoseField.of(judge, points, (32, 32))
    guided = rendered(pipeline, points, solver=solver, pose_mode=mode, pose_guidance=2.0, pose_clip=0.05)
    pipeline.pose_network = None
    assert not torch.equal(guided, without)
    if mode != "full":
        assert (field(guided) < field(without)).all()


def test_every_frame_is_guided_by_its_own_keypoints(pipeline):
    points = keypoints()
    pipeline.pose_network = network()
    both = rendered(pipeline, points, pose_guidance=2.0)
    points[1, :, :2] += 3
    others = rendered(pipeline, points, pose_guidance=2.0)
    pipeline.pose_network = None
    assert torch.equal(both[0], others[0])
    assert not torch.equal(both[1], others[1])


def flops(pipeline, points, **settings) -> int:
    with FlopCounterMode(display=False) as counter:
        rendered(pipeline, points, **settings)
    return counter.get_total_flops()


def test_its_cost_is_the_networks_and_of_full_the_denoisers_backward_pass(pipeline):
    points = keypoints()
    pipeline.pose_network = judge = network()
    settings = {"pose_guidance": 1.0, "pose_interval": (0.0, 1.0), "w_c": 1.0}
    without = flops(pipeline, None, w_c=1.0)
    image = torch.rand(2, 3, 32, 32, requires_grad=True)
    with FlopCounterMode(display=False) as once:
        PoseField.of(judge, points, (32, 32))(image).sum().backward()
    cheap = flops(pipeline, points, **settings)
    assert cheap - without == 4 * once.get_total_flops()
    every_other = flops(pipeline, points, **settings, pose_every=2)
    assert every_other - without == 2 * once.get_total_flops()
    full = flops(pipeline, points, **settings, pose_mode="full")
    assert 1.5 * without < full - 4 * once.get_total_flops() < 2.2 * without  # gradients of activations alone
    pipeline.pose_network = None


def test_the_tiny_nano_samples_by_it_too():
    found = build_pipeline(tiny_recipe())
    found.pose_network = network()
    poses, warps = torch.rand(2, 9, 32, 32), torch.rand(2, 6, 32, 32)
    sampling = SamplingSettings(steps=3, micro_batch=2, pose_guidance=1.0, pose_mode="full")
    frames = found(GIVEN[0], poses, None, warps, sampling=sampling, points=keypoints())
    assert np.isfinite(frames.numpy()).all()
