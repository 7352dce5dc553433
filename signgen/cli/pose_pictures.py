"""What `signgen poses` shows: poses in; an mp4, PNGs, or tables for the terminal out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signgen.errors import PoseError, SigngenError, nearest

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from signgen.poses.palettes import Palette
    from signgen.poses.readers import PoseFile
    from signgen.poses.sequence import PoseSequence
    from signgen.video.reader import FrameSource

_DEFAULT_FPS = 25.0
_LISTED = 20  # clips


@dataclass(frozen=True)
class Drawing:
    """What to draw: the frames `part` of poses, at `size` (width, height), on black or over `video`'s frames."""

    poses: PoseSequence
    part: slice
    palette: Palette
    size: tuple[int, int]
    video: FrameSource | None = None

    @property
    def fps(self) -> float:
        return self.poses.fps or (self.video.fps if self.video is not None else None) or _DEFAULT_FPS

    def __iter__(self) -> Iterator[np.ndarray]:
        """uint8 (height, width, 3) RGB, one after the other."""
        import numpy as np

        from signgen.poses.draw import draw_pose

        of = (self.poses.width, self.poses.height)
        for index in range(self.part.start, self.part.stop):
            drawn = draw_pose(self.poses.keypoints[index], *self.size, source_size=of, palette=self.palette)
            if self.video is not None:
                below = self.video.read(index, index + 1)[0]
                drawn = np.where(drawn.any(-1, keepdims=True), drawn, below)
            yield drawn


def palette_named(name: str) -> Palette:
    """Raises PoseError for an unknown one."""
    from signgen.poses.palettes import PALETTES

    if name not in PALETTES:
        meant = nearest(name, list(PALETTES))
        fix = f"did you mean {meant}?" if meant else None
        raise PoseError(f"unknown palette {name!r}", expected=f"one of {', '.join(PALETTES)}", fix=fix)
    return PALETTES[name]


def write_pictures(drawing: Drawing, out: Path, advance: Callable[[], object]) -> None:
    """X.mp4, X.png for a single frame, or a folder of images0001.png and so on, numbered as the poses are.

    Raises SigngenError for a PNG of several frames and for other file names.
    """
    from signgen.video.reader import write_png
    from signgen.video.writer import VideoWriter, sample_aspect

    count = drawing.part.stop - drawing.part.start
    if out.suffix == ".png" and count != 1:
        raise SigngenError(f"{out} for {count} frames", expected="one frame, e.g. --frames 0:1, or an mp4 or a folder")
    if out.suffix not in (".mp4", ".png", "") or (out.suffix == "" and out.exists() and not out.is_dir()):
        raise SigngenError(f"{out}: no picture of this name", expected="X.mp4, X.png or a folder")
    if out.suffix == ".mp4":
        with VideoWriter(out, *drawing.size, drawing.fps, sample_aspect(*drawing.size)) as writer:
            for frame in drawing:
                writer.write(frame)
                advance()
        return
    for number, frame in enumerate(drawing, start=drawing.part.start + 1):
        write_png(out if out.suffix else out / f"images{number:04d}.png", frame)
        advance()


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
    import numpy as np

    from signgen.poses.parts import seen_frames

    table = _table(str(path))
    table.add_row("format", file_format)
    table.add_row("frames", str(len(poses)))
    table.add_row("size", f"{poses.width}x{poses.height}" if own_size else "not in the file; give --size WxH")
    table.add_row("fps", f"{poses.fps:g}" if poses.fps else "not in the file")
    table.add_row("skeleton", f"{poses.skeleton}, {poses.present.any(0).sum()} of {poses.layout.points} points occur")
    for part, seen in seen_frames(poses).items():
        table.add_row(f"{part.replace('_', ' ')} seen", f"{seen.mean():.1%} of frames")
    scores = poses.keypoints[..., 2][poses.present]
    if len(scores):
        low, middle, high = np.min(scores), np.median(scores), np.max(scores)
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
