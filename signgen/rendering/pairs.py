"""A pair set's triples in; what the model draws for each, frame by frame, out. Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from signgen.config import SamplingSettings
from signgen.errors import OptionError, PairSetError, PoseError
from signgen.models.card import ModelCard
from signgen.pairs.crops import crop_for
from signgen.pairs.pairset import PairSet, frame_name
from signgen.poses.retarget import retarget
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import on_frame
from signgen.rendering.inputs import hold_missing
from signgen.rendering.renderer import Renderer
from signgen.rendering.source import Source
from signgen.video.reader import FrameSource


@dataclass(frozen=True)
class PairJob:
    """The pairs of one clip and one source frame. clip_index: the clip's place in the pair set; rows: places of the
    pairs in the split; targets: their frames, ascending."""

    clip_index: int
    source: int
    rows: tuple[int, ...]
    targets: tuple[int, ...]


def jobs_of(triples: np.ndarray) -> list[PairJob]:
    """Triples (N,) grouped, so that a source is encoded once; every triple is in one job."""
    order = np.lexsort((triples["target"], triples["source"], triples["clip"]))
    keys = triples[["clip", "source"]][order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    jobs = []
    for rows in np.split(order, starts[1:]):
        clip, source, _ = triples[rows[0]].tolist()
        jobs.append(PairJob(clip, source, tuple(rows.tolist()), tuple(triples["target"][rows].tolist())))
    return jobs


def micro_batch_of(targets: Sequence[Sequence[int]], most: int) -> int:
    """Of a list, sources have few targets, often one: micro-batches that are not mostly padding, `most` at most."""
    return min(most, max(1, int(np.median([len(found) for found in targets]))))


def source_of(
    pair_set: PairSet, clip: int, frame: int, poses: PoseSequence, frames: FrameSource | None = None
) -> Source:
    """Who is rendered. A clip's noise is keyed by its name, as `signgen render` does; a listed image's by its own.

    frames: of the clip, where they are open already."""
    record = pair_set.clips[clip]
    pose = poses[frame : frame + 1]
    name = frame_name(record, frame) if record.images else record.name
    image = (frames or pair_set.frames(record.name)).read(frame, frame + 1)[0]
    return Source(image, pose if pose.has_person[0] else None, name)


def render_job(renderer: Renderer, pair_set: PairSet, job: PairJob, poses: PoseSequence) -> Iterator[np.ndarray]:
    """Rendered frames, uint8 (h, w, 3), of the job's targets in their order. poses: those of its clip."""
    source = source_of(pair_set, job.clip_index, job.source, poses)
    yield from render_targets(renderer, source, poses, job.targets)


def render_targets(
    renderer: Renderer, source: Source, poses: PoseSequence, targets: Sequence[int]
) -> Iterator[np.ndarray]:
    """The frames `targets` of `poses`; frames without a person are held."""
    poses, _ = hold_missing(poses)
    yield from renderer.frames(source, poses, targets)


def posed_as(signer: Source, pair_set: PairSet, clip: str, how: str) -> tuple[Source, PoseSequence]:
    """The signer of an image, and a clip's poses for that signer: fitted ("auto"), or taken as they are ("none"). With
    the poses of a cropped clip the signer is cropped, too.

    Raises PoseError where the source's own pose is not known to fit them to, and for poses of another aspect ratio.
    """
    poses = pair_set.whole_poses(clip)
    height, width = signer.frame.shape[:2]
    if how == "none":
        poses = on_frame(poses, (width, height), pair_set.pose_path(clip), "fit them with --retarget auto")
    elif signer.pose is None:
        raise PoseError(
            "--retarget auto, but the source's own pose is not known",
            expected="keypoints beside the source",
            fix="name them with --source-poses",
        )
    else:
        poses = retarget(poses, signer.pose)
    if pair_set.clip(clip).crop is None:
        return signer, poses
    on_signer = [each.resized(width, height) for each in (poses, signer.pose) if each is not None]
    return replace(signer, crop=crop_for(on_signer, "signer")), poses


def check_pairs(pair_set: PairSet, card: ModelCard, split: str) -> None:
    """Raise PairSetError for a split without triples, and for poses of another skeleton than the model's."""
    if not len(pair_set.triples(split)):
        there = [name for name in ("val", "test", "train") if len(pair_set.triples(name))]
        raise PairSetError(f"{pair_set.folder}: no {split} triples", fix=f"choose --split {' or '.join(there)}")
    if (found := pair_set.poses(pair_set.clips[0].name).skeleton) != card.skeleton:
        raise PairSetError(f"{pair_set.folder}: its poses are {found}", expected=f"{card.skeleton}, the model's")


def check_steady(pair_set: PairSet, sampling: SamplingSettings) -> None:
    """Raise OptionError for a cure of flicker that looks at the frames beside, with images that do not follow each
    other."""
    if pair_set.listed and "shimmer" in sampling.steady:
        raise OptionError(f"--steady shimmer with {pair_set.folder}, whose images do not follow each other")
