"""How a command that several processes can share begins: `--processes N` in, the same command in N processes of this
machine, as `torchrun --standalone` begins them. No torch before it is needed."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from signgen.console import Bars
from signgen.errors import Interrupted, OptionError, SigngenError, Terminated
from signgen.files import check_folder
from signgen.parallel import STOPPED, TERMINATED, is_first, processes

_MARK = "signgen-"  # of the runs that are begun here
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


def begin(count: int, out: Path) -> Bars:
    """Check that OUT takes files, and return where progress is shown. In a group of processes the first one does both.

    count: --processes. A process alone begins so many, and ends as they do: raises SystemExit with their exit code.
    """
    there = processes()
    if there > 1 and count not in (1, there):
        raise OptionError(f"--processes {count} in a group of {there} processes", fix="leave out --processes")
    if is_first():
        check_folder(out)
    if there == 1 and count > 1:
        sys.exit(launch(count, sys.argv[1:]))
    return Bars(quiet=not is_first())


def is_launched() -> bool:
    """Whether `launch` has begun this process: it says then how the processes ended where a signal ended them."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(_MARK)


def launch(count: int, words: Sequence[str]) -> int:
    """Run `signgen WORDS` in that many processes of torchrun's agent; its exit code, 0 where all have ended well.

    Raises Interrupted or Terminated for a signal, which the processes have been given and have ended of; SigngenError
    where one was killed.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        *(1, 1, count),
        run_id=f"{_MARK}{uuid.uuid4().hex}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    with _signals_kept(), _torchrun_silent():
        try:
            elastic_launch(config, sys.executable)("-u", "-m", "signgen", *words)
        except ChildFailedError as error:
            return _exit_code([failure.exitcode for failure in error.failures.values()])
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise Interrupted(STOPPED) from None
            raise Terminated(TERMINATED) from None
    return 0


def _exit_code(codes: list[int]) -> int:
    """The one that a process has chosen. Below 0 are signals; SIGTERM is what the agent ends the others with."""
    told = [code for code in codes if code not in (Terminated.exit_code, -signal.SIGTERM)]
    if chosen := [code for code in told if code > 0]:
        if chosen[0] == Interrupted.exit_code:
            raise Interrupted(STOPPED)
        return chosen[0]
    if not told:
        raise Terminated(TERMINATED)
    name = signal.Signals(-told[0]).name
    raise SigngenError(
        f"a process was ended by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}; nothing that was already "
        "written is lost",
        fix="use fewer --processes",
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """The agent leaves its handlers behind."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _torchrun_silent() -> Iterator[None]:
    """The processes say themselves what is wrong, in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
