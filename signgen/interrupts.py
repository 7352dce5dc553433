"""Ctrl-C and SIGTERM in long work: nothing in; a request to stop, which the work looks at between its steps, out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from signgen.errors import Terminated


@contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C sets the event, so that a step is never cut in two; a second one interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def first(*_unused: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, first)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def deferred_termination() -> Iterator[threading.Event]:
    """Inside, a SIGTERM sets the event; schedulers send it some time before they kill. Later ones change nothing."""
    event = threading.Event()
    with _on_sigterm(lambda *_unused: event.set()):
        yield event


@contextmanager
def termination_ends(found: str) -> Iterator[None]:
    """Inside, a SIGTERM raises Terminated with this message, so that the process ends as a signgen command does."""

    def end(*_unused: object) -> None:
        raise Terminated(found)

    with _on_sigterm(end):
        yield


@contextmanager
def _on_sigterm(handler: object) -> Iterator[None]:
    """Signals have handlers in the main thread only; elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
