"""What `signgen evaluate` adds to the scores of frames when it is asked to: pose metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from signgen.cli.pose_scoring import PoseRequest
    from signgen.data.video import FrameSource
    from signgen.metrics.frame_pair import ClipMetric, FrameMetric


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


@dataclass
class Further:
    """Metrics beside those of every frame; name -> why one is not computed; and notes for the report."""

    metrics: list[FrameMetric] = field(default_factory=list)
    clip_metrics: list[ClipMetric] = field(default_factory=list)
    not_computed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def further_metrics(clips: Compared, poses: PoseRequest) -> Further:
    """What is asked for; the reason for what is not."""
    from signgen.cli.pose_scoring import NOT_ASKED, pose_metrics
    from signgen.metrics.definitions import POSE_METRICS, SEQUENCE_METRICS

    further = Further()
    if poses.wanted:
        further.metrics, further.clip_metrics, further.notes = pose_metrics(poses, clips)
    else:
        further.not_computed |= dict.fromkeys((*POSE_METRICS, *SEQUENCE_METRICS), NOT_ASKED)
    return further
