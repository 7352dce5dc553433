"""Robustness: clips, a model and one way of making its input worse in; what it then scores, beside baselines, out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.scorer import Baseline, FrameScorer, Row, mean_row
from signgen.metrics.definitions import FACE_METRICS, HAND_METRICS, WHOLE_METRICS
from signgen.poses.perturb import add_noise, drop_frames, drop_hands
from signgen.poses.sequence import PoseSequence
from signgen.rendering.background import Background
from signgen.rendering.pairs import render_targets
from signgen.rendering.renderer import Renderer, Source
from signgen.video.reader import FrameSource

METRICS = (*HAND_METRICS, *WHOLE_METRICS, *FACE_METRICS)
Kind = Literal["noise", "hands", "held", "interpolated", "source"]
STUDIES: dict[str, str] = {
    "noise": "Every keypoint coordinate moved by an independent normal draw with this standard deviation, in pixels of "
    "the clip's own frames.",
    "hands": "Per cent of the frames, drawn at random, in which all points of both hands are missing.",
    "held": "Per cent of the frames, drawn at random, whose pose is lost; the last pose before is held.",
    "interpolated": "Per cent of the frames, drawn at random, whose pose is lost; points are taken from the line "
    "between the last pose before and the next.",
    "source": "Which frame is the source: number 0 is the pair's own (of a video its first), 1 the middle one, the "
    "others are drawn at random, of the frames with a person that are not scored (of all, where all are scored).",
}


@dataclass(frozen=True)
class Trial:
    """A way to make the input worse. level: pixels, per cent of frames, or the number of the source; 0: not at all."""

    kind: Kind
    level: float = 0.0


@dataclass(frozen=True)
class StudyClip:
    """A clip to render. source: its source frame; targets: frames that are rendered and scored, ascending.

    poses: of every frame, in pixels of the frames. baselines: beside copy-source.
    """

    name: str
    frames: FrameSource
    poses: PoseSequence
    source: int
    targets: tuple[int, ...]
    baselines: Mapping[str, Baseline]


def trials(noise: Sequence[float], shares: Sequence[float], sources: int) -> list[Trial]:
    """The unharmed rendering, then every trial of every study. shares: per cent. sources: how many beside the own."""
    kinds: tuple[Kind, ...] = ("hands", "held", "interpolated")
    return [
        Trial("noise"),
        *(Trial("noise", level) for level in noise if level),
        *(Trial(kind, level) for kind in kinds for level in shares if level),
        *(Trial("source", float(number)) for number in range(1, sources + 1)),
    ]


def run_trial(
    renderer: Renderer, clips: Sequence[StudyClip], trial: Trial, seed: int, tick: Callable[[], None]
) -> dict[str, Any]:
    """Means over all frames of all clips: {"model": {metric: mean}, "copy-source": ..., ...}."""
    tracks: dict[str, list[Row]] = {}
    for clip in clips:
        number = source_frames(clip, seed, int(trial.level))[-1] if trial.kind == "source" else clip.source
        frame = clip.frames.read(number, number + 1)[0]
        pose = clip.poses[number : number + 1]
        source = Source(frame, pose if pose.has_person[0] else None, clip.name)
        scorer = FrameScorer(
            keypoints=clip.poses.keypoints,
            baselines={"copy-source": CopySource(frame), **clip.baselines},
            quick=True,
        )
        poses = perturbed(clip, trial, seed)
        with Background() as beside:
            for target, output in zip(clip.targets, render_targets(renderer, source, poses, clip.targets), strict=True):
                beside.submit(_score, scorer, clip.frames, target, output)
                tick()
        result = scorer.result()
        for name, rows in {"model": result["per_frame"], **result["per_frame_baselines"]}.items():
            tracks.setdefault(name, []).extend(rows)
    return {name: mean_row(rows, METRICS) for name, rows in tracks.items()}


def _score(scorer: FrameScorer, truth: FrameSource, target: int, output: np.ndarray) -> None:
    scorer.update(target, output, truth.read(target, target + 1)[0])


def perturbed(clip: StudyClip, trial: Trial, seed: int) -> PoseSequence:
    """The poses that the model is given; draws are keyed by the seed, what is done, and the clip's name."""
    if not trial.level or trial.kind == "source":
        return clip.poses
    # What is lost is the same whether it is held or interpolated.
    rng = _generator(seed, "frames" if trial.kind in ("held", "interpolated") else trial.kind, clip.name)
    if trial.kind == "noise":
        return add_noise(clip.poses, trial.level, rng)
    if trial.kind == "hands":
        return drop_hands(clip.poses, clip.targets, trial.level / 100, rng)
    interpolated = trial.kind == "interpolated"
    return drop_frames(clip.poses, clip.targets, trial.level / 100, rng, interpolated=interpolated)


def source_frames(clip: StudyClip, seed: int, count: int) -> list[int]:
    """Source frames number 0 to `count` of the study: own, middle, and frames drawn at random (again, if few)."""
    able = np.flatnonzero(clip.poses.has_person)
    free = np.setdiff1d(able, clip.targets)
    candidates = free if len(free) else able
    drawn = _generator(seed, "source", clip.name).permutation(candidates)
    others = [int(candidates[len(candidates) // 2]), *(int(drawn[n % len(drawn)]) for n in range(count))]
    return [clip.source, *others][: count + 1]


def _generator(seed: int, *key: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join(key).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
