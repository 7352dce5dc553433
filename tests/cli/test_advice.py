"""Advice in messages leads on: its commands and options exist, and what it says to do ends the failure."""

from __future__ import annotations

import re

from tests.cli.advice import OPTION, PACKAGE, commands, lacking, lines, options, strings

ALL = commands()
# Which commands reach a part of the package; the longest path counts. What is not named here, all of them reach.
_POSES = [name for name in ALL if name.startswith("poses ")]
_STUDY = [name for name in ALL if name.startswith("study ")]
_MODEL = ["render", "render-set", "evaluate-model", "evaluate-fusion", "evaluate-reading", "robustness"]
REACHED_BY = {
    "cli/build_pairs": ["build-pairs"],
    "cli/compare": ["compare"],
    "cli/demo": list(ALL),
    "cli/evaluate": ["evaluate", "evaluate-images", "evaluate-model", "render"],
    "cli/evaluate_fusion": ["evaluate-fusion"],
    "cli/evaluate_images": ["evaluate-images"],
    "cli/evaluate_model": ["evaluate-model"],
    "cli/evaluate_reading": ["evaluate-reading"],
    "cli/evaluate_text": ["evaluate-text"],
    "cli/poses/": _POSES,
    "cli/poses/extract": ["poses extract"],
    "cli/render": ["render"],
    "cli/render_set": ["render-set"],
    "cli/robustness": ["robustness"],
    "cli/study": _STUDY,
    "cli/synthesize": ["synthesize", "build-pairs"],
    "cli/train": ["train"],
    "cli/verify": ["verify"],
    "corpora/": ["build-pairs", "verify", "render", "poses retarget"],
    "corpora/estimate": ["poses extract", "evaluate", "evaluate-model"],
    "corpora/person/": ["build-pairs", "verify"],
    "corpora/phoenix/": ["build-pairs", "verify"],
    "evaluation/": ["evaluate", "evaluate-images", "evaluate-model", "evaluate-fusion", "evaluate-text", "robustness"],
    "evaluation/reid": ["study reid"],
    "evaluation/clip": ["evaluate"],
    "evaluation/clip_poses": ["evaluate", "evaluate-model"],
    "evaluation/demo": list(ALL),
    "evaluation/fusion": ["evaluate-fusion", "train"],
    "evaluation/images": ["evaluate-images", "evaluate-model"],
    "evaluation/match_images": ["evaluate-images", "study build"],
    "evaluation/model": ["evaluate-model"],
    "evaluation/reading": ["evaluate-reading"],
    "evaluation/recogniser": ["evaluate-text"],
    "evaluation/render": ["render"],
    "evaluation/render_set": ["render-set"],
    "evaluation/set_": ["render-set"],
    "evaluation/robustness": ["robustness"],
    "evaluation/scorer": ["evaluate", "render"],
    "evaluation/sign_reader": ["evaluate-reading"],
    "evaluation/texts": ["evaluate-text"],
    "models/": ["train", *_MODEL],
    "models/pose_adapters": ["poses extract", "evaluate", "evaluate-model"],
    "models/hrnet": ["poses extract", "evaluate", "evaluate-model"],
    "pairs/": ["build-pairs", "train", *_MODEL, "evaluate"],
    "pairs/build": ["build-pairs"],
    "pairs/plan_": ["build-pairs"],
    "poses/estimators/": ["poses extract", "evaluate", "evaluate-model", "render"],
    "rendering/": _MODEL,
    "rendering/inputs": ["render"],
    "rendering/pairs": ["render-set", "evaluate-model", "evaluate-fusion", "evaluate-reading", "robustness"],
    "rendering/pose_pictures": ["poses draw"],
    "rendering/garment": ["render"],
    "rendering/references": ["render"],
    "study/": _STUDY,
    "synthetic/": ["synthesize", "demo"],
    "synthetic/signs": ["evaluate-reading"],
    "training/": ["train"],
    "training/posenet/": ["train-posenet", "build-pairs"],
    "training/reid": ["study reid"],
}
# "signgen WORD" that is prose.
_PROSE = {"knows"}
_FOREIGN = {"--include", "--revision"}  # of Hugging Face's hf download


def reaching(file: str) -> list[str]:
    """The commands that reach a file of the package."""
    found = max((part for part in REACHED_BY if file.startswith(part)), key=len, default=None)
    return list(ALL) if found is None else REACHED_BY[found]


def test_every_part_of_the_table_is_there() -> None:
    files = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")]
    assert [part for part in REACHED_BY if not any(file.startswith(part) for file in files)] == []
    assert {name for each in REACHED_BY.values() for name in each} <= set(ALL)


def test_commands_in_messages_are_whole_and_have_their_options() -> None:
    wrong = []
    for told in strings():
        for name, words in lines(told.text, ALL):
            unknown = [word for word in words if word.startswith("--") and word not in options(ALL[name])]
            wrong += [f"{told.place}: signgen {name} has no {word}" for word in unknown]
            wrong += [f"{told.place}: signgen {name} lacks {lack}" for lack in lacking(ALL[name], words)]
    assert wrong == []


def test_options_in_messages_are_those_of_a_command_that_gets_there() -> None:
    wrong = []
    for told in strings():
        there = set().union(*(options(ALL[name]) for name in reaching(str(told.file.relative_to(PACKAGE)))))
        there = there.union(_FOREIGN, *(options(ALL[name]) for name, _ in lines(told.text, ALL)))
        wrong += [f"{told.place}: {word}" for word in OPTION.findall(told.text) if word not in there]
    assert wrong == []


def test_no_misspelt_command() -> None:
    first = {name.split()[0] for name in ALL}
    words = {
        match[1]: told.place
        for told in strings()
        for match in re.finditer(r"\bsigngen ([a-z][a-z-]*)(?= [A-Z{]| --|`|:|$)", told.text)
    }
    assert {word: place for word, place in words.items() if word not in first | _PROSE} == {}
