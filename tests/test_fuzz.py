"""The fuzz benchmark in small: sound seeds, no violation in a few hundred files, and it does see what it looks for."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseFile, PoseSequence, identify, read_poses
from signgen.poses.readers import READERS
from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "fuzz_readers.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_readers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_readers"] = module
    spec.loader.exec_module(module)
    return module


def test_seeds_are_sound_and_of_every_format(fuzz: ModuleType, tmp_path: Path) -> None:
    seeds = fuzz.write_seeds(tmp_path)
    assert set(seeds) == set(READERS)
    for name, paths in seeds.items():
        for path in paths:
            file = identify(path)
            assert file.format == name
            poses = read_poses(path, clip=next(iter(file.clips), None), size=(640, 360))
            assert poses.has_person.all()


def test_a_few_hundred_files(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--count", "360", "--seed", "3"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "360 files" in done.stdout
    assert "0 violations" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def one_poses(keypoints: np.ndarray):
    def read(path: Path, **_: object) -> PoseSequence:
        return PoseSequence(keypoints, 640, 360)

    return read


def outcomes(fuzz: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, identify, read=None) -> list[tuple]:
    """What two inputs become when signgen's own functions are these."""
    monkeypatch.setattr(fuzz, "identify", identify)
    if read is not None:
        monkeypatch.setattr(fuzz, "read_poses", read)
    monkeypatch.setattr(fuzz, "LONGEST_S", 0.3)
    seed = folder / "seed.json"
    seed.write_text("[1, 2]")
    kept = folder / "kept"
    kept.mkdir()
    return list(fuzz.run([(n, "mmpose", seed, seed) for n in range(2)], 0, folder, kept))


def raise_(error: BaseException):
    raise error


def damaged_by_memory(path: Path) -> None:
    try:
        bytearray(1 << 31)
    except MemoryError as error:
        raise PoseError("x: damaged") from error


@pytest.mark.parametrize(
    ("identify", "named"),
    [
        (lambda path: raise_(ZeroDivisionError("no")), "ZeroDivisionError"),
        (lambda path: time.sleep(5), "longer than"),
        (lambda path: bytearray(1 << 31), "MemoryError"),
        (damaged_by_memory, "memory"),
        (lambda path: os._exit(7), "the process died (7)"),
    ],
)
def test_each_violation_is_seen(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identify, named: str
) -> None:
    found = outcomes(fuzz, tmp_path, monkeypatch, identify)
    assert [o[2] for o in found] == ["violation"] * 2
    assert named in found[0][3]


@pytest.mark.parametrize(
    "keypoints",
    [
        np.full((2, 133, 3), np.inf, np.float32),
        np.full((2, 133, 3), np.nan, np.float32),
        np.ones((3, 133, 3), np.float32),
    ],
)
def test_poses_that_do_not_validate(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keypoints: np.ndarray
) -> None:
    file = PoseFile(tmp_path, "mmpose", 133, {"": 2})
    found = outcomes(fuzz, tmp_path, monkeypatch, lambda path: file, one_poses(keypoints))
    assert [o[2] for o in found] == ["violation"] * 2


def test_refusals_and_others_are_none(fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcomes(fuzz, tmp_path, monkeypatch, lambda path: raise_(PoseError("x: damaged")))
    assert [o[2] for o in found] == ["refused"] * 2
