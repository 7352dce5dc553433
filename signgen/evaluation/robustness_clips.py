"""A robustness request in; the clips, or the images of a list, that are rendered for it, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signgen.errors import OptionError, PoseError
from signgen.evaluation.baselines import nearest_pose
from signgen.evaluation.perturbations import PIXELS, SHARES
from signgen.metrics.clip.scorer import Baseline
from signgen.models.card import ModelCard
from signgen.pairs.pairset import PairSet, frame_name
from signgen.poses.convert import to_skeleton
from signgen.poses.readers import read_beside
from signgen.poses.sequence import PoseSequence
from signgen.rendering.pairs import PairJob, check_pairs, jobs_of
from signgen.requests import Request
from signgen.video.reader import FrameSource, frame_range, open_frames


@dataclass(frozen=True)
class RobustnessRequest(Request):
    """data: a pair set, or a video whose keypoints are `poses`. split: of a pair set; clips: its first so many only,
    of a list of pairs its first so many sources.

    frames: A:B of a video. noise: standard deviations in pixels; shares: per cent of hands, and of frames, lost;
    sources: how many other source frames. studies: names of perturbations.STUDIES, None for the usual ones; levels:
    name -> levels of one study, in place of the others.
    all_sources: also render each target of a list from every other image of its outfit. sampling: values that replace
    the recipe's.
    """

    model: Path
    data: Path
    poses: Path | None = None
    split: str = "val"
    frames: str | None = None
    clips: int | None = None
    noise: Sequence[float] = PIXELS
    shares: Sequence[float] = SHARES
    sources: int = 4
    studies: Sequence[str] | None = None
    levels: Mapping[str, Sequence[float]] = field(default_factory=dict)
    all_sources: bool = False
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class ClipUnderTest:
    """A clip to render, or the images of a list that have one source. source: its source frame; targets: frames that
    are rendered and scored, ascending.

    name: keys all that is drawn at random. poses: of every frame, in pixels of the frames. baselines: beside
    copy-source. listed: frames are single images that do not follow each other. clip: of a list, the
    pair set's clip that they are of.
    """

    name: str
    frames: FrameSource
    poses: PoseSequence
    source: int
    targets: tuple[int, ...]
    baselines: Mapping[str, Baseline]
    listed: bool = False
    clip: str = ""


def open_pair_set(request: RobustnessRequest, card: ModelCard) -> PairSet | None:
    """The pair set that fits the model; None for a video. Raises PairSetError."""
    if not request.data.is_dir() or request.poses is not None:
        return None
    pair_set = PairSet.load(request.data)
    check_pairs(pair_set, card, request.split)
    return pair_set


def clips_of(request: RobustnessRequest, card: ModelCard) -> list[ClipUnderTest]:
    """What is rendered. Raises PairSetError or PoseError for what does not fit the model."""
    pair_set = open_pair_set(request, card)
    if pair_set is None:
        return [_video_clip(request, card)]
    jobs = jobs_of(pair_set.triples(request.split))[: request.clips]
    if pair_set.listed:
        return listed_clips(pair_set, jobs)
    found = []
    for job in jobs:
        clip = pair_set.clips[job.clip_index]
        nearest = nearest_pose(pair_set, clip.name, (clip.width, clip.height))
        source, baselines = pair_set.frames(clip.name), {"nearest-pose": nearest}
        found.append(ClipUnderTest(clip.name, source, pair_set.poses(clip.name), job.source, job.targets, baselines))
    return found


def listed_clips(pair_set: PairSet, jobs: Sequence[PairJob]) -> list[ClipUnderTest]:
    """A list's images, by source. Its clips are opened once."""
    opened = {n: (pair_set.frames(pair_set.clips[n].name), pair_set.poses(pair_set.clips[n].name)) for n in _used(jobs)}
    return [
        ClipUnderTest(
            frame_name(pair_set.clips[job.clip_index], job.source),
            *opened[job.clip_index],
            job.source,
            job.targets,
            {},
            listed=True,
            clip=pair_set.clips[job.clip_index].name,
        )
        for job in jobs
    ]


def _used(jobs: Sequence[PairJob]) -> set[int]:
    return {job.clip_index for job in jobs}


def _video_clip(request: RobustnessRequest, card: ModelCard) -> ClipUnderTest:
    """A video, its frame 0 as the source, as `signgen render` takes it."""
    if request.poses is None:
        raise OptionError(f"{request.data} is no pair set", fix="give the video's keypoints as POSES")
    video = open_frames(request.data)
    sequence = to_skeleton(read_beside(request.poses, video), card.skeleton)
    if len(sequence) != video.num_frames:
        raise PoseError(
            f"{request.poses}: {len(sequence)} poses", expected=f"one for each of {video.num_frames} frames"
        )
    part = frame_range(request.frames, len(sequence))
    video.check(0, 1)
    video.check(part.start, part.stop)
    return ClipUnderTest(video.path.stem, video, sequence, 0, tuple(range(part.start, part.stop)), {})
