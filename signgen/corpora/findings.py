"""Findings in, a report out: what a data set holds, split by split, and everything that is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CLIP_KINDS = {
    "counts": "all clips are there, but not the published number of frames",
    "annotations": "a list of clips is missing",
    "absent": "listed, but not on disk",
    "twice": "on disk in two splits",
    "unlisted": "on disk, but in no list",
    "gap": "frames are missing in the middle",
    "empty": "no frames at all",
    "stray": "a file that does not belong there",
    "size": "frames of another size",
    "unreadable": "an image or video that cannot be decoded",
    "no-keypoints": "no keypoints for a clip that is on disk",
    "keypoint-frames": "keypoints of another number of frames",
    "non-finite": "coordinates that are not finite",
    "wrong-split": "keypoints in the file of another split",
    "damaged-keypoints": "keypoints that cannot be read",
}
PAIR_KINDS = {  # of data sets whose images are paired by lists; they share some of the above
    "no-image": "keypoints of an image that is not on disk",
    "outside": "points outside the image",
    "clash": "two images of one name",
    "damaged-list": "a list of pairs that cannot be read",
    "list-size": "a published list of another length",
    "self-pair": "a list pairs an image with itself",
    "duplicate-pair": "a list holds a pair twice",
    "across": "a list pairs images of two people",
    "leak": "a pair of the train list is in the test list too",
}
KINDS = {**CLIP_KINDS, **PAIR_KINDS}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. kind: of KINDS. where: a clip (split/name) or a path. what: a sentence fragment."""

    kind: str
    where: str
    what: str


@dataclass
class Report:
    """counts: per split, how much of what there is. full: every frame was decoded, not only the first header.

    notes: sentences on what is no fault, but good to know.
    published: per split, how much of what the whole data set has; empty where only a part of it was looked at.
    """

    dataset: str
    root: Path
    full: bool
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    published: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, split: str, **numbers: int) -> None:
        """Add to the counts of a split."""
        self.counts.setdefault(split, Counter()).update(numbers)

    def find(self, kind: str, where: str, what: str) -> None:
        """Add a finding."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        self.findings.append(Finding(kind, where, what))

    @property
    def by_kind(self) -> dict[str, int]:
        """How many findings of each kind, in the order of KINDS."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    @property
    def differences(self) -> dict[str, str]:
        """Per split that is not as published: how much of what is there, of how much."""
        found = {}
        for split, numbers in self.published.items():
            counts = self.counts.get(split, Counter())
            if any(counts[what] != number for what, number in numbers.items()):
                found[split] = ", ".join(f"{counts[what]:,} of {number:,} {what}" for what, number in numbers.items())
        return found

    @property
    def size(self) -> str:
        """ "complete" with its numbers, or what of every split is missing; empty where nothing is published."""
        if not self.published:
            return ""
        if self.differences:
            return "not the whole data set: " + "; ".join(f"{split} {what}" for split, what in self.differences.items())
        each = (f"{split} {_listing(numbers)}" for split, numbers in self.published.items())
        return "complete, as published: " + "; ".join(each)

    def to_json(self) -> dict[str, Any]:
        """For a file: everything, nothing that depends on when it was written."""
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "mode": "full" if self.full else "quick",
            "counts": {split: dict(numbers) for split, numbers in self.counts.items()},
            "notes": self.notes,
            "complete": not self.differences if self.published else None,
            "differences": self.differences,
            "findings": [asdict(finding) for finding in self.findings],
        }


def _listing(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in numbers.items())
