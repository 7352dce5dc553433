"""A re-identification study: a Market-1501-style set and methods' generated images in; mAP and CMC of a network trained
on a share of the real images, alone and with each method's, out.

Every row is trained for the same number of steps from the same weights; rows of one share have the same real images.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from signgen.corpora.person.reid import GeneratedImage, ReidImage, ReidSet, generated_images, read_reid_set, seen_of
from signgen.errors import OptionError, StudyError
from signgen.evaluation.provenance import provenance
from signgen.evaluation.reid_images import GeneratedRequest, render_generated
from signgen.files import digest_of, read_json, write_json
from signgen.metrics.published import published_table
from signgen.metrics.reid import DEFINITION, ReidScores, distances_between, reid_scores
from signgen.models.device import prepare_device
from signgen.progress import SILENT, Progress
from signgen.requests import Request
from signgen.training.reid import ReidSettings, build_network, reid_features, train_reid

REAL, FLIPS, OURS = "real", "real + flips", "ours"
TABLE = "market-reid"
RESULT_FILE = "reid.json"


@dataclass(frozen=True)
class ReidRequest(Request):
    """root: the set. methods: name -> folder of its images. model, pairs: a model and the pair set of the real training
    images, for rows of its own images. shares: of the real training images, 0 < share <= 1. ratio: generated images
    for each real one. flip_all: mirror in the rows with generated images, too. distance: cosine or euclidean."""

    root: Path
    out: Path
    methods: Mapping[str, Path] = field(default_factory=dict)
    model: Path | None = None
    pairs: Path | None = None
    shares: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    ratio: float = 1.0
    training: ReidSettings = field(default_factory=ReidSettings)
    flip_all: bool = False
    distance: str = "cosine"
    device: str = "auto"
    threads: int | None = None

    def check(self) -> None:
        """Raises OptionError for what no study can be made of."""
        self.training.check()
        wrong = [share for share in self.shares if not 0 < share <= 1]
        if wrong or not self.shares:
            raise OptionError(f"--shares {wrong}", expected="shares of the real images, above 0 and up to 1")
        if not self.ratio > 0:
            raise OptionError(f"--ratio {self.ratio:g}", expected="more than 0 generated images for a real one")
        if (self.model is None) != (self.pairs is None):
            raise OptionError("--model without --pairs, or the other way round", expected="both, to render with it")
        if taken := {REAL, FLIPS, OURS if self.model else REAL} & set(self.methods):
            raise OptionError(f"--with {min(taken)}=...: that name is a row's own", expected="another name")


@dataclass(frozen=True)
class Row:
    """What one network is trained on. outside: generated images left out, since their source is not in the share."""

    share: float
    name: str
    real: tuple[ReidImage, ...]
    generated: tuple[GeneratedImage, ...]
    flips: bool
    outside: int = 0

    @property
    def key(self) -> str:
        """Under which its result is kept, e.g. `20 % real + flips`."""
        return f"{share_text(self.share)} {self.name}"


def study_reid(request: ReidRequest, progress: Progress = SILENT) -> dict[str, Any]:
    """The result, which OUT/reid.json holds after every row; rows that are there already are not trained again.

    Raises PairSetError for a set or folder that is not as expected, WeightsError, OptionError, and StudyError where
    OUT holds a study of other settings.
    """
    # what is compared
    request.check()
    found = read_reid_set(request.root)
    people = sorted({image.person for image in found.train})
    folders = {name: generated_images(folder, set(people)) for name, folder in request.methods.items()}
    settings = _settings(request, found, folders)
    result = _begun(request, settings)
    build_network(request.training, len(people))  # what is wrong with the weights is said before anything is written
    write_json(request.out / RESULT_FILE, result)
    order = shuffled(found.train, request.training.seed)
    if request.model is not None and request.pairs is not None:
        own = request.out / OURS
        asked = (request.model, request.pairs, request.ratio, request.training.seed, request.device, request.threads)
        sources = order[: share_of(max(request.shares), len(order))]
        render_generated(GeneratedRequest(own, *asked), sources, progress)
        folders = {OURS: generated_images(own, set(people)), **folders}
    # row by row
    for row in rows_of(request, order, folders):
        if row.key in result["rows"]:
            progress.note(f"{row.key}: there already")
            continue
        result["rows"][row.key] = _trained(request, found, row, people, progress)
        write_json(request.out / RESULT_FILE, result)
    return result


def rows_of(
    request: ReidRequest, order: Sequence[ReidImage], folders: Mapping[str, Sequence[GeneratedImage]]
) -> Iterator[Row]:
    """Share by share. order: the training images; a share is their first ones, so that smaller shares lie in larger."""
    for share in request.shares:
        real = tuple(order[: share_of(share, len(order))])
        yield Row(share, REAL, real, (), False)
        yield Row(share, FLIPS, real, (), True)
        keys, known = {image.key for image in real}, {image.key for image in order}
        for name, images in folders.items():
            usable = [image for image in images if image.source not in known or image.source in keys]
            chosen = _drawn(usable, int(len(real) * request.ratio), request.training.seed)
            if not chosen:
                raise OptionError(
                    f"{name}: no image whose source is among the {share_text(share)} of real ones",
                    expected="images of sources that are drawn over the whole set",
                )
            yield Row(share, name, real, chosen, request.flip_all, len(images) - len(usable))


def shuffled(images: Sequence[ReidImage], seed: int) -> list[ReidImage]:
    """In the random order of that seed."""
    return [images[n] for n in np.random.default_rng([seed, 0x5E]).permutation(len(images))]


def share_of(share: float, count: int) -> int:
    """How many images a share is, at least two."""
    return max(2, round(share * count))


def shares_named(text: str) -> tuple[float, ...]:
    """`0.2,0.4` -> (0.2, 0.4). Raises OptionError for what is no list of numbers."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"--shares {text}", expected="numbers as 0.2,0.4,0.8") from error


def share_text(share: float) -> str:
    """`20 %`."""
    return f"{100 * share:g} %"


def table_of(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of mAP / rank-1 in %, a row a method, a column a share."""
    shares = result["settings"]["shares"]
    texts: dict[str, list[str]] = {}
    for key, row in result["rows"].items():
        name = key.split(" % ", 1)[1]
        shown = f"{100 * row['mAP']:.1f} / {100 * row['cmc']['1']:.1f}"
        texts.setdefault(name, ["-"] * len(shares))[shares.index(row["share"])] = shown
    return ["mAP / rank-1, in %", *map(share_text, shares)], [[name, *values] for name, values in texts.items()]


def _drawn(images: Sequence[GeneratedImage], count: int, seed: int) -> tuple[GeneratedImage, ...]:
    """`count` of them at random, or all."""
    order = np.random.default_rng([seed, 0x6E]).permutation(len(images))
    return tuple(images[n] for n in sorted(order[:count]))


def _trained(
    request: ReidRequest, found: ReidSet, row: Row, people: Sequence[int], progress: Progress
) -> dict[str, Any]:
    """One network, trained and tested."""
    start, device, settings = time.perf_counter(), prepare_device(request.device, request.threads), request.training
    labels = {person: number for number, person in enumerate(people)}
    images: list[ReidImage | GeneratedImage] = [*row.real, *row.generated]
    tested = [found.query, found.gallery]
    with progress.bar(row.key, settings.steps + sum(map(len, tested))) as bar:
        network = train_reid(
            [image.path for image in images],
            [labels[image.person] for image in images],
            len(people),
            settings,
            flips=row.flips,
            device=device,
            tick=bar.advance,
        )
        paths = [[image.path for image in part] for part in tested]
        query, gallery = (reid_features(network, part, settings, device, bar.advance) for part in paths)
    scores = reid_scores(
        distances_between(query, gallery, request.distance), seen_of(found.query), seen_of(found.gallery)
    )
    return _row_result(row, scores, time.perf_counter() - start)


def _row_result(row: Row, scores: ReidScores, seconds: float) -> dict[str, Any]:
    return {
        "share": row.share,
        "mAP": scores.mean_ap,
        "cmc": {str(rank): value for rank, value in scores.cmc.items()},
        "real": len(row.real),
        "people": len({image.person for image in row.real}),
        "generated": len(row.generated),
        "generated_per_real": len(row.generated) / len(row.real),
        "left_out_source_outside_share": row.outside,
        "flips": row.flips,
        "queries": scores.queries,
        "queries_without_match": scores.unmatched,
        "seconds": round(seconds, 1),
    }


def _settings(request: ReidRequest, found: ReidSet, folders: Mapping[str, Sequence[GeneratedImage]]) -> dict[str, Any]:
    """All that decides a row, JSON: a study goes on only with the same."""
    parts = {"train": found.train, "query": found.query, "gallery": found.gallery}
    training = asdict(replace(request.training, weights=None))
    weights = request.training.weights
    return {
        "set": {name: [len(images), _names(images)] for name, images in parts.items()},
        "methods": {name: [len(images), _names(images)] for name, images in folders.items()},
        "model": None if request.model is None else digest_of(request.model),
        "shares": list(request.shares),
        "ratio": request.ratio,
        "flip_all": request.flip_all,
        "distance": request.distance,
        **training,
        "weights": None if weights is None else digest_of(weights),
    }


def _names(images: Sequence[ReidImage] | Sequence[GeneratedImage]) -> str:
    """A digest of file names and sizes."""
    text = "\n".join(f"{image.path.name} {image.path.stat().st_size}" for image in images)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _begun(request: ReidRequest, settings: dict[str, Any]) -> dict[str, Any]:
    """What is there already, or an empty result. Raises StudyError for one of other settings."""
    path = request.out / RESULT_FILE
    files = {"set": request.root, "model": request.model, "weights": request.training.weights, **request.methods}
    table = published_table(TABLE)
    empty = {
        "definition": DEFINITION,
        "settings": settings,
        "notes": _notes(request),
        "published": {
            "table": TABLE,
            "title": table.title,
            "source": table.source,
            "columns": list(table.scores),
            "rows": dict(table.rows),
        },
        "rows": {},
        "provenance": provenance(files),
    }
    if not path.exists():
        return empty
    try:
        before = read_json(path)
        known, rows = dict(before["settings"]), dict(before["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: no re-identification study", fix="choose another --out") from error
    differs = [name for name in settings if known.get(name) != settings[name]]
    if differs:
        raise StudyError(
            f"{path} is a study of other settings ({', '.join(differs)})", fix="choose another --out, or remove it"
        )
    return {**empty, "rows": rows}


def _notes(request: ReidRequest) -> list[str]:
    """What the numbers depend on."""
    flips = "mirrored, too" if request.flip_all else f"not mirrored, as `{REAL}` is not"
    return [
        f"{request.ratio:g} generated images for each real one, as far as the method has them; their rows are {flips}",
        "generated images whose source is a training image outside the share are left out, where their names say it",
        f"equal numbers of steps for all rows ({request.training.steps:,}), whatever the number of images",
        "published rows are claims: network, ratio, steps and distance are not stated there",
    ]
