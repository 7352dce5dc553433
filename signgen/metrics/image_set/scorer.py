"""Streaming scorer of a set of images under a protocol: pairs in, one at a time; out comes the metrics dictionary.

Memory does not grow with the images but for one row of numbers each. All that is kept are states of torchmetrics, so
that what several processes scored becomes the result of the whole set.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torchmetrics import Metric

from signgen.errors import SigngenError, VideoError
from signgen.metrics.accumulate import RowTable
from signgen.metrics.definitions import BASELINE_DEFINITIONS
from signgen.metrics.distribution.frechet import (
    ENOUGH_IMAGES,
    FeatureFile,
    FeatureStatistics,
    Gaussian,
    StoredFeatures,
    few_images_note,
    frechet_distance,
    kernel_distance,
)
from signgen.metrics.distribution.inception import Features
from signgen.metrics.image import ssim as similarity
from signgen.metrics.image.lpips import SMALLEST_SIDES, Lpips
from signgen.metrics.image.pixels import size_text
from signgen.metrics.image_set.protocols import FidUse, Protocol, Size, kept
from signgen.metrics.means import OWN_TRUTH, counted, with_own_truth

GENERATED = "generated"  # beside "train", "test" and the baselines, the sets that features are gathered of


@dataclass
class Networks:
    """lpips, inception: metric name -> callable, for those metrics of the protocol whose weights are at hand."""

    lpips: Mapping[str, Lpips] = field(default_factory=dict)
    inception: Features | None = None


class ImageSetScorer:
    """Scores generated images against their truth under `protocol`.

    total: how many pairs the whole set has, for tools that drop a last batch. size: what --size chose. folder: where
    all processes keep the features that KID needs; this one is number `part` of `parts`. totals: how many images the
    real sets have, by name.
    not_computed: metric -> reason, passed on. notes: for the reader of the report.
    """

    def __init__(
        self,
        protocol: Protocol,
        total: int,
        networks: Networks,
        folder: Path,
        *,
        part: int = 0,
        parts: int = 1,
        size: Size | None = None,
        totals: Mapping[str, int] | None = None,
        baselines: Iterable[str] = (),
        not_computed: Mapping[str, str] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self._protocol, self._networks = protocol, networks
        self._size = protocol.size(size)
        self._totals = {GENERATED: total, **(totals or {})}
        self._not_computed, self._notes = dict(not_computed or {}), list(notes)
        columns = (
            OWN_TRUTH,
            *protocol.ssims,
            *(["ms_ssim"] if protocol.ms_ssim else []),
            "psnr",
            "l1",
            *networks.lpips,
        )
        self._rows = {name: RowTable(total, columns) for name in (GENERATED, *baselines)}
        sets = sorted(self._rows.keys() | references(protocol))
        self._statistics = {name: FeatureStatistics() for name in sets}
        self._files = {name: FeatureFile(folder / name, part, parts) for name in sets} if protocol.kid else {}

    def states(self) -> list[Metric]:
        """All that was gathered, for `merge_states`."""
        return [*self._rows.values(), *self._statistics.values(), *self._files.values()]

    def update(
        self,
        index: int,
        generated: np.ndarray,
        truth: np.ndarray,
        names: tuple[str, str] = ("generated", "truth"),
        baselines: Mapping[str, np.ndarray | None] | None = None,
        own: Container[str] = (),
    ) -> dict[str, Any]:
        """Score the pair `index` of the set, both uint8 (H, W, 3), and return its numbers; `names` are for errors.

        baselines: name -> what it shows instead; None where it has no answer. own: those that show the truth itself.
        Raises VideoError for sizes that the protocol does not take.
        """
        row = self._scores(GENERATED, index, generated, truth, names)
        self._rows[GENERATED].update(index, row)
        for name, image in (baselines or {}).items():
            if image is not None:
                shown = (f"{name} of {names[0]}", names[1])
                mark = {OWN_TRUTH: 1} if name in own else {}
                self._rows[name].update(index, mark | self._scores(name, index, image, truth, shown, not mark))
        return {"frame": index, **row}

    def _scores(
        self,
        track: str,
        index: int,
        generated: np.ndarray,
        truth: np.ndarray,
        names: tuple[str, str],
        gather: bool = True,
    ) -> dict[str, float | None]:
        """All numbers of a pair; its features go to the set `track`, unless not asked to."""
        for name, image in zip(names, (generated, truth), strict=True):
            self._protocol.check(image, name)
        size = self._size or (truth.shape[1], truth.shape[0])
        view = self._protocol.pixels
        ours, theirs = view.apply(generated, size), view.apply(truth, size, real=True)
        if ours.shape != theirs.shape:
            raise VideoError(f"{names[0]}: {size_text(ours)}, {names[1]}: {size_text(theirs)}", expected="equal sizes")
        scores = self._pixel_scores(ours, theirs)
        view = self._protocol.features
        ours, theirs = view.apply(generated, size), view.apply(truth, size, real=True)
        scores |= self._lpips_scores(index, ours, theirs)
        if gather:
            self._gather(track, index, ours)
        return scores

    @property
    def gathers(self) -> bool:
        """Whether features are taken, so that the real images are needed."""
        return self._networks.inception is not None

    def add_real(self, name: str, index: int, image: np.ndarray, label: object = "image") -> None:
        """Take in image `index` of a real set, "train" or "test", uint8 (H, W, 3)."""
        self._protocol.check(image, label)
        self._gather(name, index, self._protocol.features.apply(image, self._size, real=True))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_networks": Networks()}  # networks stay with the process that loaded them

    def _pixel_scores(self, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float | None]:
        scores: dict[str, float | None] = {
            name: similarity.ssim_variant(ours, theirs, variant) for name, variant in self._protocol.ssims.items()
        }
        if self._protocol.ms_ssim:
            scores["ms_ssim"] = None
            if min(theirs.shape[:2]) >= similarity.smallest_side_ms():
                scores["ms_ssim"] = similarity.ms_ssim(ours, theirs)
        return scores | {"psnr": similarity.psnr_of(ours, theirs), "l1": similarity.l1_of(ours, theirs)}

    def _lpips_scores(self, index: int, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float | None]:
        scores: dict[str, float | None] = {}
        for name, network in self._networks.lpips.items():
            use = self._protocol.lpips[name]
            scored = index < kept(self._totals[GENERATED], use.batch)
            fits = min(theirs.shape[:2]) >= SMALLEST_SIDES[use.net]
            scores[name] = network(ours, theirs) if scored and fits else None
        return scores

    def _gather(self, name: str, index: int, image: np.ndarray) -> None:
        """Add the image's features to its set, unless the tool would drop it with the last batch."""
        uses = self._protocol.fid.values()
        batch = next(iter(uses)).batch if uses else None
        total = self._totals[GENERATED] if name in self._rows else self._totals.get(name, index + 1)
        if self._networks.inception is None or index >= kept(total, batch):
            return
        feature = self._networks.inception(image)
        self._statistics[name].update(feature)
        if name in self._files:
            self._files[name].update(feature)

    def result(self, labels: Sequence[Mapping[str, str]] | None = None) -> dict[str, Any]:
        """What a metrics file holds; rows in the order of the set. Raises SigngenError before every pair is scored.

        labels: of each pair of the set, what its row says of it beside the numbers: clip, generated, truth.
        """
        total = self._totals[GENERATED]
        # of all processes
        tracks = {name: _numbered(table.compute()) for name, table in self._rows.items()}
        gaussians = {name: statistics.compute() for name, statistics in self._statistics.items()}
        stored = {name: file.compute() for name, file in self._files.items()}
        if len(tracks[GENERATED]) != total:
            found = f"{len(tracks[GENERATED])} of {total} pairs are scored"
            raise SigngenError(found, expected="all before the result")
        # numbers, and why there are none
        sets = _Distributions(self._protocol, gaussians, stored)
        missing, notes = dict(self._not_computed), [*self._notes, *self._protocol.left_open]
        mean = self._means(GENERATED, tracks[GENERATED], sets, missing, notes)
        answered = [name for name, rows in tracks.items() if rows and name != GENERATED]
        for name in tracks.keys() - {GENERATED, *answered}:
            missing[name] = "it has no image for any of the pairs"
        notes += [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in answered if name in BASELINE_DEFINITIONS]
        baselines = {name: self._means(name, tracks[name], sets, {}, notes) for name in answered}
        rows = tracks[GENERATED]
        if labels is not None:
            rows = [{"frame": row["frame"], **label, **row} for label, row in zip(labels, rows, strict=True)]
        return {
            "protocol": self._protocol.text(self._size),
            "definitions": self._protocol.definitions(self._size),
            "frames": total,
            "mean": mean,
            "baselines": baselines,
            "not_computed": missing,
            "notes": notes,
            "per_frame": rows,
            "per_frame_baselines": {name: tracks[name] for name in answered},
        }

    def _means(
        self, track: str, rows: list[dict[str, Any]], sets: _Distributions, missing: dict[str, str], notes: list[str]
    ) -> dict[str, float | None]:
        """Every number of a track; reasons for those that are None go to `missing`, partial ones to `notes`."""
        total = self._totals[GENERATED]
        mean: dict[str, float | None] = {}
        if len(rows) < total:
            notes.append(
                f"{track} has no image for {total - len(rows)} of {total} pairs; its means are over the others"
            )
        own = [row for row in rows if row.get(OWN_TRUTH)]
        if 0 < len(own) < len(rows):
            notes.append(with_own_truth(track, own, rows, (*self._protocol.ssims, "psnr"), "image"))
        for name in self._protocol.definitions(self._size):
            values: list[Any] = [row[name] for row in counted(rows) if row.get(name) is not None]
            known = name in missing or name in self._not_computed
            whole = None if known else sets.distance(track, name, missing, notes)
            mean[name] = whole if whole is not None else float(np.mean(values)) if values else None
            if mean[name] is None:
                missing.setdefault(name, self._why_missing(name))
            elif track == GENERATED and values and len(values) < len(rows):
                notes.append(f"{name} is the mean of {len(values)} of {len(rows)} images ({self._why_missing(name)})")
        return mean

    def _why_missing(self, name: str) -> str:
        if name == "ms_ssim":
            side = similarity.smallest_side_ms()
            return f"MS-SSIM needs images of {side}x{side}"
        if use := self._protocol.lpips.get(name):
            side = SMALLEST_SIDES[use.net]
            return f"a last batch of fewer than {use.batch} is dropped" if use.batch else f"it needs {side}x{side}"
        return "the generated image has one value only, and the range is its own"


def _numbered(rows: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"frame": number, **row} for number, row in rows.items()]


@dataclass(frozen=True)
class _Distributions:
    """What was gathered of features: set -> their moments, and where they lie."""

    protocol: Protocol
    gaussians: Mapping[str, Gaussian]
    stored: Mapping[str, StoredFeatures]

    def distance(self, track: str, name: str, missing: dict[str, str], notes: list[str]) -> float | None:
        """FID or KID, or None with the reason in `missing`; from how few images goes to `notes`."""
        use = self.protocol.fid.get(name) or self.protocol.kid.get(name)
        if use is None:
            return None
        ours, theirs = self.gaussians[track], self.gaussians[use.reference]
        least = min(ours.total, theirs.total)
        if least < 2:
            missing[name] = f"{least} images in one of the sets; a distribution needs 2"
            return None
        if track == GENERATED and least < ENOUGH_IMAGES and name in self.protocol.fid:
            notes.append(few_images_note(name, ours.total, theirs.total))
        if name in self.protocol.kid:
            return kernel_distance(self.stored[track], self.stored[use.reference])
        return frechet_distance(ours, theirs)


def references(protocol: Protocol) -> set[str]:
    """Names of the real sets that the protocol's FID and KID are taken against."""
    uses: list[FidUse] = [*protocol.fid.values(), *protocol.kid.values()]
    return {use.reference for use in uses}
