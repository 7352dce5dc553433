"""What a rendering leaves behind: rendered frames in; video or image, side by side, skeleton, frames and scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.metrics.clip.scorer import FrameScorer
from signgen.poses.draw import Palette, draw_pose
from signgen.poses.sequence import PoseSequence
from signgen.rendering.background import FrameWorker
from signgen.rendering.outputs import MAIN, SIDE_BY_SIDE, SKELETON, Outputs
from signgen.rendering.parts import Parts, parts_folder
from signgen.rendering.segments import SegmentedVideos, Size
from signgen.rendering.source import Source
from signgen.rendering.strips import join
from signgen.video.images import write_image
from signgen.video.reader import FrameSource


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
    parts: Parts | None = None,
) -> list[Path]:
    """Write every frame as it is rendered, and score it, beside the rendering; returns the files written.

    rendered: uint8 (h, w, 3), one per pose of `poses`, which begins at frame `first` of the whole sequence; frames that
    are not written to again. advance: called after each of them. parts: what was begun of the rendering, whose frames
    are not in `rendered`; None: nothing.
    """
    files = outputs.files(len(poses))
    if parts is None:
        parts = Parts(parts_folder(outputs.video), len(poses))
        if len(poses) > 1:
            parts.begin({}, resume=False)
    pictures = _Pictures(source, poses, palette, tuple(files))
    with ExitStack() as stack:
        # where frames go
        videos = None
        if len(poses) > 1:
            videos = SegmentedVideos(files, _sizes(source, tuple(files), truth is not None), outputs, parts)
            stack.enter_context(videos)

        # what is done with each frame, in the worker
        def finish(index: int, frame: np.ndarray) -> None:
            real = truth.frames.read(index, index + 1)[0] if truth is not None else None
            shown = pictures.of(index - first, frame, real)
            if videos is not None:
                videos.write(shown)
            else:
                for kind, path in files.items():
                    write_image(path, shown[kind], outputs.description)
                    if outputs.credentials is not None:
                        outputs.credentials.sign(path)
            if outputs.frames is not None:
                name = f"images{index + 1:04d}.{outputs.frames_format}"
                write_image(outputs.frames / name, frame, outputs.description)
            if truth is not None and real is not None:
                truth.scorer.update(index, frame, real)
            if videos is not None and videos.ends_segment:
                begun = first + parts.frames
                videos.end_segment(frame, None if truth is None else truth.scorer.rows_since(begun))

        worker = stack.enter_context(FrameWorker())  # last, so that it ends before what it writes to is closed
        for index, frame in enumerate(rendered, start=first + parts.frames):
            worker.submit(finish, index, frame)
            advance()
    return [*files.values(), *([outputs.frames] if outputs.frames is not None else [])]


def _sizes(source: Source, kinds: tuple[str, ...], has_truth: bool) -> dict[str, Size]:
    height, width = source.frame.shape[:2]
    panels = {SIDE_BY_SIDE: 4 if has_truth else 3}
    return {kind: Size(width * panels.get(kind, 1), height, (width, height)) for kind in kinds}


@dataclass(frozen=True)
class _Pictures:
    """What each file shows of a frame."""

    source: Source
    poses: PoseSequence
    palette: Palette
    kinds: tuple[str, ...]

    def of(self, index: int, frame: np.ndarray, real: np.ndarray | None) -> dict[str, np.ndarray]:
        """uint8 by kind: the frame; source | pose | output | truth, each at the source's size; the frame with its pose
        half-transparent over it."""
        found = {MAIN: frame}
        if set(self.kinds) == {MAIN}:
            return found
        height, width = frame.shape[:2]
        size = (self.poses.width, self.poses.height)
        drawn = draw_pose(self.poses.keypoints[index], width, height, source_size=size, palette=self.palette)
        if SIDE_BY_SIDE in self.kinds:
            found[SIDE_BY_SIDE] = join([self.source.frame, drawn, frame, *([real] if real is not None else [])])
        if SKELETON in self.kinds:
            mixed = ((frame.astype(np.uint16) + drawn) // 2).astype(np.uint8)
            found[SKELETON] = np.where(drawn.any(-1, keepdims=True), mixed, frame)
        return found
