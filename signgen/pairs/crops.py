"""Whether a clip is cropped to its signer, and to which rectangle, standing or moving: its poses and what is wanted in,
a Crop or a CropPath out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signgen.errors import OptionError, PoseError
from signgen.poses.reach import signer_path, signer_rectangle
from signgen.poses.sequence import PoseSequence
from signgen.video.crop import Crop, CropPath

CROPS = ("auto", "signer", "follow", "none")
FILLED = 0.6  # of the frame's area: a signer who fills less is cropped by default
_GAIN = 0.9  # of the standing rectangle's area: one that follows has to be smaller to be taken


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


def followed(poses: PoseSequence) -> Crop | CropPath | None:
    """A rectangle that follows the signer; where that makes it hardly smaller, as of one who stays, what `crop_for`
    gives for "signer". Raises PoseError where no frame shows both shoulders."""
    standing = crop_for([poses], "signer")
    found = signer_path(poses)
    if found is None:
        return standing
    starts, (width, height) = found
    path = CropPath.through(starts, width, height, poses.width, poses.height)
    return path if path.share < _GAIN * (1.0 if standing is None else standing.share) else standing


def within(poses: PoseSequence, crop: Crop | CropPath) -> PoseSequence:
    """Poses on whole frames -> on the rectangle. Raises PoseError for a path of fewer frames."""
    if isinstance(crop, Crop):
        return poses.cropped((crop.x, crop.y), crop.width, crop.height)
    if len(crop.starts) != len(poses):
        raise PoseError(f"{len(poses)} poses", expected=f"{len(crop.starts)}, one for each place of the crop")
    return poses.cropped(np.array(crop.starts), crop.width, crop.height)
