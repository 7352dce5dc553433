"""Frame times in; whether they are even, and which rates agree, out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_EVEN = 0.25  # of a frame: one frame left out anywhere is off by at least half


def uneven(times: Sequence[float], tick: float) -> np.ndarray | None:
    """Seconds from the first frame on, float64 (T,), of a video of variable frame rate; None where frames come evenly.

    times: of every frame, in the order of showing. tick: the container's finest step in seconds, to which it rounds.
    """
    since = np.asarray(times, np.float64) - times[0] if len(times) else np.empty(0)
    if len(since) < 3 or since[-1] <= 0:
        return None
    step = since[-1] / (len(since) - 1)
    off = np.abs(since - step * np.arange(len(since))).max()
    return since if off > max(1.5 * tick, _EVEN * step) else None
