"""What a rendering leaves behind: rendered frames in; mp4 or PNG, side-by-side video, frame folder and scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.errors import SigngenError
from signgen.metrics.clip.scorer import FrameScorer
from signgen.poses.draw import Palette, draw_pose
from signgen.poses.sequence import PoseSequence
from signgen.rendering.background import FrameWorker
from signgen.rendering.source import Source
from signgen.rendering.strips import join
from signgen.video.reader import FrameSource, write_png
from signgen.video.writer import VideoWriter, sample_aspect


@dataclass(frozen=True)
class Outputs:
    """Where to write. `video` with one pose becomes a PNG; `side_by_side` and `frames` are optional.

    sample_aspect: how wide a pixel is shown by its height; None: see `writer.sample_aspect`. times: seconds of every
    frame that is written, where they come unevenly. description: kept in every file (`signgen.video.origin`).
    """

    video: Path
    fps: float
    side_by_side: bool = False
    frames: Path | None = None
    sample_aspect: Fraction | None = None
    times: np.ndarray | None = None
    description: str = ""

    def paths(self, count: int) -> tuple[Path, Path | None]:
        """The main file for `count` frames, and the side-by-side file if wanted."""
        suffix = ".png" if count == 1 else ".mp4"
        main = self.video.with_suffix(suffix)
        return main, main.with_name(f"{main.stem}.side-by-side{suffix}") if self.side_by_side else None

    def check(self, count: int, inputs: Iterable[Path]) -> None:
        """Raises SigngenError for a name that is not an mp4's (or, for one frame, a PNG's), and for an input's."""
        suffixes = (".mp4", ".png") if count == 1 else (".mp4",)
        if self.video.suffix not in suffixes:
            raise SigngenError(f"--out {self.video}", expected=f"a file name that ends in {' or '.join(suffixes)}")
        for given in inputs:
            for path in self.paths(count):
                if path is not None and path.exists() and given.exists() and path.samefile(given):
                    raise SigngenError(f"{path} is an input, and would be overwritten", fix="choose another --out")


@dataclass(frozen=True)
class Truth:
    """The real frames of the poses: frame i of `frames` belongs to pose i."""

    frames: FrameSource
    scorer: FrameScorer


def write_rendering(
    rendered: Iterable[np.ndarray],
    source: Source,
    poses: PoseSequence,
    first: int,
    palette: Palette,
    outputs: Outputs,
    truth: Truth | None,
    advance: Callable[[], None],
) -> list[Path]:
    """Write every frame as it is rendered, and score it, beside the rendering; returns the files written.

    rendered: uint8 (h, w, 3), one per pose of `poses`, which begins at frame `first` of the whole sequence; frames that
    are not written to again. advance: called after each of them.
    """
    main, beside = outputs.paths(len(poses))
    height, width = source.frame.shape[:2]
    with ExitStack() as stack:
        # where frames go
        sinks: list[tuple[Callable[[np.ndarray], None], bool]] = []
        sinks.append((_sink(stack, main, width, (width, height), outputs), False))
        if beside is not None:
            panels = 4 if truth is not None else 3
            sinks.append((_sink(stack, beside, width * panels, (width, height), outputs), True))

        # what is done with each frame, in the worker
        def finish(index: int, frame: np.ndarray) -> None:
            real = truth.frames.read(index, index + 1)[0] if truth is not None else None
            for write, is_strip in sinks:
                write(_strip(source, poses, index - first, palette, frame, real) if is_strip else frame)
            if outputs.frames is not None:
                write_png(outputs.frames / f"images{index + 1:04d}.png", frame, outputs.description)
            if truth is not None and real is not None:
                truth.scorer.update(index, frame, real)

        worker = stack.enter_context(FrameWorker())  # last, so that it ends before what it writes to is closed
        for index, frame in enumerate(rendered, start=first):
            worker.submit(finish, index, frame)
            advance()
    return [path for path in (main, beside, outputs.frames) if path is not None]


def _sink(
    stack: ExitStack, path: Path, width: int, native: tuple[int, int], outputs: Outputs
) -> Callable[[np.ndarray], None]:
    """A function that writes a frame to `path`: a PNG, or the next frame of an mp4 that `stack` closes.

    width: of what is written; native: the source's width and height.
    """
    if path.suffix == ".png":
        return lambda frame: write_png(path, frame, outputs.description)
    aspect = sample_aspect(*native, outputs.sample_aspect)
    writer = VideoWriter(path, width, native[1], outputs.fps, aspect, outputs.times, outputs.description)
    return stack.enter_context(writer).write


def _strip(
    source: Source, poses: PoseSequence, index: int, palette: Palette, frame: np.ndarray, real: np.ndarray | None
) -> np.ndarray:
    """source | pose | output | truth, each at the source's native size."""
    height, width = frame.shape[:2]
    size = (poses.width, poses.height)
    drawn = draw_pose(poses.keypoints[index], width, height, source_size=size, palette=palette)
    return join([source.frame, drawn, frame, *([real] if real is not None else [])])
