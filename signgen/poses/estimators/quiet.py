"""MediaPipe without what it writes to the terminal: shown only if it fails."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_back() -> Iterator[None]:
    """What MediaPipe's threads write to stderr as they start, at no level that could be set, is shown if it fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextmanager
def without_old_warnings() -> Iterator[None]:
    """MediaPipe uses an old interface of protobuf, which warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"SymbolDatabase\.GetPrototype", UserWarning)
        yield
