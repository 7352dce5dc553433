"""Words `NAME=FOLDER` in; runs by their names out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from signgen.errors import OptionError


def named_runs(words: Iterable[str], taken: Collection[str] = ()) -> dict[str, Path]:
    """`name=folder` or `folder`, which is named by its last part, in order.

    taken: names that are somebody else's. Raises OptionError for an empty name, two of one name, and a missing path.
    """
    runs: dict[str, Path] = {}
    for word in words:
        name, mark, place = word.partition("=")
        path = Path(place if mark else word)
        name = name if mark else path.name.removesuffix(path.suffix) or path.resolve().name
        if not name or name in taken or name in runs:
            raise OptionError(f"{word}: the name {name!r} is empty or taken", expected="NAME=FOLDER, each name once")
        if not path.exists():
            raise OptionError(f"{path}: no such file or folder", expected="a run's images, clips or video")
        runs[name] = path
    return runs
