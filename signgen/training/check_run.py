"""A run folder in; how its logs compare with the curves that `expected.yaml` has of its recipe, out.

Reads RUN/recipe.yaml, RUN/settings.json, RUN/state and RUN/logs/<stage>-{train,validation}.csv, of a run that is over
or still going on. A curve is a range of values at 1, 5, 20 and 100 % of a stage; losses are medians of rows around it.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from signgen.config import Recipe, StageSettings, load_recipe
from signgen.errors import ModelError
from signgen.files import read_json
from signgen.training.checkpoints import read_progress
from signgen.training.stages import stages_of

FEWEST = 3  # rows of a loss that a median is taken of
NEAR = 0.25  # how far from a share, as a part of it, a row may lie that speaks for it
TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Found:
    """A value of a run beside what is expected. percent: of the stage's steps. column: of the logs. low, high: the
    expected range. basis: of that range, measured or projected."""

    stage: str
    percent: float
    step: int
    column: str
    value: float
    low: float
    high: float
    basis: str

    @property
    def inside(self) -> bool:
        return self.low <= self.value <= self.high


@dataclass(frozen=True)
class RunCheck:
    """recipe: its name. found: what was compared. problems: lines for what is wrong without curves. notes: how far the
    run is, what could not be compared, and where the curves come from. logged: whether there was any log."""

    recipe: str
    found: tuple[Found, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    logged: bool

    @property
    def good(self) -> bool:
        return not self.problems and all(each.inside for each in self.found)


@cache
def expected_curves() -> dict[str, dict[str, Any]]:
    """Recipe -> stage -> {basis, source, curves: {column: {percent: [low, high]}}}."""
    return yaml.safe_load((files("signgen.training") / "expected.yaml").read_text("utf-8"))


def check_run(folder: Path) -> RunCheck:
    """Compare a run with its recipe's curves. Raises ModelError for a folder that holds no run, or a log that cannot be
    read."""
    if not (folder / "recipe.yaml").is_file():
        raise ModelError(f"{folder}: holds no run", expected="the --out of a signgen train PAIRS command")
    recipe = load_recipe(str(folder / "recipe.yaml"))
    curves = expected_curves().get(recipe.name, {})
    found: list[Found] = []
    problems: list[str] = []
    notes: list[str] = []
    logged = False
    if not curves:
        known = ", ".join(expected_curves())
        notes.append(
            f"no curves are known of {recipe.name} (there are of {known}): its losses are compared with themselves"
        )
    for stage, settings in stages_of(recipe).items():
        rows = {kind: _rows(folder / "logs" / f"{stage}-{kind}.csv") for kind in (TRAIN, VALIDATION)}
        if not rows[TRAIN]:
            notes.append(f"stage {stage}: nothing is logged yet")
            continue
        logged = True
        steps = _steps(folder, stage, settings, recipe)
        reached = rows[TRAIN][-1][0]
        notes.append(f"stage {stage}: step {reached:,} of about {steps:,}, {reached / steps:.0%}")
        problems += _wrong_by_itself(stage, rows[TRAIN], steps)
        if stage in curves:
            found += _compared(stage, curves[stage], rows, steps)
            notes.append(f"stage {stage}: {curves[stage]['basis']}: {curves[stage]['source']}")
    return RunCheck(recipe.name, tuple(found), tuple(problems), tuple(notes), logged)


def in_words(check: RunCheck) -> Iterator[str]:
    """Lines that say it, the verdict last."""
    yield from check.notes
    for each in check.found:
        verdict = "as expected" if each.inside else "too low" if each.value < each.low else "too high"
        yield (
            f"{each.stage} at {each.percent:g} % (step {each.step:,}): {each.column} {each.value:.4g},"
            f" {each.basis} {each.low:g} to {each.high:g}: {verdict}"
        )
    yield from check.problems
    yield f"{check.recipe}: {_verdict(check)}"


def _verdict(check: RunCheck) -> str:
    outside = sum(not each.inside for each in check.found) + len(check.problems)
    if outside:
        return f"{outside} of {len(check.found) + len(check.problems)} not as expected"
    if check.found:
        return f"{len(check.found)} values as expected"
    return "losses are finite; no curve to compare them with" if check.logged else "nothing to compare yet"


def _compared(stage: str, expected: Mapping[str, Any], rows: Mapping[str, Any], steps: int) -> Iterator[Found]:
    for column, points in expected["curves"].items():
        for percent, (low, high) in points.items():
            wanted = percent / 100 * steps
            at = _loss_at(rows[TRAIN], column, wanted) or _score_at(rows[VALIDATION], column, wanted)
            if at is not None:
                step, value = at
                yield Found(stage, percent, step, column, value, low, high, expected["basis"])


def _loss_at(rows: list[tuple[int, dict[str, float]]], column: str, wanted: float) -> tuple[int, float] | None:
    """The median of the rows around a step, FEWEST or more; None before it is reached, or without the column."""
    there = [(step, row[column]) for step, row in rows if column in row]
    if not there or there[-1][0] < 0.999 * wanted:
        return None
    near = [value for step, value in there if abs(step - wanted) <= NEAR * wanted]
    if len(near) < FEWEST:
        near = [value for _, value in sorted(there, key=lambda row: abs(row[0] - wanted))[:FEWEST]]
    return round(wanted), statistics.median(near)


def _score_at(rows: list[tuple[int, dict[str, float]]], column: str, wanted: float) -> tuple[int, float] | None:
    """The score of the validation next to a step; None where none is near."""
    there = [(step, row[column]) for step, row in rows if column in row and abs(step - wanted) <= NEAR * wanted]
    return min(there, key=lambda row: abs(row[0] - wanted)) if there else None


def _wrong_by_itself(stage: str, rows: list[tuple[int, dict[str, float]]], steps: int) -> Iterator[str]:
    """What is wrong whatever the recipe is: values that are not finite, a loss that does not fall."""
    for step, row in rows:
        broken = [name for name, value in row.items() if not math.isfinite(value)]
        if broken:
            yield f"stage {stage}: {', '.join(broken)} not finite at step {step:,}"
            return
    first = _loss_at(rows, "loss", rows[0][0])
    last = _loss_at(rows, "loss", rows[-1][0])
    if first and last and rows[-1][0] >= 0.2 * steps and last[1] >= first[1]:
        fallen = f"{first[1]:.4g} at step {first[0]:,}, {last[1]:.4g} at step {last[0]:,}"
        yield f"stage {stage}: its loss has not fallen: {fallen}"


def _steps(folder: Path, stage: str, settings: StageSettings, recipe: Recipe) -> int:
    """How many the stage has: by its state; where time decides and is not over, by how fast it has been."""
    progress = read_progress(folder, stage)
    if progress is None:
        return settings.steps
    if progress.steps is not None:
        return progress.steps
    minutes = _max_minutes(folder)
    shares = sum(each.share for each in stages_of(recipe).values())
    if not minutes or not progress.seconds or not progress.step:
        return settings.steps
    return max(progress.step, round(progress.step * 60 * minutes * settings.share / shares / progress.seconds))


def _max_minutes(folder: Path) -> float | None:
    try:
        found = read_json(folder / "settings.json").get("max_minutes")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'settings.json'}: cannot be read ({error})") from error
    return found if isinstance(found, (int, float)) else None


def _rows(path: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, its values) of a log, in the order of steps. Raises ModelError."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            read = [
                (int(row.pop("step")), {name: float(value) for name, value in row.items() if value})
                for row in csv.DictReader(handle)
            ]
    except (KeyError, TypeError, ValueError, OSError, csv.Error) as error:
        raise ModelError(f"{path}: cannot be read ({error})", expected="a log of signgen train PAIRS") from error
    return sorted(read, key=lambda row: row[0])
