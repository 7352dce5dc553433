"""Files that raters sent in; their answers, joined with the key of the study, out. What does not fit is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.errors import StudyError
from signgen.files import read_json
from signgen.study.design import BEST, CHECK, GENERATED, REAL, REALISM, TRUTH

KEY_FORMAT, ANSWERS_FORMAT, VERSION = "signgen-study", "signgen-study-answers", 1
KEY_FILE = "key.json"
_NUMBERS = ("trial", "shown_ms", "answer_ms", "shows")


@dataclass(frozen=True)
class Answer:
    """trial: as the key has it. given: REAL or GENERATED, or the run that was chosen. Times in ms.

    shows: how often it was begun; above 1, the page was reloaded in between and the picture seen again.
    """

    trial: Mapping[str, Any]
    given: str
    shown_ms: int
    answer_ms: int
    shows: int


@dataclass(frozen=True)
class Rater:
    """asked: how many questions there were in all."""

    number: int
    session: str
    path: Path
    answers: tuple[Answer, ...]
    asked: int


def load_key(study: Path) -> dict[str, Any]:
    """The key of the study in this folder. Raises StudyError."""
    path = study / KEY_FILE if study.is_dir() else study
    key = _read(path, "the key that signgen study build wrote")
    if key.get("format") != KEY_FORMAT or key.get("version") != VERSION:
        raise StudyError(f"{path}: not the key of a study", expected=f"the {KEY_FILE} that signgen study build wrote")
    if wrong := _wrong_in(key):
        raise StudyError(f"{path}: damaged: {wrong}", expected=f"the {KEY_FILE} that signgen study build wrote")
    return key


def _wrong_in(key: Mapping[str, Any]) -> str | None:
    """What `signgen study build` cannot have written of what scores are made from: the first, in words."""
    runs, targets, plans = key.get("runs"), key.get("targets"), key.get("plans")
    if not isinstance(key.get("study"), str):
        return "no study is named"
    if not isinstance(runs, list) or not runs or not all(isinstance(run, str) for run in runs):
        return "its runs have no names"
    if not isinstance(targets, list) or not isinstance(plans, list):
        return "it has no targets or no plans"
    for plan in plans:
        if not isinstance(plan, dict) or type(plan.get("rater")) is not int or not isinstance(plan.get("trials"), list):
            return "a plan is of no rater"
        if not all(_is_trial(trial, runs, len(targets)) for trial in plan["trials"]):
            return f"a question to rater {plan['rater']}"
    return None


def _is_trial(trial: Any, runs: Sequence[str], targets: int) -> bool:
    """Whether it is a question as signgen.study.design.Trial has them."""
    if not isinstance(trial, dict) or not isinstance(trial.get("practice"), bool):
        return False
    kind, shown, target = trial.get("kind"), trial.get("shown"), trial.get("target")
    if not isinstance(shown, list) or not shown:
        return False
    if kind == CHECK:
        return shown[0] in (REAL, GENERATED)
    if type(target) is not int or not 0 <= target < targets:
        return False
    return (kind == REALISM and shown[0] in (TRUTH, *runs)) or (kind == BEST and all(run in runs for run in shown))


def study_of(answers: Sequence[Path]) -> Path:
    """The folder with the key, where answers lie in STUDY/answers or in STUDY. Raises StudyError."""
    for folder in (answers[0].resolve(), *answers[0].resolve().parents[:2]):
        if (folder / KEY_FILE).is_file():
            return folder
    raise StudyError(f"{answers[0]}: no {KEY_FILE} in its folder or the one above", fix="say where with --study STUDY")


def answer_files(places: Sequence[Path]) -> list[Path]:
    """Files as given, and all *.json below folders but the key. Raises StudyError where there are none."""
    found = []
    for place in places:
        below = [path for path in sorted(place.rglob("*.json")) if path.name != KEY_FILE] if place.is_dir() else [place]
        if not below:
            raise StudyError(f"{place}: a folder without answers", expected="the JSON files that raters saved")
        found += below
    return found


def load_raters(key: Mapping[str, Any], paths: Sequence[Path]) -> tuple[list[Rater], list[str]]:
    """All raters by number, and notes on what is incomplete or was given twice.

    Of files of one session the longest counts, if it goes on where the others stop. Raises StudyError for a file that
    is none, is of another study, or was changed; and for two sessions of one number.
    """
    by_number: dict[int, Rater] = {}
    notes = []
    for path in paths:
        rater = load_rater(key, path)
        other = by_number.get(rater.number)
        if other is not None:
            shorter, rater = sorted((other, rater), key=lambda one: len(one.answers))
            if other.session != rater.session or shorter.session != rater.session:
                raise StudyError(
                    f"{other.path} and {path}: both of rater {rater.number}, and not of one session",
                    expected="a number for each rater",
                    fix="leave one of them out",
                )
            if rater.answers[: len(shorter.answers)] != shorter.answers:
                raise StudyError(f"{shorter.path} and {rater.path}: one session, but other answers")
            notes.append(f"rater {rater.number}: {shorter.path.name} is left out, since {rater.path.name} holds it all")
        by_number[rater.number] = rater
    raters = [by_number[number] for number in sorted(by_number)]
    for rater in raters:
        if len(rater.answers) < rater.asked:
            notes.append(f"rater {rater.number}: incomplete, {len(rater.answers)} of {rater.asked} questions answered")
    return raters, notes


def load_rater(key: Mapping[str, Any], path: Path) -> Rater:
    """One file. Raises StudyError."""
    data = _read(path, "answers that a rater saved")
    if data.get("format") != ANSWERS_FORMAT or data.get("version") != VERSION:
        raise StudyError(f"{path}: no answers to a study", expected="a file that a rater saved from the page")
    if data.get("study") != key["study"]:
        raise StudyError(f"{path}: answers to study {data.get('study')}", expected=f"study {key['study']}")
    plans = {plan["rater"]: plan for plan in key["plans"]}
    number, session, given = data.get("rater"), data.get("session"), data.get("answers")
    if not (type(number) is int and number in plans and isinstance(session, str) and isinstance(given, list)):
        raise StudyError(f"{path}: damaged, or of no rater of this study ({number!r})", expected=f"1 to {len(plans)}")
    if not all(_is_whole(answer) for answer in given):
        raise StudyError(f"{path}: an answer is damaged", expected="the file as the rater saved it")
    if data.get("checksum") != checksum(data):
        raise StudyError(f"{path}: was changed after it was saved (its checksum differs)", fix="ask for it again")
    trials = plans[number]["trials"]
    if [answer["trial"] for answer in given] != list(range(len(given))) or len(given) > len(trials):
        raise StudyError(f"{path}: its answers are not in the order they were asked", fix="ask for the file again")
    answers = tuple(_joined(answer, trial, path) for answer, trial in zip(given, trials, strict=False))
    return Rater(number, session, path, answers, len(trials))


def checksum(data: Mapping[str, Any]) -> str:
    """FNV-1a, 32 bits, of what counts in an answers file: it shows what was damaged or edited by hand, and is no
    protection against somebody who wants to deceive."""
    answers = ";".join(":".join(str(answer[name]) for name in (*_NUMBERS, "answer")) for answer in data["answers"])
    value = 0x811C9DC5
    for byte in f"{data['study']}|{data['rater']}|{data['session']}|{answers}".encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def _read(path: Path, what: str) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as JSON ({error})", expected=what) from error
    if not isinstance(data, dict):
        raise StudyError(f"{path}: holds no JSON object", expected=what)
    return data


def _is_whole(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("answer"), str)
        and all(type(answer.get(name)) is int and answer[name] >= 0 for name in _NUMBERS)
    )


def _joined(answer: Mapping[str, Any], trial: Mapping[str, Any], path: Path) -> Answer:
    given, shown = answer["answer"], trial["shown"]
    if trial["kind"] == BEST:
        allowed = {str(place): run for place, run in enumerate(shown)}
    else:
        allowed = {REAL: REAL, GENERATED: GENERATED}
    if given not in allowed:
        raise StudyError(
            f"{path}: {given!r} to question {answer['trial'] + 1}", expected=f"one of {', '.join(allowed)}"
        )
    return Answer(trial, allowed[given], answer["shown_ms"], answer["answer_ms"], answer["shows"])
