"""Every pair of a shard rendered and scored as frames of clips, by signgen's own rules; the shards joined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.model_work import (
    WORST,
    ModelRequest,
    Rendered,
    Shard,
    Work,
    merge_worst,
    shards_of,
    without_nearest,
)
from signgen.evaluation.scorer import crop_pictures, distributions, find_lpips
from signgen.evaluation.worst import WorstPictures
from signgen.metrics.clip.join import ClipScores, join_clips
from signgen.metrics.clip.presets import ClipPreset, CropErrors, preset_named, with_preset
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.definitions import FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.metrics.distribution.fvd import Distribution
from signgen.metrics.pose.estimated import EstimatedClip, EstimatedSet
from signgen.pairs.pairset import PairSet
from signgen.parallel import Tick, in_processes
from signgen.progress import Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.pairs import PairJob

_NO_KEYPOINTS = "no keypoints of the generated frames; --estimator NAME or --onnx FILE estimates them"
NO_SEQUENCES = "a list of pairs has single images: no clip whose shoulder width is the unit, and no sequence to warp"


def score_clips(pair_set: PairSet, whole: Shard, progress: Progress) -> tuple[dict[str, Any], WorstPictures]:

    parts = in_processes(clips_part, shards_of(whole), whole.total, "rendering and scoring", progress)
    for other in parts[1:]:
        for whole_set, part in zip(parts[0].set_metrics, other.set_metrics, strict=True):
            whole_set.merge(part)
        if parts[0].poses is not None and other.poses is not None:
            parts[0].poses.merge(other.poses)
    scored = [clip for part in parts for clip in part.clips]
    notes = sorted({note for part in parts for note in part.notes})
    of_poses = [] if parts[0].poses is None else [parts[0].poses]
    result = join_clips(scored, without_nearest(pair_set), notes, [*parts[0].set_metrics, *of_poses])
    return with_preset(result, preset_of(whole.request)), merge_worst([part.worst for part in parts])


def preset_of(request: ModelRequest) -> ClipPreset | None:
    """Raises OptionError for an unknown one."""
    return None if request.preset is None else preset_named(request.preset)


@dataclass(frozen=True)
class ScoredClips:
    """Scores of each of a shard's jobs, its worst frames, notes, and what it gathered for metrics of the whole set.

    poses: DTW-MJE, where keypoints are estimated.
    """

    clips: list[ClipScores]
    worst: WorstPictures
    notes: list[str]
    set_metrics: list[Distribution]
    poses: EstimatedSet | None


def clips_part(shard: Shard, tick: Tick) -> ScoredClips:
    """The shard, scored as clips."""
    # metrics
    work = Work(shard)
    networks, missing = find_lpips(shard.request.lpips_weights, shard.request.weights)
    preset = preset_of(shard.request)
    also = () if preset is None else preset.distributions
    set_metrics, without = distributions(shard.request.distribution, shard.request.weights, also)
    crops, uncropped = crop_pictures(preset, networks, missing)
    poses = _Poses(work, shard.request.poses, preset)
    missing |= without | poses.missing | uncropped
    worst = WorstPictures("ssim", WORST)
    scored: list[ClipScores] = []

    # what is done with each frame and clip, in the worker
    def score(scorer: FrameScorer, pair: Rendered) -> None:
        row = scorer.update(pair.target, pair.generated, pair.truth)
        worst.add({**row, "frame": pair.row}, pair.generated, pair.truth)

    def finish(scorer: FrameScorer, job: PairJob) -> None:
        names = [work.names(job, target) for target in job.targets]
        scored.append(ClipScores(scorer.result(), job.rows, names, work.pair_set.clips[job.clip_index].name))
        poses.finish(job)

    # render, job by job
    with closing(poses), FrameWorker() as worker:
        for job in shard.jobs:
            clip = work.pair_set.clips[job.clip_index]
            scorer = FrameScorer(
                keypoints=work.poses(clip.name).resized(clip.width, clip.height).keypoints,
                lpips=networks.get("alex"),
                lpips_vgg=networks.get("vgg"),
                baselines=work.baselines(job),
                metrics=[*poses.of_job(job), *crops],
                clip_metrics=[metric.of_clip() for metric in set_metrics],
                not_computed=missing,
            )
            work.render(job, worker, partial(score, scorer), tick)
            worker.submit(finish, scorer, job)
    return ScoredClips(scored, worst, work.notes(), set_metrics, poses.set_metrics)


class _Poses:
    """What an estimator sees in the clips of a shard, if one is asked for; it works where frames are scored."""

    def __init__(self, work: Work, request: PoseRequest, preset: ClipPreset | None) -> None:

        self._work, self._request = work, request
        self.set_metrics = EstimatedSet(request.estimator_name) if request.estimates else None
        self._crops = preset is not None and preset.crops
        names = (*POSE_METRICS, *FINGER_METRICS, *SEQUENCE_METRICS, *(CropErrors.names if self._crops else ()))
        reason = request.refused or (NO_SEQUENCES if work.pair_set.listed else _NO_KEYPOINTS)
        self.missing = {} if request.estimates else dict.fromkeys(names, reason)
        self._waiting: dict[PairJob, EstimatedClip] = {}

    def of_job(self, job: PairJob) -> list[EstimatedClip]:
        """The job's metric of frames, if there is an estimator."""
        if self.set_metrics is None:
            return []
        clip, targets = self._work.pair_set.clips[job.clip_index], list(dict.fromkeys(job.targets))

        def truth() -> Iterator[np.ndarray]:
            frames = self._work.pair_set.frames(clip.name)
            return (frames.read(target, target + 1)[0] for target in targets)

        keypoints = self._work.poses(clip.name).resized(clip.width, clip.height).keypoints
        self._waiting[job] = EstimatedClip(
            self._request.open, truth, targets, clip.num_frames, keypoints, clip.fps, crops=self._crops
        )
        return [self._waiting[job]]

    def finish(self, job: PairJob) -> None:
        """Keep what the job's clip leaves for the set; nothing without an estimator."""
        if self.set_metrics is not None:
            self.set_metrics.add(
                job.rows[0], self._waiting.pop(job).finish(self._work.pair_set.clips[job.clip_index].name)
            )

    def close(self) -> None:
        """Give back the estimators of jobs that were broken off."""
        for clip in self._waiting.values():
            clip.close()
