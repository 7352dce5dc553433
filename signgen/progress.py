"""What a long call says while it works: a progress object in; bars and notes out, or nothing at all.

Library functions take a `Progress`. The one here is silent; `signgen.console.Bars` shows bars on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Bar:
    """One bar. This one shows nothing."""

    def advance(self, count: int = 1) -> None:
        """`count` more items are done."""

    def update(self, completed: int, total: int | None = None, note: str = "") -> None:
        """So many items are done, of so many; note: a few words behind the bar."""


class Progress:
    """Says nothing; subclasses show what they are given."""

    @contextmanager
    def bar(self, what: str, total: int | None = None, keep: bool = False) -> Iterator[Bar]:
        """A bar for `total` items. keep: leave it on the screen at the end."""
        yield Bar()

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """The same items, counted by a bar. total: their number, where they have no length."""
        count = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore[arg-type]
        with self.bar(what, count) as bar:
            for item in items:
                yield item
                bar.advance()

    def note(self, text: str, about: str = "") -> None:
        """Something that the caller should know, at the time when it is found. about: what it is about, one word."""


SILENT = Progress()


class Notes:
    """The notes of one call, each shown at once and kept for the result."""

    def __init__(self, progress: Progress = SILENT) -> None:
        self.progress = progress
        self._kept: list[str] = []

    def add(self, text: str, about: str = "") -> None:
        """Show and keep a note. about: see `Progress.note`."""
        self.progress.note(text, about)
        self._kept.append(f"{about}: {text}" if about else text)

    @property
    def kept(self) -> tuple[str, ...]:
        """All notes so far, in order, as `about: text`."""
        return tuple(self._kept)
