"""Streaming scorer of a set of images under a protocol: pairs in, one at a time; out comes the metrics dictionary.

Memory does not grow with the images but for one row of numbers each. What several processes scored is merged; the
result is that of the whole set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import SigngenError, VideoError
from signgen.metrics import similarity
from signgen.metrics.features import FeatureFile, FeatureStatistics, frechet_distance, kernel_distance
from signgen.metrics.image import size_text
from signgen.metrics.inception import Features
from signgen.metrics.lpips import SMALLEST_SIDES, Lpips
from signgen.metrics.protocols import FidUse, Protocol, Size, kept

GENERATED = "generated"  # beside "train" and "test", the sets that features are gathered of


@dataclass
class Networks:
    """lpips, inception: metric name -> callable, for those metrics of the protocol whose weights are at hand."""

    lpips: Mapping[str, Lpips] = field(default_factory=dict)
    inception: Features | None = None


class ImageSetScorer:
    """Scores generated images against their truth under `protocol`.

    total: how many pairs the whole set has, for tools that drop a last batch. size: what --size chose. folder: where
    features are kept that KID needs, of this scorer alone. totals: how many images the real sets have, by name.
    not_computed: metric -> reason, passed on. notes: for the reader of the report.
    """

    def __init__(
        self,
        protocol: Protocol,
        total: int,
        networks: Networks,
        folder: Path,
        *,
        size: Size | None = None,
        totals: Mapping[str, int] | None = None,
        not_computed: Mapping[str, str] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        self._protocol, self._networks = protocol, networks
        self._size = protocol.size(size)
        self._totals = {GENERATED: total, **(totals or {})}
        self._not_computed, self._notes = dict(not_computed or {}), list(notes)
        self._rows: dict[int, dict[str, Any]] = {}
        uses = protocol.fid.items() | protocol.kid.items()
        sets = {GENERATED} | {use.reference for _, use in uses}
        self._statistics = {name: FeatureStatistics() for name in sets}
        self._files = {name: FeatureFile(folder / f"{name}.features") for name in sets} if protocol.kid else {}

    def update(
        self, index: int, generated: np.ndarray, truth: np.ndarray, names: tuple[str, str] = ("generated", "truth")
    ) -> dict[str, Any]:
        """Score the pair `index` of the set, both uint8 (H, W, 3), and return its row, which holds their `names`.

        Raises VideoError for sizes that the protocol does not take.
        """
        for name, image in zip(names, (generated, truth), strict=True):
            self._protocol.check(image, name)
        size = self._size or (truth.shape[1], truth.shape[0])
        ours, theirs = (self._protocol.pixels.apply(image, size) for image in (generated, truth))
        if ours.shape != theirs.shape:
            raise VideoError(f"{names[0]}: {size_text(ours)}, {names[1]}: {size_text(theirs)}", expected="equal sizes")
        row: dict[str, Any] = {"frame": index, "generated": names[0], "truth": names[1]}
        row |= self._pixel_scores(ours, theirs)
        view = self._protocol.features
        ours, theirs = (view.apply(image, size) for image in (generated, truth))
        row |= self._lpips_scores(index, ours, theirs)
        self._gather(GENERATED, index, ours)
        self._rows[index] = row
        return row

    def add_real(self, name: str, index: int, image: np.ndarray, label: object = "image") -> None:
        """Take in image `index` of a real set, "train" or "test", uint8 (H, W, 3)."""
        self._protocol.check(image, label)
        self._gather(name, index, self._protocol.features.apply(image, self._size))

    def merge(self, other: ImageSetScorer) -> None:
        """Take in what another process scored of the same set. Raises SigngenError for what both have scored."""
        if twice := sorted(self._rows.keys() & other._rows.keys()):
            raise SigngenError(f"image {twice[0]} was scored twice", expected="parts that do not overlap")
        self._rows |= other._rows
        for name, statistics in self._statistics.items():
            statistics.merge(other._statistics[name])
        for name, file in self._files.items():
            file.merge(other._files[name])

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
        if self._networks.inception is None or index >= kept(self._totals.get(name, index + 1), batch):
            return
        feature = self._networks.inception(image)
        self._statistics[name].add(feature)
        if name in self._files:
            self._files[name].add(feature)

    def result(self) -> dict[str, Any]:
        """What a metrics file holds; rows in the order of the set. Raises SigngenError before every pair is scored."""
        total = self._totals[GENERATED]
        if len(self._rows) != total:
            raise SigngenError(f"{len(self._rows)} of {total} pairs are scored", expected="all before the result")
        rows = [self._rows[index] for index in sorted(self._rows)]
        missing = dict(self._not_computed)
        definitions = self._protocol.definitions(self._size)
        mean: dict[str, float | None] = {}
        notes = list(self._notes)
        for name in definitions:
            values = [row[name] for row in rows if row.get(name) is not None]
            whole = self._whole_set(name, missing)
            mean[name] = whole if whole is not None else float(np.mean(values)) if values else None
            if mean[name] is None:
                missing.setdefault(name, self._why_missing(name))
            elif values and len(values) < len(rows):
                notes.append(f"{name} is the mean of {len(values)} of {len(rows)} images ({self._why_missing(name)})")
        return {
            "protocol": self._protocol.text(self._size),
            "definitions": definitions,
            "frames": len(rows),
            "mean": mean,
            "baselines": {},
            "not_computed": missing,
            "notes": notes,
            "per_frame": rows,
        }

    def _whole_set(self, name: str, missing: dict[str, str]) -> float | None:
        """FID or KID, or None with the reason in `missing`."""
        use = self._protocol.fid.get(name) or self._protocol.kid.get(name)
        if use is None or name in missing:
            return None
        few = min(len(self._statistics[GENERATED]), len(self._statistics[use.reference]))
        if few < 2:
            missing[name] = f"{few} images in one of the sets; a distribution needs 2"
            return None
        if name in self._protocol.kid:
            return kernel_distance(self._files[GENERATED], self._files[use.reference])
        return frechet_distance(self._statistics[GENERATED], self._statistics[use.reference])

    def _why_missing(self, name: str) -> str:
        if name == "ms_ssim":
            side = similarity.smallest_side_ms()
            return f"MS-SSIM needs images of {side}x{side}"
        if use := self._protocol.lpips.get(name):
            side = SMALLEST_SIDES[use.net]
            return f"a last batch of fewer than {use.batch} is dropped" if use.batch else f"it needs {side}x{side}"
        return "the generated image has one value only, and the range is its own"


def references(protocol: Protocol) -> set[str]:
    """Names of the real sets that the protocol's FID and KID are taken against."""
    uses: list[FidUse] = [*protocol.fid.values(), *protocol.kid.values()]
    return {use.reference for use in uses}
