"""Work beside the rendering, in one thread of its own: on frames that are rendered, and for those that come next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Item = TypeVar("Item")
Made = TypeVar("Made")
WAITING = 32  # two micro-batches of the full-size recipe, whose frames come all at once


class FrameWorker:
    """Context manager; `submit` hands over a call. The results are those of calling at once: one thread, in order.

    While the model waits for its device, or computes outside of the interpreter, the thread writes and scores what was
    rendered before. At most `waiting` calls wait, then `submit` does, so that memory stays bounded.
    A call's error is raised as it is, by a later `submit` or at the end of the block, and no call after it is done.
    Where the block is left by another exception (Ctrl-C), what was handed over is done first: no frame that was
    rendered is lost. What a call uses must not be used by the caller at the same time: open a reader for each.
    """

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="signgen-background")
        self._calls: deque[Future[None]] = deque()
        self._stopped = False

    def __enter__(self) -> FrameWorker:
        return self

    def submit(self, work: Callable[Given, object], *given: Given.args, **named: Given.kwargs) -> None:
        """Have `work(*given, **named)` done. Raises the error of an earlier call."""
        while self._calls and (len(self._calls) >= self._waiting or self._calls[0].done()):
            self._calls.popleft().result()
        self._calls.append(self._pool.submit(self._do, lambda: work(*given, **named)))

    def _do(self, work: Callable[[], object]) -> None:
        if self._stopped:
            return
        try:
            work()
        except BaseException:
            self._stopped = True
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._pool.shutdown()
        finally:
            self._stopped = True  # a second Ctrl-C has cut the waiting short: no call may begin any more
            self._pool.shutdown()
        if kind is None:
            for call in self._calls:
                call.result()


def made_ahead(make: Callable[[Item], Made], items: Sequence[Item], ahead: int = 1) -> Iterator[tuple[Item, Made]]:
    """Each item with `make(item)`, in order. While the caller works on one, the thread makes the next `ahead`.

    An error of `make` is raised where its item would come. What `make` uses must not be used by the caller meanwhile.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="signgen-ahead") as pool:
        waiting: deque[tuple[Item, Future[Made]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(make, item)))
                if len(waiting) > ahead:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            for _, left in waiting:
                left.cancel()
