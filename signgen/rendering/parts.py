"""OUT.parts beside OUT: what an interrupted rendering has finished, in segments, so that a later start continues it.

A segment is there when its state is, which is written last; it is believed when its files have the length and CRC that
the state says. The length of a segment never changes: the bytes of the joined file depend on it.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import SigngenError
from signgen.files import make_folder, parse_json, read_json, write_json
from signgen.video.images import read_image, write_png

SEGMENT = 512  # frames; whole micro-batches of the usual sizes
_REQUEST, _LAST = "request.json", "last.png"


class Parts:
    """The folder of one rendering of `total` frames. finished: how many of its segments are whole."""

    def __init__(self, folder: Path, total: int) -> None:
        self.folder, self.total = folder, total
        self.finished = 0
        self.resumed = False
        self._request: dict[str, Any] = {}

    @property
    def frames(self) -> int:
        """How many frames the finished segments have."""
        return min(self.finished * SEGMENT, self.total)

    def begin(self, request: Mapping[str, Any], resume: bool) -> None:
        """Take over what is there. request: everything that frames and files depend on.

        Raises SigngenError where an interrupted rendering is there that `resume` does not name, or one of another
        request.
        """
        wanted = parse_json(json.dumps(request))  # as it is read again: tuples as lists
        known = self._known()
        if known is not None and not resume and self._is_whole(0):
            raise SigngenError(
                f"{self.folder} holds an interrupted rendering",
                fix="continue it with --resume, or delete the folder to begin again",
            )
        if known is not None and resume:
            self._check(known, wanted)
            while self._is_whole(self.finished):
                self.finished += 1
        self._clear()
        self._request, self.resumed = wanted, resume

    def make(self) -> None:
        """Make the folder, before the first file is written into it."""
        make_folder(self.folder)
        write_json(self.folder / _REQUEST, self._request)

    def path(self, number: int, name: str) -> Path:
        """Where a file of segment `number` lies."""
        return self.folder / f"{number:06d}.{name}"

    def finish(
        self, files: Iterable[Path], last: np.ndarray, rows: Mapping[str, list[dict[str, Any]]] | None = None
    ) -> None:
        """The next segment is whole: these files, its last frame, uint8 (h, w, 3), and its rows."""
        picture = self.path(self.finished, _LAST)
        write_png(picture, last)
        state = {"files": {path.name: _size_and_crc(path) for path in (*files, picture)}, "rows": rows or {}}
        write_json(self._state(self.finished), state)
        self.finished += 1

    def rows(self) -> dict[str, Iterator[dict[str, Any]]]:
        """The scorer's rows of all finished segments, by track, read as they are asked for; none without the truth."""
        return {name: self._rows(name) for name in read_json(self._state(0))["rows"]}

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        for number in range(self.finished):
            yield from read_json(self._state(number))["rows"][name]

    def last_frame(self) -> np.ndarray:
        """The last frame of the last finished segment, uint8 (h, w, 3)."""
        return read_image(self.path(self.finished - 1, _LAST))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state(self, number: int) -> Path:
        return self.path(number, "json")

    def _known(self) -> dict[str, Any] | None:
        """The request that the folder was begun with; None where there is none that can be continued."""
        try:
            known = read_json(self.folder / _REQUEST)
        except (OSError, ValueError):
            return None
        return known if isinstance(known, dict) else None

    def _check(self, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Raise SigngenError for the first setting that differs."""
        for name in [*wanted, *(name for name in known if name not in wanted)]:
            if known.get(name) != wanted.get(name):
                raise SigngenError(
                    f"--resume with another {name}: {_short(wanted.get(name))}",
                    expected=f"{_short(known.get(name))}, with which {self.folder} was begun",
                    fix="give the same settings, or delete the folder to begin again",
                )

    def _is_whole(self, number: int) -> bool:
        """Whether there is such a segment, and its files have the length and CRC that it says."""
        try:
            state = read_json(self._state(number))
            files, rows = state["files"], state["rows"]
            whole = all(_size_and_crc(self.folder / name) == known for name, known in files.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return whole and isinstance(rows, dict)

    def _clear(self) -> None:
        """Remove what belongs to no finished segment."""
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            number = path.name.partition(".")[0]
            if path.is_file() and not (number.isdecimal() and int(number) < self.finished):
                path.unlink()


def parts_folder(video: Path) -> Path:
    return video.with_suffix(".parts")


def _size_and_crc(path: Path) -> list[int]:
    size = crc = 0
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return [size, crc]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
