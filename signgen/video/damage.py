"""A video's packets in; which of its frames may be wrong, and why, out.

A decoder conceals what it cannot read and gives frames as if nothing were. They are found by what it leaves behind: a
packet or frame marked corrupt, an error in its log, or frames missing against packets. From there to the next key
frame nothing can be trusted, since frames are made from those before. Damage that leaves no such trace is not found:
rare in H.264, common elsewhere (benchmarks/damage.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

CORRUPT, LOGGED, MISSING = "marked corrupt", "the decoder logs errors", "frames are missing"
# A packet of MPEG-4 may say that nothing changes; it gives no frame.
_MAY_LACK_FRAMES = frozenset(["mpeg4", "msmpeg4v3", "gif"])


@dataclass(frozen=True)
class Damage:
    """Frames [start, stop) that may be wrong, and by what that is known."""

    start: int
    stop: int
    why: str

    def __str__(self) -> str:
        frames = f"frame {self.start}" if self.stop - self.start == 1 else f"frames {self.start}-{self.stop - 1}"
        return f"{frames} ({self.why})"


def damage_text(found: Iterable[Damage]) -> str:
    """`frames 12-24 (marked corrupt), frame 30 (...)`; the first five."""
    each = list(map(str, found))
    return ", ".join(each[:5]) + (f" and {len(each) - 5} more places" if len(each) > 5 else "")


def damage_within(found: Iterable[Damage], start: int, stop: int) -> tuple[Damage, ...]:
    """Those that touch frames [start, stop)."""
    return tuple(damage for damage in found if damage.start < stop and damage.stop > start)


@contextmanager
def logged_errors(every_thread: bool) -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg logs in this block, as a list that grows. PyAV silences FFmpeg, and leaves out what repeats."""
    import av

    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=not every_thread) as logs:
            yield logs
    finally:
        av.logging.set_skip_repeated(skips)
        av.logging.set_level(level)


@dataclass
class Trail:
    """What decoding left behind, packet by packet in the file's order."""

    codec: str
    pts: list[int | None]  # of packets with data that are to be shown
    keys: list[bool]
    why: list[str]  # "" where nothing is wrong
    corrupt: list[int]  # numbers of frames, in the order of showing
    shown: list[int | None]  # pts of frames, in the order of showing

    @classmethod
    def empty(cls, codec: str) -> Trail:
        return cls(codec, [], [], [], [], [])

    def packet(self, packet: Any, logged: bool) -> None:
        if packet.size and not getattr(packet, "is_discard", False):
            self.pts.append(packet.pts)
            self.keys.append(bool(packet.is_keyframe))
            self.why.append(CORRUPT if packet.is_corrupt else LOGGED if logged else "")
        elif logged and self.why:  # flushing: it belongs to the last
            self.why[-1] = self.why[-1] or LOGGED

    def frame(self, frame: Any) -> None:
        if frame.is_corrupt:
            self.corrupt.append(len(self.shown))
        self.shown.append(frame.pts)

    def damage(self) -> tuple[Damage, ...]:
        """Ranges of frames, in order, none of which touch."""
        number = self._numbers()
        keys = sorted(n for n, key in zip(number, self.keys, strict=True) if key)
        found = [Damage(frame, self._end(frame, keys), CORRUPT) for frame in self.corrupt]
        # packets, and all that is made from theirs: those behind them in the file up to the next key frame
        open_why, first = "", 0
        for n, key, why in zip(number, self.keys, self.why, strict=True):
            if open_why and key:
                found.append(Damage(first, max(first + 1, n), open_why))
                open_why = ""
            if why and not open_why:
                open_why, first = why, n
            first = min(first, n) if open_why else first
        if open_why:
            found.append(Damage(first, len(self.shown), open_why))
        if (gap := self._gap()) is not None:
            found.append(Damage(gap, len(self.shown), MISSING))
        return _joined(found)

    def _numbers(self) -> list[int]:
        """Of every packet the number of its frame, or of the one shown where its own is missing."""
        last = max(len(self.shown) - 1, 0)
        if None in self.pts or None in self.shown:
            return [min(place, last) for place in range(len(self.pts))]
        import bisect

        shown = sorted(pts for pts in self.shown if pts is not None)
        return [min(bisect.bisect_left(shown, pts), last) for pts in self.pts if pts is not None]

    def _end(self, frame: int, keys: list[int]) -> int:
        return next((key for key in keys if key > frame), len(self.shown))

    def _gap(self) -> int | None:
        """The first frame whose number is in doubt since frames before it are missing."""
        if self.codec in _MAY_LACK_FRAMES or len(self.shown) >= len(self.pts):
            return None
        if None in self.pts or None in self.shown:
            return 0
        wanted = sorted(pts for pts in self.pts if pts is not None)
        same = (a == b for a, b in zip(wanted, self.shown, strict=False))
        return next((n for n, equal in enumerate(same) if not equal), max(len(self.shown) - 1, 0))


def _joined(found: list[Damage]) -> tuple[Damage, ...]:
    """Sorted, and one where they overlap or touch."""
    joined: list[Damage] = []
    for damage in sorted(found, key=lambda d: (d.start, d.stop)):
        if damage.stop <= damage.start:
            continue
        if joined and damage.start <= joined[-1].stop:
            before = joined[-1]
            why = before.why if damage.why in before.why else f"{before.why}; {damage.why}"
            joined[-1] = Damage(before.start, max(before.stop, damage.stop), why)
        else:
            joined.append(damage)
    return tuple(joined)
