"""What the model is shown of the source's frame: the source, the poses and what is wanted in; the source with its crop
out."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from signgen.errors import PoseError, VideoError
from signgen.models.card import ModelCard
from signgen.pairs.crops import check_wanted_crop, crop_for, followed
from signgen.poses.reach import extent
from signgen.poses.sequence import PoseSequence
from signgen.progress import Notes
from signgen.rendering.source import Source
from signgen.video.crop import Crop, CropPath
from signgen.video.reader import FrameSource, open_frames

_STANDING = "--crop signer takes one rectangle for all poses"
_MOVED = 12.0  # grey levels, the mean outside of the crop, from which the camera or the light is said to move
_COARSE = 15  # px, of the blur before that: noise is no movement


def with_crop(
    source: Source, poses: PoseSequence, part: slice, wanted: str, card: ModelCard, own: bool, notes: Notes
) -> Source:
    """The source with what the model sees of it, by build-pairs' rule; "auto" is the rule that the model was trained
    by. part: the poses that are rendered; own: whether the first of `poses` is the source's.

    Raises OptionError for an unknown rule, PoseError for a rectangle that cannot follow these poses from this source.
    """
    check_wanted_crop(wanted)
    height, width = source.frame.shape[:2]
    poses = poses.resized(width, height)
    pose = None if source.pose is None else source.pose.resized(width, height)
    trained = str(card.data.get("crop", "none"))
    chosen = trained if wanted == "auto" else wanted
    if chosen == "follow":
        if isinstance(path := followed(poses), CropPath):
            return _following(source, pose, poses, path, part, own, notes)
        chosen = "signer"  # who stays
    whole = wanted == "auto" and chosen == "none"
    crop = crop_for([each for each in (poses, pose) if each is not None], "auto" if whole else chosen)
    if crop is None:
        return source
    if whole:
        advice = "--crop signer shows it a larger one; the model was trained on whole frames"
        notes.add(f"the signer fills {crop.share:.0%} of the frame; {advice}", "source")
        return source
    notes.add(f"the model sees and draws {crop}, {crop.share:.0%} of the frame; the rest stays the source's", "source")
    return replace(source, crop=crop)


def _following(
    source: Source,
    pose: PoseSequence | None,
    poses: PoseSequence,
    path: CropPath,
    part: slice,
    own: bool,
    notes: Notes,
) -> Source:
    """Raises PoseError where the source's person would stay in view beside the one that is drawn."""
    seen = None if pose is None else extent(pose)
    if pose is None or seen is None:
        raise PoseError("--crop follow, but the source's own pose is not known", fix=f"{_STANDING}, or --source-poses")
    crop = path.at(0) if own else _beside(pose, poses, path)
    limits = (path.frame_width, path.frame_height)
    low, high = np.clip(seen.low[0], 0, limits), np.clip(seen.high[0], 0, limits)
    if not _holds(crop, low, high):
        raise PoseError(f"--crop follow: the source's person does not fit into {crop}", fix=_STANDING)
    away = [number for number in range(part.start, part.stop) if not _holds(path.at(number), low, high)]
    if away:
        raise PoseError(
            f"--crop follow: from frame {away[0]} on, in {len(away)} of {part.stop - part.start} frames, the source's "
            "person would be seen beside the one that is drawn",
            expected="a signer who stays near the place in the source",
            fix=_STANDING,
        )
    about = "the rest stays the source's, so the camera has to stand still"
    notes.add(f"the model sees and draws {path}, {path.share:.0%} of the frame; {about}", "source")
    return replace(source, crop=crop, path=path)


def _beside(pose: PoseSequence, poses: PoseSequence, path: CropPath) -> Crop:
    """Where the rectangle lies on a source that is no frame of the poses: about its neck as it does about theirs."""
    seen, all_seen = extent(pose), extent(poses)
    assert seen is not None
    assert all_seen is not None
    away = np.median(np.array(path.starts) - all_seen.neck, 0)
    room = np.array((path.frame_width - path.width, path.frame_height - path.height))
    x, y = np.clip(np.rint(seen.neck[0] + away), 0, room).astype(int).tolist()
    return replace(path.at(0), x=x, y=y)


def _holds(crop: Crop, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether the box lies in the rectangle, but for a pixel of rounding."""
    start = np.array((crop.x, crop.y))
    return bool((low >= start - 1).all() and (high <= start + (crop.width, crop.height) + 1).all())


def tell_moving(source: Source, video: FrameSource, number: int, notes: Notes) -> None:
    """A note where frame `number` of the poses' own video differs from the source outside of what the model draws."""
    if source.crop is None:
        return
    try:
        # opened for itself: `video` is read in order
        other = open_frames(video.path, background=video.background).read(number, number + 1)[0]
    except VideoError:
        return  # it is read again, and named, where it is needed
    if other.shape != source.frame.shape:
        return
    outside = np.ones(other.shape[:2], bool)
    for crop in (source.crop, (source.path or source.crop).at(number)):
        outside[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width] = False
    if not outside.any():
        return
    first, last = (cv2.blur(frame, (_COARSE, _COARSE)) for frame in (source.frame, other))
    change = float(cv2.absdiff(first, last)[outside].mean())
    if change >= _MOVED:
        about = f"differs from the source by {change:.0f} grey levels outside of the crop"
        notes.add(f"frame {number} of {video.path} {about}, where the output stays the source's: is it cut or panned?")
