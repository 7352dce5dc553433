"""Frames in; videos of any length out, written in segments that are joined without being encoded again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signgen.errors import SigngenError, VideoError
from signgen.rendering.outputs import MAIN, Outputs
from signgen.rendering.parts import SEGMENT, Parts
from signgen.video.display import sample_aspect
from signgen.video.writer import VideoWriter

_CLOSED = {".webm": ".mp4"}  # what holds segments: the muxer of the whole file gives packets other times


@dataclass(frozen=True)
class Size:
    """Of a video's frames, and of the source's, whose pixels' shape it takes."""

    width: int
    height: int
    native: tuple[int, int]


class SegmentedVideos:
    """Context manager; `write` takes the next frame of every video, `end_frame` says that all is known of it.

    At the end the segments are joined into the files of `outputs` and `parts` is removed. When the block is left by an
    exception, what was written is joined into OUT.partial.mp4 and its like, and the finished segments stay.
    """

    def __init__(self, files: Mapping[str, Path], sizes: Mapping[str, Size], outputs: Outputs, parts: Parts) -> None:
        self._files, self._sizes, self._outputs, self._parts = files, sizes, outputs, parts
        self._writers: dict[str, VideoWriter] = {}
        self._open = ExitStack()
        self._frames = 0  # of the segment in work
        self._total = parts.frames

    def __enter__(self) -> SegmentedVideos:
        if self._parts.resumed:  # what a process that was killed while it joined had begun
            for path in self._files.values():
                for begun in path.parent.glob(f".{escape(path.name)}.*.tmp"):
                    begun.unlink()
        return self

    def write(self, pictures: Mapping[str, np.ndarray]) -> None:
        """uint8 (h, w, 3) for each video."""
        if not self._writers:
            self._parts.make()
            number = self._parts.finished
            self._writers = {
                kind: self._open.enter_context(self._writer(kind, self._segment(number, kind))) for kind in self._files
            }
        for kind, writer in self._writers.items():
            writer.write(pictures[kind])
        self._frames, self._total = self._frames + 1, self._total + 1

    @property
    def ends_segment(self) -> bool:
        """Whether the frame that was written last is the last one of its segment."""
        return self._frames == SEGMENT or self._total == self._parts.total

    def end_segment(self, last: np.ndarray, rows: Mapping[str, list[dict[str, Any]]] | None) -> None:
        """Close the segment, which is then safe. last: its last frame; rows: the scorer's of its frames."""
        paths = [writer.path for writer in self._writers.values()]
        self._open.close()
        self._writers, self._frames = {}, 0
        self._parts.finish(paths, last, rows)

    def _segment(self, number: int, kind: str) -> Path:
        suffix = self._files[kind].suffix
        return self._parts.path(number, f"{kind}{_CLOSED.get(suffix, suffix)}")

    def _writer(self, kind: str, path: Path, whole: bool = False) -> VideoWriter:
        """For a segment, or for the whole file."""
        size, outputs = self._sizes[kind], self._outputs
        return VideoWriter(
            path,
            size.width,
            size.height,
            outputs.fps,
            sample_aspect(*size.native, outputs.sample_aspect),
            outputs.times if whole else None,
            outputs.description if whole else "",
            outputs.codec,
            outputs.sound if whole and kind == MAIN else None,
        )

    def _join(self, kind: str, segments: list[Path], target: Path) -> None:
        with self._writer(kind, target, whole=True) as writer:
            for segment in segments:
                writer.append(segment)

    def _finished(self, kind: str) -> list[Path]:
        return [self._segment(number, kind) for number in range(self._parts.finished)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            if self._total < self._parts.total:
                raise VideoError(f"{self._total} frames were rendered", expected=f"{self._parts.total}")
            for name, path in self._files.items():
                self._join(name, self._finished(name), path)
                if self._outputs.credentials is not None:
                    self._outputs.credentials.sign(path)
                if self._parts.resumed:
                    partial_path(path).unlink(missing_ok=True)
            self._parts.remove()
            return
        partial = {name: writer.partial_path for name, writer in self._writers.items()}
        try:
            self._open.__exit__(kind, error, traceback)  # which leaves what was written of the segment in work
            for name, path in self._files.items():
                more = [partial[name]] if name in partial and partial[name].exists() else []
                if segments := [*self._finished(name), *more]:
                    self._join(name, segments, partial_path(path))
        except (OSError, ValueError, SigngenError):
            pass  # a full disk, say, which leaves no whole file: the first error is the one to report
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)
            if not self._parts.finished:
                self._parts.remove()


def partial_path(path: Path) -> Path:
    """OUT.partial.mp4 of OUT.mp4."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")
