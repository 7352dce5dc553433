"""Recipes: every shipped one loads; a mistake is named with the nearest right key."""

from __future__ import annotations

import subprocess
import sys

import pytest

from signgen.config import load_recipe, parse_recipe, recipes_folder
from signgen.errors import RecipeError
from signgen.solvers import SOLVERS, solver_class

SHIPPED = sorted(path.stem for path in recipes_folder().glob("*.yaml"))


def test_the_recipes_are_there():
    assert {"nano", "phoenix-256"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_loads_and_survives_yaml(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.name == name
    path = tmp_path / "copy.yaml"
    path.write_text(recipe.to_yaml())
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("traning.fusion.steps=3", ["traning", "training"]),
        ("training.diffusion.step=3", ["training.diffusion.step", "steps"]),
        ("fusion.loss.temprature=1", ["fusion.loss.temprature", "temperature"]),
        ("conditions.1.optoins={}", ["conditions.1.optoins", "options"]),
        ("training.fusion.steps=-3", ["training.fusion.steps", "-3"]),
        ("canvas.width=130", ["130", "factor"]),
        ("conditions.9.kind=x", ["conditions.9.kind"]),
        ("conditions.0.kind=source_token", ["conditions.0.kind", "'source_token'", "expected one of", "source_tokens"]),
        ("sampling.solver=unipcc", ["sampling.solver", "'unipcc'", *SOLVERS, "did you mean unipc"]),
        ("steps", ["a.b=c"]),
    ],
)
def test_a_bad_override_is_one_line_that_names_it(override, words):
    with pytest.raises(RecipeError) as error:
        load_recipe("nano", (override,))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_of_the_table_can_be_asked_for(solver):
    assert load_recipe("nano", (f"sampling.solver={solver}",)).sampling.solver == solver
    assert hasattr(solver_class(solver), "set_timesteps")


def test_settings_and_tables_are_read_without_torch():
    code = (
        "import sys, signgen.config, signgen.seeds, signgen.solvers; print({'torch', 'diffusers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_recipe_names_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match="did you mean nano"):
        load_recipe("nanno")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_overrides_reach_lists_and_types():
    recipe = load_recipe("nano", ("seed=7", "conditions.1.null=learned", "training.diffusion.augmentation.shift=2.5"))
    assert recipe.seed == 7
    assert recipe.conditions[1].null == "learned"
    assert recipe.training.diffusion.augmentation.shift == 2.5


def test_without_stage_1_the_fusion_condition_is_off():
    recipe = load_recipe("nano", ("fusion.enabled=false",))
    assert "fusion_vector" not in [condition.kind for condition in recipe.active_conditions]


def test_a_recipe_is_frozen():
    recipe = load_recipe("nano")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3
    assert parse_recipe(recipe.model_dump(), "x") == recipe


def test_a_recipe_extends_another(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: nano\nname: mine\ntraining: {diffusion: {learning_rate: 0.5}}\n")
    changes = "seed: 9\nsampling: {steps: 3}\nconditions: [{kind: part_warp}]\n"
    (tmp_path / "other.yaml").write_text(f"extends: mine.yaml\n{changes}")
    mine, other = (load_recipe(str(tmp_path / f"{name}.yaml")) for name in ("mine", "other"))
    nano = load_recipe("nano")
    diffusion = nano.training.diffusion.model_copy(update={"learning_rate": 0.5})
    assert mine == nano.model_copy(
        update={"name": "mine", "training": nano.training.model_copy(update={"diffusion": diffusion})}
    )
    assert (other.name, other.seed, other.sampling.steps, len(other.conditions)) == ("mine", 9, 3, 1)
    assert other.training == mine.training


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: bad.yaml", "extends itself"),
        ("extends: nanno", "did you mean nano"),
        ("extends: 3", "name or the path"),
    ],
)
def test_what_a_recipe_cannot_extend(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_recipe(str(tmp_path / "bad.yaml"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("unet.config.layers_per_block=2147483648", "layers_per_block is 2147483648, at most 1000 can be"),
        ("unet.config.block_out_channels=[16, 4194304]", "block_out_channels is 4194304, at most 1048576 can be"),
        ("conditions.1.options.window=x", "window is x, not 0 to 100 frames"),
        ("conditions.1.options.window=true", "window is True, not 0 to 100 frames"),
        ("canvas.width=1000000", "less than or equal to 8192"),
        ("training.diffusion.accumulation=9223372036854775808", "less than or equal to 1024"),
    ],
)
def test_numbers_of_which_no_network_can_be_built(override: str, said: str) -> None:
    """Building from them would go on for hours, or take all memory."""
    with pytest.raises(RecipeError, match=said):
        load_recipe("nano", (override,))
