"""Which features of stage 2's frozen networks can be computed once a frame; their computation by a run's processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.utils.data import DataLoader, Dataset

from signgen.config import Augmentation, Recipe
from signgen.errors import PairSetError
from signgen.models.image_space import VaeSpace
from signgen.models.pipeline import SignerPipeline
from signgen.models.weights import weights_digest
from signgen.progress import Progress
from signgen.training.data.dataset import Kept, TripleDataset
from signgen.training.data.feature_cache import CHUNK, FOLDER, FRAME, FeatureCache, Kind, form_of
from signgen.training.stages import signed_range, unit_range

LATENT, TOKENS, EMBEDDING, POSE = "latent", "tokens", "embedding", "pose"
POSE_LATENT, SOURCE_POSE_LATENT = "pose_latent", "source_pose_latent"  # names of Features, too
LATENTS = frozenset({LATENT, POSE_LATENT, SOURCE_POSE_LATENT})  # by the image space
OF_TARGETS_POSE = frozenset({POSE, POSE_LATENT})  # with its jitter
EMBEDDING_READ, TOKENS_READ = "fusion", "source_tokens"  # names of Features
SHARE_OF_DISK = 0.5  # of what is free, that features may take


@dataclass(frozen=True)
class FeaturePlan:
    """kinds: what is kept. notes: what could be and is not, with the reason."""

    kinds: tuple[Kind, ...]
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        return sum(kind.nbytes for kind in self.kinds)


def plan_features(recipe: Recipe, pipeline: SignerPipeline, triples: np.ndarray, free: int) -> FeaturePlan:
    """What stage 2 of this recipe keeps. triples: of training. free: bytes that may be written.

    Nothing where augmentation changes pixels: a feature is of one picture. Features of sources that exceed `free` are
    computed in every step instead.
    """
    augmentation, needs = recipe.training.diffusion.augmentation, pipeline.conditions.needs
    if moves_pixels(augmentation):
        return FeaturePlan(())
    sources, targets = _frames(triples, augmentation)
    poses = _poses(targets, augmentation)
    found = []
    if latents := isinstance(pipeline.space, VaeSpace):
        read = np.unique(np.concatenate([targets, sources])) if pipeline.reads_source_latent else targets
        found.append(Kind(LATENT, read, _latent_shape(recipe, pipeline)))
    if EMBEDDING_READ in needs and pipeline.fusion is not None:
        found.append(Kind(EMBEDDING, sources, (pipeline.fusion.width,)))
        if poses is not None:
            found.append(Kind(POSE, poses, (pipeline.fusion.width,)))
    if latents:
        drawn = {SOURCE_POSE_LATENT: _source_poses(sources, augmentation), POSE_LATENT: poses}
        shown = {name: frames for name, frames in drawn.items() if name in needs and frames is not None}
        found += [Kind(name, frames, _latent_shape(recipe, pipeline)) for name, frames in shown.items()]
    if TOKENS_READ in needs and not recipe.source_encoder.trainable:
        encoder = pipeline.source_encoder.config
        count = (recipe.source_encoder.side // encoder.patch_size) ** 2 + 1
        found.append(Kind(TOKENS, sources, (count, encoder.hidden_size)))
    kept: list[Kind] = []
    notes: list[str] = []
    for kind in found:  # from small to large
        if sum(each.nbytes for each in kept) + kind.nbytes <= free:
            kept.append(kind)
        else:
            notes.append(
                f"{kind.name} of {len(kind.frames)} frames would take {kind.nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB"
                " may be written: they are computed in every step"
            )
    return FeaturePlan(tuple(kept), tuple(notes))


def moves_pixels(augmentation: Augmentation) -> bool:
    """Whether a frame is another picture each time. Mirrored or not, halved or not, there are a few."""
    return bool(augmentation.shift or augmentation.scale or augmentation.rotate)


def _latent_shape(recipe: Recipe, pipeline: SignerPipeline) -> tuple[int, int, int]:
    factor = pipeline.space.factor
    return pipeline.space.channels, recipe.canvas.height // factor, recipe.canvas.width // factor


def poses_are_fixed(augmentation: Augmentation) -> bool:
    """Whether a target's pose is one of a few pictures: not where each has a jitter of its own."""
    return not augmentation.pose_jitter or augmentation.pose_variants > 0


def source_poses_are_known(augmentation: Augmentation) -> bool:
    """Whether every source's pose is shown; else some are black pictures."""
    return not augmentation.unknown_source_pose


def _mirrorings(augmentation: Augmentation) -> list[bool]:
    return ([False] if augmentation.mirror < 1 else []) + ([True] if augmentation.mirror else [])


def _frames(triples: np.ndarray, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Frames, of FRAME and sorted, that may be a source and that may be a target, in each form."""
    sources, targets = ({(int(row["clip"]), int(row[name])) for row in triples} for name in ("source", "target"))
    if augmentation.first_source:
        sources |= {(int(clip), 0) for clip in np.unique(triples["clip"])}
    if augmentation.identity:
        sources = targets = sources | targets
    halves = ([False] if augmentation.half_source < 1 else []) + ([True] if augmentation.half_source else [])
    mirrorings = _mirrorings(augmentation)
    return tuple(  # type: ignore[return-value]
        np.sort(np.array([(*frame, form_of(n, m)) for frame in frames for n in numbers for m in mirrorings], FRAME))
        for frames, numbers in ((sources, halves), (targets, [False]))
    )


def _poses(targets: np.ndarray, augmentation: Augmentation) -> np.ndarray | None:
    """Targets' poses, of FRAME and sorted, in each jitter; None where each is drawn with a jitter of its own."""
    if not poses_are_fixed(augmentation):
        return None
    count = max(augmentation.pose_variants, 1)
    found = np.repeat(targets, count)  # forms of targets are mirrored or not
    found["form"] += 2 * np.tile(np.arange(count), len(targets)).astype(found["form"].dtype)
    return np.sort(found)


def _source_poses(sources: np.ndarray, augmentation: Augmentation) -> np.ndarray | None:
    """Sources' poses, of FRAME and sorted, mirrored or not; None where some count as not known."""
    if not source_poses_are_known(augmentation):
        return None
    found = sources.copy()
    found["form"] %= 2  # at half the resolution a source has the same pose
    return np.unique(found)


def feature_cache(
    recipe: Recipe, pipeline: SignerPipeline, dataset: TripleDataset, precision: str
) -> tuple[FeatureCache | None, tuple[str, ...]]:
    """The cache of this run, not built, and notes; None where nothing can be kept."""
    folder = dataset.pairs.folder
    room = broadcast_object_list([room_for_features(folder)])[0]  # the first process's, for all
    plan = plan_features(recipe, pipeline, dataset.triples, room)
    if not plan.kinds:
        return None, plan.notes
    names = {kind.name for kind in plan.kinds}
    networks = {
        **dict.fromkeys(LATENTS, pipeline.image_space),
        TOKENS: pipeline.source_encoder,
        EMBEDDING: pipeline.fusion,
        POSE: pipeline.fusion,
    }
    augmentation = recipe.training.diffusion.augmentation
    drawn = {"palette": dataset.palette.fingerprint(), "jitter": augmentation.pose_jitter, "seed": dataset.seed}
    of_poses = names & (OF_TARGETS_POSE | {SOURCE_POSE_LATENT})
    key = {
        **({"poses": {**drawn, "variants": augmentation.pose_variants}} if of_poses else {}),
        "weights": {kind.name: weights_digest(networks[kind.name]) for kind in plan.kinds},
        "canvas": recipe.canvas.model_dump(),
        "sides": [recipe.source_encoder.side, recipe.fusion.side],
        "pairs": dataset.pairs.fingerprint,
        "precision": precision,
        "shapes": {kind.name: list(kind.shape) for kind in plan.kinds},
    }
    return FeatureCache(folder, key, plan.kinds), plan.notes


def parked(cache: FeatureCache, recipe: Recipe, pipeline: SignerPipeline) -> list[torch.nn.Module]:
    """Frozen networks that no step asks, since all that is read of them is kept."""
    needs = pipeline.conditions.needs
    found: list[torch.nn.Module] = []
    read = {LATENT, *(needs & LATENTS)}
    decodes = recipe.diffusion.pose_penalty.weight > 0  # what the network is shown, in every step
    if not decodes and all(name in cache for name in read) and "part_warp" not in needs:
        found.append(pipeline.image_space)
    if pipeline.source_encoder is not None and (TOKENS in cache or TOKENS_READ not in needs):
        found.append(pipeline.source_encoder)
    if pipeline.fusion is not None and EMBEDDING in cache and POSE in cache:
        found.append(pipeline.fusion.tower)  # the combiner is asked in every step
    return found


def kept_of(cache: FeatureCache, recipe: Recipe, pipeline: SignerPipeline) -> Kept:
    """What a dataset's items have of a cache that is built."""
    needs = pipeline.conditions.needs
    read = {
        LATENT: pipeline.reads_source_latent,
        TOKENS: TOKENS_READ in needs,
        EMBEDDING: EMBEDDING_READ in needs and pipeline.fusion is not None,
    }
    source = tuple(name for name, is_read in read.items() if is_read and name in cache)
    picture = "source" in needs or any(is_read and name not in cache for name, is_read in read.items())
    return Kept(cache, source, picture)


def room_for_features(pairs: Path) -> int:
    """Bytes that a pair set's features may take: a share of what is free and of what features have taken already, so
    that a resumed run decides as it did at first."""
    taken = sum(path.stat().st_blocks * 512 for path in (pairs / FOLDER).rglob("*") if path.is_file())
    return int((shutil.disk_usage(pairs).free + taken) * SHARE_OF_DISK)


class _Chunks(Dataset):
    """Chunks of frames, or of pose images, as uint8 (CHUNK, 3, H, W), the last one filled up by its last picture."""

    def __init__(self, dataset: TripleDataset, kind: Kind, chunks: np.ndarray) -> None:
        self.dataset, self.frames, self.chunks = dataset, kind.frames, chunks
        self.kind = kind.name

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, place: int) -> torch.Tensor:
        start = int(self.chunks[place]) * CHUNK
        pictures = [self._picture(*frame) for frame in self.frames[start : start + CHUNK].tolist()]
        pictures += pictures[-1:] * (CHUNK - len(pictures))
        return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())

    def _picture(self, clip: int, frame: int, form: int) -> np.ndarray:
        number, mirrored = divmod(form, 2)
        if self.kind == SOURCE_POSE_LATENT:
            return self.dataset.pose(clip, frame, bool(mirrored))
        if self.kind in OF_TARGETS_POSE:
            return self.dataset.pose_variant(clip, frame, number, bool(mirrored))
        return self.dataset.picture(clip, frame, bool(number), bool(mirrored))


def build_features(
    cache: FeatureCache,
    pipeline: SignerPipeline,
    dataset: TripleDataset,
    accelerator: Accelerator,
    workers: int,
    progress: Progress,
) -> None:
    """Compute what is missing, divided over the run's processes; every process waits until all is there."""
    if accelerator.is_main_process:
        cache.prepare()
    accelerator.wait_for_everyone()
    cache.check()
    for name, kind in cache.kinds.items():
        missing = cache.missing(name)  # others may be at work already: whose a chunk is depends on its number alone
        mine = missing[missing % accelerator.num_processes == accelerator.process_index]
        loader = DataLoader(_Chunks(dataset, kind, mine), batch_size=None, num_workers=workers)
        with progress.bar(f"features: {name}", len(mine)) as bar:
            for count, _ in enumerate(
                cache.build(name, mine.tolist(), _computed(name, pipeline, accelerator, loader)), 1
            ):
                bar.update(count, len(mine))
        accelerator.wait_for_everyone()
        if len(left := cache.missing(name)):
            raise PairSetError(f"{cache.folder}: {len(left)} chunks of {name} were not computed", fix="add --resume")


def _computed(
    name: str, pipeline: SignerPipeline, accelerator: Accelerator, loader: DataLoader
) -> Callable[[Any], np.ndarray]:
    """What FeatureCache.build calls for one chunk after the other, in the loader's order."""
    pictures: Iterator[torch.Tensor] = iter(loader)

    @torch.no_grad()
    def compute(_: object) -> np.ndarray:
        shown = next(pictures).to(accelerator.device)
        with accelerator.autocast():
            if name in LATENTS:
                found = pipeline.space.encode(signed_range(shown))
            elif name == TOKENS:
                found = pipeline.source_tokens(signed_range(shown))
            else:
                found = pipeline.fusion.embed(unit_range(shown))
        return found.to(torch.float16).cpu().numpy()

    return compute
