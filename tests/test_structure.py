"""The package's shape: imports point one way, the command line starts without torch, and the wheel is whole."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "signgen"
# Every module of the package imports only from its own level's package and from lower levels.
LEVELS = (
    {"__main__"},
    {"cli"},
    {"study"},
    {"reporting"},
    {"evaluation"},
    {"training"},
    {"rendering"},
    {"pairs"},
    {"synthetic"},
    {"corpora"},
    {"metrics", "models", "warp"},
    {"poses", "video"},
    {"launch"},
    {"parallel"},
    {"console", "config", "interrupts"},
    {"registry", "solvers", "presets", "seeds"},
    {"progress", "rates", "requests", "files"},
    {"errors", "_torchvision"},
    {"__init__"},
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
HEAVY = (
    *("torch", "torchvision", "torchmetrics", "diffusers", "transformers", "accelerate", "lpips"),
    *("cv2", "av", "decord", "pyarrow", "scipy", "numpy", "mediapipe", "onnxruntime", "openvino", "sacrebleu", "jiwer"),
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path, root: Path = ROOT) -> str:
    """`signgen.poses.parts` of signgen/poses/parts.py, `signgen.poses` of signgen/poses/__init__.py."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


NAMES = frozenset(name_of(path) for path in modules())


def imports(source: str, module: str, is_package: bool = False, names: frozenset[str] = NAMES) -> set[str]:
    """Modules of signgen that a module's source imports, anywhere in it, TYPE_CHECKING included."""
    found = set()
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        given = []
        if isinstance(node, ast.Import):
            given = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*prefix, *filter(None, [node.module])])
            given = [f"{start}.{alias.name}" for alias in node.names]
        for name in given:
            while name and name not in names:  # a name in a module: the module
                name = name.rpartition(".")[0]
            if name:
                found.add(name)
    return found - {module}


def part_of(name: str) -> str:
    """The package or file directly below signgen/."""
    return [*name.split("."), "__init__"][1]


@functools.cache
def graph() -> dict[str, set[str]]:
    """Every module of the package and those it imports."""
    return {
        name_of(path): imports(path.read_text(encoding="utf-8"), name_of(path), path.name == "__init__.py")
        for path in modules()
    }


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that reach each other: strongly connected components of more than one."""
    reached = {name: reachable(arrows, name) for name in arrows}
    groups = {frozenset({name, *(other for other in reached[name] if name in reached[other])}) for name in arrows}
    return [set(group) for group in groups if len(group) > 1]


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        for name in arrows[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def test_every_part_of_the_package_has_its_place() -> None:
    assert {part_of(name) for name in NAMES} == set(LEVEL)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_imports_point_one_way(name: str) -> None:
    level = LEVEL[part_of(name)]
    others = {other for other in graph()[name] if part_of(other) != part_of(name)} - {"signgen"}  # its version
    upwards = {other for other in others if LEVEL[part_of(other)] <= level}
    assert not upwards or name == "signgen"  # which offers what lies above it, by name


def test_no_two_files_import_each_other() -> None:
    arrows = {name: others - {"signgen"} for name, others in graph().items() if name != "signgen"}
    assert circles(arrows) == []


def test_a_circle_is_seen() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(arrows) == [{"b", "c"}]


@pytest.mark.parametrize(
    "line",
    [
        "import signgen.training.loop",
        "import signgen.training.loop as loop",
        "from signgen.training import loop",
        "from signgen.training.loop import Trainer",
        "from ..training import loop",
        "def f():\n    from signgen.training import loop",
        "if TYPE_CHECKING:\n    from signgen.training.loop import Trainer",
    ],
)
def test_the_parser_sees_every_kind_of_import(line: str) -> None:
    assert imports(line, "signgen.metrics.text") == {"signgen.training.loop"}


def test_the_parser_leaves_others_alone() -> None:
    assert imports("import torch, signgenetics\nfrom training import x", "signgen.metrics.text") == set()
    assert imports("from signgen import __version__", "signgen.cli.train") == {"signgen"}
    assert imports("from . import own", "signgen.poses.readers", is_package=True) == {"signgen.poses.readers.own"}


def functions(path: Path) -> dict[str, int]:
    """Functions of a file and how many lines each has, decorators and docstring included."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
    first = {n: min([n.lineno, *(d.lineno for d in n.decorator_list)]) for n in nodes}
    return {n.name: (n.end_lineno or 0) - first[n] + 1 for n in nodes}


def test_functions_fit_a_screen() -> None:
    """60 lines; a command with many options 120."""
    long = {(name_of(path), name): lines for path in modules() for name, lines in functions(path).items() if lines > 60}
    assert {key: lines for key, lines in long.items() if not key[0].startswith("signgen.cli.") or lines > 120} == {}


def imported(path: Path) -> set[str]:
    """First names of everything that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_the_command_line_only_parses_calls_and_prints() -> None:
    files = [path for path in modules() if part_of(name_of(path)) == "cli"]
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    assert sum(lines) / len(lines) <= 108  # a command is a screen or two: options, one call, what is printed
    assert {path.name for path in files if imported(path) & {"numpy", "torch", "cv2"}} == set()
    classes = {
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert classes <= {"Size", "Case", "Step"}  # the demo's tables


def test_only_the_terminal_prints() -> None:
    for path in modules():
        name = name_of(path)
        if part_of(name) in ("cli", "console"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not imported(path) & {"rich", "typer"}, name
        printed = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "print"]
        assert not printed, name


def heavy_modules_after(*arguments: str) -> list[str]:
    """Runs `signgen ARGUMENTS` in a fresh interpreter; returns the heavy modules it imported."""
    code = (
        "import sys\nfrom signgen.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('heavy:', *sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    return done.stdout.splitlines()[-1].split()[1:]


COMMANDS = (
    *("verify", "build-pairs", "train", "render", "render-set", "synthesize", "demo", "compare", "robustness"),
    *("info", "export", "train-posenet"),
    *("evaluate", "evaluate-images", "evaluate-model", "evaluate-fusion", "evaluate-reading", "evaluate-text"),
)
POSES_COMMANDS = ("extract", "convert", "clean", "retarget", "draw", "info")
GROUPS = {"poses": POSES_COMMANDS, "study": ("build", "reid", "score"), "weights": ("list", "fetch", "check")}
CALLS = [(), *((name,) for name in (*COMMANDS, *GROUPS)), *((g, name) for g, names in GROUPS.items() for name in names)]


@pytest.mark.parametrize("command", CALLS)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    assert heavy_modules_after(*command, "--help") == []


def test_every_command_of_the_help_is_checked_above() -> None:
    from signgen.cli import app

    assert {command.name for command in app.registered_commands} == set(COMMANDS)
    groups = {
        group.typer_instance.info.name: group.typer_instance.registered_commands for group in app.registered_groups
    }
    assert {name: {command.name for command in commands} for name, commands in groups.items()} == {
        name: set(commands) for name, commands in GROUPS.items()
    }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a packager would; the build tools come from the configured package index."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    (path,) = folder.glob("signgen-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_package_recipes_and_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {path.relative_to(ROOT).as_posix() for path in modules()} <= names
    templates = (PACKAGE / "reporting" / "templates").iterdir()
    assert {path.relative_to(ROOT).as_posix() for path in templates} <= names
    assert {f"signgen/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if re.match(r"(tests|benchmarks|data_tools)/|.*\.(png|mp4|pyc)$", name)]


@pytest.mark.slow
def test_the_installed_wheel_starts_and_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
    """Its own environment, which sees this one's packages behind it but not the checkout."""
    venv.create(tmp_path / "venv", with_pip=False)
    binaries = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = binaries / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    packages = Path(pytest.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    code = "import signgen, signgen.config; signgen.config.load_recipe('nano'); print(signgen.__file__)"
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "venv")
    done = subprocess.run(
        [binaries / "signgen", "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "evaluate-model" in done.stdout
