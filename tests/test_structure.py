"""The package's shape: imports point one way, the command line starts without torch, and the wheel is whole."""

from __future__ import annotations

import ast
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
BASE = {"config", "errors", "files", "interrupts", "_torchvision", "__init__"}
BELOW = {
    "config": {"errors", "files"},
    "errors": set(),
    "files": {"errors"},
    "interrupts": set(),
    "_torchvision": set(),
    "__init__": {"_torchvision"},
    "poses": BASE,
    "warp": {"poses", *BASE},
    "data": {"warp", "poses", *BASE},
    "models": {"poses", *BASE},
    "metrics": {"models", "data", "poses", *BASE},
    "rendering": {"metrics", "models", "data", "warp", "poses", *BASE},
    "reporting": {"metrics", "data", "poses", *BASE},
    "study": {"reporting", "metrics", "data", "poses", *BASE},
    "training": {"rendering", "metrics", "models", "data", "poses", *BASE},
    "cli": {"training", "study", "reporting", "rendering", "metrics", "models", "data", "poses", *BASE},
}
HEAVY = (
    *("torch", "torchvision", "torchmetrics", "diffusers", "transformers", "accelerate", "lpips"),
    *("cv2", "av", "decord", "pyarrow", "scipy", "numpy", "mediapipe", "onnxruntime", "sacrebleu", "jiwer"),
)


def imports(source: str, module: tuple[str, ...]) -> set[str]:
    """Parts of signgen (`poses`, `errors`, ...) that a module imports, anywhere in it, TYPE_CHECKING included.

    module: its package path below the root, e.g. ("signgen", "poses") for signgen/poses/parts.py.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = ".".join(module[: len(module) - node.level + 1]) if node.level else ""
            start = ".".join(filter(None, [prefix, node.module]))
            names = [f"signgen.{alias.name}" for alias in node.names] if start == "signgen" else [start]
        for name in names:
            first, *rest = name.split(".")
            if first == "signgen":
                found.add(part_named(rest[0] if rest else "__init__"))
    return found


def part_named(name: str) -> str:
    """`from signgen import __version__` names no part: it means the package itself."""
    return name if name in BELOW else "__init__"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_part_of_the_package_has_its_place() -> None:
    assert {part_of(path) for path in modules()} == set(BELOW)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    found = imports(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parent.parts)
    assert found - {part} <= BELOW[part]


@pytest.mark.parametrize(
    "line",
    [
        "import signgen.training",
        "import signgen.training.loop as loop",
        "from signgen.training import loop",
        "from signgen.training.loop import Loop",
        "from signgen import training",
        "from ..training import loop",
        "from .. import training",
        "def f():\n    from signgen.training import loop",
        "if TYPE_CHECKING:\n    from signgen.training.loop import Loop",
    ],
)
def test_the_parser_sees_every_kind_of_import(line: str) -> None:
    assert imports(line, ("signgen", "metrics")) == {"training"}


def test_the_parser_leaves_others_alone() -> None:
    assert imports("import torch, signgenetics\nfrom training import x\nfrom . import own", ("signgen", "data")) == {
        "data"
    }
    assert imports("from signgen import __version__", ("signgen", "cli")) == {"__init__"}


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
    *("verify", "build-pairs", "train", "render", "synthesize", "demo"),
    *("evaluate", "evaluate-fusion", "evaluate-text", "compare", "robustness"),
)
POSES_COMMANDS = ("extract", "convert", "clean", "retarget", "draw", "info")
GROUPS = {"poses": POSES_COMMANDS, "study": ("build", "score")}
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
def test_the_installed_wheel_starts_quickly_and_finds_its_recipes(wheel: Path, tmp_path: Path) -> None:
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
    seconds = []
    for _ in range(5):
        before = os.times()
        done = subprocess.run(
            [binaries / "signgen", "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        after = os.times()
        assert "evaluate" in done.stdout
        # Processor time of the child: what it takes on an idle machine, whatever else runs on this one.
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) <= 0.3
