"""Keypoints of a generated clip, given or estimated, and the truth's in; pose metrics out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from signgen.corpora.estimate import EstimatorChoice, estimated
from signgen.errors import OptionError, PoseError
from signgen.evaluation.clip_pair import ClipPair
from signgen.metrics.clip.frame_pair import MODEL, ClipMetric, FrameMetric
from signgen.metrics.clip.presets import CropErrors
from signgen.metrics.pose.accuracy import PoseAccuracy, SequenceAccuracy, placed, repeated
from signgen.metrics.pose.hands import HandReading, reference_of
from signgen.metrics.pose.non_manual import NonManual
from signgen.poses import estimators, read_beside
from signgen.poses.estimators import Estimator
from signgen.poses.sequence import PoseSequence
from signgen.poses.skeletons import COCO_WHOLEBODY_133
from signgen.progress import SILENT, Progress
from signgen.requests import Request

NOT_ASKED = "no keypoints of the generated clip; give them with --generated-poses, or an --estimator or --onnx FILE"

NEEDS_HANDS = "it needs an estimator that looks at both clips (--estimator, --onnx), and keypoints with hands and face"


@dataclass(frozen=True)
class PoseRequest(Request):
    """Where the generated clip's keypoints come from: a file, or an estimator by its name or its model's file (see
    EstimatorChoice).

    refused: why they are not taken all the same; see `judging`.
    """

    poses: Path | None = None
    estimator: str | None = None
    onnx: Path | None = None
    refused: str = ""
    posenet: Path | None = None
    joints: str | None = None

    @property
    def choice(self) -> EstimatorChoice:
        """The estimator that is asked for."""
        return EstimatorChoice(self.estimator, self.onnx, self.posenet, self.joints)

    @property
    def estimates(self) -> bool:
        """Whether an estimator is asked for, and may judge."""
        return not self.refused and self.choice.given

    @property
    def estimator_name(self) -> str:
        """As it was given; empty where none was."""
        return self.choice.label

    @property
    def wanted(self) -> bool:
        """Whether there is any origin of keypoints, and it may be taken."""
        return not self.refused and (self.poses is not None or self.estimates)

    def judging(self, what: str, networks: Sequence[str]) -> PoseRequest:
        """The same for something that comes from a model which these pose networks trained or guided (fingerprints):
        refused where one of them would judge it, or where it is not known which network keypoints of a file are from.

        what: that is judged, for the reason. Raises PoseError for an ONNX file that cannot be read.
        """
        if not networks or not self.wanted:
            return self
        taught = "was trained or guided by" if len(networks) == 1 else "was trained or guided by one of"
        if self.poses is not None:
            named = ", ".join(networks)
            reason = f"{what} {taught} {named}, and {self.poses} does not say which network its keypoints are from"
        elif (own := self.choice.fingerprint()) in networks:
            reason = f"{what} was trained or guided by this very network ({own}), which therefore cannot judge it"
        else:
            return self
        return replace(self, refused=f"{reason}; take another with --estimator, --onnx or --posenet")

    def open(self) -> Estimator:
        """The estimator, for one clip. Raises as EstimatorChoice.open."""
        return self.choice.open()

    def check(self, truth_known: bool) -> None:
        """Raises OptionError for two origins, and for a file without the truth's keypoints."""
        self.choice.check()
        if self.poses is not None and self.estimates:
            raise OptionError("--generated-poses does not go with --estimator, --onnx or --posenet")
        if self.poses is not None and not truth_known:
            raise OptionError("--generated-poses needs --poses, the truth's keypoints")


def pose_metrics(
    request: PoseRequest, pair: ClipPair, progress: Progress = SILENT, *, crops: bool = False
) -> tuple[list[FrameMetric], list[ClipMetric], list[str]]:
    """The metrics and notes for the report. crops: with errors in the crops of a preset.

    With an estimator the truth is estimated by it too: it then errs alike on both, and an identical clip has no error.
    """
    truth, seen, notes = _estimated(request, pair, progress) if request.estimates else _given(request, pair)
    frame_metrics: list[FrameMetric] = [PoseAccuracy(truth, seen)]
    clip_metrics: list[ClipMetric] = [SequenceAccuracy(truth, seen)]
    if truth.shape[1] == COCO_WHOLEBODY_133.points:
        if request.estimates:
            frame_metrics.append(HandReading(reference_of(pair.keypoints, truth), truth, seen))
            frame_metrics += [CropErrors(truth, seen)] if crops else []
        clip_metrics.append(NonManual(truth, seen, (pair.truth.width, pair.truth.height), pair.truth.fps))
    return frame_metrics, clip_metrics, notes


def _given(request: PoseRequest, pair: ClipPair) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    assert request.poses is not None
    assert pair.keypoints is not None
    truth, generated = pair.keypoints, pair.generated
    sequence = read_beside(request.poses, generated)
    wanted = pair.selection.stop - pair.selection.start
    if len(sequence) not in (generated.num_frames, wanted):
        raise PoseError(
            f"{request.poses}: keypoints for {len(sequence)} frames, {generated.path} has {generated.num_frames}",
            expected="one pose per generated frame",
        )
    if sequence.layout.points != truth.shape[1]:
        raise PoseError(f"{request.poses}: {sequence.layout.points} points", expected=f"{truth.shape[1]}, as --poses")
    first = pair.first if len(sequence) == generated.num_frames else 0
    part = sequence[first : first + wanted]
    seen = {MODEL: placed(part.keypoints, pair.selection, len(truth))}
    if pair.own_source:
        seen["copy-source"] = repeated(truth[0], len(truth))
    return truth, seen, [*sequence.notes, f"pose metrics compare {request.poses} with --poses"]


def _estimated(
    request: PoseRequest, pair: ClipPair, progress: Progress
) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    selection = pair.selection
    ours = slice(selection.start + pair.shift, selection.stop + pair.shift)
    truth = estimated(pair.truth, selection, request.choice, progress=progress)
    generated = estimated(pair.generated, ours, request.choice, progress=progress)
    with closing(request.open()) as opened:
        source = estimators.extract([pair.source], opened)
    _check_person(truth, pair.truth.path)
    frames = pair.truth.num_frames
    seen = {MODEL: placed(generated.keypoints, selection, frames)}
    seen["copy-source"] = repeated(source.keypoints[0], frames)
    note = f"keypoints of both clips and of the source estimated by {request.estimator_name}"
    return placed(truth.keypoints, selection, frames), seen, [*truth.notes, note]


def _check_person(truth: PoseSequence, path: Path) -> None:
    if not truth.has_person.any():
        raise PoseError(f"{path}: the estimator sees nobody in {len(truth)} frames", expected="a person")
