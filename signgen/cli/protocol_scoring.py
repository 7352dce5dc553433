"""`signgen evaluate --protocol`: matched images and the networks whose weights are at hand in, the scores out."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from signgen.cli.common import console
from signgen.cli.processes import Tick, in_processes
from signgen.errors import VideoError, WeightsError
from signgen.files import make_folder

if TYPE_CHECKING:
    import numpy as np

    from signgen.metrics.image.lpips import Lpips
    from signgen.metrics.image_set.protocols import Protocol, Size
    from signgen.metrics.image_set.scorer import ImageSetScorer, Networks
    from signgen.video.reader import FrameSource


@dataclass(frozen=True)
class ImageSetRequest:
    """What the command line asks for. sources: folder of source images, or (of clips) whose first frame was the source.

    weights: a folder of networks' weights, instead of the usual places.
    """

    generated: Path
    truth: Path
    protocol: str
    size: str | None = None
    pair_list: Path | None = None
    train_images: Path | None = None
    sources: Path | None = None
    weights: Path | None = None
    processes: int = 1


@dataclass(frozen=True)
class Picture:
    """An image file, or frame `number` of the clip at `path`."""

    path: Path
    number: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.number is None else f"{self.path}#{self.number}"

    def read(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB. Raises VideoError."""
        from signgen.video.reader import read_image

        return (
            read_image(self.path) if self.number is None else _opened(self.path).read(self.number, self.number + 1)[0]
        )


@lru_cache(maxsize=4)
def _opened(clip: Path) -> FrameSource:
    from signgen.video.reader import open_frames

    return open_frames(clip)


@dataclass(frozen=True)
class Pair:
    """What is compared. source: what the model was given, where that is known."""

    generated: Picture
    truth: Picture
    source: Picture | None = None

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Both, uint8 (H, W, 3) RGB. Raises VideoError."""
        return self.generated.read(), self.truth.read()


@dataclass(frozen=True)
class Share:
    """What one process scores, by its number in the whole set; the set has `total` pairs.

    real: "train" and "test" -> images that FID and KID are taken against; totals: how many the whole set has of them.
    lossy_video: what is generated is one, and the protocol asks for lossless files.
    """

    request: ImageSetRequest
    pairs: dict[int, Pair]
    real: dict[str, dict[int, Picture]]
    folder: Path
    total: int
    totals: dict[str, int]
    baselines: tuple[str, ...]
    not_computed: dict[str, str]
    notes: tuple[str, ...]
    lossy_video: bool = False


def score_image_set(request: ImageSetRequest) -> tuple[dict[str, Any], list[Pair]]:
    """The metrics dictionary of a set of images, or of two videos frame by frame, under a named protocol; the pairs,
    in the order of its rows."""
    from signgen.evaluation.match_images import images_below
    from signgen.metrics.image_set.protocols import protocol_named
    from signgen.metrics.image_set.scorer import references

    protocol = protocol_named(request.protocol)
    is_clip = any(path.is_file() for path in (request.generated, request.truth))
    pairs, notes, unknown = _frames(request) if is_clip else _files(request)
    codec = _lossy_codec(request.generated) if protocol.lossless and is_clip else None
    if codec is not None:
        notes.append(_lossy_note(request.generated, codec))
    elif protocol.lossless and not is_clip:
        _refuse_lossy([pair.generated.path for pair in pairs])
    train = [] if request.train_images is None else list(images_below(request.train_images).values())
    targets = list(dict.fromkeys(pair.truth for pair in pairs))
    with tempfile.TemporaryDirectory(prefix="signgen-features-") as folder:
        whole = Share(
            request,
            dict(enumerate(pairs)),
            {"train": {n: Picture(path) for n, path in enumerate(train)}, "test": dict(enumerate(targets))},
            Path(folder),
            len(pairs),
            {"train": len(train), "test": len(targets)},
            baselines=() if unknown else ("copy-source",),
            not_computed={"copy-source": unknown} if unknown else {},
            notes=tuple(notes),
            lossy_video=codec is not None,
        )
        gathers = _scorer(whole)[1].gathers  # what is wrong with the request is said before anything is scored
        steps = len(pairs) + (sum(whole.totals[name] for name in references(protocol)) if gathers else 0)
        scorer, *others = in_processes(set_part, _dealt(whole), steps, "scoring")
        for other in others:
            scorer.merge(other)
        return scorer.result(), pairs


def _dealt(whole: Share) -> list[Share]:
    """A share for each process, neighbours apart: every n-th pair and real image."""
    count = min(whole.request.processes, whole.total)
    return [
        replace(
            whole,
            pairs={n: pair for n, pair in whole.pairs.items() if n % count == part},
            real={name: {n: p for n, p in real.items() if n % count == part} for name, real in whole.real.items()},
            folder=whole.folder / str(part),
        )
        for part in range(count)
    ]


def set_part(share: Share, tick: Tick) -> ImageSetScorer:
    """The share's scores and features."""
    from signgen.metrics.image_set.scorer import references

    protocol, scorer = _scorer(share)
    source = lru_cache(maxsize=1)(Picture.read)  # of two clips the same for all pairs: nothing seeks back for it
    for number, pair in share.pairs.items():
        names = str(pair.generated), str(pair.truth)
        baselines = {} if pair.source is None else {"copy-source": source(pair.source)}
        scorer.update(number, *pair.read(), names, baselines)
        tick()
    for name in references(protocol) if scorer.gathers else ():
        for number, picture in share.real[name].items():
            scorer.add_real(name, number, picture.read(), picture)
            tick()
    return scorer


def _scorer(share: Share) -> tuple[Protocol, ImageSetScorer]:
    from signgen.metrics.image_set.protocols import protocol_named
    from signgen.metrics.image_set.scorer import ImageSetScorer

    protocol = replace(protocol_named(share.request.protocol), lossy_video=share.lossy_video)
    size = None if share.request.size is None else parse_size(share.request.size)
    networks, missing = load_networks(protocol, share.request.weights, has_train=bool(share.totals["train"]))
    make_folder(share.folder)
    return protocol, ImageSetScorer(
        protocol,
        share.total,
        networks,
        share.folder,
        size=size,
        totals=share.totals,
        baselines=share.baselines,
        not_computed={**missing, **share.not_computed},
        notes=share.notes,
    )


def parse_size(text: str) -> Size:
    """`176x256` -> (176, 256)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or "0" in match.groups():
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT, e.g. 176x256")
    return int(match[1]), int(match[2])


def load_networks(protocol: Protocol, folder: Path | None, *, has_train: bool) -> tuple[Networks, dict[str, str]]:
    """What the protocol's LPIPS, FID and KID need, and metric -> reason for those that cannot be computed."""
    from signgen.metrics.distribution.inception import load_inception
    from signgen.metrics.image.lpips import load_lpips
    from signgen.metrics.image_set.scorer import Networks

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


def _files(request: ImageSetRequest) -> tuple[list[Pair], list[str], str]:
    """Images of two folders, matched by their names; the rule is printed. And why their sources are not known."""
    from signgen.evaluation.match_images import match_images, source_images

    matched = match_images(request.generated, request.truth, request.pair_list)
    sources, unknown = source_images(matched, request.truth, request.sources)
    pairs = [
        Pair(
            Picture(pair.generated),
            Picture(pair.truth),
            Picture(sources[pair.source]) if sources and pair.source is not None else None,
        )
        for pair in matched.pairs
    ]
    found = f"{len(pairs)} pairs by the rule {matched.rule.name}: {matched.rule.text}"
    console.print(found, markup=False)
    console.print(f"for example, {pairs[0].generated} is compared with {pairs[0].truth}", markup=False)
    return pairs, [found], unknown


def _frames(request: ImageSetRequest) -> tuple[list[Pair], list[str], str]:
    """Frames of two clips, matched by their number. Raises VideoError when one has more of them."""
    from signgen.video.reader import open_frames

    if request.pair_list is not None:
        raise VideoError(f"--pair-list with {request.generated}", expected="two folders of images")
    ours, theirs = open_frames(request.generated), open_frames(request.truth)
    if ours.num_frames != theirs.num_frames:
        raise VideoError(
            f"{ours.path} has {ours.num_frames} frames, {theirs.path} has {theirs.num_frames}",
            expected="equal counts, since frames are matched by their number",
        )
    found = f"{ours.num_frames} frames, matched by their number"
    console.print(found)
    source = Picture(request.sources or request.truth, 0)
    said = (
        f"copy-source repeats the first frame of {source.path}{'' if request.sources else '; --source names another'}"
    )
    numbers = range(ours.num_frames)
    return [Pair(Picture(ours.path, n), Picture(theirs.path, n), source) for n in numbers], [found, said], ""


def _lossy_codec(generated: Path) -> str | None:
    """Of a video that was compressed with loss; images are refused."""
    from signgen.video.reader import LOSSLESS_CODECS, open_frames

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
