"""What the processes of a group share, in two of them over gloo; and how a command begins them and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signgen import launch, parallel
from signgen.errors import Interrupted, OptionError, SigngenError, Terminated
from tests.conftest import ROOT

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def in_two(out: Path, what: str) -> list[Any]:
    """What both processes found."""
    done = subprocess.run(
        [*TORCHRUN, "-m", "tests.group_of_two", str(out), what],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"{process}.json").read_text()) for process in (0, 1)]


def test_a_group_of_two(tmp_path: Path) -> None:
    first, second = in_two(tmp_path, "everything")
    assert first["processes"] == second["processes"] == 2
    # results go to the first process alone, in the order of the shards, which it had the first and third of
    assert first["squares"] == [[0, 1, 4], [1, 9], [0, 16]]
    assert (second["squares"], second["one"], second["seen"], second["taken"]) == ([], [], [], [])
    assert first["counted"] == [4, 1]  # one bar of all items
    assert second["counted"] == [0, 0]
    assert first["one"] == [[0, 25]]
    assert first["from first"] == second["from first"] == "of 0"
    # one folder, of which nothing is left
    assert first["folder"] == second["folder"]
    assert not Path(first["folder"]).exists()
    # every number once, fewer to the slow process
    one, other = first["taken"]
    assert sorted([*one, *other]) == list(range(12))
    assert len(one) > len(other)
    assert first["threads"] == max(1, (os.cpu_count() or 1) // 2)
    assert (tmp_path / "first.json").exists()


@pytest.mark.slow
def test_an_error_of_one_process_ends_both_and_is_said_once(tmp_path: Path) -> None:
    first, second = in_two(tmp_path, "failing")
    assert second == ["PairSetError", 2, "clip7 is damaged; leave it out", True]
    assert first == [
        *("StoppedElsewhere", 2, "process 1 of the group has stopped; what was already written is not lost"),
        False,
    ]


@pytest.mark.slow
def test_what_one_process_lacks_before_they_meet_is_said(tmp_path: Path) -> None:
    first, second = in_two(tmp_path, "before")
    assert second == ["PairSetError", 2, "no pair set on this machine", True]
    assert (first[0], first[1], first[3]) == ("StoppedElsewhere", 2, False)


def test_a_process_alone_is_a_group_of_one() -> None:
    assert (parallel.processes(), parallel.is_first()) == (1, True)
    ticked = parallel.in_processes(lambda shard, tick: [shard, tick()], ["a", "b"], 2, "x")
    assert ticked == [["a", None], ["b", None]]
    assert parallel.in_first(ticked) is ticked
    assert list(parallel.dealt(3)) == [0, 1, 2]
    assert parallel.from_first(lambda: "mine") == "mine"
    assert parallel.threads_of(1, None) is None
    assert parallel.threads_of(4, 3) == 3
    with parallel.shared_folder("signgen-test-") as folder:
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Terminated, 143)]
)
def test_a_signal_ends_the_work_between_two_items(number: int, kind: type[SigngenError], code: int) -> None:
    done = []

    def work(_shard: int, tick: parallel.Tick) -> None:
        for item in range(3):
            done.append(item)
            if item == 1:
                os.kill(os.getpid(), number)
            tick()

    before = signal.getsignal(number)
    with pytest.raises(kind) as error:
        parallel.in_processes(work, [0], 3, "x")
    assert (done, error.value.exit_code) == ([0, 1], code)
    assert signal.getsignal(number) is before


def test_the_exit_code_is_that_of_the_process_that_failed() -> None:
    assert launch._exit_code([143, 2, -15]) == 2
    assert launch._exit_code([-15, 1]) == 1
    with pytest.raises(SigngenError, match=r"ended by SIGKILL \(out of memory\?\)"):
        launch._exit_code([-15, -9, 143])
    with pytest.raises(Interrupted):
        launch._exit_code([130, 143])
    with pytest.raises(Terminated):
        launch._exit_code([-15, 143])


def test_processes_in_a_group_of_another_size_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="--processes 3 in a group of 2 processes; leave out --processes"):
        launch.begin(3, tmp_path)
    assert launch.begin(2, tmp_path).quiet
    assert not parallel.is_first()
