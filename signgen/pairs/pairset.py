"""A pair-set folder in, PairSet out.

PAIRS/triples.parquet, clips.parquet, poses/<clip>.poses.npz, meta.json (written last: without it, PAIRS is incomplete);
optionally PAIRS/store (signgen.pairs.frame_store) and, from training, PAIRS/cache (signgen.training.data.caches).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from signgen.corpora.person.images import image_key
from signgen.errors import OptionError, PairSetError, VideoError
from signgen.files import parse_json, read_json, stays_inside
from signgen.pairs.crops import within
from signgen.pairs.frame_store import FrameStore
from signgen.pairs.triples import TRIPLE
from signgen.poses.sequence import FILE_SUFFIX, PoseSequence
from signgen.video.background import RGB, parse_background
from signgen.video.crop import Crop, CropPath, CroppedFrames
from signgen.video.reader import FrameSource, is_video, open_frames, open_images
from signgen.video.window import FrameWindow

FORMAT = 1
SPLITS = ("train", "val", "test")
REBUILD = "run signgen build-pairs again"
_USED = np.dtype([("clip", np.int32), ("frame", np.int32)])


@dataclass(frozen=True)
class ClipRecord:
    """One clip. `path` is absolute; `keypoints` says where they came from; from `holdout_start` on it is held out.

    images: the files below `path` that are its frames, in order, where not all in the folder are; else empty.
    sample_aspect, times, background: as of a FrameSource, None in pair sets of 0.1. start, video_frames: of a segment,
    its first frame in the video, and how many the whole video has; None where the clip is the whole video. crop: the
    part of the video's frames that the clip is, `width` x `height`, the same in all frames or following the signer;
    None: all of them.
    """

    name: str
    split: str
    signer: str
    path: Path
    num_frames: int
    width: int
    height: int
    fps: float | None
    holdout_start: int
    keypoints: str
    images: tuple[str, ...] = ()
    sample_aspect: Fraction | None = None
    times: tuple[float, ...] | None = None
    background: RGB | None = None
    start: int = 0
    video_frames: int | None = None
    crop: Crop | CropPath | None = None

    @property
    def pasted(self) -> Crop | None:
        """The crop whose picture can be laid into one frame of the video: one that stands."""
        return self.crop if isinstance(self.crop, Crop) else None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the video's frames."""
        return (self.crop.frame_width, self.crop.frame_height) if self.crop else (self.width, self.height)

    @property
    def train_frames(self) -> range:
        """Frames that training may see."""
        return range(self.holdout_start if self.split == "train" else 0)

    @property
    def held_out(self) -> range:
        """Frames that it may not."""
        return range(len(self.train_frames), self.num_frames)


@dataclass(frozen=True)
class PairSet:
    """A pair set on disk. meta: seed, rule, root, fingerprint, counts per split, what was left out."""

    folder: Path
    clips: list[ClipRecord]
    meta: dict[str, Any]
    _table: dict[str, np.ndarray]

    @classmethod
    def load(cls, path: Path) -> PairSet:
        """Read a folder written by build-pairs. Raises PairSetError naming the part that is missing or damaged."""
        path = Path(path)
        if not path.is_dir():
            raise PairSetError(
                f"{path}: no such folder", expected="a pair set", fix="make one with signgen build-pairs"
            )
        meta = _load_meta(path / "meta.json")
        clips = _load_clips(path / "clips.parquet", Path(meta["root"]))
        table = _load_triples(path / "triples.parquet", clips, meta["fingerprint"])
        pair_set = cls(path, clips, meta, table)
        for clip in clips:
            if not pair_set.pose_path(clip.name).is_file():
                raise PairSetError(f"{path}: incomplete: poses/{clip.name}{FILE_SUFFIX} is missing", fix=REBUILD)
        _ = pair_set.store  # raises where it is incomplete
        return pair_set

    @property
    def fingerprint(self) -> str:
        """Hash of the data: clips, frames and keypoints, wherever they lie."""
        return self.meta["fingerprint"]

    @property
    def listed(self) -> bool:
        """Its triples are those of lists of pairs, not drawn from clips."""
        return "lists" in self.meta.get("rule", {})

    @cached_property
    def _by_name(self) -> dict[str, ClipRecord]:
        return {clip.name: clip for clip in self.clips}

    def clip(self, name: str) -> ClipRecord:
        """Raises PairSetError for an unknown name."""
        if name not in self._by_name:
            raise PairSetError(
                f"{self.folder}: no clip {name}", expected=f"one of {', '.join(list(self._by_name)[:5])}"
            )
        return self._by_name[name]

    def find(self, name: str, path: Path | None = None) -> ClipRecord | None:
        """The first clip of that name, or of that file or folder."""
        same = path.resolve() if path is not None else None

        def fits(clip: ClipRecord) -> bool:
            return clip.name == name or (same is not None and clip.path.resolve() == same)

        return next(filter(fits, self.clips), None)

    def triples(self, split: str) -> np.ndarray:
        """Records (N,) with fields clip (index into `clips`), source, target: the rows of train, val or test."""
        if split not in SPLITS:
            raise PairSetError(f"split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        return self._table[split]

    def pose_path(self, clip: str) -> Path:
        """Where the clip's keypoints lie."""
        return self.folder / "poses" / f"{clip}{FILE_SUFFIX}"

    def poses(self, clip: str) -> PoseSequence:
        """The clip's keypoints in pixels of its frames; those of a cropped clip lie in pixels of the whole frame."""
        record = self.clip(clip)
        poses = self.whole_poses(clip)
        return poses if record.crop is None else within(poses, record.crop)

    def whole_poses(self, clip: str) -> PoseSequence:
        """The clip's keypoints in pixels of the video's frames."""
        return PoseSequence.load(self.pose_path(clip))

    @property
    def cleaned(self) -> bool:
        """Whether build-pairs cleaned the keypoints."""
        return bool(self.meta.get("rule", {}).get("clean", False))

    @property
    def crop_rule(self) -> str:
        """How build-pairs was to crop: auto, signer, follow or none."""
        return str(self.meta.get("crop", "none"))

    def crop_notes(self, split: str) -> list[str]:
        """What the reader of a split's scores should know of its crops; nothing where there are none."""
        clips = [self.clips[number] for number in np.unique(self._table[split]["clip"])]
        cropped = sum(clip.crop is not None for clip in clips)
        if not cropped:
            return []
        return [
            f"{cropped} of {len(clips)} clips are cropped to the signer: scores are of the crop, which the model sees"
        ]

    @cached_property
    def store(self) -> FrameStore | None:
        """The frames that triples use, where build-pairs stored them. Raises PairSetError for an incomplete store."""
        return FrameStore.open(self.folder, self.fingerprint, self.used_frames)

    def used_frames(self) -> dict[str, np.ndarray]:
        """Clip name -> sorted frames that a training run may ask for: all of its triples' and the first."""
        rows = np.concatenate([self._table[split] for split in SPLITS])
        pairs = np.concatenate([rows[["clip", "source"]].astype(_USED), rows[["clip", "target"]].astype(_USED)])
        first = np.array([(number, 0) for number in np.unique(rows["clip"])], _USED)
        used = np.unique(np.concatenate([pairs, first]))
        numbers, starts = np.unique(used["clip"], return_index=True)
        runs = np.split(used["frame"], starts[1:]) if len(numbers) else []
        return {self.clips[number].name: frames for number, frames in zip(numbers, runs, strict=True)}

    def training_frames(self, clip: str) -> FrameSource:
        """The clip's frames for training: from the store, where there is one; it holds only `used_frames`."""
        record = self.clip(clip)
        return self.store.frames(clip, record) if self.store is not None else self._open(record, record.num_frames)

    @cached_property
    def decoded_in_runs(self) -> frozenset[str]:
        """Names of the clips in which a single training frame costs as much as many: videos that are not stored."""
        return frozenset(clip.name for clip in self.clips if self.store is None and is_video(clip.path))

    def frames(self, clip: str) -> FrameSource:
        """The clip's frames. Raises VideoError when the video has moved, PairSetError when it has changed."""
        return self._open(self.clip(clip))

    def whole_frames(self, clip: str) -> FrameSource:
        """The video's frames, of which those of a cropped clip are a part. Raises as `frames` does."""
        return self._open_whole(self.clip(clip), None)

    def _open(self, record: ClipRecord, num_frames: int | None = None) -> FrameSource:
        """num_frames: see `open_frames`; a video that has fewer by now is found when they are read."""
        whole = self._open_whole(record, num_frames)
        return whole if record.crop is None else CroppedFrames(whole, record.crop)

    def _open_whole(self, record: ClipRecord, num_frames: int | None) -> FrameSource:
        if record.video_frames is not None:
            source = open_frames(record.path, num_frames and record.video_frames, record.background)
            return FrameWindow(_unchanged(source, record, record.video_frames), record.start, record.num_frames)
        files = [record.path / name for name in record.images]
        if files:
            source = open_images(record.path, files, record.background)
        else:
            source = open_frames(record.path, num_frames, record.background)
        return _unchanged(source, record, record.num_frames)


def _unchanged(source: FrameSource, record: ClipRecord, frames: int) -> FrameSource:
    """Raises PairSetError where the video is no longer of so many frames and the record's size."""
    if (source.num_frames, source.width, source.height) != (frames, *record.frame_size):
        found = f"{record.path}: {source.num_frames} frames of {source.width}x{source.height}"
        width, height = record.frame_size
        raise PairSetError(found, expected=f"{frames} of {width}x{height}", fix=REBUILD)
    return source


def _load_meta(path: Path) -> dict[str, Any]:
    try:
        meta = read_json(path)
    except FileNotFoundError:
        raise PairSetError(f"{path.parent}: incomplete: meta.json is missing", fix=REBUILD) from None
    except (OSError, ValueError) as error:
        raise PairSetError(f"{path.parent}: incomplete: meta.json cannot be read ({error})", fix=REBUILD) from error
    whole = isinstance(meta, dict) and all(isinstance(meta.get(key), str) for key in ("root", "fingerprint"))
    if not whole or meta.get("format") != FORMAT or not isinstance(meta.get("rule", {}), dict):
        raise PairSetError(f"{path}: not of format {FORMAT}", expected="a pair set of this version", fix=REBUILD)
    return meta


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise PairSetError(f"{path.parent}: incomplete: {path.name} cannot be read ({error})", fix=REBUILD) from error


def _load_clips(path: Path, root: Path) -> list[ClipRecord]:
    try:
        return [_clip_record(row, root) for row in _read_table(path).to_pylist()]
    except (TypeError, KeyError, ValueError, AttributeError, ArithmeticError, OptionError, VideoError) as error:
        raise PairSetError(f"{path}: other columns than expected ({error})", fix=REBUILD) from error


def _clip_record(row: dict[str, Any], root: Path) -> ClipRecord:
    """Columns that a set may lack are those that none of its clips needed."""
    times, aspect = row.get("times"), row.get("sample_aspect")
    values = {
        **row,
        "start": int(row.get("start") or 0),
        "path": root / row["path"],
        "images": tuple(row.get("images") or ()),
        "sample_aspect": Fraction(aspect) if aspect else None,
        "times": tuple(times) if times else None,
        "background": parse_background(row.get("background")),
        "crop": _crop(row),
    }
    values.pop("crop_path", None)
    record = ClipRecord(**values)
    counts = (record.num_frames, record.width, record.height, record.holdout_start)
    texts = (record.name, record.split, record.signer, record.keypoints, *record.images)
    if not all(type(count) is int and 0 <= count < 1 << 31 for count in counts):
        raise ValueError(f"counts and sizes {counts}")
    if not all(isinstance(text, str) for text in texts) or not stays_inside(record.name):
        raise ValueError(f"a clip called {record.name!r}")
    return record


def _crop(row: dict[str, Any]) -> Crop | CropPath | None:
    """crop: as text, of a path in its first frame; crop_path: x, y of every frame, one after the other."""
    if not row.get("crop"):
        return None
    crop = Crop.parse(row["crop"])
    if not row.get("crop_path"):
        return crop
    starts = np.array(row["crop_path"], np.int64).reshape(-1, 2)
    if len(starts) != row["num_frames"]:
        raise ValueError(f"a crop of {len(starts)} frames")
    return CropPath.through(starts, crop.width, crop.height, crop.frame_width, crop.frame_height)


def _load_triples(path: Path, clips: list[ClipRecord], fingerprint: str) -> dict[str, np.ndarray]:
    table = _read_table(path)
    try:
        of = parse_json((table.schema.metadata or {}).get(b"fingerprint", b"null"))
        if of == fingerprint:
            return _rows_by_split(table, clips)
    except Exception as error:  # columns that are missing or of other types raise anything
        raise PairSetError(f"{path}: other columns than expected ({error})", fix=REBUILD) from error
    raise PairSetError(f"{path}: belongs to other data than meta.json", fix=REBUILD)


def _rows_by_split(table: Any, clips: list[ClipRecord]) -> dict[str, np.ndarray]:
    index = {clip.name: number for number, clip in enumerate(clips)}
    coded = table.column("clip").combine_chunks()
    codes = np.array([index[name] for name in coded.dictionary.to_pylist()], np.int32)
    rows = np.empty(len(table), TRIPLE)
    rows["clip"] = codes[coded.indices.to_numpy()] if len(table) else 0
    rows["source"], rows["target"] = (table.column(name).to_numpy() for name in ("source_frame", "target_frame"))
    splits = np.array(table.column("split").to_pylist(), object)
    return {split: rows[splits == split] for split in SPLITS}


def frame_name(clip: ClipRecord, frame: int) -> str:
    """`CLIP-000012`; an image of DeepFashion or Market-1501 has the name that all spellings of it share."""
    if clip.images:
        return image_key((clip.path / clip.images[frame]).as_posix()).replace("/", "-")
    return f"{clip.name.replace('/', '-')}-{frame:06d}"


def pair_name(clip: ClipRecord, source: int, target: int) -> str:
    """`SOURCE_to_TARGET`, as `signgen evaluate-images` reads it (rule pcdms)."""
    return f"{frame_name(clip, source)}_to_{frame_name(clip, target)}"
