"""Work that several processes share: a function and its parts in; what each part gave out, under one progress bar."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from signgen.cli.common import console, quiet_libraries, rate_progress
from signgen.errors import Interrupted, SigngenError
from signgen.interrupts import deferred_interrupt

Part = TypeVar("Part")
Result = TypeVar("Result")
Tick = Callable[[], None]
_LOOK = 0.2  # seconds between two looks at how far the processes are
_STOPPED = "Ctrl-C; nothing that was already written is lost"

_shared: dict[str, Any] = {}  # of a worker process: the counter and the event that ends its work


def in_processes(work: Callable[[Part, Tick], Result], parts: Sequence[Part], total: int, what: str) -> list[Result]:
    """`work(part, tick)` for every part, each in a process of its own unless there is one part only.

    work: of a module, and its part and result can be pickled; it calls `tick` after each of the `total` items. The
    first error of a part is raised; Ctrl-C ends all between two items.
    """
    with (
        deferred_interrupt() as interrupt,
        rate_progress(transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task(what, total=total)
        if len(parts) == 1:

            def tick() -> None:
                progress.advance(task)
                if interrupt.is_set():
                    raise Interrupted(_STOPPED)

            return [work(parts[0], tick)]
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads
        counter, stop = context.Value("q", 0), context.Event()
        with ProcessPoolExecutor(len(parts), context, _begin, (counter, stop)) as pool:
            waiting = [pool.submit(_run, work, part) for part in parts]
            unfinished = set(waiting)
            while unfinished:
                done, unfinished = wait(unfinished, timeout=_LOOK)
                progress.update(task, completed=counter.value)
                if interrupt.is_set() or any(future.exception() for future in done):
                    stop.set()
        return _results(waiting)


def shares(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Places of the sizes, dealt to at most `count` parts of about equal sums, each in order; no part is empty.

    >>> shares([5, 1, 4, 2], 2)
    [[0, 1], [2, 3]]
    """
    parts: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    sums = [0] * len(parts)
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        least = sums.index(min(sums))
        parts[least].append(place)
        sums[least] += sizes[place]
    return [sorted(part) for part in parts]


def _results(waiting: list[Future[Result]]) -> list[Result]:
    errors = [error for future in waiting if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        if isinstance(error, BrokenProcessPool):
            raise SigngenError("a process ended without a result (out of memory?)", fix="use fewer --processes")
        raise error
    return [future.result() for future in waiting]


def _begin(counter: Any, stop: Any) -> None:
    """Ctrl-C goes to every process of a terminal; the first one tells the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.update(counter=counter, stop=stop)
    quiet_libraries()


def _run(work: Callable[[Part, Tick], Result], part: Part) -> Result:
    return work(part, _tick)


def _tick() -> None:
    with _shared["counter"].get_lock():
        _shared["counter"].value += 1
    if _shared["stop"].is_set():
        raise Interrupted(_STOPPED)
