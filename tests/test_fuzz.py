"""The fuzz benchmark in small: sound seeds, no violation in a few files of every kind, and it does see what it looks
for."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import PoseError, SigngenError
from signgen.poses import PoseFile, PoseSequence, identify, read_poses
from signgen.poses.readers import READERS
from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import fuzz.kinds
import fuzz.work
import fuzz_readers
from fuzz.keypoints import write_keypoints
from fuzz.kinds import Kind, Place, all_kinds
from fuzz.table import Table
from fuzz.work import Outcome, Setting, Task, run
from fuzz_readers import keypoint_seeds, tasks_of


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound files of every kind."""
    folder = tmp_path_factory.mktemp("fuzz") / "seeds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["signgen"])
        torch.set_num_threads(1)
        fuzz_readers._write_seeds(folder)
    return folder


def called(worlds: Path, cwd: Path, monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The command, in this process, which has imported already what workers need."""
    monkeypatch.setattr(fuzz_readers, "warm_up", lambda: torch.set_num_threads(1))
    monkeypatch.setattr(sys, "argv", ["fuzz_readers.py", "--seeds", str(worlds), *map(str, words)])
    monkeypatch.chdir(cwd)
    return fuzz_readers.main()


def test_seeds_are_sound_and_of_every_format(tmp_path: Path) -> None:
    seeds = write_keypoints(tmp_path)
    assert set(seeds) == set(READERS)
    for name, paths in seeds.items():
        for path in paths:
            file = identify(path)
            assert file.format == name
            poses = read_poses(path, clip=next(iter(file.clips), None), size=(640, 360))
            assert poses.has_person.all()


def test_a_few_files_of_every_kind(
    worlds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--count", 90, "--seed", 3, "--table", "table.json")
    code = called(worlds, tmp_path, monkeypatch, *words)
    said = capsys.readouterr().out
    assert code == 0, said
    assert "90 files" in said
    assert ", 0 violations" in said
    assert {line.split("  ")[0] for line in said.splitlines()[1:-1]} == set(
        all_kinds(worlds, keypoint_seeds(worlds, None))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]
    called(worlds, tmp_path, monkeypatch, *words)  # which finds all done
    assert capsys.readouterr().out == said


@pytest.mark.slow
def test_all_sound_files_are_read(
    worlds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(worlds, tmp_path, monkeypatch, "--sound") == 0, capsys.readouterr().out


def outcomes(folder: Path, read: Callable[[Path, Place], str], **options: bool) -> list[Outcome]:
    """What two inputs become when they are read so."""
    seed = folder / "seed.json"
    seed.write_text("[1, 2]")
    for name in ("kept", "scratch", "worlds"):
        (folder / name).mkdir()
    kinds = {"x": Kind("x", 1, (seed,), read, **options)}
    setting = Setting(kinds, folder / "worlds", folder / "scratch", folder / "kept", 0)
    return list(run([Task(number, "x") for number in range(2)], setting, 1))


def raise_(error: BaseException):
    raise error


def damaged_by_memory(path: Path, place: Place) -> None:
    try:
        bytearray(1 << 32)
    except MemoryError as error:
        raise PoseError("x: damaged") from error


def run_its_code(path: Path, place: Place) -> None:
    exec(compile("1", str(path), "exec"))


def unpickle(path: Path, place: Place) -> None:
    pickle.loads(b"cos\ngetcwd\n(tR.")


VIOLATIONS: dict[str, tuple[Callable[[Path, Place], object], str]] = {
    "traceback": (lambda path, place: raise_(ZeroDivisionError("no")), "ZeroDivisionError"),
    "long": (lambda path, place: time.sleep(5), "longer than"),
    "memory": (lambda path, place: bytearray(1 << 32), "MemoryError"),
    "memory in a refusal": (damaged_by_memory, "memory"),
    "death": (lambda path, place: os._exit(7), "the process died (7)"),
    "two lines": (
        lambda path, place: raise_(type("E", (SigngenError,), {"__str__": lambda e: "a\nb"})("x")),
        "two lines",
    ),
    "a process": (lambda path, place: os.system("true"), "starts a process"),
    "another": (lambda path, place: subprocess.run(["true"], check=False), "starts a process"),
    "its code": (run_its_code, "runs code of the input"),
    "a pickle": (unpickle, "unpickles os.getcwd"),
    "a file outside": (lambda path, place: (place.worlds / "x").write_text("x"), "changes"),
    "a file gone": (lambda path, place: path.unlink(), "changes"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_is_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, said = VIOLATIONS[name]
    monkeypatch.setattr(fuzz.work, "LONGEST_S", 0.5)
    found = outcomes(tmp_path, read)
    assert [o.what for o in found] == ["violation"] * 2
    assert said in found[0].detail


@pytest.mark.parametrize("broken", [KeyError("x"), AttributeError("x"), RecursionError("x")])
def test_a_defect_of_a_reader_is_seen(broken: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted where recipes are read; the same files are read or refused without it."""
    assert {o.what for o in outcomes(tmp_path, fuzz.kinds._recipe)} <= {"read", "refused"}
    monkeypatch.setattr("signgen.config.read_yaml", lambda path: raise_(broken))
    (tmp_path / "more").mkdir()
    monkeypatch.setattr("signgen.config._recipe_path", lambda name, *_: Path(name))
    found = outcomes(tmp_path / "more", fuzz.kinds._recipe)
    assert [o.what for o in found] == ["violation"] * 2
    assert f"{type(broken).__name__} at signgen/config.py" in found[0].detail


@pytest.mark.parametrize(
    "keypoints",
    [
        np.full((2, 133, 3), np.inf, np.float32),
        np.full((2, 133, 3), np.nan, np.float32),
        np.ones((3, 133, 3), np.float32),
    ],
)
def test_poses_that_do_not_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keypoints: np.ndarray) -> None:
    file = PoseFile(tmp_path, "mmpose", 133, {"": 2})
    monkeypatch.setattr("signgen.poses.identify", lambda path: file)
    monkeypatch.setattr("signgen.poses.read_poses", lambda path, **_: PoseSequence(keypoints, 640, 360))
    assert [o.what for o in outcomes(tmp_path, fuzz.kinds._keypoints)] == ["violation"] * 2


def test_refusals_and_writing_to_out_are_none(tmp_path: Path) -> None:
    def read(path: Path, place: Place) -> str:
        (place.out / "x").write_text("x")
        raise PoseError("x: damaged")

    assert [o.what for o in outcomes(tmp_path, read)] == ["refused"] * 2


def test_a_table_goes_on(tmp_path: Path) -> None:
    path, asked = tmp_path / "table.json", {"count": 2}
    table = Table.load(path, asked)
    table.add(0, [Outcome(0, "png", "read", seconds=0.5), Outcome(1, "png", "violation", "KeyError")], 1.0)
    table.save(path)
    again = Table.load(path, asked)
    assert again == table
    assert (again.rows["png"].files, again.violations) == (2, ["1 png: KeyError"])
    with pytest.raises(SystemExit, match="another run"):
        Table.load(path, {"count": 3})


def test_every_kind_has_its_share() -> None:
    kinds = {name: Kind("x", share, (), lambda path, place: "read") for name, share in (("a", 1), ("b", 3), ("c", 1.5))}
    tasks = tasks_of(kinds, 1100, 0)
    assert [task.number for task in tasks] == list(range(1100))
    assert [sum(task.kind == name for task in tasks) for name in "abc"] == [200, 600, 300]
    assert tasks == tasks_of(kinds, 1100, 0) != tasks_of(kinds, 1100, 1)
