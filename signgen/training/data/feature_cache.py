"""What frozen networks compute from single frames, on disk: frames in, once; memory-mapped features out.

PAIRS/cache/features/<key>/ has one array a kind of feature, in float16: `latent.npy` (VAE latents), `tokens.npy` (the
source encoder's), `embedding.npy` (stage 1's of the source), `pose.npy` (stage 1's of the target pose). The key is that
of the networks' weights, the canvas, the pair set and the frames, so that features of anything else are never read; the
folder may be deleted at any time.

Frames are computed in chunks of one size, which a second, interrupted build has in common with the first: features do
not depend on where a build was interrupted, or on how many processes shared it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from signgen.errors import PairSetError
from signgen.files import atomic_path, make_folder, read_json, write_json

FOLDER = "cache/features"
CHUNK = 16  # frames that are computed together
META, FRAMES, DONE = "features.json", "frames.npy", "done.npy"
FRAME = np.dtype([("clip", np.int32), ("frame", np.int32), ("form", np.int32)])  # form: see `form_of`


def form_of(number: int, mirrored: bool) -> int:
    """One number for how a picture is shown. number: of a source 1 where it is halved; of a pose, which jitter."""
    return 2 * number + mirrored


@dataclass(frozen=True)
class Kind:
    """One kind of feature. frames (N,) of FRAME, sorted: of which it is kept. shape: of one frame's."""

    name: str
    frames: np.ndarray
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * 2 * len(self.frames)

    @property
    def chunks(self) -> int:
        return -(-len(self.frames) // CHUNK)


class FeatureCache:
    """The features of one run's frames. pairs: the pair set's folder. key: all that decides their values, as JSON."""

    def __init__(self, pairs: Path, key: Mapping[str, Any], kinds: Iterable[Kind]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        frames = {name: hashlib.sha256(kind.frames.tobytes()).hexdigest() for name, kind in self.kinds.items()}
        self.key = json.loads(json.dumps({**key, "frames": frames, "chunk": CHUNK}, sort_keys=True))
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()
        self.folder = pairs / FOLDER / digest[:16]

    def prepare(self) -> None:
        """Make its files, unless they are there. One process calls it. Raises PairSetError where others lie there."""
        if (self.folder / META).is_file():
            self.check()
            return
        make_folder(self.folder)
        for name, kind in self.kinds.items():
            _write(self.folder / f"{name}-{FRAMES}", kind.frames)
            _write(self.folder / f"{name}-{DONE}", np.zeros(kind.chunks, bool))
            made = np.lib.format.open_memmap(self.folder / f"{name}.npy", "w+", np.float16, self._shape(kind))
            made.flush()
        write_json(self.folder / META, self.key)

    def check(self) -> None:
        """Raise PairSetError for files that are not what this run would write."""
        try:
            if read_json(self.folder / META) != self.key:
                raise ValueError("they were made for other weights or frames")
            for name, kind in self.kinds.items():
                found = np.load(self.folder / f"{name}.npy", mmap_mode="r")
                if found.shape != self._shape(kind) or found.dtype != np.float16:
                    raise ValueError(f"{name} is {found.dtype} {found.shape}")
                if len(np.load(self.folder / f"{name}-{DONE}")) != kind.chunks:
                    raise ValueError(f"{name} was cut into other chunks")
        except (OSError, ValueError) as error:
            fix = "delete the folder, and the same command builds them again; or add --no-cache"
            raise PairSetError(f"{self.folder}: no features of this run ({error})", fix=fix) from error

    def missing(self, name: str) -> np.ndarray:
        """Numbers of the chunks that are not computed yet."""
        return np.flatnonzero(~np.load(self.folder / f"{name}-{DONE}"))

    def build(self, name: str, chunks: Iterable[int], compute: Callable[[np.ndarray], np.ndarray]) -> Iterable[int]:
        """Compute and keep these chunks. compute: frames (CHUNK,) of FRAME -> their features (CHUNK, *shape).

        Yields each chunk that is done. A chunk counts as done only when its features are on the disk.
        """
        kind = self.kinds[name]
        values = np.load(self.folder / f"{name}.npy", mmap_mode="r+")
        done = np.load(self.folder / f"{name}-{DONE}", mmap_mode="r+")
        for chunk in chunks:
            frames = kind.frames[chunk * CHUNK : (chunk + 1) * CHUNK]
            padded = np.concatenate([frames, np.repeat(frames[-1:], CHUNK - len(frames))])
            values[chunk * CHUNK : chunk * CHUNK + len(frames)] = compute(padded)[: len(frames)]
            values.flush()
            done[chunk] = True
            done.flush()
            yield chunk

    def _shape(self, kind: Kind) -> tuple[int, ...]:
        return (len(kind.frames), *kind.shape)

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        return {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in self.kinds}

    def __contains__(self, name: str) -> bool:
        return name in self.kinds

    def get(self, name: str, clip: int, frame: int, form: int = 0) -> torch.Tensor:
        """A frame's feature, float16 (*shape). Raises KeyError for a frame of which none is kept."""
        frames = self.kinds[name].frames
        wanted = np.array((clip, frame, form), FRAME)
        place = int(np.searchsorted(frames, wanted))
        if place == len(frames) or frames[place] != wanted:
            raise KeyError(f"{name} of frame {frame} of clip {clip}, form {form}")
        return torch.from_numpy(self._values[name][place].copy())

    def __getstate__(self) -> dict[str, Any]:
        """Loader processes map the files themselves."""
        return {name: value for name, value in vars(self).items() if name != "_values"}


def _write(path: Path, values: np.ndarray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, values)
