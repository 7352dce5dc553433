"""What all commands share: how they end. Every expected failure becomes one line and an exit code. No torch."""

from __future__ import annotations

import errno
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import typer

from signgen import launch, parallel
from signgen.errors import Interrupted, SigngenError

# Typer carries a click of its own since 0.2x; its UsageError has no public name.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)


def fail(error: SigngenError) -> None:
    """One line on stderr, by one process of a group."""
    if not parallel.says(error):
        return
    label = "interrupted" if isinstance(error, Interrupted) else "error"
    sys.stdout.flush()
    if not (launch.is_launched() and isinstance(error, Interrupted)):  # the command that began them says it
        sys.stderr.write(f"signgen: {label}: {error}\n")
        sys.stderr.flush()
    parallel.said()


def run(app: Callable[..., object], moved: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Call the Typer app and exit; every expected failure becomes one line and its exit code, without a traceback.

    moved: command -> option it had once -> the command that has it now.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it; it warns of kernels for 4 bits
    try:
        code = app(prog_name="signgen", standalone_mode=False)
        if code == Interrupted.exit_code:  # how Typer reports Ctrl-C; older versions raise Abort
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except SigngenError as error:
        _end(error)
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__context__, EOFError) or isinstance(error.__cause__, EOFError):  # which Typer takes for it
            _end(SigngenError(f"a file ends too early ({error.__cause__ or error.__context__})", fix="copy it again"))
        _end(Interrupted("Ctrl-C; nothing that was already written is lost"))
    except USAGE_ERROR as error:
        _end(_usage(error, moved or {}))
    except OSError as error:
        refused = unwritable(error)
        if refused is None:
            raise
        _end(refused)


def _end(error: SigngenError) -> None:
    fail(error)
    sys.exit(error.exit_code)


def _usage(error: Any, moved: Mapping[str, Mapping[str, str]]) -> SigngenError:
    """What is wrong with the command line; a command without any argument has shown its help, which is enough."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.exit(SigngenError.exit_code)
    command = error.ctx.command_path if error.ctx else "signgen"
    option = getattr(error, "option_name", None)
    now = moved.get(error.ctx.info_name or "", {}).get(option or "") if error.ctx else None
    if now is not None:
        return SigngenError(f"{command} has no {option} any more", fix=f"use {now}")
    found = error.message if getattr(error, "param", None) is None and error.message else error.format_message()
    return SigngenError(found.rstrip("."), fix=f"see {command} --help")


def unwritable(error: OSError) -> SigngenError | None:
    """The line for a full disk or a place that cannot be written; None for what would be a bug."""
    place = f" {error.filename}" if error.filename else ""
    found = f"cannot write{place}: {error.strerror or error}"
    if error.errno in _FULL:
        return SigngenError(found, fix="free some space or choose another place; files already written are whole")
    if error.errno in _REFUSED:
        return SigngenError(found, fix="choose another place; files already written are whole")
    return None


def help_of(command: Callable[..., object]) -> str:
    """A command's docstring, each paragraph on one line: Typer keeps line breaks, which are the source's."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
