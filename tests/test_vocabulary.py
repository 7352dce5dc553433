"""One word for one thing, one place for one fact: replaced names do not come back, tables are not repeated."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from signgen.registry import PROVIDERS
from signgen.solvers import SOLVERS
from tests.conftest import ROOT

PACKAGE = sorted((ROOT / "signgen").rglob("*.py"))
# What was replaced -> what it is called now: classes, functions, variables, parameters and attributes.
REPLACED = {
    "Loop": "Trainer",
    "trainee": "module",
    "FusionTrainee": "FusionModule",
    "DiffusionTrainee": "DiffusionModule",
    "Background": "FrameWorker",
    "Share": "Shard",
    "_dealt": "shards_of",
    "Compared": "ClipPair",
    "Further": "ExtraMetrics",
    "StudyRequest": "RobustnessRequest",
    "StudyClip": "ClipUnderTest",
    "TrainOptions": "TrainRequest",
    "ImageSetRequest": "ImagesRequest",
    "Watch": "Progress",
    "watched": "Progress.track",
    "of_set": "set_metrics",
    "Job": "PairJob, RenderJob",
}
WORDS = ("told apart", "by lot", "a lone ")  # translated English in docstrings and messages


def names(path: Path) -> set[str]:
    """Every name that a file defines, imports, takes or uses."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_replaced_names_do_not_come_back(path: Path) -> None:
    back = {name: REPLACED[name] for name in names(path) & set(REPLACED)}
    assert back == {}


def test_a_name_that_came_back_is_seen(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("class Loop:\n    def f(self, trainee):\n        return self.of_set\n")
    assert names(tmp_path / "x.py") & set(REPLACED) == {"Loop", "trainee", "of_set"}


def test_replaced_words_do_not_come_back() -> None:
    found = {
        (path.name, word) for path in PACKAGE for word in WORDS if word in path.read_text(encoding="utf-8").lower()
    }
    assert found == set()


def test_a_solver_is_named_in_one_table() -> None:
    """And in recipes, which choose one of it."""
    for name, scheduler in SOLVERS.items():
        quoted = re.compile(rf"""["']({name}|{scheduler})["']""")
        places = {path.name for path in PACKAGE if quoted.search(path.read_text(encoding="utf-8"))}
        chosen = {"unipc": {"config.py", "pipeline.py"}, "ddpm": {"presets.py"}}.get(
            name, set()
        )  # by a default, a preset
        assert places - chosen == {"solvers.py"}, name


# Conditions that other files know by name, since they ask for more than the triple's images.
KNOWN_ELSEWHERE = {
    "pose_map": {"config.py", "training/run.py"},  # neighbouring poses, for its window
    "part_warp": {  # the warp itself, made from the keypoints; the batch and the features have its name
        *("config.py", "models/features.py"),
        *("training/run.py", "training/diffusion.py", "training/data/dataset.py", "training/cost.py"),
        "training/features.py",
    },
    # Features of these names are computed once and kept, or counted; a batch may bring them.
    "source_tokens": {"training/diffusion.py", "training/features.py", "training/cost.py", "config.py"},
    "source_latent": {"training/diffusion.py", "models/pipeline.py", "models/aligned_tokens.py"},
    "pose_latent": {
        *("models/features.py", "models/aligned_tokens.py", "training/cost.py"),
        *("training/features.py", "training/diffusion.py", "training/data/dataset.py"),
    },
}


def test_a_condition_is_named_by_its_class_alone() -> None:
    for name in PROVIDERS:
        quoted = re.compile(rf"""["']{name}["']""")
        places = {path.relative_to(ROOT / "signgen").as_posix() for path in PACKAGE if quoted.search(path.read_text())}
        assert places == {f"models/{PROVIDERS[name].__module__.split('.')[-1]}.py", *KNOWN_ELSEWHERE.get(name, ())}, (
            name
        )


def test_generators_are_keyed_in_one_place() -> None:
    """A seed hashed with what it is for, for torch or numpy: signgen/seeds.py, and nowhere else."""
    keyed = re.compile(r"manual_seed\(int|default_rng\(\[[^\]]*(digest|sha256|from_bytes)")
    places = {path.name for path in PACKAGE if keyed.search(path.read_text(encoding="utf-8"))}
    assert places == {"seeds.py"}
