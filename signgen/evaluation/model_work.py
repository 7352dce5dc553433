"""What one process has at hand to evaluate a model: its shard of the pairs, the pair set, the model, the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from signgen.config import SamplingSettings
from signgen.evaluation.baselines import CopySource, NearestPose, Reconstructed, nearest_pose
from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.worst import WorstPictures
from signgen.files import digest_of
from signgen.metrics.clip.scorer import Baseline
from signgen.metrics.definitions import CEILING
from signgen.models.card import load_model
from signgen.models.device import precision_note, prepare_device
from signgen.pairs.pairset import ClipRecord, PairSet, frame_name, pair_name
from signgen.parallel import Tick, processes, split_evenly, threads_of
from signgen.rendering.background import FrameWorker
from signgen.rendering.pairs import PairJob, micro_batch_of, render_job
from signgen.rendering.renderer import Renderer
from signgen.requests import Request
from signgen.video.reader import write_png

WORST = 10  # pictures on the page


@dataclass(frozen=True)
class ModelRequest(Request):
    """What the command line asks for. sampling: what it chose; keep: folder for the frames as PNG.

    distribution: whether to take FID and FVD of clips; a protocol has its own. poses: the estimator of keypoints, if
    any. preset: a paper's scores of clips as well. weights: a folder of networks' weights, lpips_weights: AlexNet's,
    instead of the usual places.
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
    preset: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Shard:
    """What one process does, number `part` of `parts`; `folder` is of all, for features.

    train, targets: real images that FID is taken against: number -> where it is.
    """

    request: ModelRequest
    jobs: list[PairJob]
    folder: Path
    total: int  # pairs of the whole set
    batch: int | None
    train: dict[int, Path] = field(default_factory=dict)
    targets: dict[int, tuple[str, int]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    part: int = 0
    parts: int = 1


def shards_of(whole: Shard) -> list[Shard]:
    """One shard for each process; all of a source's pairs are in one, for metrics of time and to encode it once."""
    parts = split_evenly([len(job.targets) for job in whole.jobs], processes())
    threads = threads_of(len(parts), whole.request.threads)
    return [
        replace(
            whole,
            request=replace(whole.request, threads=threads),
            jobs=[whole.jobs[index] for index in part],
            part=number,
            parts=len(parts),
            train={k: v for k, v in whole.train.items() if k % len(parts) == number},
            targets={k: v for k, v in whole.targets.items() if k % len(parts) == number},
        )
        for number, part in enumerate(parts)
    ]


@dataclass(frozen=True)
class Rendered:
    """A pair: its number, target frame, names of what was generated and of the truth, and both, uint8 (H, W, 3)."""

    row: int
    target: int
    names: tuple[str, str]
    generated: np.ndarray
    truth: np.ndarray


class Work:
    """The pair set and the model, loaded when they are first needed; and what can be said of the baselines."""

    def __init__(self, shard: Shard) -> None:

        self._shard = shard
        self.pair_set = PairSet.load(shard.request.pairs)
        self.poses = lru_cache(maxsize=1)(self.pair_set.poses)  # a list is one clip of many jobs; those are neighbours
        self._precision: str | None = None
        self._nearest: dict[tuple[str, int, int], NearestPose] = {}

    @cached_property
    def renderer(self) -> Renderer:

        request = self._shard.request
        pipeline, card = load_model(request.model)
        sampling = card.sampling(request.sampling, micro_batch=self._shard.batch)
        device = prepare_device(request.device, request.threads)
        self._precision = precision_note(sampling.precision, device, sampling.backend)
        return Renderer(pipeline, card, sampling, request.seed, device)

    @cached_property
    def _weights(self) -> str:
        return digest_of(self._shard.request.model)

    def render(self, job: PairJob, worker: FrameWorker, score: Callable[[Rendered], None], tick: Tick) -> None:
        """Render the job's pairs; beside it, those that are to be kept are written, and `score` gets each in order."""
        keep = self._shard.request.keep
        clip = self.pair_set.clips[job.clip_index].name
        truth = self.pair_set.frames(clip)
        about = "" if keep is None else self.renderer.origin(self._weights, clip).text()

        def finish(row: int, target: int, frame: np.ndarray) -> None:
            names = self.names(job, target)
            if keep is not None:
                write_png(keep / names[0], frame, about)
            score(Rendered(row, target, names, frame, truth.read(target, target + 1)[0]))

        frames = render_job(self.renderer, self.pair_set, job, self.poses(clip))
        for row, target, frame in zip(job.rows, job.targets, frames, strict=True):
            worker.submit(finish, row, target, frame)
            tick()

    @property
    def points(self) -> int:
        """How many keypoints its poses have."""
        return self.poses(self.pair_set.clips[0].name).keypoints.shape[1]

    def names(self, job: PairJob, target: int) -> tuple[str, str]:
        """Of what is generated, and of the truth."""
        return names_of(self.pair_set.clips[job.clip_index], job.source, target)

    def baselines(self, job: PairJob) -> dict[str, Baseline]:
        """copy-source, nearest-pose where there are training clips, and the VAE's reconstruction where there is one."""
        frames = self.pair_set.frames(self.pair_set.clips[job.clip_index].name)
        found: dict[str, Baseline] = {"copy-source": CopySource(frames.read(job.source, job.source + 1)[0], job.source)}
        if (nearest := self._nearest_pose(job.clip_index)) is not None:
            found["nearest-pose"] = nearest
        if self.renderer.latent:
            found[CEILING] = Reconstructed(frames, self.renderer.reconstruct)
        return found

    def _nearest_pose(self, clip: int) -> NearestPose | None:
        """nearest-pose of the clip's signer and size; None of a list of pairs."""
        if self.pair_set.listed:
            return None
        record = self.pair_set.clips[clip]
        key = (record.signer, record.width, record.height)
        if key not in self._nearest:
            self._nearest[key] = nearest_pose(self.pair_set, record.name, key[1:])
        return self._nearest[key]

    def notes(self) -> list[str]:
        """Which frames nearest-pose chose among, whether clips are cropped, in which precision was rendered if not in
        the one asked for, and how many frames at once if memory decided it."""
        chosen = [f"nearest-pose chooses among {nearest.summary}" for nearest in self._nearest.values()]
        decided = self.renderer.notes if "renderer" in vars(self) else []  # nothing, where nothing was rendered
        chosen += self.pair_set.crop_notes(self._shard.request.split)
        return [*chosen, *([f"precision: {self._precision}"] if self._precision else []), *decided]


def names_of(clip: ClipRecord, source: int, target: int) -> tuple[str, str]:
    """Of what is generated, and of the truth."""
    return f"{pair_name(clip, source, target)}.png", f"{frame_name(clip, target)}.png"


def batch_of(pair_set: PairSet, jobs: list[PairJob], sampling: SamplingSettings) -> int | None:
    """Of a list, what its sources' few targets fill; None: the recipe's."""
    if not pair_set.listed:
        return None
    return micro_batch_of([job.targets for job in jobs], sampling.micro_batch)


def labels_of(pair_set: PairSet, split: str) -> list[dict[str, str]]:
    """What the row of each triple says of it."""
    found = []
    for clip, source, target in pair_set.triples(split).tolist():
        generated, truth = names_of(pair_set.clips[clip], source, target)
        found.append({"clip": pair_set.clips[clip].name, "generated": generated, "truth": truth})
    return found


def merge_worst(parts: list[WorstPictures]) -> WorstPictures:
    for other in parts[1:]:
        parts[0].merge(other)
    return parts[0]


def without_nearest(pair_set: PairSet) -> dict[str, str]:
    reason = "a list of pairs has no training clip of the person"
    return {"nearest-pose": reason} if pair_set.listed else {}
