"""Work that the processes of a group share: a function and its shards in; what each shard gave out, under one progress
bar.

The group is the one that torchrun or accelerate launch has started, on one machine or on several; a process alone is a
group of one. The processes see each other through the group's key-value store: how far each is, and whether one has
stopped. They form a process group of torch.distributed for the moment in which results are sent: while one is there,
states of torchmetrics would wait for the other processes whenever a part of the work reads them.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from signgen.errors import Interrupted, SigngenError, Terminated
from signgen.interrupts import deferred_interrupt, deferred_termination
from signgen.progress import SILENT, Bar, Progress

Shard = TypeVar("Shard")
Result = TypeVar("Result")
Tick = Callable[[], None]
STOPPED = "Ctrl-C; nothing that was already written is lost"
TERMINATED = "SIGTERM; nothing that was already written is lost"

_ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_LOOK = 0.2  # seconds between two looks at how far the others are
_MEETING = timedelta(minutes=15)  # until all processes of several machines have begun
_LONGEST = timedelta(hours=2)  # of an exchange that all are ready for
_SAYING = 10.0  # seconds for another process to say why it stopped


class NotTheFirst(SystemExit):
    """The work is done, and the first process has its results: the others end here, with exit code 0."""

    def __init__(self) -> None:
        super().__init__(0)


class StoppedElsewhere(SigngenError):
    """Another process of the group has stopped, and says why; this one ends with its exit code."""

    def __init__(self, process: int, code: int) -> None:
        super().__init__(f"process {process} of the group has stopped; what was already written is not lost")
        self.exit_code = code


# ---- the group


def processes() -> int:
    """How many processes share the work: those of the group, 1 without one."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _ENVIRONMENT) else 1


def is_first() -> bool:
    """Whether this process is the one that prints, and writes what is of the whole set."""
    return processes() == 1 or int(os.environ["RANK"]) == 0


def in_first(parts: list[Result]) -> list[Result]:
    """What `in_processes` gave, in the first process. The others end here: raises NotTheFirst."""
    if not is_first():
        raise NotTheFirst
    return parts


def from_first(make: Callable[[], str]) -> str:
    """What `make` returns in the first process, in all of them; the others wait for it, and do not call it."""
    group = _group()
    if group is None:
        return make()
    group.calls += 1
    key = f"from-first/{group.calls}"
    try:
        if group.rank == 0:
            group.store.set(key, make())
        while not group.store.check([key]):
            group.raise_stopped()
            time.sleep(_LOOK)
        return str(group.store.get(key).decode())
    except BaseException as error:
        group.stop(error)
        raise


@contextmanager
def shared_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that all processes see; the first one makes it, and removes it at the end.

    Raises SigngenError where another machine does not see it.
    """
    folder = Path(from_first(lambda: tempfile.mkdtemp(prefix=prefix)))
    try:
        if not folder.is_dir():
            raise SigngenError(
                f"{folder}: made by the first process, not seen by process {os.environ['RANK']} on another machine",
                fix="set TMPDIR to a folder that all machines share",
            )
        yield folder
    finally:
        if is_first():
            shutil.rmtree(folder, ignore_errors=True)


def says(error: SigngenError) -> bool:
    """Whether this process is the one that prints the error, of which there is one line for all processes."""
    if processes() == 1:
        return True
    try:
        group = _group()
    except RuntimeError:  # the first process, which may keep the store, has ended
        return False
    assert group is not None
    if group.stop(error):
        return True
    group.wait_until_said()
    return False


def said() -> None:
    """Let the others end, which wait until the error has been printed."""
    for group in _entered:
        group.say()


class _Group:
    """The processes that this one was started with, and their key-value store."""

    def __init__(self) -> None:
        import torch
        from torch.distributed import rendezvous

        self.store, self.rank, self.size = next(iter(rendezvous("env://", timeout=_MEETING)))
        self.calls = 0  # all processes make the same ones in the same order
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())

    def stop(self, error: BaseException) -> bool:
        """Have all processes stop. Whether this one was the first to want it."""
        try:
            found = self.store.compare_set("stopped", "", f"{self.rank} {_exit_code(error)}").decode()
            return int(found.split()[0]) == self.rank
        except RuntimeError:  # the store is gone with the process that kept it
            return False

    def raise_stopped(self) -> None:
        """Raise StoppedElsewhere where a process of the group has stopped."""
        if self.store.check(["stopped"]):
            process, code = map(int, self.store.get("stopped").decode().split())
            raise StoppedElsewhere(process, code)

    def say(self) -> None:
        """The error is on the screen."""
        try:
            self.store.set("said", "")
        except RuntimeError:
            return

    def wait_until_said(self) -> None:
        """Until it is: a launcher that sees one process end terminates the others."""
        end = time.monotonic() + _SAYING
        try:
            while not self.store.check(["said"]) and time.monotonic() < end:
                time.sleep(_LOOK / 10)
        except RuntimeError:
            return

    def gather(self, mine: bytes) -> list[bytes]:
        """What every process has, in the first one; an empty list in the others."""
        from torch import distributed

        self.calls += 1
        store = distributed.PrefixStore(f"gather/{self.calls}", self.store)
        distributed.init_process_group("gloo", store=store, rank=self.rank, world_size=self.size, timeout=_LONGEST)
        try:
            found: list[Any] | None = [None] * self.size if self.rank == 0 else None
            distributed.gather_object(mine, found)
            return found or []
        finally:
            distributed.destroy_process_group()


_entered: list[_Group] = []  # the one of this process, once it has met the others


def _group() -> _Group | None:
    """The group of this process, entered at the first call; None for a process alone."""
    if processes() == 1:
        return None
    if not _entered:
        _entered.append(_Group())
    return _entered[0]


def _exit_code(error: BaseException) -> int:
    """That of the command which the error ends."""
    if isinstance(error, SigngenError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    return SigngenError.exit_code if isinstance(error, OSError) else 1


# ---- the work


def in_processes(
    work: Callable[[Shard, Tick], Result],
    shards: Sequence[Shard],
    total: int,
    what: str,
    progress: Progress = SILENT,
) -> list[Result]:
    """`work(shard, tick)` for every shard, the n-th in the n-th process of the group, all in a process alone. Returns
    what they gave, in order, in the first process; an empty list in the others.

    work: calls `tick` after each of the `total` items of all shards; its results can be pickled. Ctrl-C, SIGTERM or
    an error in one process ends all of them between two items: it raises the error, the others StoppedElsewhere.
    """
    group = _group()
    shown = progress if is_first() else SILENT
    with deferred_interrupt() as interrupted, deferred_termination() as terminated, shown.bar(what, total) as bar:
        watch = _Watch(group, bar, total, interrupted, terminated)
        if group is None:
            return [work(shard, watch.tick) for shard in shards]
        try:
            mine = [work(shard, watch.tick) for shard in shards[group.rank :: group.size]]
            watch.wait_for_all()
            gathered = [pickle.loads(part) for part in group.gather(pickle.dumps(mine))]
        except BaseException as error:
            group.stop(error)
            if not isinstance(error, (SigngenError, OSError, KeyboardInterrupt)):
                group.say()  # it is a bug, whose traceback Python prints: nobody waits for a line
            raise
        return [gathered[n % group.size][n // group.size] for n in range(len(shards))] if gathered else []


def dealt(count: int) -> Iterator[int]:
    """Numbers 0 to `count` - 1, each given to the process that asks for one first: a slower one gets fewer.

    All processes of the group ask, within the work of one `in_processes`.
    """
    group = _group()
    if group is None:
        yield from range(count)
        return
    while (number := group.store.add(f"dealt/{group.calls}", 1) - 1) < count:
        yield number


class _Watch:
    """How far all processes are, and whether to stop, as one of them sees it between two items."""

    def __init__(
        self, group: _Group | None, bar: Bar, total: int, interrupted: threading.Event, terminated: threading.Event
    ) -> None:
        self._group, self._bar, self._total = group, bar, total
        self._interrupted, self._terminated = interrupted, terminated
        self._done, self._next_look = 0, 0.0
        self._key = f"work/{group.calls}" if group is not None else ""

    def tick(self) -> None:
        """One more item is done. Raises Interrupted, Terminated or StoppedElsewhere."""
        self._done += 1
        if self._group is None:
            self._bar.advance()
            self._done = 0
        elif time.monotonic() >= self._next_look:
            self._look(self._group)
        self._raise_signals()

    def wait_for_all(self) -> None:
        """Until every process has done its shards. Raises as `tick` does."""
        assert self._group is not None
        self._look(self._group)
        self._group.store.add(f"{self._key}/ready", 1)
        while self._group.store.add(f"{self._key}/ready", 0) < self._group.size:
            time.sleep(_LOOK)
            self._look(self._group)
            self._raise_signals()
        self._look(self._group)

    def _look(self, group: _Group) -> None:
        """Tell the others what was done here, show what was done by all."""
        self._bar.update(group.store.add(f"{self._key}/items", self._done), self._total)
        self._done, self._next_look = 0, time.monotonic() + _LOOK
        group.raise_stopped()

    def _raise_signals(self) -> None:
        if self._terminated.is_set():
            raise Terminated(TERMINATED)
        if self._interrupted.is_set():
            raise Interrupted(STOPPED)


def split_evenly(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Indices of the sizes, divided among at most `count` shards of about equal sums, each in order; none is empty.

    The largest first, each to the shard with the smallest sum so far (Graham's longest-processing-time rule).

    >>> split_evenly([5, 1, 4, 2], 2)
    [[0, 1], [2, 3]]
    """
    shards: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    sums = [0] * len(shards)
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        least = sums.index(min(sums))
        shards[least].append(index)
        sums[least] += sizes[index]
    return [sorted(shard) for shard in shards]


def threads_of(shards: int, threads: int | None) -> int | None:
    """Threads of each process: as asked; else the cores divided among the machine's processes, all (None) for one."""
    here = min(shards, int(os.environ.get("LOCAL_WORLD_SIZE", shards)))
    if here <= 1 or threads is not None:
        return threads
    return max(1, (os.cpu_count() or 1) // here)
