"""Clips and triples in; which signers or persons several splits share, and a split that leaves one signer out, out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from signgen.corpora.survey import Clip, LeftOut
from signgen.errors import OptionError
from signgen.pairs.pairset import SPLITS, ClipRecord

_NAMED = 5  # signers that a note names


def shared_signers(clips: Sequence[ClipRecord], triples: dict[str, np.ndarray]) -> list[str]:
    """A note for every two splits whose triples show the same signer or person; clips without a name count as nobody.

    What a model scores on people that it was trained on says nothing of others.
    """
    signers = {
        split: {clips[number].signer for number in np.unique(triples[split]["clip"])} - {""}
        for split in SPLITS
        if split in triples
    }
    notes = []
    for one, other in combinations(signers, 2):
        both = sorted(signers[one] & signers[other])
        if both:
            named = ", ".join(both[:_NAMED]) + (" ..." if both[_NAMED:] else "")
            notes.append(
                f"{one} and {other} share {len(both)} of {len(signers[other])} people ({named}): scores of {other} are"
                " of people that were seen" + (" in training" if one == "train" else "")
            )
    return notes


def leave_out(clips: Sequence[Clip], signer: str) -> tuple[list[Clip], list[LeftOut]]:
    """All clips of `signer` become the test split; the test clips of others are left out, so that it is theirs alone.

    signer: a name, or its number (5 for Signer05). Raises OptionError where no clip, or every clip, is theirs.
    """
    name = _found(signer, sorted({clip.signer for clip in clips}))
    kept, without = [], []
    for clip in clips:
        if clip.signer == name:
            kept.append(replace(clip, split="test"))
        elif clip.split == "test":
            without.append(LeftOut(clip.name, f"--leave-signer-out {signer}: the test split is {name}'s alone"))
        else:
            kept.append(clip)
    if all(clip.split == "test" for clip in kept):
        raise OptionError(
            f"--leave-signer-out {signer}: every clip is {name}'s", expected="clips of others to train on"
        )
    return kept, without


def _found(wanted: str, signers: list[str]) -> str:
    named = [name for name in signers if name]
    if not named:
        fix = "name them in a column signer of --pairing FILE.csv"
        raise OptionError(f"--leave-signer-out {wanted}: no clip says who its signer is", fix=fix)
    same = [name for name in named if name == wanted]
    if not same and wanted.isdecimal():
        numbers = {name: re.search(r"\d+$", name) for name in named}
        same = [name for name, number in numbers.items() if number and int(number[0]) == int(wanted)]
    if len(same) != 1:
        raise OptionError(f"--leave-signer-out {wanted}", expected=f"one of {', '.join(named[:20])}")
    return same[0]
