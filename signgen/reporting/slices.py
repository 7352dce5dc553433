"""Two clips in; one row of pixels of every frame, below each other, out: x-t slices, where flicker is seen at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

MOST_FRAMES = 400  # a slice is that high at most


def time_slices(pairs: Iterable[tuple[np.ndarray, np.ndarray]], row: int) -> tuple[np.ndarray, np.ndarray]:
    """Row `row` of each frame, in order, of generated and true frames uint8 (H, W, 3): two uint8 (T, W, 3).

    What stands still is a straight line down; what flickers is a line with teeth.
    """
    rows = [(generated[row].copy(), truth[row].copy()) for generated, truth in pairs]
    ours, theirs = zip(*rows, strict=True)
    return np.stack(ours), np.stack(theirs)


def shakiest_row(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> int:
    """The row of pixels whose mean change from frame to frame exceeds the truth's by most; 0 for a single frame."""
    before: tuple[np.ndarray, np.ndarray] | None = None
    excess: np.ndarray | None = None
    for pair in pairs:
        now = pair[0].astype(np.int16), pair[1].astype(np.int16)
        if before is not None:
            changes = [np.abs(a - b).mean((1, 2)) for a, b in zip(now, before, strict=True)]
            found = changes[0] - changes[1]
            excess = found if excess is None else excess + found
        before = now
    return 0 if excess is None else int(np.argmax(excess))
