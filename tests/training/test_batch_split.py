"""A step's samples among processes: same samples, even micro-batches, or one line before anything is trained."""

from __future__ import annotations

import pytest

from signgen.config import StageSettings
from signgen.errors import RecipeError
from signgen.training.batch_split import divide_batches, divided
from tests.tiny import tiny_recipe


def settings(batch: int, accumulation: int = 1) -> StageSettings:
    return StageSettings(steps=1, learning_rate=1.0, batch_size=batch, accumulation=accumulation)


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "expected"),
    [
        (18, 7, 1, (18, 7)),
        (18, 7, 2, (18, 7)),
        (18, 7, 7, (14, 9)),
        (18, 7, 14, (14, 9)),
        (18, 8, 4, (16, 9)),
        (12, 1, 8, None),
        (18, 7, 4, None),
        (18, 7, 126, None),
    ],
)
def test_a_step_keeps_its_samples(batch, accumulation, processes, expected):
    given = settings(batch, accumulation)
    if expected is None:
        with pytest.raises(RecipeError, match=f"{processes} processes cannot share evenly"):
            divided(given, "diffusion", processes)
        return
    found = divided(given, "diffusion", processes)
    assert (found.batch_size, found.accumulation) == expected
    assert found.batch_size * found.accumulation == batch * accumulation
    assert found.batch_size % processes == 0


def test_the_batch_of_a_contrast_is_not_split():
    assert divided(settings(48), "fusion", 4) == settings(48)
    with pytest.raises(RecipeError, match=r"compared with each other; add --set training.fusion.batch_size=50"):
        divided(settings(48), "fusion", 5)


def test_both_stages_are_asked_at_once():
    recipe = tiny_recipe("training.diffusion.batch_size=3", "training.diffusion.accumulation=4")
    found, lines = divide_batches(recipe, 2)
    assert found.training.fusion == recipe.training.fusion
    assert (found.training.diffusion.batch_size, found.training.diffusion.accumulation) == (2, 6)
    assert lines == ["stage diffusion: 6 micro-batches of 2 in place of 4 of 3, so that 2 processes share them evenly"]
    with pytest.raises(RecipeError, match=r"training\.diffusion"):
        divide_batches(tiny_recipe("training.diffusion.batch_size=3"), 2)
