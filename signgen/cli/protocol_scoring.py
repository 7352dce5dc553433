"""`signgen evaluate --protocol`: matched images and the networks whose weights are at hand in, the scores out."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from signgen.cli.common import console, rate_progress
from signgen.errors import VideoError, WeightsError

if TYPE_CHECKING:
    import numpy as np

    from signgen.data.video import FrameSource
    from signgen.metrics.image_set import ImageSetScorer, Networks
    from signgen.metrics.lpips import Lpips
    from signgen.metrics.protocols import Protocol, Size


@dataclass(frozen=True)
class ImageSetRequest:
    """What the command line asks for. weights: a folder of networks' weights, instead of the usual places."""

    generated: Path
    truth: Path
    protocol: str
    size: str | None = None
    pair_list: Path | None = None
    train_images: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Picture:
    """An image file, or frame `number` of `clip`."""

    path: Path
    clip: FrameSource | None = None
    number: int = 0

    def __str__(self) -> str:
        return str(self.path) if self.clip is None else f"{self.path}#{self.number}"

    def read(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB. Raises VideoError."""
        from signgen.data.video import read_image

        return read_image(self.path) if self.clip is None else self.clip.read(self.number, self.number + 1)[0]


@dataclass(frozen=True)
class Pair:
    """What is compared."""

    generated: Picture
    truth: Picture

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Both, uint8 (H, W, 3) RGB. Raises VideoError."""
        return self.generated.read(), self.truth.read()


def score_image_set(request: ImageSetRequest) -> tuple[dict[str, Any], list[Pair]]:
    """The metrics dictionary of a set of images, or of two videos frame by frame, under a named protocol; the pairs,
    in the order of its rows."""
    from signgen.data.image_pairs import images_below
    from signgen.metrics.image_set import ImageSetScorer
    from signgen.metrics.protocols import protocol_named

    protocol = protocol_named(request.protocol)
    size = None if request.size is None else parse_size(request.size)
    is_clip = any(path.is_file() for path in (request.generated, request.truth))
    pairs, notes = _frames(request) if is_clip else _files(request)
    if protocol.lossless and not is_clip:
        _refuse_lossy([pair.generated.path for pair in pairs])
    train = [] if request.train_images is None else list(images_below(request.train_images).values())
    networks, not_computed = load_networks(protocol, request.weights, has_train=bool(train))
    targets = list(dict.fromkeys(pair.truth for pair in pairs))
    with tempfile.TemporaryDirectory(prefix="signgen-features-") as folder:
        scorer = ImageSetScorer(
            protocol,
            len(pairs),
            networks,
            Path(folder),
            size=size,
            totals={"train": len(train), "test": len(targets)},
            not_computed=not_computed,
            notes=notes,
        )
        _score(scorer, pairs)
        if networks.inception is not None:
            _add_real(scorer, protocol, [Picture(path) for path in train], targets)
        return scorer.result(), pairs


def parse_size(text: str) -> Size:
    """`176x256` -> (176, 256)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or "0" in match.groups():
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT, e.g. 176x256")
    return int(match[1]), int(match[2])


def load_networks(protocol: Protocol, folder: Path | None, *, has_train: bool) -> tuple[Networks, dict[str, str]]:
    """What the protocol's LPIPS, FID and KID need, and metric -> reason for those that cannot be computed."""
    from signgen.metrics.image_set import Networks
    from signgen.metrics.inception import load_inception
    from signgen.metrics.lpips import load_lpips

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


def _files(request: ImageSetRequest) -> tuple[list[Pair], list[str]]:
    """Images of two folders, matched by their names; the rule is printed."""
    from signgen.data.image_pairs import match_images

    matched = match_images(request.generated, request.truth, request.pair_list)
    pairs = [Pair(Picture(pair.generated), Picture(pair.truth)) for pair in matched.pairs]
    found = f"{len(pairs)} pairs by the rule {matched.rule.name}: {matched.rule.text}"
    console.print(found, markup=False)
    console.print(f"for example, {pairs[0].generated} is compared with {pairs[0].truth}", markup=False)
    return pairs, [found]


def _frames(request: ImageSetRequest) -> tuple[list[Pair], list[str]]:
    """Frames of two clips, matched by their number. Raises VideoError when one has more of them."""
    from signgen.data.video import open_frames

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
    numbers = range(ours.num_frames)
    return [Pair(Picture(ours.path, ours, n), Picture(theirs.path, theirs, n)) for n in numbers], [found]


def _refuse_lossy(paths: list[Path]) -> None:
    lossy = [path for path in paths if path.suffix.lower() in (".jpg", ".jpeg", ".webp")]
    if lossy:
        raise VideoError(
            f"{lossy[0]}{f' and {len(lossy) - 1} more' if len(lossy) > 1 else ''}: a lossy file",
            expected="PNG with --protocol strict, since compressing an image changes its scores",
            fix="write PNG, or choose another protocol",
        )


def _score(scorer: ImageSetScorer, pairs: list[Pair]) -> None:
    for index, pair in enumerate(_with_progress(pairs, "scoring")):
        names = str(pair.generated), str(pair.truth)
        scorer.update(index, pair.generated.read(), pair.truth.read(), names)


def _add_real(scorer: ImageSetScorer, protocol: Protocol, train: list[Picture], test: list[Picture]) -> None:
    from signgen.metrics.image_set import references

    for name, pictures in (("train", train), ("test", test)):
        if name in references(protocol):
            for index, picture in enumerate(_with_progress(pictures, f"{name} images")):
                scorer.add_real(name, index, picture.read(), picture)


def _with_progress(items: list[Any], what: str) -> Iterator[Any]:
    """A progress bar on a terminal; a log would get an empty line of it."""
    with rate_progress(transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, description=what)
