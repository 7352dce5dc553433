"""A video's frames in; the keypoints that an estimator sees in them out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from signgen.poses import estimators
from signgen.poses.sequence import PoseSequence
from signgen.progress import SILENT, Progress
from signgen.video.reader import FrameSource

_RUN = 16  # frames read at once


def estimated(
    source: FrameSource,
    part: slice,
    estimator: str | None,
    onnx: Path | None,
    enlarge: int | None = None,
    progress: Progress = SILENT,
) -> PoseSequence:
    """Keypoints of these frames, by the estimator of that name or the model in that file.

    enlarge: frames whose shorter side is smaller are enlarged to about so many pixels; None: as suits the estimator.
    """
    with closing(estimators.open_estimator(estimator, onnx)) as opened:
        pictures = progress.track(_frames(source, part), "estimating", part.stop - part.start)
        return estimators.extract(pictures, opened, source.fps, enlarge)


def _frames(source: FrameSource, part: slice) -> Iterator[np.ndarray]:
    """uint8 (H, W, 3) RGB, read in runs."""
    for start in range(part.start, part.stop, _RUN):
        yield from source.read(start, min(start + _RUN, part.stop))
