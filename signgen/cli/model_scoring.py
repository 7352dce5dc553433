"""`signgen evaluate --model M --pairs P`: every pair is rendered and scored at once; nothing but numbers is kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signgen.cli.common import console, quiet_libraries
from signgen.cli.pose_scoring import PoseRequest
from signgen.cli.processes import Tick, in_processes, shares
from signgen.errors import PairSetError, WeightsError
from signgen.files import make_folder

if TYPE_CHECKING:
    import numpy as np

    from signgen.evaluation.baselines import NearestPose
    from signgen.evaluation.worst import WorstPictures
    from signgen.metrics.clip.join import ClipScores
    from signgen.metrics.clip.scorer import Baseline, FrameScorer
    from signgen.metrics.distribution.fvd import Distribution
    from signgen.metrics.image.lpips import Lpips
    from signgen.metrics.image_set.protocols import Protocol
    from signgen.metrics.image_set.scorer import ImageSetScorer
    from signgen.metrics.pose.estimated import EstimatedClip, EstimatedSet
    from signgen.pairs.pairset import PairSet
    from signgen.poses.sequence import PoseSequence
    from signgen.rendering.background import Background
    from signgen.rendering.pairs import Job
    from signgen.rendering.renderer import Renderer

WORST = 10
_NO_KEYPOINTS = "no keypoints of the generated frames; --estimator NAME or --onnx FILE estimates them"
_NO_SEQUENCES = "a list of pairs has single images: no clip whose shoulder width is the unit, and no sequence to warp"


@dataclass(frozen=True)
class ModelRequest:
    """What the command line asks for. sampling: what it chose; keep: folder for the frames as PNG.

    distribution: whether to take FID and FVD of clips; a protocol has its own. poses: the estimator of keypoints, if
    any. weights: a folder of networks' weights, lpips_weights: AlexNet's, instead of the usual places.
    """

    model: Path
    pairs: Path
    split: str = "test"
    protocol: str | None = None
    size: str | None = None
    train_images: Path | None = None
    weights: Path | None = None
    lpips_weights: Path | None = None
    keep: Path | None = None
    distribution: bool = False
    poses: PoseRequest = field(default_factory=PoseRequest)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    processes: int = 1


@dataclass(frozen=True)
class Share:
    """What one process does. train, targets: real images that FID is taken against: number -> where it is."""

    request: ModelRequest
    jobs: list[Job]
    folder: Path
    pairs: int  # of the whole set
    batch: int | None
    train: dict[int, Path] = field(default_factory=dict)
    targets: dict[int, tuple[str, int]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)


def score_model(request: ModelRequest) -> tuple[dict[str, Any], WorstPictures]:
    """The metrics dictionary of a split of a pair set, and the pictures of its worst frames."""
    from signgen.cli.model_options import check_pairs
    from signgen.models.card import read_card
    from signgen.pairs.pairset import PairSet
    from signgen.rendering.pairs import jobs_of

    quiet_libraries()
    pairs = PairSet.load(request.pairs)
    card = read_card(request.model)
    check_pairs(pairs, card, request.split)
    _check_estimator(request.poses, pairs)
    triples = pairs.triples(request.split)
    jobs = jobs_of(triples)
    console.print(f"{len(triples):,} {request.split} pairs of {len({job.clip for job in jobs}):,} clips")
    with tempfile.TemporaryDirectory(prefix="signgen-features-") as folder:
        whole = Share(request, jobs, Path(folder), len(triples), _batch(pairs, jobs, card.parsed_recipe().sampling))
        if request.protocol is None:
            return _score_clips(pairs, whole)
        return _score_protocol(pairs, whole)


def _check_estimator(wanted: PoseRequest, pairs: PairSet) -> None:
    """Raise, before anything is rendered, PoseError for an estimator that cannot be had, PairSetError where it is of no
    use."""
    if not wanted.estimates:
        return
    if pairs.listed:
        raise PairSetError(f"an estimator with {pairs.folder}: {_NO_SEQUENCES}", expected="a pair set of clips")
    wanted.open().close()


def _batch(pairs: PairSet, jobs: list[Job], sampling: Any) -> int | None:
    """Of a list, sources have few targets, often one: micro-batches that are not mostly padding. None: the recipe's."""
    import numpy as np

    if not pairs.listed:
        return None
    return min(sampling.micro_batch, max(1, int(np.median([len(job.targets) for job in jobs]))))


def _dealt(share: Share) -> list[Share]:
    """One share for each process; all of a source's pairs are in one, for metrics of time and to encode it once."""
    parts = shares([len(job.targets) for job in share.jobs], share.request.processes)
    threads = share.request.threads
    if len(parts) > 1 and threads is None:
        threads = max(1, (os.cpu_count() or 1) // len(parts))
    return [
        replace(
            share,
            request=replace(share.request, threads=threads),
            jobs=[share.jobs[place] for place in part],
            folder=share.folder / str(number),
            train={k: v for k, v in share.train.items() if k % len(parts) == number},
            targets={k: v for k, v in share.targets.items() if k % len(parts) == number},
        )
        for number, part in enumerate(parts)
    ]


# ---- signgen's own scores of clips


def _score_clips(pairs: PairSet, whole: Share) -> tuple[dict[str, Any], WorstPictures]:
    from signgen.metrics.clip.join import join_clips

    parts = in_processes(clips_part, _dealt(whole), whole.pairs, "rendering and scoring")
    for other in parts[1:]:
        for whole_set, part in zip(parts[0].of_set, other.of_set, strict=True):
            whole_set.merge(part)
        if parts[0].poses is not None and other.poses is not None:
            parts[0].poses.merge(other.poses)
    scored = [clip for part in parts for clip in part.clips]
    notes = sorted({note for part in parts for note in part.notes})
    of_poses = [] if parts[0].poses is None else [parts[0].poses]
    result = join_clips(scored, _no_nearest(pairs), notes, [*parts[0].of_set, *of_poses])
    return result, _merged([part.worst for part in parts])


@dataclass(frozen=True)
class ScoredClips:
    """Scores of each of a share's jobs, its worst frames, notes, and what it gathered for metrics of the whole set.

    poses: DTW-MJE, where keypoints are estimated.
    """

    clips: list[ClipScores]
    worst: WorstPictures
    notes: list[str]
    of_set: list[Distribution]
    poses: EstimatedSet | None


def clips_part(share: Share, tick: Tick) -> ScoredClips:
    """The share, scored as clips."""
    from signgen.cli.clip_scoring import distributions
    from signgen.evaluation.worst import WorstPictures
    from signgen.metrics.clip.join import ClipScores
    from signgen.metrics.clip.scorer import FrameScorer
    from signgen.rendering.background import Background

    work = _Work(share)
    lpips, missing = _lpips(share.request)
    of_set, without = distributions(share.request.distribution, share.request.weights)
    poses = _Poses(work, share.request.poses)
    missing |= without | poses.missing
    worst = WorstPictures("ssim", WORST)
    scored: list[ClipScores] = []

    def score(scorer: FrameScorer, pair: Rendered) -> None:
        row = scorer.update(pair.target, pair.generated, pair.truth)
        worst.add({**row, "frame": pair.row}, pair.generated, pair.truth)

    def finish(scorer: FrameScorer, job: Job) -> None:
        scored.append(ClipScores(scorer.result(), job.rows, [work.names(job, target) for target in job.targets]))
        poses.finish(job)

    with closing(poses), Background() as beside:
        for job in share.jobs:
            clip = work.pairs.clips[job.clip]
            scorer = FrameScorer(
                keypoints=work.poses(clip.name).resized(clip.width, clip.height).keypoints,
                lpips=lpips,
                baselines=work.baselines(job),
                metrics=poses.of_job(job),
                clip_metrics=[metric.of_clip() for metric in of_set],
                not_computed=missing,
            )
            work.render(job, beside, partial(score, scorer), tick)
            beside.submit(finish, scorer, job)
    return ScoredClips(scored, worst, work.notes(), of_set, poses.of_set)


class _Poses:
    """What an estimator sees in the clips of a share, if one is asked for; it works where frames are scored."""

    def __init__(self, work: _Work, request: PoseRequest) -> None:
        from signgen.metrics.definitions import POSE_METRICS, SEQUENCE_METRICS
        from signgen.metrics.pose.estimated import EstimatedSet

        self._work, self._request = work, request
        self.of_set = EstimatedSet(request.estimator_name) if request.estimates else None
        reason = _NO_SEQUENCES if work.pairs.listed else _NO_KEYPOINTS
        self.missing = {} if request.estimates else dict.fromkeys((*POSE_METRICS, *SEQUENCE_METRICS), reason)
        self._waiting: dict[Job, EstimatedClip] = {}

    def of_job(self, job: Job) -> list[EstimatedClip]:
        """The job's metric of frames, if there is an estimator."""
        from signgen.metrics.pose.estimated import EstimatedClip

        if self.of_set is None:
            return []
        clip, targets = self._work.pairs.clips[job.clip], list(dict.fromkeys(job.targets))

        def truth() -> Iterator[np.ndarray]:
            frames = self._work.pairs.frames(clip.name)
            return (frames.read(target, target + 1)[0] for target in targets)

        self._waiting[job] = EstimatedClip(self._request.open, truth, targets, clip.num_frames)
        return [self._waiting[job]]

    def finish(self, job: Job) -> None:
        """Keep what the job's clip leaves for the set; nothing without an estimator."""
        if self.of_set is not None:
            self.of_set.add(job.rows[0], self._waiting.pop(job).finish(self._work.pairs.clips[job.clip].name))

    def close(self) -> None:
        """Give back the estimators of jobs that were broken off."""
        for clip in self._waiting.values():
            clip.close()


def _lpips(request: ModelRequest) -> tuple[Lpips | None, dict[str, str]]:
    """The network, if its weights are at hand, and metric -> why there is none. Raises WeightsError for
    --lpips-weights that are not there."""
    from signgen.metrics.image.lpips import load_lpips

    try:
        return load_lpips(request.lpips_weights or request.weights), {}
    except WeightsError as error:
        if request.lpips_weights is not None:
            raise
        return None, {"lpips": str(error)}


def _no_nearest(pairs: PairSet) -> dict[str, str]:
    reason = "a list of pairs has no training clip of the person"
    return {"nearest-pose": reason} if pairs.listed else {}


# ---- a published tool's scores of images


def _score_protocol(pairs: PairSet, whole: Share) -> tuple[dict[str, Any], WorstPictures]:
    from signgen.evaluation.match_images import images_below
    from signgen.metrics.image_set.scorer import references

    request = whole.request
    targets = dict.fromkeys((pairs.clips[clip].name, frame) for clip, _, frame in pairs.triples(request.split).tolist())
    train = [] if request.train_images is None else list(images_below(request.train_images).values())
    whole = replace(
        whole,
        train=dict(enumerate(train)),
        targets=dict(enumerate(targets)),
        totals={"train": len(train), "test": len(targets)},
    )
    # What is wrong with the request is said before anything is rendered.
    protocol, scorer = _image_scorer(pairs, whole)
    real = sum(whole.totals[name] for name in references(protocol)) if scorer.gathers else 0
    parts = in_processes(images_part, _dealt(whole), whole.pairs + real, "rendering and scoring")
    scorer = parts[0][0]
    for other, *_ in parts[1:]:
        scorer.merge(other)
    result = scorer.result()
    result["notes"] = [*sorted({note for part in parts for note in part[2]}), *result["notes"]]
    return result, _merged([part[1] for part in parts])


def images_part(share: Share, tick: Tick) -> tuple[ImageSetScorer, WorstPictures, list[str]]:
    """The share's pairs and real images under its protocol, its worst frames, and notes."""
    from signgen.evaluation.worst import WorstPictures
    from signgen.metrics.image_set.scorer import references
    from signgen.rendering.background import Background
    from signgen.video.reader import read_image

    work = _Work(share)
    protocol, scorer = _image_scorer(work.pairs, share)
    worst = WorstPictures(next(iter(protocol.ssims)), WORST)

    def score(baselines: Mapping[str, Baseline], poses: PoseSequence, pair: Rendered) -> None:
        points = poses.keypoints[pair.target]
        copies = {name: baseline(pair.target, points) for name, baseline in baselines.items()}
        row = scorer.update(pair.row, pair.generated, pair.truth, pair.names, copies)
        worst.add(row, pair.generated, pair.truth)

    with Background() as beside:
        for job in share.jobs:
            poses = work.poses(work.pairs.clips[job.clip].name)
            work.render(job, beside, partial(score, work.baselines(job), poses), tick)
    if scorer.gathers:
        for number, path in share.train.items() if "train" in references(protocol) else ():
            scorer.add_real("train", number, read_image(path), path)
            tick()
        opened = lru_cache(maxsize=1)(work.pairs.frames)
        for number, (clip, frame) in share.targets.items() if "test" in references(protocol) else ():
            scorer.add_real("test", number, opened(clip).read(frame, frame + 1)[0], f"{clip} {frame}")
            tick()
    return scorer, worst, work.notes()


def _image_scorer(pairs: PairSet, share: Share) -> tuple[Protocol, ImageSetScorer]:
    from signgen.cli.protocol_scoring import load_networks, parse_size
    from signgen.metrics.image_set.protocols import protocol_named
    from signgen.metrics.image_set.scorer import ImageSetScorer

    request = share.request
    protocol = protocol_named(request.protocol or "")
    networks, missing = load_networks(protocol, request.weights, has_train=bool(share.totals["train"]))
    without = _no_nearest(pairs)
    make_folder(share.folder)
    return protocol, ImageSetScorer(
        protocol,
        share.pairs,
        networks,
        share.folder,
        size=None if request.size is None else parse_size(request.size),
        totals=share.totals,
        baselines=[name for name in ("copy-source", "nearest-pose") if name not in without],
        not_computed={**missing, **without},
    )


def _merged(parts: list[WorstPictures]) -> WorstPictures:
    for other in parts[1:]:
        parts[0].merge(other)
    return parts[0]


# ---- what a process has at hand


@dataclass(frozen=True)
class Rendered:
    """A pair: its number, target frame, names of what was generated and of the truth, and both, uint8 (H, W, 3)."""

    row: int
    target: int
    names: tuple[str, str]
    generated: np.ndarray
    truth: np.ndarray


class _Work:
    """The pair set and the model, loaded when they are first needed; and what can be said of the baselines."""

    def __init__(self, share: Share) -> None:
        from signgen.pairs.pairset import PairSet

        self._share = share
        self.pairs = PairSet.load(share.request.pairs)
        self.poses = lru_cache(maxsize=1)(self.pairs.poses)  # a list is one clip of many jobs; those are neighbours
        self._nearest: dict[tuple[str, int, int], NearestPose] = {}

    @cached_property
    def renderer(self) -> Renderer:
        from signgen.cli.model_options import sampling_of
        from signgen.models.card import load_model
        from signgen.models.device import prepare_device
        from signgen.rendering.renderer import Renderer

        request = self._share.request
        pipeline, card = load_model(request.model)
        sampling = sampling_of(card, **request.sampling, micro_batch=self._share.batch)
        return Renderer(pipeline, card, sampling, request.seed, prepare_device(request.device, request.threads))

    def render(self, job: Job, beside: Background, score: Callable[[Rendered], None], tick: Tick) -> None:
        """Render the job's pairs; beside it, those that are to be kept are written, and `score` gets each in order."""
        from signgen.rendering.pairs import render_job
        from signgen.video.reader import write_png

        keep = self._share.request.keep
        clip = self.pairs.clips[job.clip].name
        truth = self.pairs.frames(clip)

        def finish(row: int, target: int, frame: np.ndarray) -> None:
            names = self.names(job, target)
            if keep is not None:
                write_png(keep / names[0], frame)
            score(Rendered(row, target, names, frame, truth.read(target, target + 1)[0]))

        frames = render_job(self.renderer, self.pairs, job, self.poses(clip))
        for row, target, frame in zip(job.rows, job.targets, frames, strict=True):
            beside.submit(finish, row, target, frame)
            tick()

    def names(self, job: Job, target: int) -> tuple[str, str]:
        """Of what is generated, and of the truth."""
        from signgen.pairs.pairset import frame_name, pair_name

        clip = self.pairs.clips[job.clip]
        return f"{pair_name(clip, job.source, target)}.png", f"{frame_name(clip, target)}.png"

    def baselines(self, job: Job) -> dict[str, Baseline]:
        """copy-source, and nearest-pose where there are training clips."""
        from signgen.evaluation.baselines import CopySource

        source = self.pairs.frames(self.pairs.clips[job.clip].name).read(job.source, job.source + 1)[0]
        nearest = self._nearest_pose(job.clip)
        return {"copy-source": CopySource(source)} | ({} if nearest is None else {"nearest-pose": nearest})

    def _nearest_pose(self, clip: int) -> NearestPose | None:
        """nearest-pose of the clip's signer and size; None of a list of pairs."""
        from signgen.evaluation.baselines import nearest_pose

        if self.pairs.listed:
            return None
        record = self.pairs.clips[clip]
        key = (record.signer, record.width, record.height)
        if key not in self._nearest:
            self._nearest[key] = nearest_pose(self.pairs, record.name, key[1:])
        return self._nearest[key]

    def notes(self) -> list[str]:
        """Which frames nearest-pose chose among."""
        return [f"nearest-pose chooses among {nearest.summary}" for nearest in self._nearest.values()]
