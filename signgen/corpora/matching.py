"""Which keypoints belong to which video: by --pairing, else by the number of frames, then by the number of points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signgen.corpora.survey import Candidate, Footage
from signgen.errors import PairSetError, PoseError
from signgen.files import read_csv, stays_inside, there_is
from signgen.poses import identify

if TYPE_CHECKING:
    pass

NO_KEYPOINTS = "no keypoints beside it"


class Unpaired(PairSetError):
    """No keypoints can be chosen for a clip. `error` is False where there simply are none."""

    def __init__(self, found: str, *, error: bool = True, fix: str | None = None) -> None:
        super().__init__(found, fix=fix)
        self.error = error


@dataclass(frozen=True)
class PairingRow:
    """One line of --pairing; video, person and camera are None, signer "", where the column is empty or not there."""

    video: Path | None
    keypoints: Path
    person: str | None = None
    camera: str | None = None
    signer: str = ""


def read_pairing(path: Path, root: Path) -> dict[str, PairingRow]:
    """The CSV clip,video,keypoints by clip; paths are relative to `root`, else to the CSV. Raises PairSetError."""
    try:
        _, rows = read_csv(path)
    except (OSError, ValueError) as error:
        raise PairSetError(f"{path}: cannot be read ({error})", expected="a CSV with clip,video,keypoints") from error
    pairing: dict[str, PairingRow] = {}
    for line, row in enumerate(rows, start=2):
        name, video, keypoints = (str(row.get(column) or "").strip() for column in ("clip", "video", "keypoints"))
        if not name or not keypoints:
            raise PairSetError(f"{path}: line {line}: no clip or no keypoints", expected="clip,video,keypoints")
        if not stays_inside(name):
            raise PairSetError(
                f"{path}: line {line}: clip {name[:80]!r}", expected="a short name without .., not beginning with /"
            )
        if name in pairing:
            raise PairSetError(f"{path}: line {line}: clip {name} occurs twice", expected="one line a clip")
        where = f"{path}: line {line}"
        found = _existing(video, root, path.parent, where) if video else None
        person, camera = (str(row.get(column) or "").strip() or None for column in ("person", "camera"))
        signer = str(row.get("signer") or "").strip()
        pairing[name] = PairingRow(found, _existing(keypoints, root, path.parent, where), person, camera, signer)
    return pairing


def _existing(text: str, root: Path, beside: Path, where: str) -> Path:
    for folder in (root, beside):
        if there_is(folder / text):
            return folder / text
    raise PairSetError(f"{where}: {text[:200]} does not exist", expected=f"a path relative to {root} or to the CSV")


def settle(row: PairingRow, name: str, source: Footage) -> Candidate:
    """The keypoints that --pairing gives for a clip. Raises PoseError when they do not fit."""
    file = identify(row.keypoints)
    if file is None:
        raise PoseError(f"{row.keypoints}: not keypoints of a known format", fix="name others with --pairing")
    wanted = ("", row.camera or name)
    candidates = [Candidate(file, clip, person=row.person) for clip in file.frames if clip.rpartition("/")[2] in wanted]
    if len(candidates) != 1:
        raise PoseError(f"{row.keypoints}: {len(candidates)} clips are named {wanted[1]}", expected="one")
    return replace(choose(name, candidates, source), settled=True)


def choose(name: str, candidates: list[Candidate], source: Footage) -> Candidate:
    """The keypoints of a clip: as many frames as the video, then the most points; more than one left is ambiguous.

    Where none has as many, files whose frame numbers have their place in the video: estimators leave out frames in
    which they see nobody.

    Copies of the same keypoints (packed, or rounded to float16) are not: the most exact one is taken.
    Raises Unpaired.
    """
    if not candidates:
        raise Unpaired(NO_KEYPOINTS, error=False)
    matching = [c for c in candidates if c.frames == source.num_frames] or [c for c in candidates if c.fits(source)]
    if not matching:
        counts = ", ".join(f"{c.label} holds {c.frames} frames" for c in candidates)
        spans = ", ".join(c.listing.span for c in candidates if c.listing is not None and c.listing.numbers)
        fix = "name the video's own keypoints with --pairing FILE.csv (clip,video,keypoints)"
        raise Unpaired(f"{counts}, the video {source.num_frames}{f' ({spans})' if spans else ''}", fix=fix)
    best = max(c.file.points for c in matching)
    tied = sorted((c for c in matching if c.file.points == best), key=lambda c: (c.file.half, len(c.label), c.label))
    if len(tied) > 1 and not _same(tied, source):
        names = ", ".join(c.label for c in tied)
        fix = "name the one with --pairing FILE.csv (clip,video,keypoints)"
        raise Unpaired(f"ambiguous: {names} all have {best} points and {source.num_frames} frames", fix=fix)
    return tied[0]


def _same(candidates: list[Candidate], source: Footage) -> bool:
    """Equal to the precision of float16."""
    first, *others = (c.read(source, None).keypoints for c in candidates)
    return all(np.allclose(first, other, rtol=2**-10, atol=2**-10, equal_nan=True) for other in others)
