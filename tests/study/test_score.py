"""`signgen study score`: known answers have known scores; what is incomplete is named, what is foreign refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signgen.study.design import CHECK, GENERATED, REAL, TRUTH
from tests.line import Command
from tests.study.worlds import answers_of, key_of, perfect, save, write_images


@pytest.fixture
def study(command: Command, tmp_path: Path) -> Path:
    """12 targets, two runs, 8 raters: 8 judgements, 4 choices, 1 check each."""
    write_images(tmp_path, 12)
    words = [f"{name}={tmp_path / name}" for name in ("good", "poor")]
    amounts = ["--raters", 8, "--judgements", 8, "--choices", 4, "--checks", 1, "--practice", 2]
    command.works("study", "build", *words, "--truth", tmp_path / TRUTH, "--out", tmp_path / "study", *amounts)
    return tmp_path / "study"


def scored(command: Command, study: Path, *words: object) -> dict:
    out = study.parent / "scores.json"
    command.works("study", "score", study / "answers", "--out", out, *words)
    return json.loads(out.read_text())


def shares(result: dict) -> dict[str, float]:
    return {name: found["share"] for name, found in result["shares"].items()}


def test_who_sees_everything_is_fooled_by_nothing(command: Command, study: Path) -> None:
    for rater in range(1, 9):
        save(answers_of(key_of(study), rater), study / "answers")
    result = scored(command, study)
    zero = {"r2g": 0, "g2r": 0, "g2r:good": 0, "g2r:poor": 0}
    assert shares(result) == {**zero, "jab:good": 1, "jab:poor": 0}
    assert [result["shares"][name]["judgements"] for name in ("r2g", "g2r:good", "jab:good")] == [32, 16, 32]
    assert result["shares"]["r2g"]["interval"] is None  # all alike: only Wilson says something
    assert result["shares"]["r2g"]["wilson"] == pytest.approx([0, 0.1072], abs=1e-4)
    assert result["agreement"]["best"] == {"items": 4, "alpha": None, "kappa": None}
    assert result["agreement"]["realism"]["alpha"] == 1
    assert [row["accuracy"] for row in result["raters"]] == [1] * 8
    assert result["notes"] == []


def test_a_run_that_fools_half_of_the_raters(command: Command, study: Path) -> None:
    """Raters 1 to 4 take `good` for real and half of the truths for generated; the others see everything."""
    key = key_of(study)

    def fooled(trial: dict) -> str:
        shown = trial["shown"][0]
        if trial["kind"] != "realism" or shown == "poor":
            return perfect(trial)
        return REAL if shown == "good" else GENERATED if trial["target"] % 4 < 2 else REAL

    for rater in range(1, 9):
        save(answers_of(key, rater, fooled if rater <= 4 else perfect), study / "answers")
    result = scored(command, study)
    judged = [
        (rater, trial)
        for rater in range(1, 9)
        for trial in key["plans"][rater - 1]["trials"]
        if trial["kind"] == "realism" and not trial["practice"]
    ]
    truths = [(r, t) for r, t in judged if t["shown"][0] == TRUTH]
    expected = sum(r <= 4 and t["target"] % 4 < 2 for r, t in truths) / len(truths)
    assert 0 < expected < 1
    assert shares(result)["r2g"] == pytest.approx(expected)
    goods = [r for r, t in judged if t["shown"][0] == "good"]
    assert shares(result)["g2r:good"] == pytest.approx(sum(r <= 4 for r in goods) / len(goods))
    assert shares(result)["g2r:poor"] == 0
    assert shares(result)["g2r"] == pytest.approx(shares(result)["g2r:good"] / 2)
    low, high = result["shares"]["g2r"]["interval"]
    assert 0 <= low < shares(result)["g2r"] < high <= 1
    assert 0 < result["agreement"]["realism"]["alpha"] < 1


def test_practice_and_checks_count_for_nothing_but_failing_leaves_a_rater_out(command: Command, study: Path) -> None:
    key = key_of(study)

    def asleep(trial: dict) -> str:
        return {REAL: GENERATED, GENERATED: REAL}.get(perfect(trial), perfect(trial))

    def wrong_in_practice(trial: dict) -> str:
        return asleep(trial) if trial["practice"] else perfect(trial)

    save(answers_of(key, 1, wrong_in_practice), study / "answers")
    save(answers_of(key, 2, asleep), study / "answers")
    result = scored(command, study)
    assert shares(result)["r2g"] == shares(result)["g2r"] == 0
    assert [row["counted"] for row in result["raters"]] == [True, False]
    assert "rater 2: failed 1 attention checks" in result["notes"]
    assert shares(scored(command, study, "--keep-failed"))["r2g"] == 0.5


def test_incomplete_and_repeated_files_are_named(command: Command, study: Path) -> None:
    key = key_of(study)
    save(answers_of(key, 3, count=5), study / "answers", "early.json")
    result = scored(command, study)
    assert "rater 3: incomplete, 5 of 15 questions answered" in result["notes"]
    save(answers_of(key, 3), study / "answers", "late.json")
    result = scored(command, study)
    assert result["notes"] == ["rater 3: early.json is left out, since late.json holds it all"]
    assert len(result["raters"]) == 1


def edited(data: dict, **changed: object) -> dict:
    return {**data, **changed}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: edited(d, study="0" * 12), "answers to study 000000000000; expected study"),
        (lambda d: edited(d, format="something"), "no answers to a study"),
        (lambda d: edited(d, rater=99), "of no rater of this study (99)"),
        (lambda d: edited(d, rater=True), "of no rater of this study (True)"),
        (lambda d: edited(d, rater=2), "was changed after it was saved"),
        (lambda d: edited(d, answers=d["answers"][1:]), "was changed after it was saved"),
        (lambda d: edited(d, answers=[{**d["answers"][0], "answer": "maybe"}]), "was changed after it was saved"),
        (lambda d: edited(d, answers=[{**d["answers"][0], "answer_ms": "fast"}]), "an answer is damaged"),
        (lambda d: [d], "holds no JSON object"),
    ],
)
def test_foreign_and_changed_files_are_refused(command: Command, study: Path, damage, said: str) -> None:
    data = answers_of(key_of(study), 1)
    path = study / "answers" / "x.json"
    path.write_text(json.dumps(damage(data)))
    assert said in command.refuses("study", "score", path)


def test_answers_that_no_button_gives_are_refused(command: Command, study: Path) -> None:
    def odd(trial: dict) -> str:
        return "7" if trial["kind"] == "best" else perfect(trial)

    path = save(answers_of(key_of(study), 1, odd), study / "answers")
    assert "'7' to question" in command.refuses("study", "score", path)


def test_two_people_with_one_number_are_refused(command: Command, study: Path) -> None:
    key = key_of(study)
    save(answers_of(key, 1), study / "answers", "a.json")
    second = answers_of(key, 1) | {"session": "other"}
    from signgen.study.answers import checksum

    save(second | {"checksum": checksum(second)}, study / "answers", "b.json")
    assert "both of rater 1, and not of one session" in command.refuses("study", "score", study / "answers")


def test_where_the_key_is_not_found_the_option_is_named(command: Command, study: Path, tmp_path: Path) -> None:
    path = save(answers_of(key_of(study), 1), tmp_path / "far" / "away")
    assert "--study STUDY" in command.refuses("study", "score", path)
    assert "r2g" in command.works("study", "score", path, "--study", study)
    assert "without answers" in command.refuses("study", "score", study / "answers")
    assert CHECK in {trial["kind"] for trial in key_of(study)["plans"][0]["trials"]}


@pytest.mark.parametrize(
    "harm",
    [
        lambda key: key.update(study=3),
        lambda key: key.update(runs="good"),
        lambda key: key.update(targets=None),
        lambda key: key["plans"].append("x"),
        lambda key: key["plans"][0].update(rater=None),
        lambda key: key["plans"][0].update(trials={}),
        lambda key: key["plans"][0]["trials"][0].pop("kind"),
        lambda key: key["plans"][0]["trials"][0].pop("practice"),
        lambda key: key["plans"][0]["trials"][0].update(shown=[]),
        lambda key: key["plans"][0]["trials"][0].update(shown=[{}]),
        lambda key: key["plans"][0]["trials"][0].update(target=99),
        lambda key: key["plans"][0]["trials"][0].update(target=None, kind="best"),
    ],
)
def test_a_key_that_no_study_has_is_refused(command: Command, study: Path, harm) -> None:
    key = key_of(study)
    save(answers_of(key, 1), study / "answers")
    harm(key)
    (study / "key.json").write_text(json.dumps(key))
    assert "key.json: damaged" in command.refuses("study", "score", study / "answers")
