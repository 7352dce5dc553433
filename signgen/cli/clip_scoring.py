"""What `signgen evaluate` adds to the scores of frames when it is asked to: pose metrics, FID and FVD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from signgen.cli.pose_scoring import PoseRequest
    from signgen.metrics.clip.frame_pair import ClipMetric, FrameMetric
    from signgen.metrics.distribution.fvd import Distribution
    from signgen.video.reader import FrameSource


@dataclass(frozen=True)
class Compared:
    """The clips: frames of `truth` in `selection` belong to those of `generated` from `first` on.

    keypoints: of the whole truth (T, K, 3), if they are known. source: the frame that copy-source repeats; own_source:
    whether it is frame 0 of the truth.
    """

    generated: FrameSource
    first: int
    truth: FrameSource
    selection: slice
    keypoints: np.ndarray | None
    source: np.ndarray
    own_source: bool


@dataclass(frozen=True)
class FurtherRequest:
    """poses: seen in the generated clip. distribution: whether to take FID and FVD. weights: a folder of networks'
    weights, instead of the usual places."""

    poses: PoseRequest
    distribution: bool = False
    weights: Path | None = None


@dataclass
class Further:
    """Metrics beside those of every frame; name -> why one is not computed; and notes for the report."""

    metrics: list[FrameMetric] = field(default_factory=list)
    clip_metrics: list[ClipMetric] = field(default_factory=list)
    not_computed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def further_metrics(clips: Compared, wanted: FurtherRequest) -> Further:
    """What is asked for; the reason for what is not."""
    from signgen.cli.pose_scoring import NOT_ASKED, pose_metrics
    from signgen.metrics.definitions import POSE_METRICS, SEQUENCE_METRICS

    further = Further()
    if wanted.poses.wanted:
        further.metrics, further.clip_metrics, further.notes = pose_metrics(wanted.poses, clips)
    else:
        further.not_computed |= dict.fromkeys((*POSE_METRICS, *SEQUENCE_METRICS), NOT_ASKED)
    gathered, reasons = distributions(wanted.distribution, wanted.weights)
    further.clip_metrics += gathered
    further.not_computed |= reasons
    return further


def distributions(wanted: bool, weights: Path | None) -> tuple[list[Distribution], dict[str, str]]:
    """FID and both FVDs, if they are wanted; name -> why one cannot be computed, with the command that gets weights."""
    from signgen.errors import WeightsError
    from signgen.metrics.definitions import DISTRIBUTION_METRICS
    from signgen.metrics.distribution.fvd import Distribution
    from signgen.metrics.distribution.i3d import WINDOW, load_i3d, load_r3d
    from signgen.metrics.distribution.inception import load_inception

    if not wanted:
        return [], dict.fromkeys(DISTRIBUTION_METRICS, "not asked for; --distribution asks for it")

    def frame_features() -> Callable[[np.ndarray], np.ndarray]:
        inception = load_inception("pytorch-fid", weights)
        return lambda window: inception(window[0])

    networks: tuple[tuple[str, int, Callable[[], Callable[[np.ndarray], np.ndarray]]], ...] = (
        ("fid", 1, frame_features),
        ("fvd", WINDOW, lambda: load_i3d(weights)),
        ("fvd_r3d", WINDOW, lambda: load_r3d(weights)),
    )
    found, missing = [], {}
    for name, window, load in networks:
        try:
            found.append(Distribution(name, load(), window))
        except WeightsError as error:
            missing[name] = str(error)
    return found, missing
