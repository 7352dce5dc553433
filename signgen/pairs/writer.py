"""Clips with their poses in, one after the other; a pair-set folder out, the same bytes for the same data."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from signgen.corpora.survey import Clip
from signgen.files import atomic_path, flush, make_folder, write_json
from signgen.pairs.frame_store import remove_store
from signgen.pairs.pairset import FORMAT, SPLITS, ClipRecord
from signgen.poses.sequence import FILE_SUFFIX, PoseSequence
from signgen.video.background import colour_text
from signgen.video.crop import CropPath

_LOOKED_AT = 4096  # bytes of a frame folder's first image that tell it from others
_PARTS = ("poses", "clips.parquet", "triples.parquet", "meta.json")


class PairSetWriter:
    """Writes every part beside `folder` and moves them in at the end: a set that is there stays until then.

    Poses are written as they come, so that never more than one clip's are in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._fresh = folder, folder.with_name(f".{folder.name}.new")
        self._digests: dict[str, bytes] = {}

    def __enter__(self) -> PairSetWriter:
        shutil.rmtree(self._fresh, ignore_errors=True)
        make_folder(self._fresh / "poses")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._fresh, ignore_errors=True)

    def add(self, name: str, poses: PoseSequence, footage: Iterable[bytes]) -> None:
        """Write a clip's keypoints. footage: what tells its frames from others, for the fingerprint."""
        path = self._fresh / "poses" / f"{name}{FILE_SUFFIX}"
        make_folder(path.parent)
        with path.open("wb") as handle:
            poses.write(handle)
        digest = hashlib.sha256(poses.keypoints.tobytes())
        for part in footage:
            digest.update(part)
        self._digests[name] = digest.digest()

    def fingerprint(self, clips: list[ClipRecord]) -> str:
        """16 hex digits over clips, keypoints and footage. `clips` were all added."""
        digest = hashlib.sha256()
        for clip in clips:
            head = [clip.name, clip.split, clip.num_frames, clip.width, clip.height, clip.fps]
            digest.update(json.dumps(head).encode())
            if clip.crop is not None:
                digest.update(repr(clip.crop).encode())
            digest.update(self._digests[clip.name])
        return digest.hexdigest()[:16]

    def finish(self, clips: list[ClipRecord], triples: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Write the tables and move everything in, meta.json last. `clips` were all added.

        meta needs seed, rule, root and fingerprint; it goes into the Parquet metadata as well.
        """
        fresh, folder = self._fresh, self._folder
        _write_table(fresh / "clips.parquet", _clips_columns(clips, Path(meta["root"])), meta)
        _write_table(fresh / "triples.parquet", _triples_columns(clips, triples), meta)
        write_json(fresh / "meta.json", {"format": FORMAT, **meta})
        flush(fresh / "poses")
        make_folder(folder)
        (folder / "meta.json").unlink(missing_ok=True)  # from here on only renames
        remove_store(folder)
        shutil.rmtree(folder / "poses", ignore_errors=True)
        for part in _PARTS:
            (fresh / part).replace(folder / part)


class Footage:
    """What tells a clip's frames from others: a video's bytes, of a frame folder the beginning of its first image. Of
    segments, the hash of the video, which is read once for all of them, and their first frame."""

    def __init__(self) -> None:
        self._hashes: dict[Path, bytes] = {}

    def __call__(self, clip: Clip) -> Iterator[bytes]:
        if clip.whole is None:
            yield from _bytes_of(clip.video, clip.first_image)
            return
        if clip.video not in self._hashes:
            digest = hashlib.sha256()
            for part in _bytes_of(clip.video, clip.first_image):
                digest.update(part)
            self._hashes[clip.video] = digest.digest()
        yield self._hashes[clip.video]
        yield str(clip.start).encode()


def _bytes_of(video: Path, first_image: Path | None) -> Iterator[bytes]:
    if first_image is not None:
        with first_image.open("rb") as handle:
            yield handle.read(_LOOKED_AT)
        return
    with video.open("rb") as handle:
        while chunk := handle.read(1 << 22):
            yield chunk


def image_list(folder: Path, names: Iterable[str]) -> Iterator[bytes]:
    """Names and sizes of single images."""
    yield json.dumps([(name, (folder / name).stat().st_size) for name in names]).encode()


def _clips_columns(clips: list[ClipRecord], root: Path) -> dict[str, Any]:
    import pyarrow as pa

    def relative(path: Path) -> str:
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    columns: dict[str, Any] = {
        name: [getattr(c, name) for c in clips] for name in ("name", "split", "signer", "keypoints")
    }
    columns["path"] = [relative(clip.path) for clip in clips]
    for name in ("num_frames", "width", "height", "holdout_start"):
        columns[name] = pa.array([getattr(clip, name) for clip in clips], pa.int32())
    columns["fps"] = pa.array([clip.fps for clip in clips], pa.float64())
    if any(clip.video_frames for clip in clips):
        columns["start"] = pa.array([clip.start for clip in clips], pa.int32())
        columns["video_frames"] = pa.array([clip.video_frames for clip in clips], pa.int32())
    if any(clip.images for clip in clips):
        columns["images"] = pa.array([list(clip.images) for clip in clips], pa.list_(pa.string()))
    if any(clip.sample_aspect for clip in clips):
        columns["sample_aspect"] = pa.array(
            [clip.sample_aspect and str(clip.sample_aspect) for clip in clips], pa.string()
        )
    if any(clip.times for clip in clips):
        columns["times"] = pa.array([clip.times and list(clip.times) for clip in clips], pa.list_(pa.float64()))
    if any(clip.background for clip in clips):
        columns["background"] = pa.array(
            [clip.background and colour_text(clip.background) for clip in clips], pa.string()
        )
    if any(clip.crop for clip in clips):
        columns["crop"] = pa.array([clip.crop and str(clip.crop.at(0)) for clip in clips], pa.string())
    if any(isinstance(clip.crop, CropPath) for clip in clips):
        paths = [np.ravel(clip.crop.starts) if isinstance(clip.crop, CropPath) else None for clip in clips]
        columns["crop_path"] = pa.array(paths, pa.list_(pa.int32()))
    return columns


def _triples_columns(clips: list[ClipRecord], triples: dict[str, np.ndarray]) -> dict[str, Any]:
    import pyarrow as pa

    rows = np.concatenate([triples[split] for split in SPLITS])
    splits = np.repeat(np.arange(len(SPLITS), dtype=np.int32), [len(triples[split]) for split in SPLITS])
    signers = sorted({clip.signer for clip in clips})
    number_of = {signer: number for number, signer in enumerate(signers)}
    signer_of = np.array([number_of[clip.signer] for clip in clips], np.int32)
    return {
        "clip": pa.DictionaryArray.from_arrays(rows["clip"], [clip.name for clip in clips]),
        "source_frame": rows["source"],
        "target_frame": rows["target"],
        "split": pa.DictionaryArray.from_arrays(splits, list(SPLITS)),
        "signer": pa.DictionaryArray.from_arrays(signer_of[rows["clip"]], signers),
    }


def _write_table(path: Path, columns: dict[str, Any], meta: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    notes = {key: json.dumps(meta[key]) for key in ("seed", "rule", "fingerprint")}
    table = pa.table(columns).replace_schema_metadata(notes)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
