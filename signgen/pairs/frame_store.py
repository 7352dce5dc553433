"""A pair set in, its store out: the frames that triples use, uncompressed, so that reading one costs no decoding.

PAIRS/store/<clip>.npy: uint8 (n, H, W, 3) RGB at native size; index.parquet (clip, frame; in the arrays' order), which
is written last: a store without it is incomplete.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from signgen.errors import PairSetError, VideoError
from signgen.files import atomic_path, make_folder, parse_json
from signgen.progress import SILENT, Progress
from signgen.video.reader import FrameSource

FOLDER = "store"
_INDEX = "index.parquet"
_RUN = 64  # frames read at once
_FIX = "run signgen build-pairs again with --store, or delete the folder store"


@dataclass(frozen=True)
class FrameStore:
    """A complete store. rows: clip name -> sorted frame numbers, as they lie in the clip's array."""

    folder: Path
    rows: dict[str, np.ndarray]

    @classmethod
    def open(cls, pairs: Path, fingerprint: str, used: Callable[[], dict[str, np.ndarray]]) -> FrameStore | None:
        """The store of a pair-set folder; None where there is none. Raises PairSetError for one that is incomplete, or
        of other data or frames than those `used`."""
        import pyarrow.parquet as pq

        folder = pairs / FOLDER
        if not folder.exists():
            return None
        if not (folder / _INDEX).is_file():
            raise PairSetError(f"{folder}: incomplete: {_INDEX} is missing", fix=_FIX)
        try:
            table = pq.read_table(folder / _INDEX)
            of = parse_json((table.schema.metadata or {}).get(b"fingerprint", b"null"))
            clips, frames = table.column("clip").to_numpy(zero_copy_only=False), table.column("frame").to_numpy()
            if not all(isinstance(clip, str) for clip in clips):
                raise ValueError("a clip has no name")
        except Exception as error:  # a damaged Parquet file raises anything
            raise PairSetError(f"{folder / _INDEX}: cannot be read ({error})", fix=_FIX) from error
        if of != fingerprint:
            raise PairSetError(f"{folder}: belongs to other data than the pair set", fix=_FIX)
        names, starts = np.unique(clips, return_index=True)
        runs = np.split(frames, np.sort(starts)[1:])
        rows = dict(zip(names[np.argsort(starts)].tolist(), runs, strict=False))  # of an empty table one run
        wanted = used()
        if rows.keys() != wanted.keys() or any(not np.array_equal(rows[name], wanted[name]) for name in rows):
            raise PairSetError(f"{folder}: holds other frames than the triples use", fix=_FIX)
        return cls(folder, rows)

    def frames(self, clip: str, like: Any) -> StoredFrames:
        """The clip's stored frames; like: its record."""
        return StoredFrames(self.folder / f"{clip}.npy", self.rows[clip], like)


class StoredFrames(FrameSource):
    """Those frames of a clip that the store holds, under their own numbers."""

    def __init__(self, array: Path, rows: np.ndarray, like: Any) -> None:
        self.path, self.array, self.rows = like.path, array, rows
        self.num_frames, self.width, self.height, self.fps = like.num_frames, like.width, like.height, like.fps
        self.sample_aspect = like.sample_aspect
        self.times = None if like.times is None else np.array(like.times)

    def _read(self, frames: np.ndarray) -> np.ndarray:
        wanted = np.asarray(frames)
        places = np.searchsorted(self.rows, wanted)
        if not np.array_equal(self.rows[np.minimum(places, len(self.rows) - 1)], wanted):
            raise VideoError(f"{self.array}: frames {frames[0]}:{frames[-1] + 1} are not all stored", fix=_FIX)
        try:
            stored = np.load(self.array, mmap_mode="r")
        except (OSError, ValueError, EOFError, SyntaxError, TokenError, TypeError) as error:  # its header is Python
            raise VideoError(f"{self.array}: cannot be read ({error})", fix=_FIX) from error
        shape = (len(self.rows), self.height, self.width, 3)
        if stored.shape != shape or stored.dtype != np.uint8:
            raise VideoError(f"{self.array}: {stored.dtype} {stored.shape}", expected=f"uint8 {shape}", fix=_FIX)
        return np.array(stored[places])


def write_store(
    pairs: Path,
    fingerprint: str,
    used: dict[str, np.ndarray],
    open_clip: Callable[[str], FrameSource],
    progress: Progress = SILENT,
) -> int:
    """Write the frames `used` (clip name -> sorted frame numbers), then the index; returns the bytes of pixels."""
    folder = pairs / FOLDER
    remove_store(pairs)
    make_folder(folder)
    written = 0
    for clip in progress.track(list(used), "storing frames"):
        written += _write_clip(folder / f"{clip}.npy", open_clip(clip), used[clip])
    _write_index(folder, fingerprint, used)
    return written


def _write_clip(path: Path, source: FrameSource, frames: np.ndarray) -> int:
    """Frame by frame and not through a mapping, which would end the process on a full disk."""
    make_folder(path.parent)
    shape = (len(frames), source.height, source.width, 3)
    with path.open("wb") as handle:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        for run in _runs(frames):
            handle.write(source.pick(run).tobytes())
    return math.prod(shape)


def remove_store(pairs: Path) -> None:
    """Remove a pair set's store, index first."""
    (pairs / FOLDER / _INDEX).unlink(missing_ok=True)
    shutil.rmtree(pairs / FOLDER, ignore_errors=True)


def _runs(frames: np.ndarray) -> Iterable[np.ndarray]:
    """Sorted frame numbers, those within _RUN of each other together."""
    while len(frames):
        end = int(np.searchsorted(frames, frames[0] + _RUN))
        yield frames[:end]
        frames = frames[end:]


def _write_index(folder: Path, fingerprint: str, used: dict[str, np.ndarray]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    clips = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(used), dtype=np.int32), [len(frames) for frames in used.values()]), list(used)
    )
    frames = np.concatenate(list(used.values())).astype(np.int32)
    table = pa.table({"clip": clips.cast(pa.string()), "frame": frames})
    with atomic_path(folder / _INDEX) as temporary:
        pq.write_table(table.replace_schema_metadata({"fingerprint": json.dumps(fingerprint)}), temporary)
