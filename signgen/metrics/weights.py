"""Weights of metric networks: a file's name in, its path on this machine out, or the command that gets it.

They are looked for at an explicit path, in the folder that SIGNGEN_WEIGHTS names, and in the torch hub cache. Nothing
is downloaded but by `signgen weights fetch`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.errors import WeightsError
from signgen.files import read_tensors

WEIGHTS_VARIABLE = "SIGNGEN_WEIGHTS"


@dataclass(frozen=True)
class WeightsFile:
    """title: whose weights. file: the name it is published under. url: where. name: in `signgen weights`, if it is."""

    title: str
    file: str
    url: str
    name: str = ""

    def find(self, explicit: Path | None = None) -> Path:
        """Its path: at `explicit` (file or folder) and nowhere else if given, otherwise in the usual places.

        Raises WeightsError, whose message holds the command that gets it.
        """
        places = [explicit] if explicit is not None else _usual_places()
        for place in places:
            path = place / self.file if place.is_dir() or explicit is None else place
            if path.is_file():
                return path
        is_file = explicit is not None and not explicit.is_dir() and explicit.suffix == Path(self.file).suffix
        target = places[0] if is_file else places[0] / self.file
        fetched = bool(self.name) and (explicit is None or explicit in _usual_places())
        by_hand = f"curl -L --create-dirs -o '{target}' {self.url}"
        raise WeightsError(
            f"weights missing: {self.file} is not in {' or '.join(map(str, places))}",
            fix=f"get them with: {f'signgen weights fetch {self.name}' if fetched else by_hand}",
        )

    def target(self) -> Path:
        """Where it is put when it is fetched: the first of the usual places."""
        return _usual_places()[0] / self.file

    def read(self, path: Path) -> dict[str, Any]:
        """The state dictionary in `path`; code in the file is not run. Raises WeightsError."""
        try:
            return dict(read_tensors(path))
        except (OSError, ValueError, TypeError) as error:
            raise self.refusal(path, error) from error

    def refusal(self, path: Path, error: Exception) -> WeightsError:
        """What to raise where `path` holds something else."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return WeightsError(f"{path}: not {self.title} weights ({reason})", expected=f"the file at {self.url}")


def hub_folder() -> Path:
    """The torch hub checkpoints folder, by torch's own rule, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _usual_places() -> list[Path]:
    folder = os.environ.get(WEIGHTS_VARIABLE)
    return [*([Path(folder).expanduser()] if folder else []), hub_folder()]
