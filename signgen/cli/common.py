"""What every command shares: the error boundary, --frames A:B, quiet libraries, the console. Imports no torch."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from signgen.errors import Interrupted, SigngenError

if TYPE_CHECKING:
    from rich.progress import Progress

console = Console(highlight=False, soft_wrap=True)

# Typer carries a click of its own since 0.2x; its UsageError has no public name.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)


def fail(error: SigngenError) -> None:
    """One line on stderr."""
    label = "interrupted" if isinstance(error, Interrupted) else "error"
    print(f"signgen: {label}: {error}", file=sys.stderr, flush=True)


def run(app: Callable[..., object]) -> None:
    """Call the Typer app and exit; every expected failure becomes one line and its exit code, without a traceback."""
    try:
        code = app(prog_name="signgen", standalone_mode=False)
        if code == Interrupted.exit_code:  # how Typer reports Ctrl-C; older versions raise Abort
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except SigngenError as error:
        _end(error)
    except (KeyboardInterrupt, typer.Abort):
        _end(Interrupted("Ctrl-C; nothing that was already written is lost"))
    except USAGE_ERROR as error:
        _end(_usage(error))
    except OSError as error:
        refused = unwritable(error)
        if refused is None:
            raise
        _end(refused)


def _end(error: SigngenError) -> None:
    fail(error)
    sys.exit(error.exit_code)


def _usage(error: Any) -> SigngenError:
    """What is wrong with the command line; a command without any argument has shown its help, which is enough."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.exit(SigngenError.exit_code)
    command = error.ctx.command_path if error.ctx else "signgen"
    found = error.message if getattr(error, "param", None) is None and error.message else error.format_message()
    return SigngenError(found.rstrip("."), fix=f"see {command} --help")


def unwritable(error: OSError) -> SigngenError | None:
    """The line for a full disk or a place that cannot be written; None for what would be a bug."""
    place = f" {error.filename}" if error.filename else ""
    found = f"cannot write{place}: {error.strerror or error}"
    if error.errno in _FULL:
        return SigngenError(found, fix="free some space or choose another --out; files already written are whole")
    if error.errno in _REFUSED:
        return SigngenError(found, fix="choose another --out; files already written are whole")
    return None


def help_of(command: Callable[..., object]) -> str:
    """A command's docstring, each paragraph on one line: Typer keeps line breaks, which are the source's."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def quiet_libraries() -> None:
    """Switch off the progress bars of diffusers, transformers and the Hub: they would run into signgen's own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()  # and huggingface_hub's


def rate_progress(**options: Any) -> Progress:
    """A progress bar with count, rate and remaining time; options: rich's."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(show_speed=True)
    return Progress(*columns, TextColumn("remaining"), TimeRemainingColumn(), console=console, **options)


def watched(items: Iterable[Any], what: str) -> Iterable[Any]:
    """The same items with a progress bar that says `what`, on a terminal."""
    from rich.progress import track

    return track(items, description=what, console=console, transient=True) if console.is_terminal else items


def frame_range(text: str | None, frames: int) -> slice:
    """Parse `--frames A:B` (0-based, B exclusive, either side may be empty) against a length; raises BadParameter."""
    if text is None:
        return slice(0, frames)
    try:
        first, last = text.split(":")
        start, stop = int(first or 0), int(last or frames)
    except ValueError:
        raise typer.BadParameter(f"--frames {text!r}; expected A:B, 0-based, B exclusive, e.g. 73:97") from None
    if not 0 <= start < stop <= frames:
        raise typer.BadParameter(f"--frames {text} does not lie within 0:{frames}")
    return slice(start, stop)
