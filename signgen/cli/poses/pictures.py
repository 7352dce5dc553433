"""What `signgen poses info` shows: a file of keypoints in; a table for the terminal out."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from signgen.poses.readers import PoseFile
    from signgen.poses.sequence import PoseSequence

_LISTED = 20  # clips


def clip_table(file: PoseFile) -> Table:
    """A file of many clips: their names and frames, the first ones of them."""
    table = _table(str(file.path))
    table.add_row("format", file.format)
    table.add_row("clips", f"{len(file.clips)}, {sum(file.frames.values())} frames; --clip NAME says more of one")
    for name in file.clips[:_LISTED]:
        table.add_row("", f"{name}: {file.frames[name]} frames")
    if len(file.clips) > _LISTED:
        table.add_row("", f"and {len(file.clips) - _LISTED} more")
    return table


def sequence_table(path: Path, file_format: str, poses: PoseSequence, own_size: bool) -> Table:
    """One clip: what it is, and the share of frames in which each part is seen."""
    from signgen.poses.parts import optional_seen, seen_frames

    table = _table(str(path))
    table.add_row("format", file_format)
    table.add_row("frames", str(len(poses)))
    table.add_row("size", f"{poses.width}x{poses.height}" if own_size else "not in the file; give --size WxH")
    table.add_row("fps", f"{poses.fps:g}" if poses.fps else "not in the file")
    table.add_row("skeleton", f"{poses.skeleton}, {poses.present.any(0).sum()} of {poses.layout.points} points occur")
    for part, seen in seen_frames(poses).items():
        table.add_row(f"{part.replace('_', ' ')} seen", f"{seen.mean():.1%} of frames")
    for name, seen in optional_seen(poses).items():
        table.add_row(f"{name} seen", f"{seen.mean():.1%} of frames; optional points")
    scores = poses.keypoints[..., 2][poses.present]
    if len(scores):
        ordered = sorted(scores.tolist())
        low, middle, high = ordered[0], median(ordered), ordered[-1]
        table.add_row("scores", f"{low:.3g} to {high:.3g}, median {middle:.3g}")
    for note in poses.notes:
        table.add_row("note", note)
    return table


def _table(title: str) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
