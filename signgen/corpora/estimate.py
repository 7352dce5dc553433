"""A video's frames, or one part of the picture, in; the keypoints that an estimator sees in them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signgen.errors import OptionError
from signgen.poses import estimators
from signgen.poses.estimators import Estimator, onlookers
from signgen.poses.sequence import PoseSequence
from signgen.progress import SILENT, Progress
from signgen.video.reader import FrameSource

_RUN = 16  # frames read at once
_SMALLEST = 16  # px, of a box
Box = tuple[int, int, int, int]
OWN = "own"  # the name of an estimator that is a pose network of signgen's own kind


@dataclass(frozen=True)
class EstimatorChoice:
    """Which estimator is asked for: by its name, or by a network's file or folder.

    onnx: a whole-body model of the RTMPose family. posenet: a pose network of heat maps (`open_pose_network`), with the
    name `own` or none; joints: its joint map, where it does not say itself.
    """

    name: str | None = None
    onnx: Path | None = None
    posenet: Path | None = None
    joints: str | None = None

    @property
    def given(self) -> bool:
        """Whether any is asked for."""
        return self.name is not None or self.onnx is not None or self.posenet is not None

    @property
    def label(self) -> str:
        """As it was given; empty where none was."""
        return str(self.posenet or self.onnx or self.name or "")

    def open(self) -> Estimator:
        """The estimator, for one clip. Raises OptionError or PoseError for two of them, and for what cannot be had."""
        self.check()
        if self.posenet is None:
            return estimators.open_estimator(self.name, self.onnx)
        from signgen.corpora.pose_network import PoseNetEstimator, opened  # torch

        return PoseNetEstimator(opened(self.posenet, self.joints))

    def fingerprint(self) -> str:
        """Which network it is, as model cards name it. Raises as `open` does."""
        self.check()
        if self.posenet is None:
            return estimators.fingerprint(self.name, self.onnx)
        from signgen.corpora.pose_network import opened  # torch

        return opened(self.posenet, self.joints).digest

    def check(self) -> None:
        """Raises OptionError for options that do not go together."""
        if self.posenet is not None:
            if self.onnx is not None or self.name not in (None, OWN):
                other = "--onnx" if self.onnx is not None else f"--estimator {self.name}"
                raise OptionError(f"--posenet with {other}", expected="one of the two")
        elif self.name == OWN:
            raise OptionError("--estimator own without --posenet", expected="what signgen train-posenet wrote")
        elif self.joints is not None:
            raise OptionError("--joints without --posenet", expected="the network whose heat maps they are")


def estimated(
    source: FrameSource,
    part: slice,
    choice: EstimatorChoice,
    enlarge: int | None = None,
    progress: Progress = SILENT,
    *,
    box: Box | None = None,
    count_people: bool = False,
) -> PoseSequence:
    """Keypoints of these frames, by the estimator that was chosen.

    enlarge: frames whose shorter side is smaller are enlarged to about so many pixels; None: as suits the estimator.
    box: x0, y0, x1, y1, the part of the picture that is looked at; points are in pixels of the whole. count_people:
    add a note where several people are in view.
    """
    count = part.stop - part.start
    with ExitStack() as stack:
        opened = stack.enter_context(closing(choice.open()))
        watch = None
        if count_people:
            finder = onlookers.open_faces()
            watch = onlookers.Onlookers(count, finder, box[:2] if box else (0, 0))
            if finder is not None:
                stack.enter_context(closing(finder))
        pictures = progress.track(_frames(source, part, box, watch), "estimating", count)
        found = estimators.extract(pictures, opened, source.fps, enlarge)
    return _whole(found, source, box).noted("" if watch is None else watch.note())


def parse_box(text: str, width: int, height: int, option: str = "--person") -> Box:
    """`x0,y0,x1,y1` in pixels of a frame, cut at its edges. Raises OptionError."""
    expected = f"a box x0,y0,x1,y1 in pixels of the {width}x{height} picture"
    number = r"\s*(-?\d+(?:\.\d+)?)\s*"
    match = re.fullmatch(",".join([number] * 4), text)
    if match is None:
        raise OptionError(f"{option} {text}", expected=expected)
    x0, y0, x1, y1 = (round(float(each)) for each in match.groups())
    box = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
    if min(box[2] - box[0], box[3] - box[1]) < _SMALLEST:
        raise OptionError(f"{option} {text}", expected=f"{expected}, {_SMALLEST} or more each way")
    return box


def _whole(poses: PoseSequence, source: FrameSource, box: Box | None) -> PoseSequence:
    """Poses on a part of the picture, in pixels of the whole."""
    if box is None:
        return poses
    keypoints = poses.keypoints + np.array([box[0], box[1], 0], np.float32)
    return replace(poses, keypoints=keypoints, width=source.width, height=source.height)


def _frames(
    source: FrameSource, part: slice, box: Box | None, watch: onlookers.Onlookers | None
) -> Iterator[np.ndarray]:
    """uint8 (H, W, 3) RGB, read in runs, cut to the box."""
    x0, y0, x1, y1 = box or (0, 0, source.width, source.height)
    number = 0
    for start in range(part.start, part.stop, _RUN):
        for frame in source.read(start, min(start + _RUN, part.stop)):
            cut = frame[y0:y1, x0:x1]
            if watch is not None:
                watch.look(number, cut)
            number += 1
            yield cut
