"""The base of the library's requests: what is given as text where a path belongs becomes a path."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """A frozen dataclass whose fields annotated as paths, or tuples of paths, may be given as strings.

    >>> @dataclass(frozen=True)
    ... class Copy(Request):
    ...     source: Path
    ...     others: tuple[Path, ...] = ()
    >>> Copy("a.mp4", ["b.mp4"])
    Copy(source=PosixPath('a.mp4'), others=(PosixPath('b.mp4'),))
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if value is None:
                continue
            if kind.startswith("Path") and isinstance(value, str):
                self._set(field.name, Path(value))
            elif kind.startswith("tuple[Path"):
                self._set(field.name, tuple(Path(path) for path in value))
            elif kind.startswith("tuple[str"):
                self._set(field.name, tuple(value))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # frozen from here on
