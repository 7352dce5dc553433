"""A source and another person's picture in; the source in the other person's clothes out.

Two things are made of it. The composed source, the person in their own pose and the other one's clothes, is what every
condition of the model sees, so that all of them see one picture. The part warp takes trunk and arms from the garment's
own picture: of the composed source they would be moved twice, and lack what the source's pose hides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from signgen.errors import PoseError
from signgen.models.card import ModelCard
from signgen.poses.sequence import PoseSequence
from signgen.progress import Notes
from signgen.rendering.source import Garment, Source, fitted
from signgen.warp.anatomy import anatomy
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.compose import dressed
from signgen.warp.garment import SPARE, Dress, dress


def with_garment(source: Source, garment: Source, card: ModelCard, notes: Notes) -> tuple[Source, list[str]]:
    """The source in the garment's clothes, and notes for the reader of the scores.

    Raises PoseError where a pose is not known, or shows no shoulders: clothes are laid on by keypoints.
    """
    own = _pose(source, "the source", "--source-poses")
    theirs = _pose(garment, "the garment image", "--garment-poses")
    height, width = source.frame.shape[:2]
    found = fitted(garment.frame, theirs, (width, height))
    own = own.resized(width, height)
    composed, missing = compose(source.frame, own, *found)
    how = "the part warp takes trunk and arms" if card.parsed_recipe().part_warp else "the model sees trunk and arms"
    told = [
        f"{how} of {garment.name}; head, hands and background are those of {source.name}: what is rendered is not what "
        "the source's own video shows"
    ]
    told += [f"the {side} arm is not seen in {garment.name}: it is that of {source.name}" for side in missing]
    for note in told:
        notes.add(note, "garment")
    return replace(source, frame=composed, garment=Garment(*found, source.frame)), told


def compose(
    frame: np.ndarray, pose: PoseSequence, garment: np.ndarray, garment_pose: PoseSequence
) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 (H, W, 3), the frame's person in the garment's clothes, and the sides whose arm stays the person's. All
    have one size, and both poses show the shoulders."""
    bank, worn = banks_of(frame, pose.all_points[0], garment, garment_pose.all_points[0])
    return dressed(frame, bank, pose.all_points[0], worn), worn.own_arms


def banks_of(
    frame: np.ndarray, points: np.ndarray, garment: np.ndarray, garment_points: np.ndarray
) -> tuple[SourceBank, Dress]:
    """The person's layers, and the clothes. points: (133, 3) px. Raises PoseError without both shoulders."""
    own, theirs = source_bank(frame, points), source_bank(garment, garment_points, SPARE)
    if own is None or theirs is None:
        raise PoseError("--garment: a pose without both shoulders", expected="both of source and garment image")
    return own, dress(frame, own, garment, theirs)


def _pose(source: Source, what: str, option: str) -> PoseSequence:
    if source.pose is None:
        raise PoseError(
            f"--garment, but the keypoints of {what} are not known",
            expected="keypoints, by which clothes are laid on",
            fix=f"name them with {option}",
        )
    if anatomy(source.pose.all_points[0]) is None:
        raise PoseError(f"--garment: {what} shows no shoulders ({source.name})", expected="both shoulders")
    return source.pose
