"""Sampling in training is sampling after loading: time steps and frames, for every solver and recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from diffusers import DDIMScheduler

from benchmarks.kill import RECIPE
from signgen.config import Component, SamplingSettings, load_recipe, recipes_folder
from signgen.models.build import _build_scheduler, build_pipeline
from signgen.models.card import ModelCard, load_model, save_model
from signgen.solvers import SOLVERS, solver_class
from tests.models.test_pipeline import randomised

RECIPES = sorted(path.stem for path in recipes_folder().glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_time_steps_and_settings_before_saving_and_after_loading(name: str, tmp_path: Path) -> None:
    settings = load_recipe(name).diffusion
    assert settings.timestep_spacing == "trailing"
    built = _build_scheduler(settings.model_copy(update={"scheduler": Component(config=settings.scheduler.config)}))
    built.save_pretrained(tmp_path)
    loaded = DDIMScheduler.from_pretrained(tmp_path)
    for solver in SOLVERS:
        ours, theirs = (solver_class(solver).from_config(each.config) for each in (built, loaded))
        for steps in (1, 4, 20):
            ours.set_timesteps(steps)
            theirs.set_timesteps(steps)
            assert torch.equal(ours.timesteps, theirs.timesteps), (solver, steps)
            assert ours.timesteps[0] == 999  # pure noise
        public = {key: value for key, value in ours.config.items() if not key.startswith("_")}
        assert public == {key: value for key, value in theirs.config.items() if not key.startswith("_")}


@pytest.mark.parametrize("spacing", ["leading", None])
def test_the_recipes_spacing_is_over_that_of_a_loaded_scheduler(spacing: str | None, tmp_path: Path) -> None:
    """Stable Diffusion's configuration says leading, or nothing."""
    saved = {"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "steps_offset": 1}
    saved |= {"timestep_spacing": spacing} if spacing else {}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(saved))
    settings = load_recipe("phoenix-256").diffusion
    origin = Component(origin=str(tmp_path))
    found = _build_scheduler(settings.model_copy(update={"scheduler": origin}))
    assert found.config.timestep_spacing == "trailing"
    assert found.config.steps_offset == 1
    silent = settings.model_copy(update={"scheduler": origin, "timestep_spacing": None})
    assert _build_scheduler(silent).config.timestep_spacing == "leading"


def test_frames_before_saving_and_after_loading(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    pipeline = randomised(build_pipeline(recipe))
    save_model(pipeline, ModelCard.describe(recipe, {"fingerprint": "x"}, {}, 1), tmp_path / "model")
    loaded, _ = load_model(tmp_path / "model")
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1
    poses = torch.rand(2, 3, 32, 32, generator=generator)
    for solver in SOLVERS:
        sampling = SamplingSettings(solver=solver, steps=3, micro_batch=2)
        before, after = (each(source, poses, sampling=sampling) for each in (pipeline, loaded))
        assert torch.equal(before, after), solver
        assert before.std() > 0.01
