"""Presets that sample as a paper does: which settings a recipe then has, and what the pipeline makes of them."""

from __future__ import annotations

import pytest

from signgen.config import SamplingSettings, load_recipe
from signgen.models.build import build_pipeline
from signgen.models.guidance import branch_weights
from signgen.presets import preset_settings
from signgen.solvers import KNOW_VARIANCE
from tests.models.test_aligned_tokens import aligned_recipe

RECIPES = ("repose-deepfashion-256", "repose-deepfashion-512", "repose-market-128")
PRESET = "paper-reposedm"


def sampled(own: SamplingSettings) -> SamplingSettings:
    return SamplingSettings.model_validate(own.model_dump() | preset_settings(PRESET, own.steps))


@pytest.mark.parametrize("name", RECIPES)
def test_reposedm_samples_as_its_paper_says(name: str) -> None:
    """With the recipe's own steps; two branches of guidance at every step; nothing shared between frames."""
    own = load_recipe(name).sampling
    found = sampled(own)
    assert found.steps == own.steps > 1
    assert found.solver in KNOW_VARIANCE
    assert branch_weights(found.w_c, found.w_f, True) == branch_weights(2.0, 2.0, True)
    assert len(branch_weights(found.w_c, found.w_f, True)) == 2
    assert sorted(branch_weights(found.w_c, found.w_f, False).values()) == [-1.0, 2.0]
    assert (found.guidance_interval, found.noise_scale, found.shared_noise) == ((0.0, 1.0), 1.0, 0.0)
    assert found.pose_guidance == own.pose_guidance == 0


def test_the_learned_variance_is_what_is_drawn_with() -> None:
    pipeline = build_pipeline(aligned_recipe("diffusion.variance_weight=0.001"))
    scheduler, times = pipeline.solver_of(
        sampled(SamplingSettings(steps=7, solver="ddim", guidance_interval=(0.2, 0.5)))
    )
    assert scheduler.config.variance_type == "learned_range"
    assert len(times) == 7
    plain = build_pipeline(aligned_recipe())
    assert plain.solver_of(sampled(SamplingSettings()))[0].config.variance_type != "learned_range"
