"""Two clips in; which frame is compared with which, the truth's keypoints and the source frame, out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from signgen.errors import PoseError, VideoError
from signgen.poses import read_beside
from signgen.video.background import RGB
from signgen.video.reader import FrameSource, frame_range, open_frames

_SAME_SPEED = 0.01


@dataclass(frozen=True)
class ClipPair:
    """Frames of `truth` in `selection` belong to those of `generated` from `first` on.

    keypoints: of all frames of the truth (T, K, 3), in its pixels, if they are known. source: uint8 (H, W, 3), the
    frame that copy-source repeats; own_source: whether it is frame 0 of the truth.
    """

    generated: FrameSource
    first: int
    truth: FrameSource
    selection: slice
    keypoints: np.ndarray | None
    source: np.ndarray
    own_source: bool

    @property
    def shift(self) -> int:
        """Number of a generated frame minus the number of its truth."""
        return self.first - self.selection.start


def open_pair(
    generated: Path,
    truth: Path,
    frames: str | None,
    poses: Path | None,
    clip: str | None,
    source: Path | None,
    notes: list[str],
    background: RGB | None = None,
) -> ClipPair:
    """Both clips, opened and aligned. clip: the name of the keypoints in a split pickle; source: what the model was
    given, frame 0 of the truth where it is None. background: see `open_frames`.

    Raises VideoError for other sizes or counts, PoseError for missing keypoints, OptionError for frames outside.
    """
    ours, theirs = (open_frames(path, background=background) for path in (generated, truth))
    for clip_source in (ours, theirs):
        notes.extend(clip_source.notes)
    check_same_size(ours, theirs)
    first, selection = align(ours, theirs, frames, notes)
    ours.check(first, first + selection.stop - selection.start)
    theirs.check(selection.start, selection.stop)
    notes.extend(speed_notes(ours, first, theirs, selection))
    keypoints = None if poses is None else _keypoints(poses, clip, theirs, notes)
    shown = _source_frame(source, theirs, notes, background)
    own = source is None or source.resolve() == truth.resolve()
    return ClipPair(ours, first, theirs, selection, keypoints, shown, own)


def speed_notes(generated: FrameSource, first: int, truth: FrameSource, selection: slice) -> list[str]:
    """A note where what is compared plays at another speed, by more than 1 %. Scores go by the numbers of frames."""
    if generated.fps is None or truth.fps is None:
        return []
    count = selection.stop - selection.start
    ours, theirs = _seconds(generated, first, count), _seconds(truth, selection.start, count)
    if abs(ours / theirs - 1) <= _SAME_SPEED:
        return []
    return [
        f"the clips play at different speeds: {count} frames last {ours:.2f} s in {generated.path}"
        f" ({generated.fps:.4g} frames per second), {theirs:.2f} s in {truth.path} ({truth.fps:.4g}); frames are"
        " compared by their numbers"
    ]


def _seconds(clip: FrameSource, start: int, count: int) -> float:
    """How long these frames are shown, the last as long as one is on average."""
    assert clip.fps is not None
    if clip.times is None:
        return count / clip.fps
    return float(clip.times[start + count - 1] - clip.times[start]) + 1 / clip.fps


def check_same_size(generated: FrameSource, truth: FrameSource) -> None:
    """Raises VideoError for clips of different width or height."""
    if (generated.width, generated.height) != (truth.width, truth.height):
        raise VideoError(
            f"{generated.path} is {generated.width}x{generated.height}, {truth.path} is {truth.width}x{truth.height}",
            expected="equal sizes",
            fix="render at the source's native size",
        )


def align(generated: FrameSource, truth: FrameSource, frames: str | None, notes: list[str]) -> tuple[int, slice]:
    """First frame of `generated`, and the frames of `truth` that it and those after it are compared with.

    Raises VideoError when the counts do not fit, OptionError when A:B lies outside the truth.
    """
    selection = frame_range(frames, truth.num_frames)
    wanted = selection.stop - selection.start
    counts = f"{generated.path} has {generated.num_frames} frames, {truth.path} has {truth.num_frames}"
    if generated.num_frames == truth.num_frames:
        if frames is not None:
            notes.append(f"frames {frames} of both clips")
        return selection.start, selection
    if frames is None:
        fewer = generated.num_frames < truth.num_frames
        fix = "choose the frames of the truth with --frames A:B" if fewer else None
        raise VideoError(counts, expected="equal counts", fix=fix)
    if generated.num_frames == wanted:
        notes.append(f"all {wanted} generated frames against frames {frames} of the truth ({counts})")
        return 0, selection
    raise VideoError(f"{counts}, --frames {frames} are {wanted}", expected=f"{wanted} or {truth.num_frames} generated")


def _keypoints(path: Path, clip: str | None, truth: FrameSource, notes: list[str]) -> np.ndarray:
    """(T, K, 3) in pixels of the truth. Raises PoseError when there are fewer than the truth has frames."""
    sequence = read_beside(path, truth, clip=clip)
    notes.extend(sequence.notes)
    if len(sequence) < truth.num_frames:
        raise PoseError(
            f"{path}: keypoints for {len(sequence)} frames, {truth.path} has {truth.num_frames}",
            expected="one pose per frame of the truth",
        )
    if len(sequence) > truth.num_frames:
        notes.append(f"keypoints for {len(sequence)} frames, the truth has {truth.num_frames}: the rest is not used")
    return sequence.keypoints


def _source_frame(path: Path | None, truth: FrameSource, notes: list[str], background: RGB | None) -> np.ndarray:
    """uint8 (H, W, 3): what copy-source repeats. Raises VideoError when it has another size than the truth."""
    if path is None:
        notes.append("copy-source repeats frame 0 of the truth; --source names another")
        return truth.read(0, 1)[0]
    frames = open_frames(path, background=background)
    frames.check(0, 1)
    notes.extend(frames.notes)
    check_same_size(frames, truth)
    notes.append(f"copy-source repeats the first frame of {path}")
    return frames.read(0, 1)[0]
