"""Clips that the ablation of RePoseDM is scored on, and who judges poses there; rendered frames in, means out."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.corpora.estimate import EstimatorChoice
from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.image.lpips import Lpips
from signgen.metrics.pose.accuracy import PoseAccuracy, has_shoulders, joint_errors, placed, repeated
from signgen.models.canvas import Canvas
from signgen.pairs.pairset import PairSet
from signgen.poses.estimators import extract
from signgen.poses.parts import joint_parts, visible
from signgen.poses.sequence import PoseSequence
from signgen.rendering.source import Source

CANVAS = Canvas(128, 128)
DRAWN_PLACE, REAL_PLACE = "drawn, not trained on", "real, held out"
SHARE = 0.1  # of a shoulder's width, within which a point is found


@dataclass(frozen=True)
class Case:
    """A clip on the canvas: frames (T, h, w, 3), their poses, which of them are rendered, from the first one."""

    on: str
    name: str
    truth: np.ndarray
    poses: PoseSequence
    part: range

    @classmethod
    def of(cls, pairs: PairSet, name: str, on: str, part: range) -> Case:
        """A clip of a pair set."""
        truth = np.stack([CANVAS.fit_frame(frame) for frame in pairs.frames(name).read()])
        return cls(on, name, truth, pairs.poses(name).resized(CANVAS.width, CANVAS.height), part)

    @property
    def source(self) -> Source:
        """Its first frame."""
        return Source(self.truth[0], self.poses[0:1], self.name)


class Judge:
    """Keypoints that are seen in the frames of a case: of the truth once, of every output."""

    def __init__(self, network: Path, guide: Path, everywhere: str | None = None) -> None:
        """network: judges drawn people, unless another estimator judges everywhere. guide: the one that guides. Raises
        ValueError where they are one."""
        own = EstimatorChoice(posenet=network)
        self._choices = {DRAWN_PLACE: EstimatorChoice(everywhere) if everywhere else own}
        if importlib.util.find_spec("mediapipe"):
            self._choices[REAL_PLACE] = EstimatorChoice("mediapipe")
        self._truths: dict[str, np.ndarray] = {}
        if own.fingerprint() == EstimatorChoice(posenet=guide).fingerprint():
            raise ValueError("the pose network that guides is the one that judges")

    def judges(self, case: Case) -> bool:
        """Whether there is an estimator for it, which sees shoulders in the truth: the unit of distances."""
        return case.on in self._choices and has_shoulders(self.truth(case))

    def truth(self, case: Case) -> np.ndarray:
        """(T, 133, 3), missing in frames that are not rendered."""
        if case.name not in self._truths:
            self._truths[case.name] = self.seen(case, [case.truth[index] for index in case.part])
        return self._truths[case.name]

    def seen(self, case: Case, frames: list[np.ndarray]) -> np.ndarray:
        """(T, 133, 3) of the frames of the case's part."""
        with closing(self._choices[case.on].open()) as opened:
            return placed(extract(frames, opened, 25.0).keypoints, list(case.part), len(case.truth))

    def source(self, case: Case) -> np.ndarray:
        """(T, 133, 3): what is seen in the source, in all frames."""
        with closing(self._choices[case.on].open()) as opened:
            return repeated(extract([case.truth[0]], opened, 25.0).keypoints[0], len(case.truth))


def found_shares(seen: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of the truth's points (T, 133, 3), the share that is seen within SHARE of a shoulder's width."""
    parts = joint_parts(truth.shape[1])
    errors, true = joint_errors(seen, truth), visible(truth)
    shares = {}
    for name, joints in (("found_10", [*parts["body"], *parts["hands"]]), ("hand_found_10", [*parts["hands"]])):
        if there := int(true[:, joints].sum()):
            shares[name] = float((errors[:, joints] <= SHARE).sum() / there)
    return shares


def scored(case: Case, made: list[np.ndarray], judge: Judge, lpips: Lpips | None) -> dict[str, dict]:
    """Means of the frames that were made, and of copy-source."""
    metrics, found = [], {"model": {}, "copy-source": {}}
    if judge.judges(case):
        truth, seen = judge.truth(case), {MODEL: judge.seen(case, made), "copy-source": judge.source(case)}
        metrics = [PoseAccuracy(truth, seen)]
        found = {"model": found_shares(seen[MODEL], truth), "copy-source": found_shares(seen["copy-source"], truth)}
    scorer = FrameScorer(
        keypoints=case.poses.keypoints,
        baselines={"copy-source": CopySource(case.truth[0])},
        lpips=lpips,
        quick=True,
        metrics=metrics,
    )
    for index, frame in zip(case.part, made, strict=True):
        scorer.update(index, frame, case.truth[index])
    means = scorer.result()
    found["model"] |= means["mean"]
    found["copy-source"] |= means["baselines"]["copy-source"]
    return found
