"""The terminal: the one console that commands print to, and progress bars on it. The only module beside cli/ that
imports rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from signgen.progress import Bar, Progress

console = Console(highlight=False, soft_wrap=True)

_COLOURS = {"paired": "green", "train": "green", "val": "green", "test": "green", "keypoints": "green"}
_COLOURS |= {"left out": "yellow", "note": "yellow", "verified": "yellow", "put aside": "red"}


class Bars(Progress):
    """Notes are printed as they come. Bars have count, rate and remaining time, and are shown on a terminal only.

    always: bars are drawn into a log as well. quiet: nothing is shown, for all processes but the first one.
    """

    def __init__(self, always: bool = False, quiet: bool = False) -> None:
        self.always, self.quiet = always, quiet

    @contextmanager
    def bar(self, what: str, total: int | None = None, keep: bool = False) -> Iterator[Bar]:
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class Rate(ProgressColumn):
            """Items a second."""

            def render(self, task: Task) -> Text:
                return Text("" if task.speed is None else f"{task.speed:.1f}/s")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            Rate(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
        )
        hidden = self.quiet or not (console.is_terminal or self.always or keep)
        with RichProgress(*columns, console=console, transient=not keep, disable=hidden) as shown:
            yield _RichBar(shown, shown.add_task(what, total=total, note=""))

    def note(self, text: str, about: str = "") -> None:
        if self.quiet:
            return
        colour = _COLOURS.get(about)
        label = f"[{colour}]{escape(about)}[/] " if colour else f"{escape(about)}: " if about else ""
        console.print(f"{label}{escape(text)}")


class _RichBar(Bar):
    def __init__(self, shown: object, task: object) -> None:
        self._shown, self._task = shown, task

    def advance(self, count: int = 1) -> None:
        self._shown.advance(self._task, count)  # type: ignore[attr-defined]

    def update(self, completed: int, total: int | None = None, note: str = "") -> None:
        self._shown.update(self._task, completed=completed, total=total, note=note)  # type: ignore[attr-defined]
