"""Every pair of a shard rendered and scored as frames of clips, by signgen's own rules; the shards joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torchmetrics import Metric

from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.model_work import (
    WORST,
    ModelRequest,
    Rendered,
    Shard,
    Work,
    labels_of,
    merge_worst,
    shards_of,
    without_nearest,
)
from signgen.evaluation.scorer import crop_pictures, distributions, find_lpips
from signgen.evaluation.worst import WorstPictures
from signgen.metrics.accumulate import merge_states
from signgen.metrics.clip.join import ClipSet
from signgen.metrics.clip.presets import ClipPreset, CropErrors, preset_named, with_preset
from signgen.metrics.clip.scorer import FrameScorer, frame_metrics
from signgen.metrics.definitions import FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.metrics.distribution.fvd import Distribution
from signgen.metrics.pose.estimated import EstimatedClip, EstimatedSet
from signgen.pairs.pairset import PairSet
from signgen.parallel import Tick, in_first, in_processes
from signgen.progress import Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.pairs import PairJob

_NO_KEYPOINTS = "no keypoints of the generated frames; --estimator NAME or --onnx FILE estimates them"
NO_SEQUENCES = "a list of pairs has single images: no clip whose shoulder width is the unit, and no sequence to warp"


def score_clips(pair_set: PairSet, whole: Shard, progress: Progress) -> tuple[dict[str, Any], WorstPictures]:

    parts = in_processes(clips_part, shards_of(whole), whole.total, "rendering and scoring", progress)
    whole_set, *others = in_first(parts)
    merge_states(whole_set, others)
    notes = sorted({note for part in (whole_set, *others) for note in part.notes})
    labels = labels_of(pair_set, whole.request.split)
    result = whole_set.clips.result(labels, without_nearest(pair_set), notes, whole_set.set_metrics)
    return with_preset(result, preset_of(whole.request)), merge_worst([part.worst for part in (whole_set, *others)])


def preset_of(request: ModelRequest) -> ClipPreset | None:
    """Raises OptionError for an unknown one."""
    return None if request.preset is None else preset_named(request.preset)


@dataclass(frozen=True)
class ScoredClips:
    """Scores of a shard's frames, its worst frames, notes, and what it gathered for metrics of the whole set."""

    clips: ClipSet
    worst: WorstPictures
    notes: list[str]
    set_metrics: Sequence[Distribution | EstimatedSet]

    def states(self) -> list[Metric]:
        """All but pictures and notes."""
        return [state for part in (self.clips, *self.set_metrics) for state in part.states()]


def clips_part(shard: Shard, tick: Tick) -> ScoredClips:
    """The shard, scored as clips."""
    # metrics
    work = Work(shard)
    networks, missing = find_lpips(shard.request.lpips_weights, shard.request.weights)
    preset = preset_of(shard.request)
    also = () if preset is None else preset.distributions
    set_metrics, without = distributions(shard.request.distribution, shard.request.weights, also)
    crops, uncropped = crop_pictures(preset, networks, missing)
    poses = _Poses(work, shard.request.poses, shard.total, preset)
    missing |= without | poses.missing | uncropped
    worst = WorstPictures("ssim", WORST)
    of_frames = frame_metrics(work.points, networks.get("alex"), networks.get("vgg"))
    names = [name for metric in [*of_frames, *crops] for name in metric.names]
    scored = ClipSet(shard.total, [*names, *poses.names])

    # what is done with each frame and clip, in the worker
    def score(scorer: FrameScorer, pair: Rendered) -> None:
        row = scorer.update(pair.target, pair.generated, pair.truth)
        worst.add({**row, "frame": pair.row}, pair.generated, pair.truth)

    def finish(scorer: FrameScorer, job: PairJob) -> None:
        scored.add(scorer.result(), job.rows)
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
    return ScoredClips(scored, worst, work.notes(), [*set_metrics, *poses.set_metrics])


class _Poses:
    """What an estimator sees in the clips of a shard, if one is asked for; it works where frames are scored."""

    def __init__(self, work: Work, request: PoseRequest, total: int, preset: ClipPreset | None) -> None:

        self._work, self._request = work, request
        self.set_metrics = [EstimatedSet(total, request.estimator_name)] if request.estimates else []
        self._crops = preset is not None and preset.crops
        of_frames = (*POSE_METRICS, *FINGER_METRICS, *(CropErrors.names if self._crops else ()))
        self.names = of_frames if request.estimates else ()  # of its metric of frames
        reason = request.refused or (NO_SEQUENCES if work.pair_set.listed else _NO_KEYPOINTS)
        self.missing = {} if request.estimates else dict.fromkeys((*of_frames, *SEQUENCE_METRICS), reason)
        self._waiting: dict[PairJob, EstimatedClip] = {}

    def of_job(self, job: PairJob) -> list[EstimatedClip]:
        """The job's metric of frames, if there is an estimator."""
        if not self.set_metrics:
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
        for whole in self.set_metrics:
            whole.add(job.rows[0], self._waiting.pop(job).finish(self._work.pair_set.clips[job.clip_index].name))

    def close(self) -> None:
        """Give back the estimators of jobs that were broken off."""
        for clip in self._waiting.values():
            clip.close()
