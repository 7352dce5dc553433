"""Work that several processes share: a function and its shards in; what each shard gave out, under one progress bar."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from signgen.errors import Interrupted, SigngenError
from signgen.interrupts import deferred_interrupt
from signgen.progress import SILENT, Progress

Shard = TypeVar("Shard")
Result = TypeVar("Result")
Tick = Callable[[], None]
_LOOK = 0.2  # seconds between two looks at how far the processes are
STOPPED = "Ctrl-C; nothing that was already written is lost"

_shared: dict[str, Any] = {}  # of a worker process: the counter and the event that ends its work


def in_processes(
    work: Callable[[Shard, Tick], Result],
    shards: Sequence[Shard],
    total: int,
    what: str,
    progress: Progress = SILENT,
) -> list[Result]:
    """`work(shard, tick)` for every shard, each in a process of its own unless there is one shard only.

    work: a function of a module, whose shard and result can be pickled; it calls `tick` after each of the `total`
    items. The first error of a shard is raised; Ctrl-C ends all between two items.
    """
    with deferred_interrupt() as interrupt, progress.bar(what, total) as bar:
        if len(shards) == 1:

            def tick() -> None:
                bar.advance()
                if interrupt.is_set():
                    raise Interrupted(STOPPED)

            return [work(shards[0], tick)]
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads
        counter, stop = context.Value("q", 0), context.Event()
        with ProcessPoolExecutor(len(shards), context, _begin, (counter, stop)) as pool:
            waiting = [pool.submit(_run, work, shard) for shard in shards]
            unfinished = set(waiting)
            while unfinished:
                done, unfinished = wait(unfinished, timeout=_LOOK)
                bar.update(counter.value, total)
                if interrupt.is_set() or any(future.exception() for future in done):
                    stop.set()
        return _results(waiting)


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


def threads_of(processes: int, threads: int | None) -> int | None:
    """Threads of each process: as asked; else the cores divided among several processes, or all (None) for one."""
    if processes <= 1 or threads is not None:
        return threads
    return max(1, (os.cpu_count() or 1) // processes)


def _results(waiting: list[Future[bytes]]) -> list[Any]:
    errors = [error for future in waiting if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        if isinstance(error, BrokenProcessPool):
            raise SigngenError("a process ended without a result (out of memory?)", fix="use fewer --processes")
        raise error
    return [pickle.loads(future.result()) for future in waiting]


def _begin(counter: Any, stop: Any) -> None:
    """Ctrl-C goes to every process of a terminal; the first one tells the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.update(counter=counter, stop=stop)


def _run(work: Callable[[Shard, Tick], Any], shard: Shard) -> bytes:
    # Pickled here: multiprocessing would put tensors into shared memory, of which a container has 64 MB.
    return pickle.dumps(work(shard, _tick))


def _tick() -> None:
    with _shared["counter"].get_lock():
        _shared["counter"].value += 1
    if _shared["stop"].is_set():
        raise Interrupted(STOPPED)
