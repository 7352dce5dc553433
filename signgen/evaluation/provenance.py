"""Where numbers come from: a command's files in; command line, versions, date and the files' sizes out."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from signgen import __version__
from signgen.files import files_below

_PACKAGES = ("numpy", "opencv-python", "scipy", "av", "decord", "pillow", "torch", "torchmetrics", "lpips")


def provenance(files: Mapping[str, Path | None]) -> dict[str, Any]:
    """What metrics.json holds under that key. files: role -> path, those that are None left out."""
    given = {role: path for role, path in files.items() if path is not None}
    return {
        "command": shlex.join(["signgen", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "signgen": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(terse=True),
            **_versions(),
        },
        "files": [{"role": role, **_size(path, role)} for role, path in given.items()],
    }


def _versions() -> dict[str, str]:
    """Of the packages that scores come from, those that are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _size(path: Path, role: str) -> dict[str, Any]:
    """Path, bytes and, of a folder, the number of files below it; of a model, without its exports."""
    if path.is_file():
        return {"path": str(path), "bytes": path.stat().st_size}
    files = files_below(path) if role == "model" else [file for file in path.rglob("*") if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    return {"path": str(path), "bytes": sum(sizes), "files": len(sizes)}
