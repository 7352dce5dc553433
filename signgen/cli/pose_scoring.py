"""Pose metrics of `signgen evaluate`: keypoints of the generated clip, given or estimated here, beside the truth's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from signgen.errors import PoseError

if TYPE_CHECKING:
    import numpy as np

    from signgen.cli.clip_scoring import Compared
    from signgen.metrics.clip.frame_pair import ClipMetric, FrameMetric
    from signgen.poses.estimators import Estimator
    from signgen.poses.sequence import PoseSequence

NOT_ASKED = "no keypoints of the generated clip; give them with --generated-poses, or an --estimator or --onnx FILE"


@dataclass(frozen=True)
class PoseRequest:
    """Where the generated clip's keypoints come from: a file, or an estimator by its name or its model's file."""

    poses: Path | None = None
    estimator: str | None = None
    onnx: Path | None = None

    @property
    def estimates(self) -> bool:
        return self.estimator is not None or self.onnx is not None

    @property
    def estimator_name(self) -> str:
        """As it was given; empty where none was."""
        return str(self.onnx or self.estimator or "")

    @property
    def wanted(self) -> bool:
        return self.poses is not None or self.estimates

    def open(self) -> Estimator:
        """The estimator, for one clip. Raises PoseError for two of them, and for one that cannot be had."""
        from signgen.poses.estimators import open_estimator

        return open_estimator(self.estimator, self.onnx)

    def check(self, truth_known: bool) -> None:
        """Raises typer.BadParameter for two origins, and for a file without the truth's keypoints."""
        if self.poses is not None and self.estimates:
            raise typer.BadParameter("--generated-poses does not go with --estimator or --onnx")
        if self.poses is not None and not truth_known:
            raise typer.BadParameter("--generated-poses needs --poses, the truth's keypoints")


def pose_metrics(request: PoseRequest, clips: Compared) -> tuple[list[FrameMetric], list[ClipMetric], list[str]]:
    """The metrics and notes for the report.

    With an estimator the truth is estimated by it too: it then errs alike on both, and an identical clip has no error.
    """
    from signgen.metrics.pose.accuracy import PoseAccuracy, SequenceAccuracy

    truth, seen, notes = _estimated(request, clips) if request.estimates else _given(request, clips)
    return [PoseAccuracy(truth, seen)], [SequenceAccuracy(truth, seen)], notes


def _given(request: PoseRequest, clips: Compared) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    from signgen.metrics.clip.frame_pair import MODEL
    from signgen.metrics.pose.accuracy import placed, repeated
    from signgen.poses import read_poses

    assert request.poses is not None
    assert clips.keypoints is not None
    truth, generated = clips.keypoints, clips.generated
    sequence = read_poses(request.poses, size=(generated.width, generated.height), fps=generated.fps)
    wanted = clips.selection.stop - clips.selection.start
    if len(sequence) not in (generated.num_frames, wanted):
        raise PoseError(
            f"{request.poses}: keypoints for {len(sequence)} frames, {generated.path} has {generated.num_frames}",
            expected="one pose per generated frame",
        )
    if sequence.layout.points != truth.shape[1]:
        raise PoseError(f"{request.poses}: {sequence.layout.points} points", expected=f"{truth.shape[1]}, as --poses")
    first = clips.first if len(sequence) == generated.num_frames else 0
    part = sequence.resized(generated.width, generated.height)[first : first + wanted]
    seen = {MODEL: placed(part.keypoints, clips.selection, len(truth))}
    if clips.own_source:
        seen["copy-source"] = repeated(truth[0], len(truth))
    return truth, seen, [*sequence.notes, f"pose metrics compare {request.poses} with --poses"]


def _estimated(request: PoseRequest, clips: Compared) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    from contextlib import closing

    from signgen.cli.extract import estimated
    from signgen.metrics.clip.frame_pair import MODEL
    from signgen.metrics.pose.accuracy import placed, repeated
    from signgen.poses import estimators

    shift = clips.first - clips.selection.start
    ours = slice(clips.selection.start + shift, clips.selection.stop + shift)
    truth = estimated(clips.truth, clips.selection, request.estimator, request.onnx)
    generated = estimated(clips.generated, ours, request.estimator, request.onnx)
    with closing(request.open()) as opened:
        source = estimators.extract([clips.source], opened)
    _check_person(truth, clips.truth.path)
    frames = clips.truth.num_frames
    seen = {MODEL: placed(generated.keypoints, clips.selection, frames)}
    seen["copy-source"] = repeated(source.keypoints[0], frames)
    said = f"keypoints of both clips and of the source estimated by {request.estimator_name}"
    return placed(truth.keypoints, clips.selection, frames), seen, [*truth.notes, said]


def _check_person(truth: PoseSequence, path: Path) -> None:
    if not truth.has_person.any():
        raise PoseError(f"{path}: the estimator sees nobody in {len(truth)} frames", expected="a person")
