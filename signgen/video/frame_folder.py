"""A folder of numbered frames in; which are there, which are missing and what does not belong there, by names, out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_NUMBERED = re.compile(r"images(\d{4,})\.png")


@dataclass(frozen=True)
class FrameFolder:
    """names: the frames, in order. missing: numbers from 1 on that are not there. stray: other files, sorted."""

    path: Path
    names: tuple[str, ...]
    missing: tuple[int, ...]
    stray: tuple[str, ...]

    @property
    def gap(self) -> str:
        """Which images are missing, as a sentence fragment; empty when none is."""
        if not self.missing:
            return ""
        shown = ", ".join(f"{number:04d}" for number in self.missing[:5])
        more = f" and {len(self.missing) - 5} more" if len(self.missing) > 5 else ""
        return f"images {shown}{more} are missing"


def look_into(folder: Path) -> FrameFolder:
    """Phoenix's images0001.png ... of a clip, by their names alone: no file is asked for anything, a link for nothing
    behind it."""
    numbers: dict[int, str] = {}
    stray = []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _NUMBERED.fullmatch(entry.name)
            if match and int(match[1]) not in numbers and not entry.is_dir(follow_symlinks=False):
                numbers[int(match[1])] = entry.name
            else:
                stray.append(entry.name)
    present = sorted(numbers)
    missing = sorted(set(range(1, present[-1] + 1)) - numbers.keys()) if present else []
    return FrameFolder(folder, tuple(numbers[n] for n in present), tuple(missing), tuple(sorted(stray)))
