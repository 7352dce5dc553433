"""Pictures and clips in; files for the page out, all encoded alike and named so that neither says what they are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.errors import StudyError
from signgen.files import atomic_path
from signgen.metrics.image.pixels import size_text
from signgen.metrics.image.resize import resize
from signgen.study.design import TRUTH
from signgen.study.material import Shown, Target
from signgen.video.writer import VideoWriter, sample_aspect

JPEG_QUALITY = 92
IMAGE_FORMATS: dict[str, dict[str, int]] = {"png": {}, "jpeg": {"quality": JPEG_QUALITY, "subsampling": 0}}
SOURCE = "source"
_ONE_TIME = 1_000_000_000  # all files get this date: when one was made would tell


@dataclass
class MediaFolder:
    """Writes below `folder`. image_format: a key of IMAGE_FORMATS. size: (width, height) that all are brought to.

    pixel_aspect: how wide a pixel is shown, by the size of what was written. longest: seconds of the longest clip.
    """

    folder: Path
    image_format: str = "png"
    size: tuple[int, int] | None = None
    longest: float = 0.0
    pixel_aspect: dict[str, float] = field(default_factory=dict)

    def write(self, target: Target, which: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Encode (TRUTH, SOURCE or run, file stem) of a target; returns the same with the file's name.

        Raises StudyError where a run's picture differs from the truth in size, or a clip in length.
        """
        which = list(which)
        shown = target.shown[TRUTH].read()
        truth = shown.frames
        done = {}
        for name, stem in which:
            if name == SOURCE:
                assert target.source is not None
                frames = self._fitted(target.source.read().frames, None, "")
            else:
                material = target.shown[name]
                frames = self._fitted(truth if name == TRUTH else material.read().frames, truth, str(material.path))
            if len(truth) > 1 and name != SOURCE:
                done[name] = self._clip(stem, frames, shown)
            else:
                done[name] = self._image(stem, frames[0], shown)
        return done

    def _fitted(self, frames: np.ndarray, truth: np.ndarray | None, path: str) -> np.ndarray:
        if truth is not None and len(frames) != len(truth):
            raise StudyError(f"{path}: {len(frames)} frames, its truth has {len(truth)}", expected="equal counts")
        if self.size is not None:
            return np.stack([resize(frame, self.size, "pil-bicubic") for frame in frames])
        if truth is not None and frames.shape != truth.shape:
            raise StudyError(
                f"{path}: {size_text(frames[0])}, its truth {size_text(truth[0])}",
                expected="equal sizes, or the size would tell",
                fix="bring all to one with --size WxH",
            )
        return frames

    def _image(self, stem: str, frame: np.ndarray, shown: Shown) -> str:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, self.image_format.upper(), **IMAGE_FORMATS[self.image_format])
        path = self.folder / f"{stem}.{self.image_format.replace('e', '')}"
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
        return self._finished(path, frame, shown)

    def _clip(self, stem: str, frames: np.ndarray, shown: Shown) -> str:
        """At the truth's times, or they would tell."""
        path = self.folder / f"{stem}.mp4"
        height, width = frames.shape[1:3]
        aspect, times = self._aspect(width, height, shown), shown.times
        with VideoWriter(path, width, height, shown.fps, aspect, times) as writer:
            for frame in frames:
                writer.write(frame)
        last = len(frames) / shown.fps if times is None else float(times[-1]) + 1 / shown.fps
        self.longest = max(self.longest, last)
        return self._finished(path, frames[0], shown)

    def _aspect(self, width: int, height: int, shown: Shown) -> Fraction:
        """How wide a pixel is shown: as the truth states, unless all were brought to a size of the user's."""
        return sample_aspect(width, height, None if self.size is not None else shown.sample_aspect)

    def _finished(self, path: Path, frame: np.ndarray, shown: Shown) -> str:
        os.utime(path, (_ONE_TIME, _ONE_TIME))
        self.pixel_aspect[size_text(frame)] = float(self._aspect(frame.shape[1], frame.shape[0], shown))
        return path.name
