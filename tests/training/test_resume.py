"""What may change when a run goes on, and what may not."""

from __future__ import annotations

import pytest

from signgen.errors import ModelError
from signgen.training.resume import check_resumed
from tests.tiny import tiny_recipe

KEPT = ("training.diffusion.batch_size=4", "training.diffusion.accumulation=3")


def resumed(*overrides: str, done: dict[str, int] | None = None) -> list[str]:
    return check_resumed("RUN/recipe.yaml", tiny_recipe(*KEPT), tiny_recipe(*KEPT, *overrides), done or {})


def test_the_same_recipe_says_nothing():
    assert resumed() == []


def test_more_steps_and_another_split_are_said():
    split = ("training.diffusion.batch_size=2", "training.diffusion.accumulation=6")
    assert resumed("training.diffusion.steps=20", *split, "training.workers=2") == [
        "training.workers: 0 -> 2",
        "training.diffusion.steps: 8 -> 20",
        "training.diffusion.batch_size: 4 -> 2",
        "training.diffusion.accumulation: 3 -> 6",
    ]
    (line,) = resumed("training.fusion.steps=20")
    assert line == "training.fusion.steps: 6 -> 20, and the learning rate decays until then"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("training.diffusion.batch_size=2", "12 samples in a step, now 6; choose training.diffusion.batch_size"),
        ("training.fusion.batch_size=2", "training.fusion.batch_size was 4, now 2"),
        ("training.diffusion.learning_rate=1", "training.diffusion.learning_rate was 0.0008, now 1.0"),
        ("diffusion.timestep_power=1", "diffusion.timestep_power was 8.0, now 1.0"),
        ("seed=1", "seed was 0, now 1"),
    ],
)
def test_another_objective_is_refused(change, named):
    with pytest.raises(ModelError, match=named):
        resumed(change)


def test_steps_that_are_done_stay_done():
    with pytest.raises(ModelError, match="stage diffusion has made 7 steps already"):
        resumed("training.diffusion.steps=5", done={"fusion": 6, "diffusion": 7})
    with pytest.raises(ModelError, match="was begun with this stage fusion"):
        resumed("training.fusion.steps=9", done={"fusion": 6, "diffusion": 1})
    assert len(resumed("training.fusion.steps=9", done={"fusion": 6})) == 1
