"""Whether a clip is cropped to its signer, and to which rectangle: its poses and what is wanted in, a Crop out."""

from __future__ import annotations

from collections.abc import Sequence

from signgen.errors import OptionError, PoseError
from signgen.poses.reach import signer_rectangle
from signgen.poses.sequence import PoseSequence
from signgen.video.crop import Crop

CROPS = ("auto", "signer", "none")
FILLED = 0.6  # of the frame's area: a signer who fills less is cropped by default


def check_wanted_crop(wanted: str) -> None:
    """Raises OptionError."""
    if wanted not in CROPS:
        raise OptionError(f"--crop {wanted}", expected=f"one of {', '.join(CROPS)}")


def crop_for(sequences: Sequence[PoseSequence], wanted: str) -> Crop | None:
    """The rectangle that holds the signer of these poses, all on frames of one size; None for whole frames.

    wanted: "auto" crops where the signer fills less than FILLED of the frame, and where the size is known. Raises
    PoseError for "signer" where no frame shows both shoulders.
    """
    if wanted == "none":
        return None
    try:
        x, y, width, height = signer_rectangle(sequences)
    except PoseError:
        if wanted == "signer":
            raise
        return None
    frame = (sequences[0].width, sequences[0].height)
    crop = Crop(x, y, width, height, *frame)
    whole = (width, height) == frame
    return None if whole or (wanted == "auto" and crop.share >= FILLED) else crop
