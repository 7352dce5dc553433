"""render-set in two processes: the files of one; one that is killed, or a signal, leaves what is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.line import Called, Line, finish, interrupt, start, wait_for
from tests.test_parallel import TORCHRUN
from tests.worlds import write_world

pytestmark = pytest.mark.slow
CLIPS = [f"clip{number}" for number in range(5)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips, ten frames of each to render."""
    root = tmp_path_factory.mktemp("world")
    built = finish(start("build-pairs", write_world(root / "videos", 5, 40), "--out", root / "pairs"))
    assert built.code == 0, built.err
    return root / "pairs"


@pytest.fixture(scope="module")
def words(pairs: Path, line: Line) -> Callable[..., list[object]]:
    """Slow enough to be interrupted."""

    def of(out: Path, *more: object) -> list[object]:
        base = ["render-set", pairs, "--model", line.model, "--split", "val", "--threads", 1, "--steps", 60]
        return [*base, "--layout", "frames", "--out", out, *more]

    return of


@pytest.fixture(scope="module")
def whole(words: Callable[..., list[object]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set by one process."""
    out = tmp_path_factory.mktemp("one") / "out"
    called = finish(start(*words(out)))
    assert called.code == 0, called.err
    return out


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("clip*/*.png")}


def numbers(folder: Path) -> dict[str, Any]:
    return {k: v for k, v in json.loads((folder / "metrics.json").read_text()).items() if k != "provenance"}


def same(one: Path, other: Path) -> None:
    assert pictures(one) == pictures(other)
    assert numbers(one) == numbers(other)


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_two_processes_write_the_files_of_one(words: Callable[..., list[object]], whole: Path, tmp_path: Path) -> None:
    called = finish(start(*words(tmp_path / "two", "--processes", 2)))
    assert (called.code, called.err) == (0, "")
    assert called.out.count("set: 5 clips of val") == 1
    assert called.out.count("wrote 5 clips") == 1
    same(whole, tmp_path / "two")
    # by torchrun, as videos
    assert finish(start(*words(tmp_path / "one", "--layout", "mp4"))).code == 0
    done = subprocess.run(
        [*TORCHRUN, "-m", "signgen", *map(str, words(tmp_path / "torchrun", "--layout", "mp4"))],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("wrote 5 clips") == 1
    for clip in CLIPS:
        one, other = (tmp_path / name / f"{clip}.mp4" for name in ("one", "torchrun"))
        assert one.read_bytes() == other.read_bytes(), clip
    assert numbers(tmp_path / "one") == numbers(tmp_path / "torchrun")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says which processes a command has begun")
@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("kill", 2, "error: a process was ended by SIGKILL"),
        ("ctrl-c", 130, "interrupted: Ctrl-C"),
        ("sigterm", 143, "interrupted: SIGTERM"),
    ],
)
def test_what_was_whole_stays_and_the_same_command_goes_on(
    how: str, code: int, said: str, words: Callable[..., list[object]], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(*words(out, "--processes", 2))
    wait_for(lambda: len(list((out / "records").glob("*"))) >= 2, process)
    if how == "kill":
        os.kill(children(process)[1], signal.SIGKILL)
    elif how == "ctrl-c":
        interrupt(process)
    else:
        process.send_signal(signal.SIGTERM)
    called: Called = finish(process)
    assert called.code == code
    assert called.err.startswith(f"signgen: {said}")
    assert called.err.count("\n") == 1
    left = pictures(out)
    kept = {path.stem for path in (out / "records").iterdir()}
    assert 2 <= len(kept) < len(CLIPS)
    there = {name.split("/")[0] for name in left}
    assert kept <= there if how == "kill" else kept == there  # it may be killed between a clip and its record
    assert left == {name: data for name, data in pictures(whole).items() if name.split("/")[0] in there}  # whole clips
    times = {name: (out / "records" / f"{name}.json").stat().st_mtime_ns for name in kept}
    again = finish(start(*words(out)))
    assert again.code == 0, again.err
    assert f"{len(kept)} of them are there already" in again.out
    same(whole, out)
    assert {name: (out / "records" / f"{name}.json").stat().st_mtime_ns for name in kept} == times


def test_what_is_wrong_is_one_line(words: Callable[..., list[object]], tmp_path: Path) -> None:
    called = finish(start(*words(tmp_path / "out", "--processes", 2, "--clips", "nobody")))
    assert called.code == 2
    assert called.err.startswith("signgen: error: ")
    assert called.err.count("\n") == 1
    called = finish(start(*words(tmp_path / "out", "--processes", 2, "--steps", "many")))
    assert (called.code, called.err.count("\n")) == (2, 1)
