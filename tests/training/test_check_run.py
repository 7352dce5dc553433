"""`signgen train --check-run RUN`: logs against the curves that are expected of a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from signgen.config import load_recipe
from signgen.errors import ModelError
from signgen.files import make_folder, write_json, write_text
from signgen.training import check_run as checking
from signgen.training.check_run import check_run, expected_curves, in_words
from signgen.training.checkpoints import Checkpoints, Progressed
from tests.line import Command, Line

CURVES = {
    "nano": {
        "diffusion": {
            "basis": "measured",
            "source": "this test",
            "curves": {"loss": {1: [0.5, 0.7], 20: [0.2, 0.4], 100: [0.05, 0.15]}, "ssim": {100: [0.8, 1]}},
        }
    }
}


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "expected_curves", lambda: CURVES)


def written(run: Path, losses: dict[int, float], steps: int | None = 1000, ssim: float | None = None) -> Path:
    """A run whose stage 2 has logged these losses, and where it ended a validation."""
    recipe = load_recipe("nano", ("training.diffusion.steps=1000",))
    write_text(run / "recipe.yaml", recipe.to_yaml())
    write_json(run / "settings.json", {"fingerprint": "", "max_minutes": None if steps else 10})
    make_folder(run / "logs")
    rows = "".join(f"{step},{loss},0.001\n" for step, loss in losses.items())
    write_text(run / "logs" / "diffusion-train.csv", "step,loss,learning_rate\n" + rows)
    last = max(losses, default=0)
    Checkpoints(run, "diffusion").write(Progressed(last, steps, seconds=60.0), [])
    if ssim is not None:
        write_text(run / "logs" / "diffusion-validation.csv", f"step,ssim,psnr\n{last},{ssim},20\n")
    return run


def falling(steps: int, start: float = 0.6, end: float = 0.1) -> dict[int, float]:
    """Losses every tenth step of a thousand: from `start` at 1 % by way of .3 at 20 % to `end`."""
    points = {0: start, 20: start, 200: 0.3, 1000: end}
    marks = sorted(points)
    found = {}
    for step in range(10, steps + 1, 10):
        before, after = max(m for m in marks if m <= step), min(m for m in marks if m >= step)
        share = (step - before) / max(after - before, 1)
        found[step] = points[before] * (1 - share) + points[after] * share
    return found


def test_a_run_as_expected(curves: None, tmp_path: Path) -> None:
    check = check_run(written(tmp_path, falling(1000), ssim=0.9))
    assert check.good
    assert [(each.percent, each.column) for each in check.found] == [
        (1, "loss"),
        (20, "loss"),
        (100, "loss"),
        (100, "ssim"),
    ]
    assert [each.value for each in check.found] == pytest.approx([0.6, 0.3, 0.125, 0.9], abs=0.03)
    assert list(in_words(check))[-1] == "nano: 4 values as expected"


def test_what_lies_outside_is_named(curves: None, tmp_path: Path) -> None:
    check = check_run(written(tmp_path, falling(1000, end=0.25), ssim=0.7))
    assert not check.good
    lines = list(in_words(check))
    assert any(
        line.startswith("diffusion at 100 % (step 1,000): loss 0.2") and line.endswith("too high") for line in lines
    )
    assert any("ssim 0.7, measured 0.8 to 1: too low" in line for line in lines)
    assert lines[-1] == "nano: 2 of 4 not as expected"


def test_a_run_that_goes_on_is_compared_as_far_as_it_is(curves: None, tmp_path: Path) -> None:
    check = check_run(written(tmp_path, falling(400)))
    assert [each.percent for each in check.found] == [1, 20]
    assert "stage diffusion: step 400 of about 1,000, 40%" in check.notes


def test_where_time_decides_steps_are_those_that_it_has_room_for(curves: None, tmp_path: Path) -> None:
    """100 steps in 60 s; .92 of ten minutes are the stage's."""
    check = check_run(written(tmp_path, falling(100), steps=None))
    assert "stage diffusion: step 100 of about 920, 11%" in check.notes


def test_a_loss_that_does_not_fall_is_a_problem_of_any_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "expected_curves", lambda: {"other": {}})
    check = check_run(written(tmp_path, {step: 0.5 + step / 1e5 for step in range(10, 510, 10)}))
    assert not check.good
    assert "its loss has not fallen: 0.5002 at step 10, 0.50" in check.problems[0]
    assert "no curves are known of nano (there are of other)" in check.notes[0]


def test_a_run_without_logs_is_not_called_good(curves: None, tmp_path: Path) -> None:
    lines = list(in_words(check_run(written(tmp_path, {}))))
    assert lines[-1] == "nano: nothing to compare yet"
    assert "stage diffusion: nothing is logged yet" in lines
    begun = list(in_words(check_run(written(tmp_path / "begun", {2: 0.5}, steps=100_000))))
    assert begun[-1] == "nano: losses are finite; no curve to compare them with"


def test_a_value_that_is_not_finite_is_a_problem(curves: None, tmp_path: Path) -> None:
    check = check_run(written(tmp_path, falling(50) | {60: float("nan")}))
    assert check.problems == ("stage diffusion: loss not finite at step 60",)


def test_what_is_no_run_or_no_log_is_refused(curves: None, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no run"):
        check_run(tmp_path)
    run = written(tmp_path / "run", falling(50))
    write_text(run / "logs" / "diffusion-train.csv", "step,loss\nten,0.5\n")
    with pytest.raises(ModelError, match=r"diffusion-train\.csv: cannot be read"):
        check_run(run)


def test_every_shipped_curve_is_of_a_recipe_and_of_columns_that_it_logs(line: Line) -> None:
    """The columns are those of a tiny run's own logs."""
    logged = {
        stage: {
            column
            for kind in ("train", "validation")
            for column in (line.run / "logs" / f"{stage}-{kind}.csv").read_text().splitlines()[0].split(",")
        }
        for stage in ("fusion", "diffusion")
    }
    for name, stages in expected_curves().items():
        load_recipe(name)
        for stage, entry in stages.items():
            assert entry["basis"] in ("measured", "projected")
            assert entry["source"]
            assert entry["curves"].keys() <= logged[stage]
            for points in entry["curves"].values():
                assert points.keys() <= {1, 5, 20, 100}
                assert all(low < high for low, high in points.values())


def test_the_command_says_it_and_ends_with_1(line: Line, command: Command, curves: None, tmp_path: Path) -> None:
    good = command("train", "--check-run", written(tmp_path / "good", falling(1000), ssim=0.9))
    assert (good.code, good.out.splitlines()[-1]) == (0, "nano: 4 values as expected")
    bad = command("train", "--check-run", written(tmp_path / "bad", falling(1000), ssim=0.1))
    assert (bad.code, bad.out.splitlines()[-1]) == (1, "nano: 1 of 4 not as expected")
    assert "holds no run" in command.refuses("train", "--check-run", tmp_path)
    assert "PAIRS" in command.refuses("train", "--out", tmp_path / "x")
