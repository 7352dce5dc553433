"""Keypoints of any known format in, PoseSequence out. Formats are recognised by content, not by file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from signgen.errors import PoseError
from signgen.poses.numbering import covers
from signgen.poses.readers import (
    alphapose,
    arrays,
    coco,
    dwpose,
    fpdm,
    gfla,
    mmpose,
    openpose,
    own,
    pickled,
    poseformat,
    skels,
)
from signgen.poses.readers.base import PoseFile, RawFrames, Wanted
from signgen.poses.readers.frames import everybody, to_sequence
from signgen.poses.scores import on_our_scale, same_for_all, scale_note
from signgen.poses.sequence import PoseSequence
from signgen.poses.sizes import on_frame

READERS = {
    "signgen": own.READER,
    "mmpose": mmpose.READER,
    "dwpose": dwpose.READER,
    "openpose": openpose.READER,
    "mska": pickled.MSKA,
    "slrt": pickled.SLRT,
    "coco-wholebody": coco.READER,
    "alphapose": alphapose.READER,
    "pose-format": poseformat.READER,
    "array": arrays.READER,
    "skels": skels.READER,
    "fpdm": fpdm.READER,
    "gfla": gfla.READER,
}
KNOWN = (
    "a .poses.npz, a .pose, MMPose, DWPose, OpenPose, AlphaPose or COCO-WholeBody JSON, an MSKA or SLRT pickle, "
    "arrays of shape (T, K, 3), .skels, or DeepFashion's 18-point text or CSV"
)

__all__ = [
    "READERS",
    "PoseFile",
    "Wanted",
    "identify",
    "open_poses",
    "read_beside",
    "read_file",
    "read_people",
    "read_poses",
]


def identify(path: Path) -> PoseFile | None:
    """What keypoints a file or folder holds; None when none. Raises PoseError for damaged or unsafe files."""
    path = Path(path)
    with _quiet():
        for reader in READERS.values():
            file = reader.identify(path)
            if file is not None:
                return file
    return None


def read_poses(
    path: Path,
    *,
    clip: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    frames: int | None = None,
    images: Sequence[str] | None = None,
    person: str | None = None,
    seen_from: float | None = None,
) -> PoseSequence:
    """Read one clip's keypoints.

    clip: its name in a file of many clips; a split prefix such as train/ may be left out. Also one camera's of several.
    size: (width, height) of the video, for formats that do not carry it; own size wins. fps: likewise.
    frames: of the video, where the keypoints are those of a video: numbered frames that a file lacks are then frames
    without a person, also at both ends. images: names of a frame folder's pictures, in natural order, likewise.
    person: who the signer is: N (from 1), x,y or x0,y0,x1,y1 in pixels of `size`; None: who is largest, longest and
    most central in view. seen_from: the estimator's score from which a point counts as seen; None: its own tool's.
    Raises PoseError when the file is missing, unknown, damaged or unsafe, the clip is not in it, size is needed, its
    numbers do not fit into the video, or two people could be the signer.
    """
    known = Wanted(clip, size, fps, frames, None if images is None else tuple(images), person, seen_from)
    return read_file(open_poses(path), known)


def read_file(file: PoseFile, wanted: Wanted) -> PoseSequence:
    """`read_poses` of a file that `identify` found: the format is not identified again."""
    with _quiet():
        read = READERS[file.format].read(file.path, wanted)
        return to_sequence(read, wanted) if isinstance(read, RawFrames) else _one_person(read, file, wanted)


class Footage(Protocol):
    """What has to be known of the video or frame folder that keypoints belong to; a FrameSource is one."""

    num_frames: int
    width: int
    height: int
    fps: float | None
    images: Sequence[Path]


def read_beside(
    path: Path,
    video: Footage,
    *,
    clip: str | None = None,
    fps: float | None = None,
    person: str | None = None,
    seen_from: float | None = None,
) -> PoseSequence:
    """`read_poses` of keypoints that belong to this video: its frames, scaled to its size.

    A file of more frames than the video, or of far fewer, comes back as it is. Raises PoseError for another aspect
    ratio.
    """
    file = open_poses(path)
    listing = file.listings.get(clip or "")
    numbered = listing is not None and (listing.numbers is None or covers(listing, video.num_frames))
    size = (video.width, video.height)
    images = tuple(image.name for image in video.images) if video.images and numbered else None
    frames = video.num_frames if numbered and listing is not None and listing.numbers else None
    wanted = Wanted(clip, size, fps or video.fps, frames, images, person, seen_from)
    return on_frame(read_file(file, wanted), size, path)


def read_people(path: Path, wanted: Wanted) -> list[PoseSequence]:
    """The poses of everybody in a file, numbered from 1 as `person` counts them."""
    file = open_poses(path)
    with _quiet():
        read = READERS[file.format].read(file.path, wanted)
        return everybody(read, wanted) if isinstance(read, RawFrames) else [_one_person(read, file, wanted)]


def open_poses(path: Path) -> PoseFile:
    """The file that `identify` finds. Raises PoseError where it is missing or no keypoints."""
    path = Path(path)
    if not path.exists():
        raise PoseError(f"{path}: no such file or folder", expected="keypoints")
    found = identify(path)
    if found is None:
        raise PoseError(f"{path}: not keypoints of a known format", expected=KNOWN)
    return found


def _one_person(poses: PoseSequence, file: PoseFile, wanted: Wanted) -> PoseSequence:
    """Of a format that holds one person: the same choices, as far as they concern it."""
    if wanted.person not in (None, "1"):
        raise PoseError(f"{file.path}: --person {wanted.person}: the format holds one person", fix="leave it out")
    if wanted.seen_from is None:
        return poses
    scale = same_for_all(wanted.seen_from)
    points = poses.all_points.copy()
    points[..., 2] = on_our_scale(points[..., 2], np.full(points.shape[1], wanted.seen_from))
    return poses.with_points(points).noted(scale_note(scale))


def _quiet() -> np.errstate:
    """Numbers beyond float32 become missing points; NumPy's warnings about them would say nothing more."""
    return np.errstate(over="ignore", invalid="ignore", under="ignore")
