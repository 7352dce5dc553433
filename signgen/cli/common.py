"""What every command shares: the error boundary, --frames A:B, and the console. Imports no torch."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import typer
from rich.console import Console

from signgen.errors import Interrupted, SigngenError

console = Console(highlight=False, soft_wrap=True)


def fail(error: SigngenError) -> None:
    """One line on stderr."""
    label = "interrupted" if isinstance(error, Interrupted) else "error"
    print(f"signgen: {label}: {error}", file=sys.stderr, flush=True)


def run(app: Callable[[], object]) -> None:
    """Call the Typer app; turn every expected failure into one line and its exit code, without a traceback."""
    try:
        app()
    except SigngenError as error:
        fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        fail(Interrupted("Ctrl-C; nothing that was already written is lost"))
        sys.exit(Interrupted.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        place = f" at {error.filename}" if error.filename else ""
        fail(
            SigngenError(
                f"cannot write{place}: {error.strerror}",
                fix="free some space or choose another --out; files already written are whole",
            )
        )
        sys.exit(SigngenError.exit_code)


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
