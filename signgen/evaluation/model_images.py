"""Every pair of a shard rendered and scored as images, by a published tool's protocol; the shards joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from signgen.evaluation.images import load_networks
from signgen.evaluation.match_images import images_below
from signgen.evaluation.model_work import (
    WORST,
    Rendered,
    Shard,
    Work,
    labels_of,
    merge_worst,
    shards_of,
    without_nearest,
)
from signgen.evaluation.worst import WorstPictures
from signgen.metrics.accumulate import merge_states
from signgen.metrics.clip.scorer import Baseline
from signgen.metrics.definitions import BASELINE_DEFINITIONS, CEILING
from signgen.metrics.image_set.protocols import Protocol, protocol_named
from signgen.metrics.image_set.scorer import ImageSetScorer, references
from signgen.models.card import read_card
from signgen.pairs.pairset import PairSet
from signgen.parallel import Tick, in_first, in_processes
from signgen.poses.sequence import PoseSequence
from signgen.progress import Progress
from signgen.rendering.background import FrameWorker
from signgen.video.reader import parse_size, read_opaque


def score_images(pair_set: PairSet, whole: Shard, progress: Progress) -> tuple[dict[str, Any], WorstPictures]:

    request = whole.request
    targets = dict.fromkeys(
        (pair_set.clips[clip].name, frame) for clip, _, frame in pair_set.triples(request.split).tolist()
    )
    train = [] if request.train_images is None else list(images_below(request.train_images).values())
    whole = replace(
        whole,
        train=dict(enumerate(train)),
        targets=dict(enumerate(targets)),
        totals={"train": len(train), "test": len(targets)},
    )
    # What is wrong with the request is said before anything is rendered.
    protocol, scorer = _image_scorer(pair_set, whole)
    real = sum(whole.totals[name] for name in references(protocol)) if scorer.gathers else 0
    parts = in_processes(images_part, shards_of(whole), whole.total + real, "rendering and scoring", progress)
    parts = in_first(parts)
    scorer, *others = (part[0] for part in parts)
    merge_states(scorer, others)
    result = scorer.result(labels_of(pair_set, request.split))
    result["notes"] = [*sorted({note for part in parts for note in part[2]}), *result["notes"]]
    return result, merge_worst([part[1] for part in parts])


def images_part(shard: Shard, tick: Tick) -> tuple[ImageSetScorer, WorstPictures, list[str]]:
    """The shard's pairs and real images under its protocol, its worst frames, and notes."""
    work = Work(shard)
    protocol, scorer = _image_scorer(work.pair_set, shard)
    worst = WorstPictures(next(iter(protocol.ssims)), WORST)

    # what is done with each pair, in the worker
    def score(baselines: Mapping[str, Baseline], poses: PoseSequence, pair: Rendered) -> None:
        points = poses.keypoints[pair.target]
        own = [name for name, baseline in baselines.items() if getattr(baseline, "own", None) == pair.target]
        copies = {name: baseline(pair.target, points) for name, baseline in baselines.items()}
        row = scorer.update(pair.row, pair.generated, pair.truth, pair.names, copies, own)
        worst.add(row, pair.generated, pair.truth)

    # render, job by job
    with FrameWorker() as worker:
        for job in shard.jobs:
            clip = work.pair_set.clips[job.clip_index].name
            work.render(job, worker, partial(score, work.baselines(job), work.poses(clip)), tick)
    # real images, for FID and KID
    if scorer.gathers:
        for number, path in shard.train.items() if "train" in references(protocol) else ():
            scorer.add_real("train", number, read_opaque(path), path)
            tick()
        opened = lru_cache(maxsize=1)(work.pair_set.frames)
        for number, (clip, frame) in shard.targets.items() if "test" in references(protocol) else ():
            scorer.add_real("test", number, opened(clip).read(frame, frame + 1)[0], f"{clip} {frame}")
            tick()
    return scorer, worst, work.notes()


def _image_scorer(pair_set: PairSet, shard: Shard) -> tuple[Protocol, ImageSetScorer]:

    request = shard.request
    protocol = protocol_named(request.protocol or "")
    networks, missing = load_networks(protocol, request.weights, has_train=bool(shard.totals["train"]))
    without = without_nearest(pair_set)
    latent = read_card(request.model).parsed_recipe().image_space.kind == "vae"
    baselines = [name for name in BASELINE_DEFINITIONS if latent or name != CEILING]
    return protocol, ImageSetScorer(
        protocol,
        shard.total,
        networks,
        shard.folder,
        part=shard.part,
        parts=shard.parts,
        size=None if request.size is None else parse_size(request.size),
        totals=shard.totals,
        baselines=[name for name in baselines if name not in without],
        not_computed={**missing, **without},
    )
