"""How many targets and which runs in; what each rater judges, in which order, out: balanced, the same for one seed.

Realism ("real or generated?"): rater r sees target t as CYCLE[(t + r) % len(CYCLE)], where every other place of the
cycle is the truth and the rest are the runs: a Latin square. Nobody sees two pictures of one target, half of what a
rater sees is real, and over len(CYCLE) raters in a row every target was shown as each run equally often.

Best of several: the runs stand in another order for every target, turned on by one place from rater to rater, so that
over as many raters (or targets) as runs each of them stood at each place equally often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import StudyError

TRUTH = "truth"
REAL, GENERATED = "real", "generated"
REALISM, BEST, CHECK = "realism", "best", "check"
PUBLISHED = 60  # 30 real and 30 generated images, as papers of the field show


@dataclass(frozen=True)
class Trial:
    """One question. target: an index into the study's targets, None for a check.

    shown: TRUTH or a run (realism), the runs from left to right (best), the answer that is asked for (check).
    """

    kind: str
    target: int | None
    shown: tuple[str, ...]
    practice: bool = False


@dataclass(frozen=True)
class RaterPlan:
    """What rater number `rater` (from 1) is asked, in order. swapped: the answer "generated" stands on the left."""

    rater: int
    swapped: bool
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Amounts:
    """Questions for each rater: realism (judgements), best of several (choices), practice and attention checks."""

    raters: int = 24
    judgements: int = 0
    choices: int = 0
    practice: int = 0
    checks: int = 0

    @property
    def targets(self) -> int:
        """How many targets are needed; those for practice are not judged."""
        return max(self.judgements, self.choices) + self.practice


def cycle(runs: Sequence[str]) -> tuple[str, ...]:
    """The conditions that a target goes through from rater to rater.

    >>> cycle(["a", "b"])
    ('truth', 'a', 'truth', 'b')
    """
    return tuple(condition for run in runs for condition in (TRUTH, run))


def amounts_for(
    available: int,
    runs: Sequence[str],
    *,
    raters: int,
    judgements: int | None = None,
    choices: int | None = None,
    practice: int = 0,
    checks: int = 0,
) -> Amounts:
    """Fill in what is not given: as many questions as papers ask, or as the targets allow.

    Raises StudyError for more than there are targets, or for a number that cannot be balanced.
    """
    step, left = len(cycle(runs)), available - practice
    if judgements is None:
        judgements = min(PUBLISHED, left) // step * step
    if choices is None:
        choices = 0 if len(runs) == 1 else min(PUBLISHED // 2, left) // len(runs) * len(runs)
    found = Amounts(raters, judgements, choices, practice, checks)
    if judgements % step:
        raise StudyError(
            f"{judgements} judgements with {len(runs)} runs cannot be balanced",
            expected=f"a multiple of {step}: every run as often as the others, and real ones as often as generated",
        )
    if choices and len(runs) == 1:
        raise StudyError(f"{choices} choices with one run", expected="two runs or more to choose between")
    if choices % len(runs):
        raise StudyError(
            f"{choices} choices among {len(runs)} runs cannot be balanced", expected=f"a multiple of {len(runs)}"
        )
    if found.targets > available or not judgements + choices:
        raise StudyError(
            f"{available} targets for {judgements} judgements, {choices} choices and {practice} for practice",
            expected=f"at least {max(found.targets, step + practice)} targets, each judged once by a rater",
            fix="ask for fewer with --judgements, --choices and --practice, or generate more",
        )
    if checks > judgements:
        raise StudyError(f"{checks} checks among {judgements} judgements", expected="fewer checks than judgements")
    return found


def sample_targets(available: int, amounts: Amounts, seed: int) -> list[int]:
    """Which of the available targets are used, in random order."""
    return np.random.default_rng([seed, 0]).permutation(available)[: amounts.targets].tolist()


def plans(runs: Sequence[str], amounts: Amounts, seed: int) -> list[RaterPlan]:
    """One for each rater. Realism comes first: what is shown beside each other would tell what is generated."""
    return [_plan(number, runs, amounts, seed) for number in range(1, amounts.raters + 1)]


def _plan(number: int, runs: Sequence[str], amounts: Amounts, seed: int) -> RaterPlan:
    rng = np.random.default_rng([seed, 1, number])
    conditions, rater = cycle(runs), number - 1
    judged = [
        Trial(REALISM, target, (conditions[(target + rater) % len(conditions)],))
        for target in range(amounts.judgements)
    ]
    chosen = [
        Trial(BEST, target, _places(runs, target, rater, seed)) for target in rng.permutation(amounts.choices).tolist()
    ]
    realism = [judged[place] for place in rng.permutation(len(judged))]
    for count, place in enumerate(sorted(rng.choice(len(judged), amounts.checks, replace=False), reverse=True)):
        realism.insert(place + 1, Trial(CHECK, None, ((REAL, GENERATED)[(count + rater) % 2],)))
    swapped = rater // len(conditions) % 2 == 1
    return RaterPlan(number, swapped, (*_practice(conditions, amounts, rater), *realism, *chosen))


def _practice(conditions: Sequence[str], amounts: Amounts, rater: int) -> list[Trial]:
    """Of targets of their own, behind those that are judged."""
    first = amounts.targets - amounts.practice
    return [
        Trial(REALISM, first + place, (conditions[(place + rater) % len(conditions)],), practice=True)
        for place in range(amounts.practice)
    ]


def _places(runs: Sequence[str], target: int, rater: int, seed: int) -> tuple[str, ...]:
    """The runs from left to right: a random order for each block of as many targets, turned on by target and rater."""
    block, turn = divmod(target, len(runs))
    base = np.random.default_rng([seed, 2, block]).permutation(len(runs))
    return tuple(runs[index] for index in np.roll(base, turn + rater))


def next_steps(key: Mapping[str, Any], out: Path) -> list[str]:
    """What the study asks of each rater, where it lies and what to do with it, in lines for its maker."""
    amounts, round_ = Amounts(**key["amounts"]), len(cycle(key["runs"]))
    lines = [
        f"each of {amounts.raters} raters: {amounts.judgements} judgements, {key['seconds']:g} s each,"
        f" {amounts.choices} choices, {amounts.practice} for practice, {amounts.checks} checks"
    ]
    if amounts.judgements and amounts.raters % round_:
        lines.append(f"note: balanced over every {round_} raters in a row; {amounts.raters} is no multiple of that")
    return [
        *lines,
        f"wrote {out}/site (publish this), {out}/key.json (keep this)",
        f"give out the numbers 1 to {amounts.raters}, each once: index.html?rater=1; then: signgen study score "
        f"{out}/answers",
    ]
