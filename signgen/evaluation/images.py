"""Two folders of images, or two clips, and a published tool's protocol in; the scores that tool would report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from signgen.errors import VideoError, WeightsError
from signgen.evaluation.match_images import images_below, match_images, source_images
from signgen.evaluation.pair_traits import add_splits, traits_of_images
from signgen.evaluation.provenance import provenance
from signgen.metrics.accumulate import merge_states
from signgen.metrics.distribution.inception import load_inception
from signgen.metrics.image.lpips import Lpips, load_lpips
from signgen.metrics.image_set.protocols import Protocol, protocol_named
from signgen.metrics.image_set.scorer import ImageSetScorer, Networks, references
from signgen.parallel import Tick, in_first, in_processes, processes, shared_folder, threads_of
from signgen.progress import SILENT, Progress
from signgen.requests import Request
from signgen.video.reader import LOSSLESS_CODECS, FrameSource, open_frames, parse_size, read_opaque


@dataclass(frozen=True)
class ImagesRequest(Request):
    """Two folders of images, matched by name, or two clips, matched by frame number; and a protocol's name.

    size: WxH to compare at, the protocol's own where None. pair_list: the pairs that there must be (JSON, CSV or text).
    train_images: folder that FID and KID are taken against. sources: folder of source images; of clips, the clip whose
    first frame was the source. keypoints: of the images of DeepFashion or Market-1501, for the tables by view and pose
    distance. weights: a folder of networks' weights, instead of the usual places.
    """

    generated: Path
    truth: Path
    protocol: str
    size: str | None = None
    pair_list: Path | None = None
    train_images: Path | None = None
    sources: Path | None = None
    keypoints: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Picture:
    """An image file, or frame `number` of the clip at `path`."""

    path: Path
    number: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.number is None else f"{self.path}#{self.number}"

    def read(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB. Raises VideoError."""
        return (
            read_opaque(self.path) if self.number is None else _opened(self.path).read(self.number, self.number + 1)[0]
        )


@lru_cache(maxsize=4)
def _opened(clip: Path) -> FrameSource:
    return open_frames(clip)


@dataclass(frozen=True)
class Pair:
    """What is compared. source: what the model was given, where it is there; source_key: its name in its data set."""

    generated: Picture
    truth: Picture
    source: Picture | None = None
    source_key: str | None = None

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Both, uint8 (H, W, 3) RGB. Raises VideoError."""
        return self.generated.read(), self.truth.read()


@dataclass(frozen=True)
class Shard:
    """What one process scores, by its number in the whole set; the set has `total` pairs.

    real: "train" and "test" -> images that FID and KID are taken against; totals: how many the whole set has of them.
    folder: of all shards, for features; this one is number `part` of `parts`.
    lossy_video: what is generated is one, and the protocol asks for lossless files.
    """

    request: ImagesRequest
    pairs: dict[int, Pair]
    real: dict[str, dict[int, Picture]]
    folder: Path
    total: int
    totals: dict[str, int]
    baselines: tuple[str, ...]
    not_computed: dict[str, str]
    notes: tuple[str, ...]
    lossy_video: bool = False
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class ImagesResult:
    """scores: the metrics dictionary (docs/metrics.md). pairs: what was compared, in the order of its rows."""

    scores: dict[str, Any]
    pairs: Sequence[Pair]
    notes: tuple[str, ...]


def evaluate_images(request: ImagesRequest, progress: Progress = SILENT) -> ImagesResult:
    """Score a set of images, or two videos frame by frame, by the rules of a published tool.

    Of a group of processes the first one returns, the others end (signgen.parallel.NotTheFirst).
    Raises PairSetError for images without a partner, VideoError for lossy files under a lossless protocol, and
    MetricsError for an unknown protocol.
    """
    # what is compared
    protocol = protocol_named(request.protocol)
    is_clip = any(path.is_file() for path in (request.generated, request.truth))
    pairs, found, unknown = _frames(request, progress) if is_clip else _files(request, progress)
    codec = _lossy_codec(request.generated) if protocol.lossless and is_clip else None
    if codec is not None:
        found.append(_lossy_note(request.generated, codec))
    elif protocol.lossless and not is_clip:
        _refuse_lossy([pair.generated.path for pair in pairs])
    train = [] if request.train_images is None else list(images_below(request.train_images).values())
    targets = list(dict.fromkeys(pair.truth for pair in pairs))
    named = [] if is_clip else [(pair.source_key, pair.truth.path) for pair in pairs]
    traits, of_names = traits_of_images(named, request.keypoints)
    # in shards, one a process
    with shared_folder("signgen-features-") as folder:
        whole = Shard(
            request,
            dict(enumerate(pairs)),
            {"train": {n: Picture(path) for n, path in enumerate(train)}, "test": dict(enumerate(targets))},
            folder,
            len(pairs),
            {"train": len(train), "test": len(targets)},
            baselines=() if unknown else ("copy-source",),
            not_computed={"copy-source": unknown} if unknown else {},
            notes=tuple(found),
            lossy_video=codec is not None,
        )
        gathers = _scorer(whole)[1].gathers  # what is wrong with the request is said before anything is scored
        steps = len(pairs) + (sum(whole.totals[name] for name in references(protocol)) if gathers else 0)
        scorer, *others = in_first(in_processes(set_part, shards_of(whole), steps, "scoring", progress))
        merge_states(scorer, others)
        scores = scorer.result([{"generated": str(pair.generated), "truth": str(pair.truth)} for pair in pairs])
    scores = add_splits(scores, traits, images=not is_clip, of_names=of_names)
    scores["provenance"] = provenance(
        {
            "generated": request.generated,
            "truth": request.truth,
            "pair list": request.pair_list,
            "train images": request.train_images,
            "sources": request.sources,
            "keypoints": request.keypoints,
            "weights": request.weights,
        }
    )
    return ImagesResult(scores, pairs, tuple(scores["notes"]))


def shards_of(whole: Shard) -> list[Shard]:
    """A shard for each process, neighbours apart: every n-th pair and real image."""
    count = min(processes(), whole.total)
    return [
        replace(
            whole,
            pairs={n: pair for n, pair in whole.pairs.items() if n % count == part},
            real={name: {n: p for n, p in real.items() if n % count == part} for name, real in whole.real.items()},
            part=part,
            parts=count,
        )
        for part in range(count)
    ]


def set_part(shard: Shard, tick: Tick) -> ImageSetScorer:
    """The shard's scores and features."""
    if threads := threads_of(shard.parts, None):
        torch.set_num_threads(threads)  # the networks of metrics give the same bits with any number of them
    protocol, scorer = _scorer(shard)
    source = lru_cache(maxsize=1)(Picture.read)  # of two clips the same for all pairs: nothing seeks back for it
    for number, pair in shard.pairs.items():
        names = str(pair.generated), str(pair.truth)
        baselines = {} if pair.source is None else {"copy-source": source(pair.source)}
        own = ("copy-source",) if pair.source == pair.truth else ()
        scorer.update(number, *pair.read(), names, baselines, own=own)
        tick()
    for name in references(protocol) if scorer.gathers else ():
        for number, picture in shard.real[name].items():
            scorer.add_real(name, number, picture.read(), picture)
            tick()
    return scorer


def _scorer(shard: Shard) -> tuple[Protocol, ImageSetScorer]:

    protocol = replace(protocol_named(shard.request.protocol), lossy_video=shard.lossy_video)
    size = None if shard.request.size is None else parse_size(shard.request.size)
    networks, missing = load_networks(protocol, shard.request.weights, has_train=bool(shard.totals["train"]))
    return protocol, ImageSetScorer(
        protocol,
        shard.total,
        networks,
        shard.folder,
        part=shard.part,
        parts=shard.parts,
        size=size,
        totals=shard.totals,
        baselines=shard.baselines,
        not_computed={**missing, **shard.not_computed},
        notes=shard.notes,
    )


def load_networks(protocol: Protocol, folder: Path | None, *, has_train: bool) -> tuple[Networks, dict[str, str]]:
    """What the protocol's LPIPS, FID and KID need, and metric -> reason for those that cannot be computed."""
    missing: dict[str, str] = {}
    lpips: dict[str, Lpips] = {}
    for name, lpips_use in protocol.lpips.items():
        try:
            lpips[name] = load_lpips(folder, net=lpips_use.net).fed(signed=lpips_use.signed)
        except WeightsError as error:
            missing[name] = str(error)
    networks = Networks(lpips)
    uses = {**protocol.fid, **protocol.kid}
    for name, use in uses.items():
        if use.reference == "train" and not has_train:
            missing[name] = "the train images are not known; give their folder with --train-images"
    if wanted := [use for name, use in uses.items() if name not in missing]:
        try:
            networks.inception = load_inception(wanted[0].inception, folder, signed=wanted[0].signed)
        except WeightsError as error:
            missing |= {name: str(error) for name in uses if name not in missing}
    return networks, missing


def _files(request: ImagesRequest, progress: Progress) -> tuple[list[Pair], list[str], str]:
    """Images of two folders, matched by their names; the rule is noted. And why their sources are not known."""
    matched = match_images(request.generated, request.truth, request.pair_list)
    sources, unknown = source_images(matched, request.truth, request.sources)
    pairs = [
        Pair(
            Picture(pair.generated),
            Picture(pair.truth),
            Picture(sources[pair.source]) if sources and pair.source is not None else None,
            pair.source,
        )
        for pair in matched.pairs
    ]
    found = f"{len(pairs)} pairs by the rule {matched.rule.name}: {matched.rule.text}"
    progress.note(found)
    progress.note(f"for example, {pairs[0].generated} is compared with {pairs[0].truth}")
    return pairs, [found], unknown


def _frames(request: ImagesRequest, progress: Progress) -> tuple[list[Pair], list[str], str]:
    """Frames of two clips, matched by their number. Raises VideoError when one has more of them."""
    for option, value in {"--pair-list": request.pair_list, "--keypoints": request.keypoints}.items():
        if value is not None:
            raise VideoError(f"{option} with {request.generated}", expected="two folders of images")
    generated, truth = open_frames(request.generated), open_frames(request.truth)
    if generated.num_frames != truth.num_frames:
        raise VideoError(
            f"{generated.path} has {generated.num_frames} frames, {truth.path} has {truth.num_frames}",
            expected="equal counts, since frames are matched by their number",
        )
    for clip in (generated, truth):
        clip.check()
    found = f"{generated.num_frames} frames, matched by their number"
    progress.note(found)
    source = Picture(request.sources or request.truth, 0)
    note = (
        f"copy-source repeats the first frame of {source.path}{'' if request.sources else '; --source names another'}"
    )
    numbers = range(generated.num_frames)
    return (
        [Pair(Picture(generated.path, n), Picture(truth.path, n), source) for n in numbers],
        [*generated.notes, *truth.notes, found, note],
        "",
    )


def _lossy_codec(generated: Path) -> str | None:
    """Of a video that was compressed with loss; images are refused."""
    clip = open_frames(generated)
    _refuse_lossy(list(clip.images))
    return None if clip.codec in LOSSLESS_CODECS else clip.codec


def _lossy_note(generated: Path, codec: str) -> str:
    """A video need not have been the model's choice, so that it is scored, and said."""
    return (
        f"{generated} is a lossy video ({codec}), and --protocol strict asks for PNG: how far that alone moves SSIM "
        "and PSNR is not known"
    )


def _refuse_lossy(paths: list[Path]) -> None:
    lossy = [path for path in paths if path.suffix.lower() in (".jpg", ".jpeg", ".webp")]
    if lossy:
        raise VideoError(
            f"{lossy[0]}{f' and {len(lossy) - 1} more' if len(lossy) > 1 else ''}: a lossy file",
            expected="PNG with --protocol strict, since compressing an image changes its scores",
            fix="write PNG, or choose another protocol",
        )
