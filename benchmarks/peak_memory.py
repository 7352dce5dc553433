"""Peak memory of this process, by the system's own account of it."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """Largest resident set so far, in MB (10^6 bytes). Linux's VmHWM, which begins anew with the program.

    Not getrusage's ru_maxrss: that of a child begins with what its parent had when it forked.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
