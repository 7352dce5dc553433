"""Balance of the design: who sees what, where, how often; the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from signgen.errors import StudyError
from signgen.study.design import BEST, CHECK, REALISM, TRUTH, Amounts, amounts_for, plans, sample_targets

RUNS = ("a", "b", "c")
AMOUNTS = Amounts(raters=12, judgements=12, choices=6, practice=2, checks=3)


def trials(kind: str, *, practice: bool = False):
    found = plans(RUNS, AMOUNTS, seed=5)
    return [(plan, t) for plan in found for t in plan.trials if t.kind == kind and t.practice == practice]


def test_half_of_what_a_rater_judges_is_real_and_every_run_comes_as_often() -> None:
    for plan in plans(RUNS, AMOUNTS, seed=5):
        shown = Counter(t.shown[0] for t in plan.trials if t.kind == REALISM and not t.practice)
        assert shown == {TRUTH: 6, "a": 2, "b": 2, "c": 2}


def test_nobody_judges_two_pictures_of_one_target() -> None:
    for plan in plans(RUNS, AMOUNTS, seed=5):
        judged = [t.target for t in plan.trials if t.kind == REALISM]
        assert len(judged) == len(set(judged)) == 14


def test_over_six_raters_every_target_is_shown_as_each_run_once() -> None:
    for first in (1, 7):
        seen = Counter((t.target, t.shown[0]) for plan, t in trials(REALISM) if first <= plan.rater < first + 6)
        assert seen == {(target, name): 3 if name == TRUTH else 1 for target in range(12) for name in (TRUTH, *RUNS)}


def test_runs_stand_at_every_place_as_often() -> None:
    of_targets = Counter((t.target, t.shown.index(run), run) for _, t in trials(BEST) for run in RUNS)
    assert set(of_targets.values()) == {4}  # 12 raters, 3 places
    of_raters = Counter((plan.rater, t.shown.index(run), run) for plan, t in trials(BEST) for run in RUNS)
    assert set(of_raters.values()) == {2}  # 6 targets, 3 places
    assert len({t.shown for _, t in trials(BEST)}) > len(RUNS)  # not only turned: neighbours change, too


def test_order_is_shuffled_and_differs_from_rater_to_rater() -> None:
    orders = {tuple(t.target for t in plan.trials) for plan in plans(RUNS, AMOUNTS, seed=5)}
    assert len(orders) == 12
    assert all(order[2:14] != tuple(sorted(order[2:14], key=str)) for order in orders)


def test_practice_comes_first_choices_last_and_the_answers_change_sides() -> None:
    for plan in plans(RUNS, AMOUNTS, seed=5):
        kinds = [(t.kind, t.practice) for t in plan.trials]
        assert kinds[:2] == [(REALISM, True)] * 2
        assert kinds[-6:] == [(BEST, False)] * 6
        assert kinds[2] == (REALISM, False)
    assert [plan.swapped for plan in plans(RUNS, AMOUNTS, seed=5)] == [False] * 6 + [True] * 6


def test_checks_ask_for_both_answers() -> None:
    asked = Counter(t.shown[0] for _, t in trials(CHECK))
    assert asked == {"real": 18, "generated": 18}


def test_the_seed_decides_everything() -> None:
    assert plans(RUNS, AMOUNTS, seed=5) == plans(RUNS, AMOUNTS, seed=5) != plans(RUNS, AMOUNTS, seed=6)
    assert sample_targets(50, AMOUNTS, 5) == sample_targets(50, AMOUNTS, 5) != sample_targets(50, AMOUNTS, 6)
    assert len(set(sample_targets(50, AMOUNTS, 5))) == 14


def test_what_is_not_given_is_as_published_or_as_the_targets_allow() -> None:
    assert amounts_for(200, ["a"], raters=9) == Amounts(9, 60, 0)
    assert amounts_for(200, RUNS, raters=9) == Amounts(9, 60, 30)
    assert amounts_for(17, RUNS, raters=9, practice=2) == Amounts(9, 12, 15, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"judgements": 8}, "a multiple of 6"),
        ({"choices": 4}, "4 choices among 3 runs"),
        ({"judgements": 30}, "at least 30 targets"),
        ({"judgements": 6, "checks": 7}, "7 checks among 6 judgements"),
        ({"judgements": 0, "choices": 0}, "20 targets for 0 judgements"),
    ],
)
def test_what_cannot_be_balanced_is_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        amounts_for(20, RUNS, raters=6, **given)
